//! Two hundred agents that start at once, and what `meshctl list` takes among them.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::figure::Measured;
use mesh_tests::bench::load::median;
use mesh_tests::bench::process::{Process, now_ms, sibling};

use crate::idle::cpu_ms;
use crate::mesh::Mesh;

/// What is measured here.
pub(crate) const IDS: &[&str] = &["list_200_ms", "flash_200_s"];

/// How long they may take to see each other; who does not by then never does.
const PATIENCE: Duration = Duration::from_secs(50);

/// Within what time they all start.
const FLASH: Duration = Duration::from_secs(5);

/// Measures all figures of this kind that are wanted, among `crowd` agents, or as many as the effort says.
pub(crate) async fn measure(effort: &Effort, crowd: Option<usize>) -> Result<Vec<Measured>> {
    let count = crowd.unwrap_or_else(|| effort.amount(200, 20));
    let mesh = Mesh::start().await?;
    let first = now_ms();
    let begin = Instant::now();
    let mut agents: Vec<Process> = Vec::new();
    for number in 0..count {
        let due = FLASH.mul_f64(fraction(number, count));
        sleep(due.saturating_sub(begin.elapsed())).await;
        agents.push(mesh.launch_onlooker(count)?);
    }
    let last = now_ms();
    let (mut complete, mut cpu) = (Vec::new(), Vec::new());
    let mut deeds: [Vec<f64>; 4] = Default::default();
    for agent in &mut agents {
        let left = PATIENCE.saturating_sub(begin.elapsed());
        let Ok(said) = timeout(left, agent.ready()).await else {
            complete.push(f64::INFINITY);
            continue;
        };
        let said = said?;
        let said: Vec<f64> = said.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [when, did @ ..] = &said[..] else { bail!("when it saw all, and what it did; not {said:?}") };
        ensure!(did.len() == deeds.len(), "all that it did, not {said:?}");
        complete.push(*when);
        deeds.iter_mut().zip(did).for_each(|(all, one)| all.push(*one));
    }
    for agent in &agents {
        cpu.push(cpu_ms(agent.pid().context("an agent has ended by itself")?)?);
    }
    let see_all = complete.iter().filter(|when| when.is_finite()).count();
    let end = complete.iter().copied().fold(first, f64::max);
    let mut measured = vec![Measured::plain("flash_200_s", (end - first) / 1e3, count).with([
        ("started_s", (last - first) / 1e3),
        ("half_see_all_s", (median(&complete) - first) / 1e3),
        ("see_all", fraction(see_all, 1)),
        ("dials_each", median(&deeds[0])),
        ("suspicions_each", median(&deeds[1])),
        ("datagrams_each", median(&deeds[2])),
        ("wakeups_each", median(&deeds[3])),
        ("cpu_ms_each", median(&cpu)),
    ])];
    if effort.wants("list_200_ms") {
        // What does not see all may still be listed by somebody who does.
        let begin = Instant::now();
        while let Err(why) = list(&mesh, count).await {
            ensure!(begin.elapsed() < PATIENCE, "{why}");
            sleep(Duration::from_secs(1)).await;
        }
        let mut times = Vec::new();
        for _ in 0..effort.amount(30, 5) {
            times.push(list(&mesh, count).await?);
        }
        measured.push(Measured::plain("list_200_ms", median(&times), times.len()));
    }
    Ok(measured)
}

/// Milliseconds of one `meshctl list`.
async fn list(mesh: &Mesh, count: usize) -> Result<f64> {
    let mut command = Command::new(sibling("meshctl")?);
    mesh.at_home(&mut command);
    command.arg("list").stdin(Stdio::null());
    let begin = Instant::now();
    let output = command.output().await?;
    let took = begin.elapsed().as_secs_f64() * 1e3;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "meshctl list: {}", String::from_utf8_lossy(&output.stderr));
    ensure!(text.lines().count() >= count, "meshctl list shows {} lines of {count} agents", text.lines().count());
    Ok(took)
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn fraction(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}
