"""The official Python SDK as a client of the agent at the URL given: in its newest protocol, and in the one before."""

import asyncio
import sys

from mcp import Client


async def use(url: str, mode: str) -> None:
    progress = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append((done, total))

    async with Client(url, mode=mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert "add" in names and "test_simple_text" in names, names
        added = await client.call_tool("add", {"a": 1, "b": 2})
        assert added.structured_content == {"a": 1, "b": 2}, added
        said = await client.call_tool("test_simple_text", {})
        assert said.content[0].text == "This is a simple text response for testing.", said
        await client.call_tool("test_tool_with_progress", {}, progress_callback=on_progress)
        assert sorted(progress) == [(0, 100), (50, 100), (100, 100)], progress
        failed = await client.call_tool("test_error_handling", {})
        assert failed.is_error, failed
        read = await client.read_resource("test://static-text")
        assert read.contents[0].text.startswith("This is the content"), read
        prompt = await client.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
        assert "arg1='a'" in prompt.messages[0].content.text, prompt


async def main(url: str) -> None:
    for mode in ["auto", "legacy"]:
        await use(url, mode)


asyncio.run(main(sys.argv[1]))
