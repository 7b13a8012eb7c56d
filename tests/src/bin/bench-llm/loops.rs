//! A whole loop of ten calls, beside one that is written by hand over plain HTTP to the same tool and the same model.

use std::time::Instant;

use anyhow::{Result, ensure};
use mesh::llm::wire::{Message, Reply, Request, Role, ToolSpec};
use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::figure::Measured;
use mesh_tests::bench::home::Home;
use mesh_tests::bench::load::median;
use mesh_tests::bench::post::Post;
use mesh_tests::bench::process::{Process, role};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::agents::STEPS;

/// What is measured here.
pub(crate) const IDS: &[&str] = &["loop_vs_http_ratio"];

/// What a tool gives whose result is no object by its schema.
#[derive(Deserialize)]
struct Given<T> {
    result: T,
}

/// What the agent with the loop says.
#[derive(Deserialize)]
struct Took {
    took_ms: f64,
}

/// Who is posted to by hand.
struct Hand {
    model: Post,
    steps: Post,
    tools: Vec<ToolSpec>,
}

/// Measures the ratio, round after round, turn and turn about.
pub(crate) async fn measure(effort: &Effort) -> Result<Vec<Measured>> {
    let home = Home::new()?;
    let mut agents = Vec::new();
    let mut urls = Vec::new();
    for name in ["model", "steps", "asker"] {
        let mut command = role(&[name])?;
        home.settle(&mut command);
        let mut agent = Process::start(command)?;
        urls.push(agent.ready().await?);
        agents.push(agent);
    }
    let hand = Hand { model: Post::to(&urls[0]), steps: Post::to(&urls[1]), tools: vec![step_as_shown()] };
    let asker = Post::to(&urls[2]);
    let ours = async || -> Result<f64> {
        let said: Given<Took> = asker.tool("ask_once", &json!({})).await?;
        Ok(said.result.took_ms)
    };
    let loops = effort.amount(100, 10);
    let begin = Instant::now();
    // They may not know each other yet.
    while let Err(why) = ours().await {
        ensure!(begin.elapsed().as_secs() < 60, "no loop within a minute: {why}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (mut mesh_ms, mut http_ms) = (Vec::new(), Vec::new());
    for _ in 0..effort.amount(9, 2) {
        let (mut mesh, mut http) = (Vec::new(), Vec::new());
        for _ in 0..loops {
            mesh.push(ours().await?);
        }
        for _ in 0..loops {
            let begin = Instant::now();
            hand.run().await?;
            http.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        mesh_ms.push(median(&mesh));
        http_ms.push(median(&http));
    }
    let ratios: Vec<f64> = mesh_ms.iter().zip(&http_ms).map(|(mesh, http)| mesh / http).collect();
    let ratio = Measured::plain("loop_vs_http_ratio", median(&ratios), ratios.len());
    Ok(vec![ratio.with([("mesh_ms", median(&mesh_ms)), ("http_ms", median(&http_ms))])])
}

impl Hand {
    /// One whole loop.
    async fn run(&self) -> Result<()> {
        let mut messages = vec![Message::user("Take all steps.")];
        let mut steps = 0;
        loop {
            let request = Request { messages: messages.clone(), tools: Some(self.tools.clone()), ..Request::default() };
            let Given { result: reply } =
                self.model.tool::<_, Given<Reply>>("stepwise", &json!({ "request": request })).await?;
            if reply.tool_calls.is_empty() {
                ensure!(steps == STEPS, "a loop by hand ended after {steps} steps: {}", reply.content);
                return Ok(());
            }
            messages.push(Message { tool_calls: reply.tool_calls.clone(), ..Message::assistant(reply.content) });
            for call in reply.tool_calls {
                let arguments: Value = serde_json::from_str(&call.function.arguments)?;
                let said: Given<String> = self.steps.tool(&call.function.name, &arguments).await?;
                messages.push(Message { tool_call_id: Some(call.id), ..Message::new(Role::Tool, said.result) });
                steps += 1;
            }
        }
    }
}

/// The tool as a model is shown it.
fn step_as_shown() -> ToolSpec {
    let schema = json!({ "type": "object", "properties": { "number": { "type": "integer" } }, "required": ["number"] });
    let schema = schema.as_object().cloned().unwrap_or_else(Map::new);
    ToolSpec::new("step", "Takes a step.", schema)
}
