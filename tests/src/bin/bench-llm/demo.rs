//! How long the demo takes once everything is built.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use mesh_tests::bench::figure::Measured;
use tokio::process::Command;

/// What is measured here.
pub(crate) const IDS: &[&str] = &["demo_s"];

/// Runs it once, as `make demo` does.
pub(crate) async fn measure() -> Result<Vec<Measured>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let programs = root.join("target/debug");
    ensure!(programs.join("gateway").exists(), "run `make demo` first: it builds what is measured here");
    let mut demo = Command::new(root.join("examples/demo"));
    demo.arg(programs).env_remove("REAL").stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let begin = Instant::now();
    let status = demo.status().await.context("the demo cannot be run")?;
    ensure!(status.success(), "the demo failed: {status}");
    Ok(vec![Measured::plain("demo_s", begin.elapsed().as_secs_f64(), 1)])
}
