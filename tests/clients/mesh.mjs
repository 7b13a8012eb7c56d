// The official TypeScript SDK as a client of a whole mesh: prints what there is, as JSON, whenever it is told that this
// has changed, and calls every tool by the name under which it is listed.
import assert from "node:assert/strict";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
    PromptListChangedNotificationSchema,
    ResourceListChangedNotificationSchema,
    ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";

const [target, ...args] = process.argv.slice(2);
const transport = target.startsWith("http")
    ? new StreamableHTTPClientTransport(new URL(target))
    : new StdioClientTransport({ command: target, args, env: process.env });
const client = new Client({ name: "test", version: "1.0.0" });

async function show() {
    const tools = (await client.listTools()).tools.map((tool) => tool.name);
    for (const name of tools) {
        const result = await client.callTool({ name, arguments: { n: 1 } }).catch(() => ({ isError: true }));
        // It went in the meantime, which is the next thing that we are told.
        if (result.isError) return;
        assert.deepEqual(result.structuredContent, { n: 1 });
    }
    const prompts = (await client.listPrompts()).prompts.map((prompt) => prompt.name);
    const resources = (await client.listResources()).resources.map((resource) => resource.uri);
    const there = [`"tools": ${names(tools)}`, `"prompts": ${names(prompts)}`, `"resources": ${names(resources)}`];
    console.log(`{${there.join(", ")}}`);
}

function names(list) {
    return `[${list.map((name) => JSON.stringify(name)).join(", ")}]`;
}

// One after the other.
let shown = Promise.resolve();
const again = () => (shown = shown.then(show));
for (const schema of [
    ToolListChangedNotificationSchema,
    PromptListChangedNotificationSchema,
    ResourceListChangedNotificationSchema,
]) {
    client.setNotificationHandler(schema, again);
}
await client.connect(transport);
again();
