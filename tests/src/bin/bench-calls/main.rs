//! `bench-calls`: the numbers of calls between agents, each with its bar, beside those of peers in the same run.
//!
//! Both ends of a call are processes of their own: this binary starts itself again in the other roles.

mod agent;
mod arrival;
mod cli;
mod crowd;
mod failover;
mod figure;
mod idle;
mod latency;
mod load;
mod mesh;
mod note;
mod plain;
mod process;
mod quic;
mod spread;
mod stock;

use anyhow::{Result, ensure};
use clap::Parser;
use mesh_simulations::bench::Figure;

use cli::{Cli, Effort, Part, Role};
use figure::Measured;

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    // Two providers of cryptography may be compiled in; HTTP clients take the one of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli.part {
        Some(Part::Role(role)) => play(role).await,
        None => measure(&cli.effort).await,
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

async fn measure(effort: &Effort) -> Result<()> {
    let wants = |ids: &[&str]| ids.iter().any(|id| effort.wants(id));
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
        all.add("two hundred agents", crowd::measure(effort).await);
    }
    all.measured.retain(|it| effort.wants(it.id));
    let figures: Vec<Figure> = all.measured.into_iter().map(Figure::from).collect();
    figure::write(&figures, &effort.out)?;
    if effort.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print!("{}", figure::table(&figures));
    }
    ensure!(all.failed.is_empty(), "not measured: {}", all.failed.join(", "));
    Ok(())
}

/// What came of the parts so far. One that cannot be measured does not keep the others from it.
#[derive(Default)]
struct Findings {
    measured: Vec<Measured>,
    failed: Vec<&'static str>,
}

impl Findings {
    fn add(&mut self, part: &'static str, outcome: Result<Vec<Measured>>) {
        match outcome {
            Ok(measured) => self.measured.extend(measured),
            Err(why) => {
                eprintln!("{part}: {why:#}");
                self.failed.push(part);
            }
        }
    }
}
