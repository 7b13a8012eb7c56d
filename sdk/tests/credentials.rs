//! Tools that demand credentials, and who checks them.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use mesh::prelude::*;
use mesh::testing::Mesh;
use mesh::{Credentials, DepError, Origin};
use mesh_node::call::CallError;
use mesh_node::tool::FaultKind;
use serde_json::{Value, json};

#[mesh::tool(capability = "payments", auth_required)]
async fn pay(context: Context) -> String {
    context.header("authorization").unwrap_or("nobody").to_owned()
}

/// Demands credentials, and hands them on to whoever does the same.
#[mesh::tool(capability = "shopping", auth_required)]
async fn shop(#[dep("payments")] payments: Dep<String>) -> Result<String> {
    Ok(payments.call(()).await?)
}

/// Does not care who calls.
#[mesh::tool(capability = "window")]
async fn look(context: Context) -> Option<String> {
    context.header("authorization").map(str::to_owned)
}

#[mesh::route(POST, "/checkout")]
async fn checkout(
    #[dep("payments")] payments: Dep<String>,
    #[dep("window")] window: Dep<Option<String>>,
) -> Result<axum::Json<(String, Option<String>)>> {
    Ok(axum::Json((payments.call(()).await?, window.call(()).await?)))
}

async fn check(shown: Credentials) -> Result {
    match shown.bearer() {
        Some("ada") => Ok(()),
        Some("fuse") => panic!("the fuse blows"),
        Some("slow") => std::future::pending().await,
        _ => Err(Error::forbidden(format!("who are you to {}?", shown.tool()))),
    }
}

fn bank() -> Agent {
    Agent::new("bank").tool::<pay>().verifier(check)
}

/// What a call that shows `token` comes to, as kind and words.
async fn refused(payments: &Dep<String>, token: &str) -> (FaultKind, String) {
    let shown = format!("Bearer {token}");
    match payments.clone().header("authorization", &shown).call(()).await.unwrap_err() {
        DepError::Call(CallError::Fault { fault, .. }) => (fault.kind, fault.message),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_agent_that_demands_credentials_and_checks_none_does_not_start() {
    let why = Mesh::new().with(Agent::new("bank").tool::<pay>()).start().await.unwrap_err().to_string();
    assert_eq!(
        why,
        "the tool \"pay\" demands credentials (auth_required): give its agent a verifier, which checks them"
    );
}

#[tokio::test]
async fn a_call_runs_with_the_right_credentials_and_not_without() {
    let mesh = Mesh::new().with(bank()).start().await.unwrap();
    let payments = mesh.dep::<String>("payments").unwrap();
    let paid = payments.clone().header("Authorization", "Bearer ada").call(()).await.unwrap();
    assert_eq!(paid, "Bearer ada", "the body may look whom it serves");

    let (kind, why) = refused(&payments, "eve").await;
    assert_eq!((kind, why.as_str()), (FaultKind::Forbidden, "pay needs credentials: who are you to pay?"));
    let (kind, why) = refused(&payments, "fuse").await;
    assert_eq!((kind, why.as_str()), (FaultKind::Forbidden, "pay needs credentials: the check of them panicked"));
    let none = payments.call(()).await.unwrap_err().to_string();
    assert!(none.contains("pay needs credentials: send an authorization header"), "{none}");
}

#[tokio::test]
async fn a_check_takes_no_longer_than_the_call() {
    let mesh = Mesh::new().with(bank()).start().await.unwrap();
    let payments = mesh.dep::<String>("payments").unwrap().header("authorization", "Bearer slow");
    let late = payments.timeout(std::time::Duration::from_millis(200)).call(()).await.unwrap_err();
    assert!(matches!(late, DepError::Call(CallError::TimedOut { .. })), "{late}");
}

#[tokio::test]
async fn credentials_are_handed_on_to_tools_that_demand_them_and_to_no_others() {
    let shop = Agent::new("shop").tool::<shop>().verifier(check);
    let api = Agent::new("api").route::<checkout>();
    let mesh = Mesh::new().with(bank()).with(shop).with(Agent::new("street").tool::<look>()).with(api);
    let mesh = mesh.start().await.unwrap();
    mesh.wait_for("shopping").await.unwrap();
    let shopping = mesh.dep::<String>("shopping").unwrap().header("authorization", "Bearer ada");
    assert_eq!(shopping.call(()).await.unwrap(), "Bearer ada");

    let url = format!("{}/checkout", mesh.agent("api").unwrap().url().unwrap());
    let (status, body) = post(&url, Some("ada"), json!(null)).await;
    assert_eq!((status, body), (200, json!(["Bearer ada", null])));
    let (status, body) = post(&url, None, json!(null)).await;
    assert_eq!((status, &body["error"]), (401, &json!("no_credentials")), "{body}");
    let (status, body) = post(&url, Some("eve"), json!(null)).await;
    assert_eq!((status, &body["error"]), (403, &json!("forbidden")), "{body}");
}

#[tokio::test]
async fn mcp_clients_show_theirs_in_the_header() {
    let mesh = Mesh::new().with(bank().tool::<look>()).start().await.unwrap();
    let url = format!("{}/mcp", mesh.agent("bank").unwrap().url().unwrap());
    let call = |tool: &str| json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}});
    let (_, paid) = post(&url, Some("ada"), call("pay")).await;
    assert_eq!(paid["result"]["structuredContent"], json!({"result": "Bearer ada"}), "{paid}");
    let (_, refused) = post(&url, None, call("pay")).await;
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("pay needs credentials: who are you to pay?"), "{text}");
}

#[tokio::test]
async fn a_check_knows_who_brought_the_call() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = seen.clone();
    let bank = Agent::new("bank").tool::<pay>().verifier(move |shown| {
        told.lock().unwrap().push(shown.origin().clone());
        async { Ok(()) }
    });
    let shop = Agent::new("shop").tool::<shop>().verifier(check);
    let mesh = Mesh::new().with_process([bank, shop]).start().await.unwrap();
    mesh.wait_for("shopping").await.unwrap();
    for capability in ["payments", "shopping"] {
        let dep = mesh.dep::<String>(capability).unwrap().header("authorization", "Bearer ada");
        dep.call(()).await.unwrap();
    }
    let url = format!("{}/mcp", mesh.agent("bank").unwrap().url().unwrap());
    post(&url, Some("ada"), json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay"}}))
        .await;
    let seen = seen.lock().unwrap();
    assert!(matches!(&seen[..], [Origin::Member(_), Origin::Process, Origin::Client]), "{seen:?}");
}

async fn post(url: &str, token: Option<&str>, body: Value) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.post(url).json(&body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
