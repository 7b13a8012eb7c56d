# A stock agent whose tool calls the provider's through the proxy that the mesh injects, and says how long each call took.
import os
import time

import mesh
from fastmcp import FastMCP

app = FastMCP("bench consumer")


@app.tool()
@mesh.tool(capability="measuring", dependencies=["notes"])
async def measure(note: dict, calls: int, notes: mesh.McpMeshTool = None) -> dict:
    if notes is None:
        return {"times_ms": []}
    times = []
    for _ in range(calls):
        begin = time.perf_counter()
        answer = await notes(**note)
        times.append((time.perf_counter() - begin) * 1e3)
        assert answer["number"] == note["number"] + 1
    return {"times_ms": times}


@mesh.agent(name="bench-consumer", http_port=int(os.environ["MCP_MESH_HTTP_PORT"]))
class Consumer:
    pass
