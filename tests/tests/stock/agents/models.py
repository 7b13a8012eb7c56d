# A model of a vendor, whose address is told.
import os

import mesh
from fastmcp import FastMCP

app = FastMCP("models")


@mesh.llm_provider(
    model="openai/gpt-4o",
    capability="llm",
    tags=["stock"],
    version="1.0.0",
    base_url=os.environ["VENDOR_URL"],
    api_key="none",
)
def stock_model():
    pass


@mesh.agent(name="models", http_port=0)
class Models:
    pass
