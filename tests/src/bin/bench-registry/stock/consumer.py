# A stock agent whose tool says in which process the provider runs that the mesh injected.
import mesh
from fastmcp import FastMCP

app = FastMCP("bench consumer")


@app.tool()
@mesh.tool(capability="asking", dependencies=["signing"])
async def ask(signing: mesh.McpMeshTool = None) -> int:
    if signing is None:
        return 0
    return int(await signing())


@mesh.agent(name="bench-consumer", http_port=0)
class Consumer:
    pass
