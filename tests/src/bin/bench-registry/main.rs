//! `bench-registry`: how a seed's registry API stands thousands of agents that beat as stock agents do.
//!
//! The seed is `meshctl seed` from the folder of this binary, a process of its own; the agents are tasks of this one.

mod agents;
mod seed;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use mesh_simulations::bench::{Bar, Figure};
use mesh_simulations::report::table::aligned;

use agents::{Crowd, percentile};
use seed::Seed;

/// How long agents take to arrive.
const ARRIVAL: Duration = Duration::from_secs(5);

/// For how long nobody may register before the registry counts as quiet: two rounds of heartbeats.
const QUIET: Duration = Duration::from_secs(10);

/// How long to wait for that.
const PATIENCE: Duration = Duration::from_secs(120);

/// The numbers of a seed's registry API under synthetic agents that beat as stock agents do.
///
/// A missed bar is a finding, not a failure: the table says so and the exit code stays 0.
#[derive(Debug, Parser)]
#[command(name = "bench-registry", version)]
struct Cli {
    /// A tenth of the agents, and a third of the time: to see whether it works
    #[arg(long)]
    quick: bool,
    /// Where to write the figures
    #[arg(long, value_name = "FILE", default_value = "target/bench/registry.json")]
    out: PathBuf,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let (scale, steady) = if cli.quick { (10, Duration::from_secs(10)) } else { (1, Duration::from_secs(30)) };
    let mut figures = vec![arrive(500 / scale).await?.0];
    let (quiet, crowd, seed) = arrive(2_000 / scale).await?;
    figures.push(quiet);
    let agents = crowd.len();
    let posts = crowd.posts() as f64 / agents as f64;
    figures.push(figure(format!("posts_per_agent@{agents}"), posts, "posts", 3.0, agents));
    figures.extend(steadily(crowd, &seed, steady).await?);
    if let Some(folder) = cli.out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&cli.out, serde_json::to_string_pretty(&figures)?).context("the figures cannot be written")?;
    if cli.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print!("{}", table(&figures));
    }
    Ok(())
}

/// Lets `count` agents arrive, and waits until every one has its bindings and nothing but heartbeats is sent.
async fn arrive(count: usize) -> Result<(Figure, Crowd, Seed)> {
    let seed = Seed::start().await?;
    let begun = Instant::now();
    let crowd = Crowd::arrive(&seed, count, ARRIVAL).await;
    let quiet = loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let last = crowd.last_post();
        if begun.elapsed() > ARRIVAL && crowd.is_bound() && last.elapsed() >= QUIET {
            break last.duration_since(begun).as_secs_f64();
        }
        if begun.elapsed() > PATIENCE {
            eprintln!("not quiet after {PATIENCE:?}: {}", crowd.state());
            break f64::INFINITY;
        }
    };
    let bar = if count > 500 { 20.0 } else { 10.0 };
    Ok((figure(format!("quiet_s@{count}"), quiet, "s", bar, count), crowd, seed))
}

/// Heartbeats for a while, with one agent leaving and one arriving a second.
async fn steadily(mut crowd: Crowd, seed: &Seed, steady: Duration) -> Result<Vec<Figure>> {
    let agents = crowd.len();
    crowd.forget_latencies();
    let (cpu, begun) = (seed.cpu()?, Instant::now());
    while begun.elapsed() < steady {
        crowd.leave_and_arrive(seed).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let cpu = (seed.cpu()? - cpu).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    let (posts, heads) = crowd.latencies();
    let mut lists = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        let listed = seed.list().await?;
        lists.push(begun.elapsed());
        anyhow::ensure!(listed >= agents, "only {listed} of {agents} agents are listed");
    }
    let ms = |samples: &[Duration], percent: f64| percentile(samples, percent).as_secs_f64() * 1000.0;
    let at = |id: &str| format!("{id}@{agents}");
    Ok(vec![
        figure(at("post_p99_ms"), ms(&posts, 99.0), "ms", 20.0, posts.len()),
        figure(at("head_p99_ms"), ms(&heads, 99.0), "ms", 5.0, heads.len()),
        figure(at("cpu_pct"), cpu, "%", 50.0, 1),
        figure(at("rss_mb"), seed.rss_mb()?, "MB", 300.0, 1),
        figure(at("agents_get_ms"), ms(&lists, 50.0), "ms", 50.0, lists.len()),
    ])
}

fn figure(id: String, value: f64, unit: &'static str, bar: f64, samples: usize) -> Figure {
    Figure { id, value, unit, bar: Bar::AtMost(bar), samples, peer: BTreeMap::new() }
}

fn table(figures: &[Figure]) -> String {
    let head = ["figure", "value", "unit", "bar", ""].map(str::to_owned);
    let rows = figures.iter().map(|figure| {
        let (bar, met) = match figure.bar {
            Bar::AtMost(bar) => (format!("≤ {bar}"), figure.value <= bar),
            Bar::AtLeast(bar) => (format!("≥ {bar}"), figure.value >= bar),
        };
        let verdict = if met { "ok" } else { "missed" };
        [figure.id.clone(), format!("{:.1}", figure.value), figure.unit.to_owned(), bar, verdict.to_owned()]
    });
    aligned(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}
