//! `bench-calls`: the numbers of calls between agents, each with its bar, beside those of peers in the same run.
//!
//! Both ends of a call are processes of their own: this binary starts itself again in the other roles.

mod agent;
mod arrival;
mod bars;
mod cli;
mod crowd;
mod failover;
mod idle;
mod latency;
mod load;
mod mesh;
mod note;
mod plain;
mod quic;
mod spread;
mod stock;

use anyhow::Result;
use clap::Parser;
use mesh_tests::bench::findings::Findings;

use cli::{Cli, Part, Role};

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    // Two providers of cryptography may be compiled in; HTTP clients take the one of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli.part {
        Some(Part::Role(role)) => play(role).await,
        None => measure(&cli).await,
    }
}

async fn play(role: Role) -> Result<()> {
    match role {
        Role::Quic => quic::serve().await,
        Role::Rmcp => plain::serve().await,
        Role::Provider => agent::provide().await,
        Role::Onlooker { count } => agent::look_on(count).await,
    }
}

async fn measure(cli: &Cli) -> Result<()> {
    let effort = &cli.effort;
    let wants = |ids: &[&str]| effort.wants_any(ids);
    let mut all = Findings::default();
    if wants(latency::IDS) {
        all.add("latency and throughput", latency::measure(effort).await);
    }
    if wants(&["spread_pct"]) {
        all.add("spread", spread::measure(effort).await.map(|it| vec![it]));
    }
    if wants(failover::IDS) {
        all.add("failover", failover::measure(effort).await);
    }
    if wants(arrival::IDS) {
        all.add("arrival", arrival::measure(effort).await);
    }
    if wants(idle::IDS) {
        all.add("idle agents", idle::measure(effort).await);
    }
    if wants(&["hello_binary_mb"]) {
        all.add("the example hello-world", idle::binary().await.map(|it| vec![it]));
    }
    if wants(crowd::IDS) {
        all.add("two hundred agents", crowd::measure(effort, cli.crowd).await);
    }
    all.report(effort, bars::bar_of, &cli.out, cli.json)
}
