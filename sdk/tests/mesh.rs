//! Agents that call each other: real nodes over loopback.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use mesh::prelude::*;
use mesh::testing::Mesh;
use mesh::{DepError, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Forecast {
    high: f64,
    summary: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Other {
    low: f64,
}

/// What it will be like.
#[mesh::tool(capability = "weather", tags = ["fast"], version = "1.2.0", idempotent)]
async fn forecast(city: String, #[default(1)] days: u32) -> Result<Forecast> {
    match days {
        0 => Err(Error::invalid_argument("days begin at 1"))?,
        days => Ok(Forecast { high: f64::from(days) * 10.0, summary: format!("fine in {city}") }),
    }
}

#[mesh::tool(capability = "story")]
async fn tell() -> Stream<String> {
    Stream::new(futures::stream::iter(["once ", "upon ", "a time"].map(str::to_owned)))
}

#[mesh::tool(capability = "who")]
fn who(name: State<String>) -> String {
    name.to_uppercase()
}

#[mesh::tool(capability = "notes")]
async fn add_note(note: String, notes: State<Mutex<Vec<String>>>) -> usize {
    let mut notes = notes.lock().unwrap();
    notes.push(note);
    notes.len()
}

#[mesh::tool(capability = "notes")]
async fn list_notes(notes: State<Mutex<Vec<String>>>) -> Vec<String> {
    notes.lock().unwrap().clone()
}

#[mesh::tool(capability = "advice")]
async fn advise(#[dep("weather", version = ">=1")] weather: Dep<Forecast>, context: Context) -> Result<String> {
    let forecast = weather.call(args! { city: "Rome", days: 2 }).await?;
    Ok(format!("{}: {} ({})", context.tool(), forecast.summary, context.session().unwrap_or("nobody")))
}

#[mesh::tool(capability = "luck")]
async fn lucky(#[dep("weather")] weather: Option<Dep<Forecast>>) -> bool {
    weather.is_some()
}

#[mesh::tool(capability = "strict")]
async fn strictly(
    #[dep("weather", schema = subset)] fits: Option<Dep<Forecast>>,
    #[dep("weather", schema = subset)] lacks: Option<Dep<Other>>,
    #[dep("weather", schema = strict)] equal: Option<Dep<Forecast>>,
) -> (bool, bool, bool) {
    (fits.is_some(), lacks.is_some(), equal.is_some())
}

#[mesh::service(min_available = 1)]
trait Outdoors {
    #[selector("weather")]
    async fn weather(&self, city: String) -> Result<Forecast>;
    #[selector("tides")]
    async fn tides(&self) -> Result<Value>;
}

#[mesh::tool(capability = "trip")]
async fn trip(#[service] outdoors: Outdoors) -> Result<String> {
    let tides = outdoors.tides().await.unwrap_err();
    Ok(format!("{}; {tides}", outdoors.weather("Rome".into()).await?.summary))
}

#[mesh::tool(capability = "tides")]
fn high_water() -> i64 {
    3
}

#[mesh::service(min_available = 2)]
trait Almanac {
    #[selector("weather")]
    async fn weather(&self, city: String) -> Result<Forecast>;
    #[selector("tides")]
    async fn tides(&self) -> Result<i64>;
    #[selector("stars")]
    async fn stars(&self) -> Result<i64>;
}

#[mesh::tool(capability = "almanac")]
async fn look_up(#[service] almanac: Almanac) -> Result<(i64, bool)> {
    Ok((almanac.tides().await?, almanac.stars().await.is_ok()))
}

#[mesh::service]
trait Harbour {
    #[selector("tides", required)]
    async fn tides(&self) -> Result<i64>;
}

#[mesh::tool(capability = "harbour")]
async fn land(#[service] harbour: Harbour) -> Result<i64> {
    harbour.tides().await
}

#[mesh::route(GET, "/advice")]
async fn advice(#[dep("advice")] advice: Dep<String>, session: Session) -> Result<String> {
    Ok(advice.session(&session).call(()).await?)
}

#[mesh::route(GET, "/story")]
async fn story(#[dep("story")] story: Dep<String>) -> Result<Stream<String>> {
    Ok(Stream::fallible(story.stream(())?))
}

fn weather() -> Agent {
    Agent::new("weather").tool::<forecast>()
}

#[tokio::test]
async fn a_tool_calls_another_and_is_withdrawn_while_that_is_gone() {
    let mut mesh = Mesh::new().with(weather()).with(Agent::new("adviser").tool::<advise>()).start().await.unwrap();
    mesh.wait_for("advice").await.unwrap();
    let said: String = mesh.dep("advice").unwrap().session("ada").call(()).await.unwrap();
    assert_eq!(said, "advise: fine in Rome (ada)");
    mesh.stop("weather").await.unwrap();
    mesh.wait_until_gone("advice").await.unwrap();
    let why = mesh.call::<String>("advice", ()).await.unwrap_err().to_string();
    assert!(why.starts_with("dependency_unavailable"), "{why}");
}

#[tokio::test]
async fn what_is_optional_is_there_the_moment_somebody_provides_it() {
    let mut mesh = Mesh::new().with(Agent::new("fortune").tool::<lucky>()).start().await.unwrap();
    assert!(!mesh.call::<bool>("luck", ()).await.unwrap());
    mesh.join(weather()).await.unwrap();
    assert!(mesh.call::<bool>("luck", ()).await.unwrap());
}

#[tokio::test]
async fn arguments_are_checked_and_errors_travel() {
    let mesh = Mesh::new().with(weather()).start().await.unwrap();
    let why = |arguments: Value| async { mesh.call::<Forecast>("weather", arguments).await.unwrap_err().to_string() };
    assert!(why(json!({})).await.contains("forecast: argument `city` is missing: expected a string"));
    assert!(why(json!({ "city": 5 })).await.contains("argument `city`: invalid type: integer `5`"));
    assert!(why(json!({ "town": "x" })).await.contains("unknown argument `town`; it takes city, days"));
    assert!(why(json!({ "city": "x", "days": 0 })).await.contains("days begin at 1"));
    let fine: Forecast = mesh.call("weather +fast", args! { city: "Oslo" }).await.unwrap();
    assert_eq!(fine, Forecast { high: 10.0, summary: "fine in Oslo".into() });
}

#[tokio::test]
async fn a_stream_comes_in_pieces_or_as_a_whole() {
    let mesh = Mesh::new().with(Agent::new("teller").tool::<tell>()).start().await.unwrap();
    assert_eq!(mesh.call::<String>("story", ()).await.unwrap(), "once upon a time");
    let story = mesh.dep::<String>("story").unwrap();
    let pieces: Vec<String> = story.stream(()).unwrap().map(Result::unwrap).collect().await;
    assert_eq!(pieces, ["once ", "upon ", "a time"]);
}

#[tokio::test]
async fn of_several_tools_one_is_called_by_name() {
    let notes = Agent::new("notes").state(Mutex::new(Vec::<String>::new())).tool::<add_note>().tool::<list_notes>();
    let mesh = Mesh::new().with(notes).start().await.unwrap();
    let notes = mesh.dep::<Value>("notes").unwrap();
    assert_eq!(notes.call_tool("add_note", args! { note: "milk" }).await.unwrap(), 1);
    assert_eq!(notes.call_tool("list_notes", ()).await.unwrap(), json!(["milk"]));
    let why = notes.call(()).await.unwrap_err();
    assert!(matches!(why, DepError::Call(mesh_node::call::CallError::SeveralTools { .. })), "{why}");
    assert!(why.to_string().contains("add_note, list_notes"), "{why}");
}

#[tokio::test]
async fn a_schema_decides_who_will_do() {
    let mesh = Mesh::new().with(weather()).with(Agent::new("picky").tool::<strictly>()).start().await.unwrap();
    let mut views = mesh.agent("picky").unwrap().node().gossip().watch();
    // The bodies of schemas are records of their own, and may arrive after the offers.
    let mut found = json!(null);
    while found != json!([true, false, true]) {
        found = mesh.call("strict", ()).await.unwrap();
        if found != json!([true, false, true]) {
            tokio::time::timeout(Duration::from_secs(10), views.changed()).await.expect("schemas arrive").unwrap();
        }
    }
}

#[tokio::test]
async fn a_view_needs_as_much_as_it_says_and_names_what_is_absent() {
    let mut mesh = Mesh::new().with(Agent::new("guide").tool::<trip>()).start().await.unwrap();
    let why = mesh.call::<String>("trip", ()).await.unwrap_err().to_string();
    assert!(why.contains("Outdoors needs 1 of its capabilities and has 0: nobody provides weather, tides"), "{why}");
    mesh.join(weather()).await.unwrap();
    let said: String = mesh.call("trip", ()).await.unwrap();
    assert_eq!(said, "fine in Rome; dependency_unavailable: nobody provides tides now");
}

#[tokio::test]
async fn enough_of_a_view_will_do_and_what_it_requires_withdraws_its_tool() {
    let reader = Agent::new("reader").tool::<look_up>().tool::<land>();
    let mut mesh = Mesh::new().with(reader).with(weather()).start().await.unwrap();
    let why = mesh.call::<(i64, bool)>("almanac", ()).await.unwrap_err().to_string();
    assert!(why.contains("Almanac needs 2 of its capabilities and has 1: nobody provides tides, stars"), "{why}");
    let why = mesh.call::<i64>("harbour", ()).await.unwrap_err().to_string();
    assert!(why.contains("requires tides"), "{why}");
    mesh.join(Agent::new("sea").tool::<high_water>()).await.unwrap();
    mesh.wait_for("harbour").await.unwrap();
    assert_eq!(mesh.call::<i64>("harbour", ()).await.unwrap(), 3);
    assert_eq!(mesh.call::<(i64, bool)>("almanac", ()).await.unwrap(), (3, false));
    mesh.kill("sea").unwrap();
    mesh.wait_until_gone("harbour").await.unwrap();
}

#[tokio::test]
async fn agents_in_one_process_have_a_state_each() {
    let agent = |name: &str| Agent::new(name).state(name.to_owned()).tool::<who>();
    let mesh = Mesh::new().with(agent("ada")).with(agent("bob")).start().await.unwrap();
    let mut names = vec![];
    while names != ["ADA", "BOB"] {
        names.push(mesh.call::<String>("who", ()).await.unwrap());
        names.sort();
        names.dedup();
    }
}

#[tokio::test]
async fn a_missing_or_second_state_stops_the_agent_and_is_named() {
    let why = |agent: Agent| async { Mesh::new().with(agent).start().await.unwrap_err().to_string() };
    let none = why(Agent::new("a").tool::<who>()).await;
    assert_eq!(
        none,
        "`who` asks for `State<alloc::string::String>`, but the agent's state is none; give it to `Agent::state`"
    );
    assert!(why(Agent::new("a").state(1_u8).state(2_u16)).await.contains("was given a `u16` as well"));
    let twice = why(Agent::new("a").tool::<lucky>().tool::<lucky>()).await;
    assert!(twice.contains("two tools are called `lucky`"), "{twice}");
}

#[tokio::test]
async fn routes_call_and_say_what_they_lack() {
    let api = Agent::new("api").route::<advice>().route::<story>();
    let mut mesh = Mesh::new().with(api).start().await.unwrap();
    let url = mesh.agent("api").unwrap().url().unwrap().to_owned();
    let absent = get(&format!("{url}/advice"), None).await;
    assert_eq!(absent.0, 503);
    let body: Value = serde_json::from_str(&absent.1).unwrap();
    assert_eq!((&body["error"], &body["capability"]), (&json!("dependency_unavailable"), &json!("advice")));

    mesh.join(weather()).await.unwrap();
    mesh.join(Agent::new("adviser").tool::<advise>()).await.unwrap();
    mesh.join(Agent::new("teller").tool::<tell>()).await.unwrap();
    mesh.wait_for("advice").await.unwrap();
    let mut answer = get(&format!("{url}/advice"), Some("ada")).await;
    while answer.0 == 503 {
        mesh.agent("api").unwrap().node().gossip().watch().changed().await.unwrap();
        answer = get(&format!("{url}/advice"), Some("ada")).await;
    }
    assert_eq!(answer, (200, "advise: fine in Rome (ada)".into()));
    let story = get(&format!("{url}/story"), None).await;
    assert_eq!(story.1, "data: once \n\ndata: upon \n\ndata: a time\n\ndata: [DONE]\n\n");
}

async fn get(url: &str, session: Option<&str>) -> (u16, String) {
    let mut request = reqwest::Client::builder().no_proxy().build().unwrap().get(url);
    if let Some(session) = session {
        request = request.header(mesh::SESSION_HEADER, session);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}
