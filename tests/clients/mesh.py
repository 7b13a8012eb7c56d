"""The official Python SDK as a client of a whole mesh: prints what there is, as JSON, whenever it is told that this has
changed, and calls every tool by the name under which it is listed."""

import asyncio
import json
import os
import sys

from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError


async def show(client: Client) -> None:
    tools = [tool.name for tool in (await client.list_tools()).tools]
    for tool in tools:
        try:
            result = await client.call_tool(tool, {"n": 1})
        except MCPError:
            return  # It went in the meantime, which is the next thing that we are told.
        if result.is_error:
            return
        assert result.structured_content == {"n": 1}, result
    prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
    resources = [str(resource.uri) for resource in (await client.list_resources()).resources]
    print(json.dumps({"tools": tools, "prompts": prompts, "resources": resources}), flush=True)


async def main(mode: str, target: list[str]) -> None:
    if target[0].startswith("http"):
        server = target[0]
    else:
        server = StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ))
    told: asyncio.Queue[None] = asyncio.Queue()

    async def on_message(message: object) -> None:
        if "ListChanged" in type(getattr(message, "root", message)).__name__:
            told.put_nowait(None)

    async with Client(server, mode=mode, message_handler=on_message) as client:
        if mode == "legacy":
            await show(client)
            while True:
                await told.get()
                await show(client)
        changes = client.listen(tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True)
        async with changes as heard:
            await show(client)
            async for _ in heard:
                await show(client)


asyncio.run(main(sys.argv[1], sys.argv[2:]))
