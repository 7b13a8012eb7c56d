//! Tools with a model, in a mesh of real nodes; the model is played by an agent that speaks the wire of providers.

#![expect(clippy::unwrap_used, reason = "tests")]

mod script;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use mesh::llm::wire::{Message, Reply, Role, Trouble};
use mesh::llm::{LlmStream, Piece, Why};
use mesh::prelude::*;
use mesh::testing::{Mesh, RunningMesh};
use mesh_node::trace::{Outcome, Span, SpanKind};
use schemars::JsonSchema;
use script::{Script, Turn, claude, openai, says, wants};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Barrier;

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Plan {
    title: String,
    days: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct Known {
    interests: Vec<String>,
}

/// Finds flights.
#[mesh::tool(capability = "flight_search", tags = ["travel"], idempotent)]
async fn flights(
    /// Where to fly.
    destination: String,
    both: State<Arc<Barrier>>,
) -> Vec<String> {
    both.wait().await;
    vec![format!("MH007 to {destination}")]
}

/// Finds hotels.
#[mesh::tool(capability = "hotel_search", tags = ["travel"], idempotent)]
async fn hotels(destination: String, both: State<Arc<Barrier>>) -> Result<String> {
    both.wait().await;
    Err(Error::new(format!("{destination} is full")))
}

/// Plans a trip.
#[mesh::llm(capability = "planning", provider("llm", tags = ["+claude"]), filter = ["flight_search", { tags = ["travel"] }],
    prompt = "tests/prompts/plan.j2", context = Known, max_iterations = 5, temperature = 0.2)]
async fn plan(destination: String, #[default(3)] days: u32, llm: Llm<Plan>) -> Result<Plan> {
    let known = Known { interests: vec!["food".into(), "art".into()] };
    Ok(llm.context(known).value("season", "May").ask(format!("{days} days in {destination}")).await?)
}

/// Says something about a place.
#[mesh::llm(capability = "talking", provider("llm", tags = ["+claude"]), filter_mode = "*", prompt = "You are {{ role }}.",
    max_iterations = 4)]
async fn talk(#[default("a guide")] role: String, llm: Llm<String>) -> LlmStream {
    llm.history([Message::system("ignored"), Message::user("Hello"), Message::assistant("Hi")]).stream("And Rome?")
}

/// Counts what a question takes.
#[mesh::llm(capability = "asking", provider("llm"), filter = ["lookup"], max_iterations = 2)]
async fn ask(question: String, llm: Llm<String>) -> Result<Value> {
    match llm.answer(question).await {
        Ok(answer) => Ok(json!({ "answer": answer.value, "tokens": answer.spent.total_tokens() })),
        Err(error) => {
            let iterations = matches!(error.why(), Why::Iterations { limit: 2 });
            Ok(json!({ "iterations": iterations, "said": error.to_string(), "messages": error.transcript().len() }))
        }
    }
}

fn traveller() -> Agent {
    Agent::new("traveller").state(Arc::new(Barrier::new(2))).tool::<flights>().tool::<hotels>()
}

fn planner() -> Agent {
    Agent::new("planner").tool::<plan>().tool::<talk>().tool::<ask>()
}

async fn mesh_of(agents: impl IntoIterator<Item = Agent>) -> RunningMesh {
    let agents = agents.into_iter().fold(Mesh::new(), Mesh::with);
    let mesh = agents.start().await.unwrap();
    mesh.wait_for("llm").await.unwrap();
    mesh
}

fn rome() -> Plan {
    Plan { title: "Rome".into(), days: vec!["walk".into()] }
}

fn both_tools() -> Turn {
    let destination = json!({ "destination": "Rome" });
    says(wants(&[("flights", &destination), ("hotels", &destination)]))
}

