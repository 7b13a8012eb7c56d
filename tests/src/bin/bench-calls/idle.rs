//! What an agent takes that does nothing, and how large its program is.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::sleep;

use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::figure::Measured;
use mesh_tests::bench::load::{median, quantile};
use mesh_tests::bench::process::{resident_mb, sibling};

use crate::mesh::{Mesh, Provider};

/// What is measured here.
pub(crate) const IDS: &[&str] = &["idle_rss_mb", "idle_cpu_pct"];

/// How many agents there are.
const AGENTS: usize = 20;

/// How long a new mesh may take to come to rest.
const REST: Duration = Duration::from_secs(10);

/// In what the kernel counts the time of processes: 1/100 s on every Linux.
const TICK_MS: f64 = 10.0;

const MEGABYTE: f64 = 1024.0 * 1024.0;

/// Measures memory and processor of agents in a mesh of twenty.
pub(crate) async fn measure(effort: &Effort) -> Result<Vec<Measured>> {
    let mesh = Mesh::start().await?;
    let mut agents: Vec<Provider> = Vec::new();
    for _ in 0..AGENTS {
        agents.push(mesh.provider().await?);
    }
    sleep(REST).await;
    let pids = agents.iter().map(|agent| agent.process.pid().context("an agent has ended by itself"));
    let pids = pids.collect::<Result<Vec<u32>>>()?;
    let before = pids.iter().map(|pid| cpu_ms(*pid)).collect::<Result<Vec<f64>>>()?;
    let begin = Instant::now();
    sleep(Duration::from_secs(if effort.quick { 5 } else { 60 })).await;
    let span_ms = begin.elapsed().as_secs_f64() * 1e3;
    let mut shares = Vec::new();
    let mut memory = Vec::new();
    for (pid, before) in pids.iter().zip(before) {
        shares.push((cpu_ms(*pid)? - before) / span_ms * 100.0);
        memory.push(resident_mb(*pid)?);
    }
    Ok(vec![
        Measured::plain("idle_rss_mb", median(&memory), memory.len()).with([("max_mb", quantile(&memory, 1.0))]),
        Measured::plain("idle_cpu_pct", median(&shares), shares.len()).with([("max_pct", quantile(&shares, 1.0))]),
    ])
}

/// Measures the program of the example `hello-world`, without its symbols.
pub(crate) async fn binary() -> Result<Measured> {
    let stripped = std::env::temp_dir().join(format!("bench-calls-hello-{}", std::process::id()));
    let mut strip = Command::new("strip");
    let status = strip.arg("-o").arg(&stripped).arg(sibling("hello-world")?).status().await.context("strip")?;
    ensure!(status.success(), "strip failed");
    #[expect(clippy::cast_precision_loss, reason = "a size in megabytes")]
    let size = fs::metadata(&stripped)?.len() as f64 / MEGABYTE;
    fs::remove_file(&stripped)?;
    Ok(Measured::plain("hello_binary_mb", size, 1))
}

/// Processor time that a process has used.
pub(crate) fn cpu_ms(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; after it user and system time are the 12th and 13th field.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("proc stat");
    Ok((ticks(11)? + ticks(12)?) * TICK_MS)
}
