# Tells the date, and asks nobody.
import mesh
from fastmcp import FastMCP

app = FastMCP("dates")


@app.tool()
@mesh.tool(capability="date_service")
async def get_date() -> str:
    return "2026-11-21"


@mesh.agent(name="dates", http_port=0)
class Dates:
    pass
