# Asks models: one of ours, and one of its own kind.
import mesh
from fastmcp import FastMCP
from pydantic import BaseModel

app = FastMCP("thinker")


class Answer(BaseModel):
    answer: str


@app.tool()
@mesh.llm(
    provider={"capability": "llm", "tags": ["ours"]},
    filter=[{"capability": "date_service"}],
    max_iterations=4,
    system_prompt="Answer in one sentence.",
)
@mesh.tool(capability="thinking_with_ours")
async def think_with_ours(question: str, llm: mesh.MeshLlmAgent = None) -> str:
    return await llm(question)


@app.tool()
@mesh.llm(provider={"capability": "llm", "tags": ["ours"]}, max_iterations=4)
@mesh.tool(capability="structured_with_ours")
async def answer_with_ours(question: str, llm: mesh.MeshLlmAgent = None) -> Answer:
    return await llm(question)


@app.tool()
@mesh.llm(provider={"capability": "llm", "tags": ["stock"]}, filter=[{"capability": "date_service"}], max_iterations=4)
@mesh.tool(capability="thinking_with_stock")
async def think_with_stock(question: str, llm: mesh.MeshLlmAgent = None) -> str:
    return await llm(question)


@mesh.agent(name="thinker", http_port=0)
class Thinker:
    pass
