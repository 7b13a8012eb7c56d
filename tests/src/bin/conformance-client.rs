//! What MCP's conformance suite starts to see our HTTP client at work: an agent in front of the suite's server, and a
//! client of that agent which calls every tool once.
//!
//! The suite adds the server's URL to the command line, and says in the environment which protocol it speaks and which
//! calls it wants.

use std::env;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mesh_node::mcp::Surface;
use mesh_node::node::Plug;
use mesh_node::wrap::{Condition, Server, Wrapped, WrappedServer};
use mesh_tests::nodes::{start, url as url_of};
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction,
    GetPromptRequestParams, Implementation, JsonObject, ProtocolVersion, ReadResourceRequestParams, Tool,
};
use rmcp::service::{ClientLifecycleMode, RequestContext, RoleClient, RunningService, serve_client_with_lifecycle};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ErrorData};
use serde_json::{Value, json};
use tokio::time::timeout;

/// How long the server may take until it is there, and to answer a call.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client whose user agrees with everything.
struct Agreeable;

impl ClientHandler for Agreeable {
    fn get_info(&self) -> ClientConfig {
        let able = ClientCapabilities::builder().enable_elicitation().build();
        ClientConfig::new(able, Implementation::new("conformance-client", "1.0.0"))
    }

    async fn create_elicitation(
        &self,
        question: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let schema = json!(question)["requestedSchema"].clone();
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        let answers: JsonObject = properties.iter().map(|(name, property)| (name.clone(), some(property))).collect();
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(answers.into()))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(url) = env::args().next_back().filter(|url| url.starts_with("http")) else {
        eprintln!("the server's URL is the last argument");
        return ExitCode::from(2);
    };
    match run(&url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let server = Arc::new(WrappedServer::start(Wrapped {
        name: "suite".into(),
        server: Server::Url { url: url.into(), headers: Default::default() },
        capability: None,
        tags: Vec::new(),
        version: Default::default(),
    }));
    let mut condition = server.condition();
    timeout(PATIENCE, condition.wait_for(|condition| *condition == Condition::Serving)).await??;

    let plug = Plug { surface: Some(Surface::of(server.rest())), ..Plug::new(Arc::clone(&server) as _) };
    let node = start("suite", &[], plug).await;
    let transport = StreamableHttpClientTransport::from_uri(url_of(&node, "/mcp"));
    let client = serve_client_with_lifecycle(Agreeable, transport, lifecycle()).await?;
    use_all(&client).await?;
    client.cancel().await?;
    node.stop().await;
    server.stop().await;
    Ok(())
}

/// The protocol of the scenario, so that what is asked of the client takes the way it takes there.
fn lifecycle() -> ClientLifecycleMode {
    match env::var("MCP_CONFORMANCE_PROTOCOL_VERSION") {
        Ok(version) if version.as_str() < ProtocolVersion::V_2026_07_28.as_str() => ClientLifecycleMode::Initialize,
        _ => {
            ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None }
        }
    }
}

/// Calls the tools as the suite wants it, else each once; then one prompt and one resource.
async fn use_all(client: &RunningService<RoleClient, Agreeable>) -> Result<(), Box<dyn std::error::Error>> {
    let tools = client.list_all_tools().await?;
    let context: Value =
        serde_json::from_str(&env::var("MCP_CONFORMANCE_CONTEXT").unwrap_or_default()).unwrap_or_default();
    let wanted = context["toolCalls"].as_array().map(|calls| {
        let call = |call: &Value| Some((call["name"].as_str()?.to_owned(), call["arguments"].as_object()?.clone()));
        calls.iter().filter_map(call).collect()
    });
    let calls: Vec<(String, JsonObject)> =
        wanted.unwrap_or_else(|| tools.iter().map(|tool| (tool.name.to_string(), arguments(tool, &tools))).collect());
    for (name, arguments) in calls {
        let call = client.call_tool(CallToolRequestParams::new(name.clone()).with_arguments(arguments));
        println!("{name}: {:?}", timeout(PATIENCE, call).await?);
    }
    if let Some(prompt) = client.list_all_prompts().await?.first() {
        client.get_prompt(GetPromptRequestParams::new(prompt.name.clone())).await?;
    }
    if let Some(resource) = client.list_all_resources().await?.first() {
        client.read_resource(ReadResourceRequestParams::new(resource.uri.clone())).await?;
    }
    Ok(())
}

/// Something for every argument. Who wants a `schema` wants to see how that of another tool has arrived.
fn arguments(tool: &Tool, tools: &[Tool]) -> JsonObject {
    let properties = tool.input_schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let other = tools.iter().find(|other| other.name != tool.name);
    let value = |name: &str, property: &Value| match other {
        Some(other) if name == "schema" => json!(other.input_schema),
        _ => some(property),
    };
    properties.iter().map(|(name, property)| (name.clone(), value(name, property))).collect()
}

/// What a property is by default, else something of its type.
fn some(property: &Value) -> Value {
    if let Some(default) = property.get("default") {
        return default.clone();
    }
    match property["type"].as_str() {
        Some("number" | "integer") => json!(2),
        Some("boolean") => json!(true),
        _ => json!("x"),
    }
}
