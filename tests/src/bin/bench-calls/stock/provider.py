# A stock agent whose tool answers a note.
import os

import mesh
from fastmcp import FastMCP

app = FastMCP("bench provider")


@app.tool()
@mesh.tool(capability="notes")
async def answer(number: int, author: dict, subject: str, tags: list[str], readings: list[float], body: str) -> dict:
    return {
        "number": number + 1,
        "author": author,
        "subject": subject,
        "tags": tags,
        "readings": readings,
        "body": body,
    }


@mesh.agent(name="bench-provider", http_port=int(os.environ["MCP_MESH_HTTP_PORT"]))
class Provider:
    pass