fn answers(plan: &Plan) -> Turn {
    says(Reply::text(serde_json::to_string(plan).unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_plans_with_the_tools_of_the_mesh_and_answers_with_a_type() {
    let script = Script::of([both_tools(), answers(&rome())]);
    let mesh = mesh_of([traveller(), planner(), claude(&script)]).await;
    let planned: Plan = mesh.call("planning", args! { destination: "Rome" }).await.unwrap();
    assert_eq!(planned, rome());

    let seen = script.seen();
    let first = &seen[0];
    assert_eq!(first.messages[0].role, Role::System);
    assert_eq!(first.messages[0].text(), "Plan 3 days in Rome, in May, for somebody who likes food and art.");
    assert_eq!(first.messages[1].text(), "3 days in Rome");
    assert_eq!(first.caller_agent.as_deref(), Some("planner"));
    let tools = first.tools.as_ref().unwrap();
    let named: Vec<&str> = tools.iter().map(|tool| tool.function.name.as_str()).collect();
    assert_eq!(named, ["flights", "hotels"]);
    let described = &tools[0].function.parameters["properties"]["destination"]["description"];
    assert_eq!((described, tools[0].function.description.as_str()), (&json!("Where to fly."), "Finds flights."));
    assert!(tools.iter().all(|tool| tool.function.mesh_endpoint.is_none()));
    let params = first.model_params.as_ref().unwrap();
    assert_eq!((params.temperature, params.output_type_name.as_deref()), (Some(0.2), Some("Plan")));
    assert_eq!(params.output_schema.as_ref().unwrap()["required"], json!(["title", "days"]));

    let results: Vec<String> = seen[1].messages[3..].iter().map(Message::text).collect();
    assert_eq!(results, [r#"["MH007 to Rome"]"#, r#"{"error":"Rome is full"}"#]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_loop_took_is_in_its_trace() {
    let script = Script::of([both_tools(), answers(&rome())]);
    let mesh = mesh_of([traveller(), planner(), claude(&script)]).await;
    let _: Plan = mesh.call("planning", args! { destination: "Rome" }).await.unwrap();
    let ring = mesh.agent("planner").unwrap().node().caller().ring().clone();
    let spans = ring.spans_of(ring.last().unwrap().trace);
    let of = |kind| spans.iter().filter(|span| span.kind == kind).collect::<Vec<&Span>>();
    let [whole] = of(SpanKind::Loop)[..] else { panic!("{spans:?}") };
    assert_eq!((whole.outcome, whole.note.as_str()), (Outcome::Ok, "2 turns, 2 tool calls"));
    let usage = whole.usage.as_ref().unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.cost_usd), (20, 10, Some(0.002)));
    assert_eq!(&*usage.model, "anthropic/scripted");
    let turns = of(SpanKind::Model);
    assert!(turns.len() == 2 && turns.iter().all(|turn| turn.parent == Some(whole.span) && turn.usage.is_some()));
    // Two questions and two tools, all calls like any other, below the loop.
    assert_eq!(of(SpanKind::Call).len(), 4);
    let metrics = format!("{}/metrics", mesh.agent("planner").unwrap().url().unwrap());
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    for meter in ["loops_total", "loop_seconds", "loop_turns_total", "loop_tool_calls_total", "loop_tokens_total"] {
        assert!(metrics.contains(&format!("\nmesh_llm_{meter}")), "{meter} is missing:\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_provider_dies_in_a_loop_the_next_one_goes_on_with_what_was_said() {
    let dying = Script::of([both_tools(), Turn::Hangs]);
    let living = Script::of([answers(&rome())]);
    let mut mesh = mesh_of([traveller(), planner(), claude(&dying), openai(&living)]).await;
    let dep = mesh.dep::<Plan>("planning").unwrap();
    let planning = tokio::spawn(async move { dep.call(args! { destination: "Rome" }).await });
    dying.wait_for(2).await;
    mesh.kill("claude-provider").unwrap();
    assert_eq!(planning.await.unwrap().unwrap(), rome());
    let seen = living.seen();
    assert_eq!(seen.len(), 1);
    let roles: Vec<Role> = seen[0].messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool, Role::Tool]);
    // What only the first vendor reads stays behind.
    assert!(seen[0].messages.iter().all(|message| message.extra.is_empty()), "{seen:?}");
    assert_eq!(seen[0].messages[2].tool_calls.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_provider_is_left_alone_while_others_are_there() {
    let busy = Script::of([Turn::Fails(Trouble::busy(Duration::from_secs(60)))]);
    let free = Script::of([answers(&rome()), answers(&rome())]);
    let mesh = mesh_of([traveller(), planner(), claude(&busy), openai(&free)]).await;
    for _ in 0..2 {
        let planned: Plan = mesh.call("planning", args! { destination: "Rome" }).await.unwrap();
        assert_eq!(planned, rome());
    }
    assert_eq!((busy.seen().len(), free.seen().len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_provider_is_waited_for_when_nobody_else_is_there() {
    let wait = Duration::from_millis(120);
    let script = Script::of([Turn::Fails(Trouble::busy(wait)), answers(&rome())]);
    let mesh = mesh_of([traveller(), planner(), claude(&script)]).await;
    let begun = Instant::now();
    let planned: Plan = mesh.call("planning", args! { destination: "Rome" }).await.unwrap();
    assert_eq!(planned, rome());
    assert!(begun.elapsed() >= wait);
    // For longer than the call may last it is not.
    script.add([Turn::Fails(Trouble::busy(Duration::from_secs(3600)))]);
    let patience = mesh.dep::<Plan>("planning").unwrap().timeout(Duration::from_secs(5));
    let said = patience.call(args! { destination: "Rome" }).await.unwrap_err().to_string();
    assert!(said.contains("all providers are busy, for another 3600s"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_fails_is_passed_over_for_the_next_one() {
    let failing = Script::of([Turn::Fails(Trouble::Unavailable { status: Some(500) })]);
    let living = Script::of([answers(&rome())]);
    let mesh = mesh_of([traveller(), planner(), claude(&failing), openai(&living)]).await;
    let planned: Plan = mesh.call("planning", args! { destination: "Rome" }).await.unwrap();
    assert_eq!((planned, failing.seen().len()), (rome(), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_come_as_they_are_said_and_a_lost_speaker_is_taken_back() {
    let lost = Script::of([Turn::Breaks(&["Rome ", "is "])]);
    let steady = Script::of([Turn::Streams(&["It ", "rains."])]);
    let mesh = mesh_of([planner(), claude(&lost), openai(&steady)]).await;
    let pieces: Vec<Piece> = mesh
        .dep::<Piece>("talking")
        .unwrap()
        .stream(args! { role: "a poet" })
        .unwrap()
        .map(|piece| piece.unwrap())
        .collect()
        .await;
    let text = |text: &str| Piece::Text(text.into());
    assert_eq!(pieces[..2], [text("Rome "), text("is ")]);
    assert!(matches!(&pieces[2], Piece::Restart(why) if why.contains("the vendor broke off")), "{pieces:?}");
    assert_eq!(pieces[3..], [text("It "), text("rains.")]);
    let said: Vec<String> = steady.seen()[0].messages.iter().map(Message::text).collect();
    assert_eq!(said, ["You are a poet.", "Hello", "Hi", "And Rome?"]);

    lost.add([Turn::Streams(&["Sun."])]);
    steady.add([Turn::Streams(&["Sun."])]);
    let whole: String = mesh.call("talking", ()).await.unwrap();
    assert_eq!(whole, "Sun.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_without_end_ends_with_what_was_said() {
    let endless = says(wants(&[("lookup", &json!({ "word": "a" })), ("nothing", &json!({}))]));
    let script = Script::of([endless.clone(), endless]);
    let mesh = mesh_of([planner(), claude(&script), dictionary("dictionary")]).await;
    let told: Value = mesh.call("asking", args! { question: "?" }).await.unwrap();
    assert_eq!((&told["iterations"], &told["messages"]), (&json!(true), &json!(2 + 2 * 3)), "{told}");
    let shown: Vec<String> = script.seen()[1].messages[3..].iter().map(Message::text).collect();
    assert_eq!(shown, ["a: the first letter", r#"{"error":"there is no tool `nothing`; there are lookup"}"#]);
}

/// Looks a word up.
#[mesh::tool(capability = "lookup", idempotent)]
async fn lookup(word: String) -> String {
    format!("{word}: the first letter")
}

fn dictionary(name: &str) -> Agent {
    Agent::new(name).tool::<lookup>()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_of_one_name_are_told_apart_and_one_that_vanished_is_told() {
    let word = json!({ "word": "a" });
    let script = Script::of([Turn::Hangs, says(wants(&[("oxford__lookup", &word), ("duden__lookup", &word)]))]);
    script.add([says(Reply::text("Done."))]);
    let mut mesh = mesh_of([planner(), claude(&script), dictionary("oxford"), dictionary("duden")]).await;
    let dep = mesh.dep::<Value>("asking").unwrap();
    let asking = tokio::spawn(async move { dep.call(args! { question: "?" }).await });
    script.wait_for(1).await;
    mesh.stop("duden").await.unwrap();
    script.go_on();
    assert_eq!(asking.await.unwrap().unwrap()["answer"], "Done.");
    let last = script.seen().pop().unwrap();
    let shown: Vec<String> = last.messages[3..].iter().map(Message::text).collect();
    assert_eq!(shown[0], "a: the first letter");
    assert!(shown[1].contains("`duden__lookup` is not there any more"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_provides_a_model_the_tool_is_withdrawn() {
    let script = Script::of([]);
    let mut mesh = mesh_of([planner(), claude(&script)]).await;
    mesh.wait_for("asking").await.unwrap();
    mesh.stop("claude-provider").await.unwrap();
    mesh.wait_until_gone("asking").await.unwrap();
}

/// Nobody gives `nobody`.
#[mesh::llm(provider("llm"), prompt = "You are {{ nobody }}.")]
async fn misled(llm: Llm<String>) -> Result<String> {
    Ok(llm.ask("?").await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_with_a_prompt_that_cannot_be_written_does_not_start() {
    let why = Mesh::new().with(Agent::new("misled").tool::<misled>()).start().await.unwrap_err().to_string();
    assert!(why.contains("the prompt of `misled` (in its code) has a variable `nobody` in line 1"), "{why}");
}

#[tokio::test]
async fn a_body_is_tested_with_a_model_that_the_test_plays() {
    let llm = Llm::fake(|request| async move {
        let asked = request.messages.last().map(Message::text).unwrap_or_default();
        Ok(Reply::text(if asked.contains("does not fit") { r#"{"title":"Rome","days":["walk"]}"# } else { "Rome!" }))
    });
    assert_eq!(plan("Rome".into(), 1, llm).await.unwrap(), rome());
}
