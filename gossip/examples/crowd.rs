//! Many real nodes in one process over loopback UDP: how long they take to find each other, and what they cost then.
//!
//! `cargo run --release -p mesh-gossip --example crowd -- --members 500` prints one JSON object.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "measures real time")]

use std::time::{Duration, Instant};

use clap::Parser;
use mesh_gossip::gossip::metrics::Counts;
use mesh_gossip::identity::mesh_key;
use mesh_gossip::keyring::Keyring;
use mesh_gossip::seeds::SeedSpec;
use mesh_gossip::{Gossip, GossipConfig};
use serde_json::json;
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

/// How many clock ticks the kernel counts a second of CPU time in (`USER_HZ`, fixed on Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// How many of the nodes all others are told of.
const SEEDS: usize = 3;

/// How many nodes start at once.
const AT_ONCE: usize = 50;

#[derive(Parser)]
struct Arguments {
    /// How many nodes.
    #[arg(long, default_value_t = 500)]
    members: usize,
    /// How many seconds to measure for, once all have converged.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many records each node offers.
    #[arg(long, default_value_t = 1)]
    records: usize,
    /// How many bytes each record has. Some 900 fit a datagram; what is larger is fetched by everybody over QUIC.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// How many threads the runtime has.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// How long the nodes may take to converge.
    #[arg(long, default_value_t = 300)]
    patience: u64,
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error")))
        .init();
    let arguments = Arguments::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(arguments.threads).enable_all().build()?.block_on(crowd(&arguments))
}

async fn crowd(arguments: &Arguments) -> anyhow::Result<()> {
    let mut config = GossipConfig::new("crowd");
    config.keys = Some(Keyring::new(mesh_key::generate()));
    config.listen = vec!["127.0.0.1:0".parse()?];
    // All newcomers have one address here.
    config.quic.max_unproved_per_source = config.quic.max_unproved;
    let started = Instant::now();
    let mut nodes = Vec::with_capacity(arguments.members);
    while nodes.len() < arguments.members {
        // The first few one after the other, for all others to know.
        let at_once = if nodes.len() < SEEDS { 1 } else { AT_ONCE.min(arguments.members - nodes.len()) };
        let mut beginning = JoinSet::new();
        for number in nodes.len()..nodes.len() + at_once {
            beginning.spawn(begin(config.clone(), number, (arguments.records, arguments.bytes)));
        }
        while let Some(node) = beginning.join_next().await {
            let node = node??;
            if nodes.len() < SEEDS {
                config.seeds.push(SeedSpec::from(node.local_addresses()[0]));
            }
            nodes.push(node);
        }
    }
    let spawned_s = started.elapsed().as_secs_f64();
    let deadline = tokio::time::Instant::from_std(started + Duration::from_secs(arguments.patience));
    for node in &nodes {
        let mut views = node.watch();
        let complete = |view: &std::sync::Arc<mesh_gossip::View>| {
            let all = view.live().filter(|member| member.records().count() == arguments.records);
            all.count() == arguments.members
        };
        let converged = tokio::time::timeout_at(deadline, views.wait_for(complete)).await;
        if !matches!(converged, Ok(Ok(_))) {
            let live = nodes.iter().map(|node| node.view().live().count());
            anyhow::bail!("not converged: between {:?} and {:?} live", live.clone().min(), live.max());
        }
    }
    let converged_s = started.elapsed().as_secs_f64();
    let joining = totals(&nodes).await?;
    // What joining started is over when views agree; a moment later is the steady state.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (before, cpu, clock) = (totals(&nodes).await?, cpu_seconds()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    let (after, cpu, seconds) = (totals(&nodes).await?, cpu_seconds()? - cpu, clock.elapsed().as_secs_f64());
    let a_second = |after: u64, before: u64| (after - before) as f64 / seconds / nodes.len() as f64;
    println!(
        "{}",
        json!({
            "members": arguments.members,
            "records": arguments.records,
            "spawned_s": spawned_s,
            "converged_s": converged_s,
            "joining": {
                "asks": joining.counts.asks,
                "asks_failed": joining.counts.asks_failed,
                "connections": joining.connections,
                "datagrams": joining.datagrams,
                "ships": joining.counts.ships,
            },
            "cpu_cores": cpu / seconds,
            "rss_mb": resident_mb()?,
            "datagrams_per_s": a_second(after.datagrams, before.datagrams),
            "bytes_per_s": a_second(after.bytes, before.bytes),
            "quic_bytes_per_s": a_second(after.quic_bytes, before.quic_bytes),
            "wakeups_per_s": a_second(after.counts.wakeups, before.counts.wakeups),
            "views_per_s": a_second(after.counts.views, before.counts.views),
            "asks_per_s": a_second(after.counts.asks, before.counts.asks),
            "suspicions": after.counts.suspicions,
            "deaths": after.counts.deaths,
        })
    );
    Ok(())
}

async fn begin(config: GossipConfig, number: usize, (records, bytes): (usize, usize)) -> anyhow::Result<Gossip> {
    let node = Gossip::spawn(config).await?;
    for record in 0..records {
        node.set(format!("record-{record}").parse()?, format!("{number:0>bytes$}")).await?;
    }
    Ok(node)
}

/// What all nodes together sent and did.
#[derive(Default)]
struct Totals {
    datagrams: u64,
    bytes: u64,
    quic_bytes: u64,
    connections: u64,
    counts: Counts,
}

async fn totals(nodes: &[Gossip]) -> anyhow::Result<Totals> {
    let mut totals = Totals::default();
    for node in nodes {
        let metrics = node.metrics().await?;
        totals.datagrams += metrics.datagrams.sent;
        totals.bytes += metrics.datagrams.sent_bytes;
        totals.quic_bytes += metrics.quic.sent_bytes;
        totals.connections += metrics.quic.dialled;
        totals.counts.asks_failed += metrics.counts.asks_failed;
        totals.counts.ships += metrics.counts.ships;
        totals.counts.wakeups += metrics.counts.wakeups;
        totals.counts.views += metrics.counts.views;
        totals.counts.asks += metrics.counts.asks;
        totals.counts.suspicions += metrics.counts.suspicions;
        totals.counts.deaths += metrics.counts.deaths;
    }
    Ok(totals)
}

/// CPU time of the process so far, in user and system mode (see proc(5)).
fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / TICKS_PER_SECOND)
}

fn resident_mb() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: f64 = line.unwrap_or("0").split_whitespace().next().unwrap_or("0").parse()?;
    Ok(kilobytes / 1024.0)
}
