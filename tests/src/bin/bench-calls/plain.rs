//! The peer beside us: the same tool on a plain rmcp server, stateless and in JSON, called by the client of rmcp; and raw
//! POSTs, which any server of MCP over HTTP understands.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use axum::serve::ListenerExt;
use mesh_tests::bench::post::Post;
use mesh_tests::bench::process::announce;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::{CallToolRequestParams, ServerCapabilities, ServerConfig};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleClient, ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use tokio::net::TcpListener;

use crate::load::Way;
use crate::note::Note;

/// The name of the tool that everybody offers.
pub(crate) const TOOL: &str = "answer";

#[derive(Clone)]
struct Server {
    #[expect(dead_code, reason = "read by what the macro makes")]
    tool_router: ToolRouter<Self>,
}

#[tool_router]
impl Server {
    #[tool(name = "answer", description = "Answers a note")]
    async fn answer(&self, Parameters(note): Parameters<Note>) -> Json<Note> {
        Json(note.answered())
    }
}

#[tool_handler]
impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// Serves until the process is ended.
pub(crate) async fn serve() -> Result<()> {
    let config = StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
    let service: StreamableHttpService<Server, NeverSessionManager> = StreamableHttpService::new(
        || Ok(Server { tool_router: Server::tool_router() }),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    announce(&format!("http://{}/mcp", listener.local_addr()?));
    let listener = listener.tap_io(|stream| {
        // Without it small answers wait for the delayed acknowledgement of the ones before.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await?;
    Ok(())
}

/// rmcp's own client.
pub(crate) struct Client(RunningService<RoleClient, ()>);

impl Client {
    /// Connects to a server, under 2025-11-25.
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let config = StreamableHttpClientTransportConfig::with_uri(url).max_concurrent_requests(256);
        let transport = StreamableHttpClientTransport::with_client(reqwest::Client::new(), config);
        Ok(Self(().serve(transport).await?))
    }
}

#[async_trait]
impl Way for Client {
    async fn call(&self, note: &Note) -> Result<Note> {
        let serde_json::Value::Object(arguments) = serde_json::to_value(note)? else {
            anyhow::bail!("a note is an object")
        };
        let result = self.0.call_tool(CallToolRequestParams::new(TOOL).with_arguments(arguments)).await?;
        Ok(result.into_typed()?)
    }
}

#[async_trait]
impl Way for Post {
    async fn call(&self, note: &Note) -> Result<Note> {
        self.tool(TOOL, note).await
    }
}
