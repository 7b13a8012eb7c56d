// The official TypeScript SDK as a client of the agent at the URL given.
import assert from "node:assert/strict";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const client = new Client({ name: "test", version: "1.0.0" });
const transport = new StreamableHTTPClientTransport(new URL(process.argv[2]));
await client.connect(transport);

const { tools } = await client.listTools();
const names = tools.map((tool) => tool.name);
assert(names.includes("add") && names.includes("test_simple_text"), names.join());

const added = await client.callTool({ name: "add", arguments: { a: 1, b: 2 } });
assert.deepEqual(added.structuredContent, { a: 1, b: 2 });

const progress = [];
const onprogress = ({ progress: done }) => progress.push(done);
await client.callTool({ name: "test_tool_with_progress", arguments: {} }, undefined, { onprogress });
assert.deepEqual(progress, [0, 50, 100]);

const failed = await client.callTool({ name: "test_error_handling", arguments: {} });
assert.equal(failed.isError, true);

const read = await client.readResource({ uri: "test://static-text" });
assert(read.contents[0].text.startsWith("This is the content"));

const prompt = await client.getPrompt({ name: "test_prompt_with_arguments", arguments: { arg1: "a", arg2: "b" } });
assert(prompt.messages[0].content.text.includes("arg1='a'"));

await transport.terminateSession();
await client.close();
