//! The whole mesh as one MCP server, for clients of the official SDKs: over HTTP, and for those that start a command.
#![expect(clippy::unwrap_used, reason = "tests")]

use mesh_node::mcp::Surface;
use mesh_node::node::Plug;
use mesh_tests::lab::Lab;
use mesh_tests::nodes::{Echo, KEY_HEX, door, start, url};
use mesh_tests::others::{Watcher, script};
use rmcp::model::{
    ListPromptsResult, ListResourcesResult, PaginatedRequestParams, Prompt, Resource, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler};
use tokio::process::Command;

/// An author's handler with a prompt and a resource.
struct Library;

impl ServerHandler for Library {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_prompts().enable_resources().build())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![Prompt::new("summary", Some("Sums up."), None)]))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new("book://one", "one")]))
    }
}

/// `arguments` behind those of `command`.
fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_every_kind_hear_what_comes_and_goes_and_call_it_by_the_names_they_are_shown() {
    let one = start("one", &[], Plug::new(Echo::of(&["add"]))).await;
    let door = door(&one).await;
    let seeds = one.gossip().local_addresses();
    let everything = url(&door, "/mesh/mcp");

    let mut lab = Lab::new();
    lab.set("MESH_KEY", KEY_HEX);
    lab.set("MESH_SEEDS", &seeds[0].to_string());
    let meshctl = lab.program("meshctl");
    let stdio = [meshctl.get_program().to_str().unwrap(), "mcp"];
    let in_the_lab = |mut command: Command| {
        command.envs(meshctl.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };
    let mut clients = [
        Watcher::start("python", with(script("mesh.py").await, &["auto", &everything])),
        Watcher::start("python before 2026", with(script("mesh.py").await, &["legacy", &everything])),
        Watcher::start("typescript", with(script("mesh.mjs").await, &[&everything])),
        Watcher::start("python with meshctl mcp", {
            in_the_lab(with(with(script("mesh.py").await, &["legacy"]), &stdio))
        }),
        Watcher::start(
            "new python with meshctl mcp",
            in_the_lab(with(with(script("mesh.py").await, &["auto"]), &stdio)),
        ),
        Watcher::start("typescript with meshctl mcp", in_the_lab(with(script("mesh.mjs").await, &stdio))),
    ];
    for client in &mut clients {
        client.prints(r#"{"tools": ["add"], "prompts": [], "resources": []}"#).await;
    }
    let library = Some(Surface::of(Library));
    let two = start("two", seeds, Plug { surface: library, ..Plug::new(Echo::of(&["add", "sum"])) }).await;
    for client in &mut clients {
        let there = r#"{"tools": ["one.add", "sum", "two.add"], "prompts": ["summary"], "resources": ["book://one"]}"#;
        client.prints(there).await;
    }
    two.stop().await;
    for client in &mut clients {
        client.prints(r#"{"tools": ["add"], "prompts": [], "resources": []}"#).await;
    }
    // They would complain about the end of their server.
    drop(clients);
}
