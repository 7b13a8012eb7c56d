//! The agents of the bench, written as any author would write them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use mesh::Agent;
use mesh_gossip::gossip::View;
use mesh_tests::bench::process::{announce, now_ms};
use tokio::signal::unix::{SignalKind, signal};

use crate::note::{Author, Note};

/// Answers a note.
#[mesh::tool(capability = "notes", idempotent)]
async fn answer(
    number: u64,
    author: Author,
    subject: String,
    tags: Vec<String>,
    readings: Vec<f64>,
    body: String,
) -> Note {
    Note { number, author, subject, tags, readings, body }.answered()
}

/// Says in which process it runs.
#[mesh::tool(capability = "signing", idempotent)]
async fn sign() -> u32 {
    std::process::id()
}

/// Takes a millisecond, then says in which process it runs.
#[mesh::tool(capability = "napping", idempotent)]
async fn nap() -> u32 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    std::process::id()
}

/// An agent with all tools, until the process is told to end. Announces when it could be called, and where its MCP is.
pub(crate) async fn provide() -> Result<()> {
    let agent = Agent::new("provider").tool::<answer>().tool::<sign>().tool::<nap>().start().await?;
    announce(&format!("{} {}", now_ms(), agent.url().context("a provider serves HTTP")?));
    signal(SignalKind::terminate())?.recv().await;
    agent.stop().await;
    Ok(())
}

/// The same for an agent with one tool, which announces when it sees `count` agents, how many it dialled for that, how
/// many it wrongly suspected meanwhile, how many datagrams it sent, and how often it woke up.
pub(crate) async fn look_on(count: usize) -> Result<()> {
    let agent = Agent::new("onlooker").tool::<sign>().start().await?;
    let mut views = agent.node().gossip().watch();
    let sees_all = |view: &Arc<View>| view.catalog().agents().filter(|agent| agent.offers.is_some()).count() >= count;
    views.wait_for(sees_all).await?;
    let when = now_ms();
    let metrics = agent.node().gossip().metrics().await?;
    let (counts, sent) = (metrics.counts, metrics.datagrams.sent);
    announce(&format!("{when} {} {} {sent} {}", metrics.quic.dialled, counts.suspicions, counts.wakeups));
    signal(SignalKind::terminate())?.recv().await;
    agent.stop().await;
    Ok(())
}
