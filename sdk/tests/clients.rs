//! What an agent says to MCP clients: progress, log messages, questions, and what its author's own handler serves.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::Mutex;

use mesh::prelude::*;
use mesh::testing::{Mesh, RunningMesh};
use mesh::{CannotAsk, Level};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientConfig, ContentBlock, ElicitRequestParams,
    ElicitResult, ElicitationAction, ElicitationCapability, ListPromptsResult, ListToolsResult, PaginatedRequestParams,
    ProgressNotificationParam, Prompt, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{ClientLifecycleMode, NotificationContext, RequestContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ErrorData, RoleClient, RoleServer, ServerHandler};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// What is asked of whoever wants a table.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Seats {
    /// For how many?
    count: u32,
}

/// Reserves a table, and asks for what it does not know.
#[mesh::tool(capability = "tables")]
async fn reserve(context: Context) -> Result<String> {
    match context.elicit::<Seats>("A table for how many?").await {
        Ok(Some(seats)) => Ok(format!("a table for {}", seats.count)),
        Ok(None) => Ok("no table then".to_owned()),
        Err(CannotAsk::NoClient(_)) => Ok("a table for two".to_owned()),
        Err(why) => Err(why)?,
    }
}

#[mesh::tool(capability = "bread")]
async fn bake(context: Context) -> String {
    context.progress(1.0, Some(2.0), "kneaded").await;
    context.log(Level::Warning, json!({ "oven": "hot" })).await;
    context.log(Level::Debug, "nobody wants to know").await;
    context.progress(2.0, Some(2.0), "baked").await;
    "bread".to_owned()
}

/// An author's handler: a prompt, and a tool of its own.
struct Handler;

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_prompts().enable_tools().build())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![Prompt::new("poem", None::<String>, None)]))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = serde_json::from_value(json!({ "type": "object" })).unwrap();
        Ok(ListToolsResult::with_all_items(vec![Tool::new("recite", "Recites", std::sync::Arc::new(schema))]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::from(request.arguments.unwrap_or_default());
        Ok(CallToolResult::success(vec![ContentBlock::text(format!("{} {arguments}", request.name))]).into())
    }
}

/// A client that answers questions with `answer`, and remembers what it is told.
struct Client {
    answer: Option<Value>,
    takes_questions: bool,
    told: mpsc::Sender<String>,
    asked: Mutex<Vec<String>>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let mut info = ClientConfig::default();
        info.capabilities.elicitation = self.takes_questions.then(ElicitationCapability::default);
        info
    }

    async fn create_elicitation(
        &self,
        question: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } = question else {
            return Err(ErrorData::invalid_params("no form", None));
        };
        let schema = serde_json::to_string(&requested_schema).unwrap();
        self.asked.lock().unwrap().push(format!("{message} {schema}"));
        Ok(match &self.answer {
            Some(answer) => ElicitResult::new(ElicitationAction::Accept).with_content(answer.clone()),
            None => ElicitResult::new(ElicitationAction::Decline),
        })
    }

    async fn on_progress(&self, told: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let _ =
            self.told.try_send(format!("{} of {:?}: {}", told.progress, told.total, told.message.unwrap_or_default()));
    }

    #[expect(deprecated, reason = "clients of earlier protocols have it")]
    async fn on_logging_message(
        &self,
        told: rmcp::model::LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let level = serde_json::to_string(&told.level).unwrap();
        let _ = self.told.try_send(format!("{level} {} {}", told.logger.unwrap_or_default(), told.data));
    }
}

type Connected = (RunningService<RoleClient, Client>, mpsc::Receiver<String>);

async fn connect(mesh: &RunningMesh, agent: &str, answer: Option<Value>, takes_questions: bool) -> Connected {
    let url = format!("{}/mcp", mesh.agent(agent).unwrap().url().unwrap());
    let (told, heard) = mpsc::channel(64);
    let client = Client { answer, takes_questions, told, asked: Mutex::default() };
    let transport = StreamableHttpClientTransport::from_uri(url);
    let client = rmcp::serve_client_with_lifecycle(client, transport, ClientLifecycleMode::Initialize).await.unwrap();
    (client, heard)
}

