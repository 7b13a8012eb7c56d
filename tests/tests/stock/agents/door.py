# A web application whose handlers are given dependencies.
import mesh
import uvicorn
from fastapi import FastAPI

app = FastAPI(title="door")


@app.post("/greet")
@mesh.route(dependencies=["stock_greeting", "greeting"])
async def greet(stock: mesh.McpMeshTool = None, ours: mesh.McpMeshTool = None):
    return {"stock": await stock(name="Web"), "ours": await ours(name="Web")}


@app.post("/pay")
@mesh.route(dependencies=[{"capability": "payroll", "required": True}])
async def pay(payroll: mesh.McpMeshTool = None):
    return {"paid": True}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=0)
