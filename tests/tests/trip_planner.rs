//! TripPlanner with real parts: a real Redis, and its page in a real browser.

#![expect(clippy::unwrap_used, reason = "tests")]

use mesh_tests::lab::{Lab, Process, eventually};
use mesh_tests::others;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A Redis in `lab` that keeps nothing on disk, where `REDIS_URL` says.
fn redis(lab: &Lab) -> Process {
    let mut server = lab.command(others::debian("redis-server", "redis-server"));
    server.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(lab.home().join("redis"));
    lab.start(server.arg("--dir").arg(lab.home()))
}

/// What `tool` gives back for `arguments`, once it gives something back.
async fn call(lab: &Lab, tool: &str, arguments: &Value) -> Value {
    eventually(tool, || async {
        let said = lab.meshctl(&["call", tool, &arguments.to_string()]).stdout;
        let said: Value = serde_json::from_slice(&said).ok()?;
        Some(said["structuredContent"].clone()).filter(|said| !said.is_null())
    })
    .await
}

/// Waits until the agent that runs is listed with a status.
async fn until(lab: &Lab, status: &str) {
    eventually(status, || async {
        let id = lab.nodes().into_iter().find(|node| node.name == "chat-history-agent")?.agent_id;
        let listed: Value = serde_json::from_slice(&lab.meshctl(&["list", "--all", "--json"]).stdout).ok()?;
        let agents = listed["agents"].as_array()?.clone();
        agents.iter().any(|agent| agent["id"] == *id && agent["status"] == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn conversations_outlive_their_agent_in_redis_and_without_it_the_agent_is_unhealthy() {
    let mut lab = Lab::new();
    lab.set("REDIS_URL", &format!("redis+unix://{}", lab.home().join("redis").display()));
    let server = redis(&lab);
    lab.succeed(&["start", "-d", "--registry-only"]);
    let first = lab.start(&mut lab.program("chat-history-agent"));
    for (count, content) in [(1, "Where to?"), (2, "To Kyoto.")] {
        let turn = json!({"session_id": "s é/\n", "role": "user", "content": content});
        assert_eq!(call(&lab, "save_turn", &turn).await["total_turns"], count);
    }
    drop(first);
    let second = lab.start(&mut lab.program("chat-history-agent"));
    let history = call(&lab, "get_history", &json!({"session_id": "s é/\n"})).await;
    assert_eq!(history["result"][1], json!({"role": "user", "content": "To Kyoto."}), "{history}");

    server.signal(Signal::SIGKILL);
    until(&lab, "unhealthy").await;
    assert!(!second.log().contains("kept in memory"), "{}", second.log());
    let _server = redis(&lab);
    until(&lab, "healthy").await;
    assert_eq!(call(&lab, "get_history", &json!({"session_id": "s é/\n"})).await["result"], json!([]));
}

/// Fills in the form of the page, and waits until the trip to the destination DESTINATION is planned.
const PLAN: &str = r"(async () => {
  const [plan, state] = ['plan', 'state'].map((id) => document.getElementById(id));
  let changes = 0;
  new MutationObserver((seen) => { changes += seen.length; }).observe(plan, { childList: true });
  document.querySelector('[name=destination]').value = DESTINATION;
  document.querySelector('form button').click();
  const isOver = () => !document.querySelector('form button').disabled;
  while (!isOver()) await new Promise((later) => setTimeout(later, 10));
  return { title: document.title, state: state.textContent, plan: plan.textContent, changes };
})()";

/// What the page at `url` shows in a browser after a trip to `destination` was asked for.
async fn page(url: &str, destination: &str) -> Value {
    let script = PLAN.replace("DESTINATION", &json!(destination).to_string());
    let [page] = &others::pages(&[(url, &script)]).await[..] else { panic!("one page") };
    assert!(page.failures.is_empty(), "{:?}", page.failures);
    page.shown.clone()
}

#[tokio::test]
async fn the_page_plans_a_trip_in_a_browser_and_says_what_is_missing() {
    let lab = Lab::new();
    lab.succeed(&["start", "-d", "--registry-only"]);
    let start = |names: &[&str]| lab.start(lab.program("trip-planner").args(names).env("TRIP_PLANNER_MODEL", "local"));
    let alone = start(&["gateway"]);
    let url = async || {
        let found = || async { lab.nodes().into_iter().find(|node| node.name == "gateway")?.http_url };
        eventually("the gateway", found).await
    };
    let shown = page(&url().await, "Oslo").await;
    assert_eq!((&shown["title"], &shown["plan"]), (&json!("TripPlanner"), &json!("")));
    assert!(shown["state"].as_str().unwrap().contains("trip_planning_stream"), "{shown}");

    drop(alone);
    let _all = start(&["--all"]);
    lab.succeed(&["wait", "trip_planning_stream", "user-prefs-agent"]);
    let shown = page(&url().await, "Oslo").await;
    assert!(shown["state"].as_str().unwrap().starts_with("planned in"), "{shown}");
    let plan = shown["plan"].as_str().unwrap();
    assert!(plan.contains("MH007") && plan.contains("Oslo") && plan.contains("Logistics Plan"), "{plan}");
    assert!(shown["changes"].as_u64().unwrap() > 50, "word by word: {shown}");
}
