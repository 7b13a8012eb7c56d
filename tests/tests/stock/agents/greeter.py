# Depends on what `calendar` and agents of ours offer.
import mesh
from fastmcp import FastMCP
from pydantic import BaseModel

app = FastMCP("greeter")


class Person(BaseModel):
    name: str


class Employee(BaseModel):
    name: str
    team: str
    salary: float


class Badge(BaseModel):
    number: int


@app.tool()
@mesh.tool(capability="stock_greeting", dependencies=["date_service"])
async def greet_with_date(name: str, date: mesh.McpMeshTool = None) -> str:
    return f"Hello, {name}! It is {await date() if date else 'some day'}."


@app.tool()
@mesh.tool(
    capability="choices",
    dependencies=[
        {"capability": "weather", "tags": ["api", "-fast"]},
        {"capability": "weather", "tags": ["api", "+fast"]},
        {"capability": "weather", "version": "<2.0.0"},
        {"capability": "weather", "version": ">=3.0.0"},
        {"capability": "weather", "tags": [["nowhere", "slow"]]},
    ],
)
async def choose(
    slow: mesh.McpMeshTool = None,
    fast: mesh.McpMeshTool = None,
    old: mesh.McpMeshTool = None,
    future: mesh.McpMeshTool = None,
    either: mesh.McpMeshTool = None,
) -> list:
    return [await tool() if tool else None for tool in (slow, fast, old, future, either)]


@app.tool()
@mesh.tool(
    capability="schemas",
    dependencies=[
        {"capability": "employee", "expected_type": Person, "match_mode": "subset"},
        {"capability": "employee", "expected_type": Person, "match_mode": "strict"},
        {"capability": "employee", "expected_type": Employee, "match_mode": "strict"},
        {"capability": "employee", "expected_type": Badge, "match_mode": "subset"},
    ],
)
async def match(
    part: mesh.McpMeshTool = None,
    same_part: mesh.McpMeshTool = None,
    same: mesh.McpMeshTool = None,
    other: mesh.McpMeshTool = None,
) -> list:
    return [(await tool(name="Ada"))["team"] if tool else None for tool in (part, same_part, same, other)]


@app.tool()
@mesh.tool(capability="payday", dependencies=[{"capability": "payroll", "required": True}])
async def pay(payroll: mesh.McpMeshTool = None) -> str:
    return "paid"


@app.tool()
@mesh.tool(capability="self_use", dependencies=["stock_greeting"])
async def greet_oneself(greeting: mesh.McpMeshTool = None) -> dict:
    return {"proxy": type(greeting).__name__, "said": await greeting(name="me")}


@app.tool()
@mesh.tool(capability="forwarding", dependencies=["headers", "office.notes"])
async def forward(text: str, headers: mesh.McpMeshTool = None, notes: mesh.McpMeshTool = None) -> dict:
    return {"stock": await headers(), "ours": await notes(text=text, count=3)}


@app.tool()
@mesh.tool(capability="listening", dependencies=["counting_aloud", "counting"])
async def listen(to: int, stock: mesh.McpMeshTool = None, ours: mesh.McpMeshTool = None) -> dict:
    return {
        "stock": [chunk async for chunk in stock.stream(to=to)],
        "ours": [chunk async for chunk in ours.stream(to=to)],
        "whole": await ours(to=to),
    }


@mesh.agent(name="greeter", version="1.0.0", http_port=0)
class Greeter:
    pass
