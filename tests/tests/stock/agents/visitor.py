# Asks an agent of its own kind, and one of ours.
import mesh
from fastmcp import FastMCP

app = FastMCP("visitor")


@app.tool()
@mesh.tool(capability="visit", dependencies=["date_service", "greeting"])
async def visit(name: str, date: mesh.McpMeshTool = None, greet: mesh.McpMeshTool = None) -> dict:
    return {"stock": await date() if date else None, "ours": await greet(name=name) if greet else None}


@mesh.agent(name="visitor", http_port=0)
class Visitor:
    pass