async fn reserved(mesh: &RunningMesh, answer: Option<Value>, takes_questions: bool) -> (Value, Vec<String>) {
    let (client, _heard) = connect(mesh, "waiter", answer, takes_questions).await;
    let result = client.call_tool(CallToolRequestParams::new("reserve")).await.unwrap();
    let said = result.structured_content.clone().unwrap_or_else(|| json!(format!("{result:?}")));
    let asked = client.service().asked.lock().unwrap().clone();
    (said, asked)
}

#[tokio::test]
async fn a_tool_asks_whoever_sits_at_the_client_and_does_without_where_nobody_can_be_asked() {
    let mesh = Mesh::new().with(Agent::new("waiter").tool::<reserve>()).start().await.unwrap();
    let (said, asked) = reserved(&mesh, Some(json!({ "count": 4 })), true).await;
    assert_eq!(said, json!({ "result": "a table for 4" }));
    assert!(asked[0].starts_with("A table for how many? ") && asked[0].contains("For how many?"), "{asked:?}");
    let (said, _) = reserved(&mesh, None, true).await;
    assert_eq!(said, json!({ "result": "no table then" }));
    let (said, asked) = reserved(&mesh, None, false).await;
    assert_eq!((said, asked.len()), (json!({ "result": "a table for two" }), 0));
    let (said, _) = reserved(&mesh, Some(json!({ "count": "many" })), true).await;
    assert!(said.to_string().contains("does not fit what it was asked"), "{said}");
    let of_agent: String = mesh.call("tables", ()).await.unwrap();
    assert_eq!(of_agent, "a table for two");
}

#[tokio::test]
async fn progress_and_log_messages_reach_the_client_that_calls() {
    let mesh = Mesh::new().with(Agent::new("bakery").tool::<bake>()).start().await.unwrap();
    let (client, mut heard) = connect(&mesh, "bakery", None, false).await;
    let result = client.call_tool(CallToolRequestParams::new("bake")).await.unwrap();
    assert_eq!(result.structured_content, Some(json!({ "result": "bread" })));
    // This client tells its handler from several tasks.
    let mut told = BTreeSet::new();
    for _ in 0..3 {
        told.insert(heard.recv().await.unwrap());
    }
    let expected = ["1 of Some(2.0): kneaded", "2 of Some(2.0): baked", "\"warning\" bake {\"oven\":\"hot\"}"];
    assert_eq!(told, expected.map(str::to_owned).into());
}

#[tokio::test]
async fn an_agent_serves_the_registry_when_its_author_says_so() {
    let baker = Agent::new("bakery").tool::<bake>().registry();
    let mesh = Mesh::new().with(baker).with(Agent::new("mill")).start().await.unwrap();
    let status = async |agent| {
        let url = mesh.agent(agent).unwrap().url().unwrap();
        reqwest::get(format!("{url}/agents")).await.unwrap().status().as_u16()
    };
    assert_eq!((status("bakery").await, status("mill").await), (200, 404));
}

#[tokio::test]
async fn an_authors_own_handler_is_served_beside_the_tools_and_its_tools_are_on_the_mesh() {
    let mesh = Mesh::new().with(Agent::new("poet").tool::<bake>().mcp(Handler)).start().await.unwrap();
    let (client, _heard) = connect(&mesh, "poet", None, false).await;
    assert_eq!(client.list_all_prompts().await.unwrap()[0].name, "poem");
    let tools = client.list_all_tools().await.unwrap();
    let names: BTreeSet<&str> = tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["bake", "recite"].into());
    let result = client.call_tool(CallToolRequestParams::new("recite")).await.unwrap();
    assert_eq!(result.content[0].as_text().unwrap().text, "recite {}");

    let said: String = mesh.call("recite", args! { line: 1 }).await.unwrap();
    assert_eq!(said, r#"recite {"line":1}"#);
}
