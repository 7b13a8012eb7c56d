//! A trip is planned: all thirteen agents in a mesh, with the local model.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use mesh::llm::Piece;
use mesh::testing::{Mesh, RunningMesh};
use mesh::{Agent, args};
use mesh_providers::Provider;
use serde_json::{Value, json};
use tempfile::TempDir;
use trip_planner::history::Turn;
use trip_planner::{AGENTS, gateway};

/// A model that keeps its figures in `home`.
fn provider(name: &str, tag: &str, home: &Path) -> Agent {
    Provider::new("local").name(name).tags([tag]).home(home).agent().unwrap()
}

/// All of them, the gateway at a free port.
async fn everybody() -> (RunningMesh, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::new();
    for (name, make) in AGENTS {
        mesh = mesh.with(match name {
            "claude-provider" => provider(name, "claude", home.path()),
            "openai-provider" => provider(name, "openai", home.path()),
            _ => make().unwrap(),
        });
    }
    (mesh.start().await.unwrap(), home)
}

fn trip() -> Value {
    json!({ "destination": "Kyoto", "dates": "June 1-5, 2026", "budget": "$2000" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_has_flights_hotels_and_advice_and_survives_its_model() {
    let (mut mesh, _home) = everybody().await;
    let plan = async |mesh: &RunningMesh| -> String {
        let arguments = args! { destination: "Kyoto", dates: "June 1-5, 2026", budget: "$2000", session_id: "s é" };
        mesh.call("trip_planning", arguments).await.unwrap()
    };
    mesh.wait_for("trip_planning").await.unwrap();
    let said = plan(&mesh).await;
    for part in [
        "MH007",
        "SQ017",
        "Grand Hyatt",
        "Partly cloudy in Kyoto",
        "Senso-ji",
        "Budget Analysis",
        "Day 1",
        "Off the beaten",
    ] {
        assert!(said.contains(part), "no {part} in:\n{said}");
    }
    assert!(!said.contains("AA100"), "too dear:\n{said}");
    let history = mesh.dep::<Vec<Turn>>("chat_history").unwrap();
    let turns = async || history.call_tool("get_history", args! { session_id: "s é" }).await.unwrap();
    assert_eq!(turns().await.len(), 2);
    assert_eq!(turns().await[1].content, said);

    mesh.kill("claude-provider").unwrap();
    assert!(plan(&mesh).await.contains("MH007"));
    assert_eq!(turns().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_get_a_page_a_plan_and_its_words_as_they_come() {
    let (mesh, _home) = everybody().await;
    let url = mesh.agent("gateway").unwrap().url().unwrap().to_owned();
    mesh.wait_for("trip_planning_stream").await.unwrap();
    let http = reqwest::Client::new();
    let page = http.get(&url).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("<title>TripPlanner"), "{page}");

    let answer = http.post(format!("{url}/plan")).header("x-session-id", "mine").json(&trip()).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-session-id"]), (200, &"mine".parse().unwrap()));
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["session_id"], "mine");
    assert!(answer["result"].as_str().unwrap().contains("MH007"), "{answer}");

    let streamed = http.post(format!("{url}/plan/stream")).json(&trip()).send().await.unwrap();
    assert!(!streamed.headers()["x-session-id"].is_empty());
    let events = streamed.text().await.unwrap();
    assert!(events.matches("data: ").count() > 50 && events.ends_with("data: [DONE]\n\n"), "{events}");
    assert!(events.contains("Specialist Insights"), "{events}");

    let malformed = http.post(format!("{url}/plan")).json(&json!({ "dates": 5 })).send().await.unwrap();
    assert!(malformed.status().is_client_error());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_planner_the_gateway_says_what_is_missing() {
    let mesh = Mesh::new().with(gateway::agent()).start().await.unwrap();
    let url = mesh.agent("gateway").unwrap().url().unwrap().to_owned();
    let answer = reqwest::Client::new().post(format!("{url}/plan")).json(&trip()).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let answer: Value = answer.json().await.unwrap();
    assert!(answer.to_string().contains("trip_planning"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_streamed_between_agents_too() {
    use futures::StreamExt;

    let (mesh, _home) = everybody().await;
    mesh.wait_for("trip_planning_stream").await.unwrap();
    let planner = mesh.dep::<Piece>("trip_planning_stream").unwrap();
    let pieces: Vec<_> = planner.stream(trip()).unwrap().collect().await;
    let text: String = pieces
        .into_iter()
        .map(|piece| match piece.unwrap() {
            Piece::Text(text) => text,
            Piece::Restart(why) => panic!("{why}"),
        })
        .collect();
    assert!(text.contains("SQ017") && text.contains("Logistics Plan"), "{text}");
}
