# A stock agent whose tool says in which process it runs.
import os

import mesh
from fastmcp import FastMCP

app = FastMCP("bench provider")


@app.tool()
@mesh.tool(capability="signing", idempotent=True)
async def sign() -> int:
    return os.getpid()


@mesh.agent(name=os.environ["BENCH_NAME"], http_port=0)
class Provider:
    pass
