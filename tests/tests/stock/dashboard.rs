//! The dashboard of the existing system: its own page in a real browser, shown what a seed answers.

use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use mesh_tests::lab::{Lab, Process, eventually};
use mesh_tests::others::{self, Page};
use serde_json::json;

use crate::town::Town;

/// How often somebody calls while pages are looked at.
const BETWEEN_CALLS: Duration = Duration::from_millis(500);

/// Waits for a while until the page shows all of `WANTED`, and gives what it shows then.
const READ: &str = r"(async () => {
  const wanted = WANTED, until = Date.now() + 15000;
  const text = () => document.body.innerText;
  while (!wanted.every((one) => text().includes(one)) && Date.now() < until) {
    await new Promise((later) => setTimeout(later, 20));
  }
  return text();
})()";

/// The server that ships the page; it asks the registry at `seed`, and keeps a database of its own, with nothing in it.
async fn server(town: &Town, seed: &str) -> Option<(Process, String)> {
    let program = others::stock_program("meshui")?;
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // It does not say which port it was given.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let lab: &Lab = town;
    let mut command = lab.command(program);
    command.args(["--port", &port.to_string(), "--registry-url", seed]);
    command.env("MCP_MESH_DISTRIBUTED_TRACING_ENABLED", "false");
    command.env("DATABASE_URL", town.home().join("stock.db"));
    let process = town.start(&mut command);
    let url = format!("http://127.0.0.1:{port}");
    eventually("the stock dashboard", || async { reqwest::get(format!("{url}/api/ui-health")).await.ok() }).await;
    Some((process, url))
}

/// Two servers that look like one.
#[derive(Clone)]
struct Origin {
    page: String,
    api: String,
}

/// Where the page is, with the seed for all that it asks for.
async fn origin(page: &str, api: &str) -> String {
    let origin = Origin { page: page.to_owned(), api: api.to_owned() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(passed_on).with_state(origin);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn passed_on(State(origin): State<Origin>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let server = if path.starts_with("/api/") { &origin.api } else { &origin.page };
    let answer = reqwest::get(format!("{server}{path}")).await.unwrap();
    let kind = answer.headers().get(CONTENT_TYPE).cloned().unwrap();
    (answer.status(), [(CONTENT_TYPE, kind)], Body::from_stream(answer.bytes_stream())).into_response()
}

/// Opens pages at `origin`, and gives what each shows, once it shows what is wanted.
async fn read(origin: &str, pages: &[(&str, &[&str])]) -> Vec<String> {
    let opened: Vec<(String, String)> = pages
        .iter()
        .map(|(path, wanted)| (format!("{origin}{path}"), READ.replace("WANTED", &json!(wanted).to_string())))
        .collect();
    let opened: Vec<(&str, &str)> = opened.iter().map(|(url, script)| (url.as_str(), script.as_str())).collect();
    let shown = others::pages(&opened).await;
    let mut wrong = String::new();
    for ((path, wanted), Page { shown, failures }) in pages.iter().zip(&shown) {
        let text = shown.as_str().unwrap();
        let lacks: Vec<_> = wanted.iter().filter(|one| !text.contains(**one)).collect();
        if !lacks.is_empty() || !failures.is_empty() {
            writeln!(wrong, "{path} lacks {lacks:?}, failed with {failures:?}, shows:\n{text}\n").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    shown.iter().map(|page| page.shown.as_str().unwrap().to_owned()).collect()
}

/// The id of the agent of this name.
fn id(town: &Town, name: &str) -> String {
    let agents = town.get("/agents");
    let agent = agents["agents"].as_array().unwrap().iter().find(|agent| agent["name"] == name).unwrap();
    agent["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn its_pages_show_a_seeds_agents_as_they_would_a_registrys() {
    let town = Town::shared();
    let seed = town.seed_url();
    let Some((_server, url)) = server(&town, &seed).await else {
        return println!("the stock dashboard is not published for this machine");
    };
    let origin = origin(&url, &seed).await;
    town.call(&["ask_around"]);
    let (stock, ours, models) = (id(&town, "greeter"), id(&town, "hello-world"), id(&town, "thinker"));
    let schema = town.get("/schemas")["schemas"][0]["hash"].as_str().unwrap().to_owned();
    let [of_stock, of_ours, of_models] = [&stock, &ours, &models].map(|id| format!("/agents/{id}"));
    let of_schema = format!("/schemas/{schema}");
    let pages: [(&str, &[&str]); 11] = [
        ("/", &["Total Agents", "Dependencies", "20/25", "Agent Registered", "ask_around", "Connected"]),
        ("/agents", &["calendar", "Knows the date", "door", "API", "hello-world", "12/16 deps", "1 unavailable"]),
        (
            &of_stock,
            &["greet_with_date", "stock_greeting v1.0.0", "required dep 'payroll' unresolved", "Dependencies (16)"],
        ),
        (&of_ours, &["greeting v1.0.0", "Greets someone", "Dependencies (1)"]),
        (&of_models, &["thinking_with_ours", "LLM"]),
        ("/topology", &[&stock, &ours, &models, "date_service", "llm:date_service", "provider:llm"]),
        ("/traffic", &["Total Calls", "ask_around", "neighbour"]),
        ("/live", &["Streaming", "ask_around", "neighbour"]),
        ("/jobs", &["No jobs"]),
        ("/schemas", &["Python", "rust", "spell"]),
        (&of_schema, &[&schema, "CANONICAL SCHEMA", "properties"]),
    ];
    // Something to be seen as it happens.
    let calls = Arc::clone(&town);
    let calling = tokio::spawn(async move {
        let mut pace = tokio::time::interval(BETWEEN_CALLS);
        loop {
            pace.tick().await;
            let town = Arc::clone(&calls);
            tokio::task::spawn_blocking(move || town.call(&["ask_around"])).await.unwrap();
        }
    });
    let shown = read(&origin, &pages).await;
    assert!(!calling.is_finished(), "all calls had an answer");
    calling.abort();
    assert!(!shown.iter().any(|text| text.contains("undefined") || text.contains("Unable to connect")), "{shown:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_server_shows_the_agents_of_the_seed_that_it_is_pointed_at() {
    let town = Town::shared();
    let Some((_server, url)) = server(&town, &town.seed_url()).await else {
        return println!("the stock dashboard is not published for this machine");
    };
    let pages: [(&str, &[&str]); 2] =
        [("/agents", &["calendar", "hello-world", "12/16 deps"]), ("/topology", &["date_service", "provider:llm"])];
    read(&url, &pages).await;
}
