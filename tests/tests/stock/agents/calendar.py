# Knows the date, and offers whatever else the tests ask for.
import mesh
from fastmcp import FastMCP
from pydantic import BaseModel

app = FastMCP("calendar")


class Person(BaseModel):
    name: str


class Employee(BaseModel):
    name: str
    team: str
    salary: float


@app.tool()
@mesh.tool(capability="date_service", tags=["system", "time"], version="1.0.0", description="Today's date.")
async def get_date() -> str:
    return "2026-11-21"


@app.tool()
@mesh.tool(capability="sum")
async def add(a: int, b: int = 2) -> int:
    return a + b


@app.tool()
@mesh.tool(capability="product")
async def multiply(a: int, b: int) -> dict:
    return {"product": a * b}


@app.tool()
@mesh.tool(capability="spelling")
async def spell(first_letter: str, how_often: int = 2) -> str:
    return first_letter * how_often


@app.tool()
@mesh.tool(capability="weather", tags=["api", "slow"], version="1.2.0")
async def old_weather() -> str:
    return "old"


@app.tool()
@mesh.tool(capability="weather", tags=["api", "fast"], version="2.1.0")
async def new_weather() -> str:
    return "new"


@app.tool()
@mesh.tool(capability="employee")
async def hire(name: str) -> Employee:
    return Employee(name=name, team="tests", salary=1.5)


@app.tool()
@mesh.tool(capability="counting_aloud")
async def count_aloud(to: int) -> mesh.Stream[str]:
    for number in range(1, to + 1):
        yield f"{number};"


@app.tool()
@mesh.tool(capability="headers")
async def seen_headers() -> dict:
    return mesh.TraceContext.get_propagated_headers()


@app.tool()
@mesh.tool(capability="failures")
async def fail() -> str:
    raise RuntimeError("out of days")


@mesh.agent(name="calendar", version="1.0.0", description="Knows the date", http_port=0)
class Calendar:
    pass
