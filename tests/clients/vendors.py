"""The official SDK of a vendor asks the server at the URL given, and prints what it understood as JSON."""

import json
import sys

vendor, way, url = sys.argv[1:]
OPTIONS = {"api_key": "key", "max_retries": 0, "timeout": 30}


def anthropic() -> dict:
    from anthropic import Anthropic

    client = Anthropic(base_url=url, **OPTIONS)
    ask = {"model": "claude-sonnet-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello?"}]}
    if way == "stream":
        with client.messages.stream(**ask) as stream:
            heard = "".join(stream.text_stream)
            message = stream.get_final_message()
    else:
        message = client.messages.create(**ask)
        heard = "".join(block.text for block in message.content if block.type == "text")
    calls = [[block.name, block.input] for block in message.content if block.type == "tool_use"]
    usage = message.usage
    thoughts = [block.signature for block in message.content if block.type == "thinking"]
    return {
        "text": heard, "calls": calls, "stop": message.stop_reason, "thoughts": thoughts,
        "input": usage.input_tokens, "output": usage.output_tokens, "cached": usage.cache_read_input_tokens,
    }


def openai() -> dict:
    from openai import OpenAI

    client = OpenAI(base_url=f"{url}/v1", **OPTIONS)
    ask = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello?"}]}
    if way == "responses":
        response = client.responses.create(model="gpt-5", input="Hello?")
        calls = [[item.name, item.arguments] for item in response.output if item.type == "function_call"]
        usage = response.usage
        return {
            "text": response.output_text, "calls": calls, "stop": response.status, "input": usage.input_tokens,
            "output": usage.output_tokens, "cached": usage.input_tokens_details.cached_tokens,
        }
    if way == "stream":
        with client.chat.completions.stream(**ask, stream_options={"include_usage": True}) as stream:
            heard = "".join(event.delta for event in stream if event.type == "content.delta")
            snapshot = stream.current_completion_snapshot
    else:
        snapshot = client.chat.completions.create(**ask)
        heard = snapshot.choices[0].message.content
    choice, usage = snapshot.choices[0], snapshot.usage
    calls = [[call.function.name, call.function.arguments] for call in choice.message.tool_calls or []]
    details = usage.prompt_tokens_details
    return {
        "text": heard, "calls": calls, "stop": choice.finish_reason, "input": usage.prompt_tokens,
        "output": usage.completion_tokens, "cached": details.cached_tokens if details else None,
    }


try:
    print(json.dumps({"anthropic": anthropic, "openai": openai}[vendor]()))
except Exception as error:
    if not hasattr(error, "status_code"):
        raise
    print(json.dumps({
        "error": type(error).__name__, "status": error.status_code, "message": str(error),
        "retry_after": error.response.headers.get("retry-after"),
    }))
