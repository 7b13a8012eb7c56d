//! The agents of the bench, written as any author would write them.

use std::time::Instant;

use anyhow::{Context, Result};
use mesh::llm::wire::{Called, End, Frame, FunctionKind, Reply, Request, Role, ToolCall};
use mesh::{Agent, Llm, Stream};
use mesh_tests::bench::process::{announce, now_ms};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

/// How many calls the model wants for an answer.
pub(crate) const STEPS: usize = 10;

/// The model: wants the tool that it is shown to be called once more until it was [`STEPS`] times.
#[mesh::tool(capability = "llm", tags = ["stepwise"], idempotent)]
async fn stepwise(request: Value) -> mesh::Result<Value> {
    let request: Request = serde_json::from_value(request)?;
    let steps = request.messages.iter().filter(|message| message.role == Role::Tool).count();
    let reply = match request.tools.iter().flatten().next() {
        Some(tool) if steps < STEPS => {
            let function =
                Called { name: tool.function.name.clone(), arguments: json!({ "number": steps }).to_string() };
            let call = ToolCall {
                id: format!("call-{steps}"),
                kind: FunctionKind::Function,
                function,
                extra: serde_json::Map::default(),
            };
            Reply { tool_calls: vec![call], ..Reply::text("") }
        }
        _ => Reply::text(format!("{steps} steps")),
    };
    Ok(serde_json::to_value(reply)?)
}

/// Takes a step.
#[mesh::tool(capability = "step", idempotent)]
async fn step(number: u32) -> String {
    format!("This was step {number}. The ferry leaves a quarter past, and whoever misses it walks.")
}

/// Has the model take all steps: how many milliseconds that took.
#[mesh::llm(capability = "asking", provider("llm", tags = ["stepwise"]), filter = ["step"], max_iterations = 20)]
async fn ask_once(llm: Llm<String>) -> mesh::Result<Value> {
    let begin = Instant::now();
    let said = llm.ask("Take all steps.").await?;
    let took_ms = begin.elapsed().as_secs_f64() * 1e3;
    if said != format!("{STEPS} steps") {
        return Err(mesh::Error::new(format!("a loop ended with: {said}")));
    }
    Ok(json!({ "took_ms": took_ms }))
}

/// Says when it says this.
#[mesh::tool(name = "herald", capability = "llm", tags = ["claude"], idempotent)]
async fn herald_whole(request: Value) -> mesh::Result<Value> {
    drop(request);
    Ok(serde_json::to_value(Reply::text(now_ms().to_string()))?)
}

/// The same as the first of several words.
#[mesh::tool(name = "herald_stream", capability = "llm", tags = ["claude", "ai.mcpmesh.stream"], idempotent)]
async fn herald_words(request: Value) -> Stream<String> {
    drop(request);
    Stream::produce(|frames| async move {
        frames.send(Frame::chunk(format!("{} ", now_ms())).to_text()).await?;
        frames.send(Frame::chunk("is when this was said").to_text()).await?;
        frames.send(Frame::End(End::default()).to_text()).await?;
        Ok(())
    })
}

/// The provider of the model, until the process is told to end.
pub(crate) async fn provide_model() -> Result<()> {
    serve(Agent::new("stepwise").tool::<stepwise>()).await
}

/// The agent with the tool.
pub(crate) async fn provide_steps() -> Result<()> {
    serve(Agent::new("steps").tool::<step>()).await
}

/// The agent with the loop.
pub(crate) async fn ask() -> Result<()> {
    serve(Agent::new("asker").tool::<ask_once>()).await
}

/// The provider of words that say when they were said.
pub(crate) async fn herald() -> Result<()> {
    serve(Agent::new("herald").tool::<herald_whole>().tool::<herald_words>()).await
}

/// Runs `agent` until the process is told to end. Announces where its MCP is.
async fn serve(agent: Agent) -> Result<()> {
    let agent = agent.start().await?;
    announce(&format!("{}/mcp", agent.url().context("an agent serves HTTP")?));
    signal(SignalKind::terminate())?.recv().await;
    agent.stop().await;
    Ok(())
}
