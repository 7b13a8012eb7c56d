//! Synthetic agents arrive at a fresh seed, and stay for a while.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::figure::Measured;
use mesh_tests::bench::load::quantile;
use mesh_tests::bench::process::resident_mb;
use tokio::time::{sleep, timeout};

use crate::agents::Crowd;
use crate::seed::Seed;

/// What is measured with some of them.
pub(crate) const SOME_IDS: &[&str] = &["quiet_s@500"];

/// What is measured with many of them.
pub(crate) const MANY_IDS: &[&str] = &[
    "quiet_s@2000",
    "posts_per_agent@2000",
    "post_p99_ms@2000",
    "head_p99_ms@2000",
    "cpu_pct@2000",
    "rss_mb@2000",
    "agents_get_ms@2000",
];

/// How long agents take to arrive.
const ARRIVAL: Duration = Duration::from_secs(5);

/// For how long nobody may register before the registry counts as quiet: two rounds of heartbeats.
const QUIET: Duration = Duration::from_secs(10);

/// How long to wait for that.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long agents beat while one leaves and one arrives a second.
const STEADY: Duration = Duration::from_secs(30);

/// How long all that leaving and arriving may take at most.
const STEADY_AT_MOST: Duration = Duration::from_secs(90);

/// How often the list of all agents is asked for.
const LISTS: usize = 20;

/// 500 agents.
pub(crate) async fn some(effort: &Effort) -> Result<Vec<Measured>> {
    let arrival = Arrival::of(effort.amount(500, 50)).await?;
    Ok(vec![arrival.quiet("quiet_s@500")])
}

/// 2,000 agents.
pub(crate) async fn many(effort: &Effort) -> Result<Vec<Measured>> {
    let arrival = Arrival::of(effort.amount(2_000, 200)).await?;
    let agents = arrival.crowd.len();
    let mut measured = vec![
        arrival.quiet("quiet_s@2000"),
        Measured::plain("posts_per_agent@2000", arrival.posts / count(agents), agents),
    ];
    let steady = if effort.quick { STEADY / 3 } else { STEADY };
    let steadily = timeout(STEADY_AT_MOST, steadily(arrival, steady));
    measured.extend(steadily.await.context("the seed no longer keeps up with heartbeats")??);
    Ok(measured)
}

/// Agents that have arrived.
struct Arrival {
    seed: Seed,
    crowd: Crowd,
    /// Seconds until nothing but heartbeats was sent any more.
    quiet: f64,
    /// Full registrations until then.
    posts: f64,
}

impl Arrival {
    /// Lets `agents` arrive, and waits until every one has its bindings and nothing but heartbeats is sent.
    async fn of(agents: usize) -> Result<Self> {
        let seed = Seed::start().await?;
        let begun = Instant::now();
        eprintln!("{agents} agents arrive within {ARRIVAL:?}");
        let crowd = Crowd::arrive(&seed, agents, ARRIVAL).await;
        let (mut quiet, mut told) = (f64::INFINITY, Instant::now());
        while begun.elapsed() < PATIENCE {
            sleep(Duration::from_millis(200)).await;
            let last = crowd.last_post();
            if crowd.is_bound() && last.elapsed() >= QUIET {
                quiet = last.duration_since(begun).as_secs_f64();
                break;
            }
            if told.elapsed() >= Duration::from_secs(5) {
                told = Instant::now();
                eprintln!("  after {:.0} s: {}", begun.elapsed().as_secs_f64(), crowd.state());
            }
        }
        eprintln!("  quiet after {quiet:.1} s: {}", crowd.state());
        let posts = count(crowd.posts());
        Ok(Self { seed, crowd, quiet, posts })
    }

    fn quiet(&self, id: &'static str) -> Measured {
        let (posts, _) = self.crowd.latencies();
        let beside = [("post_p50_ms", quantile(&posts, 0.5)), ("post_p99_ms", quantile(&posts, 0.99))];
        Measured::plain(id, self.quiet, self.crowd.len()).with(beside)
    }
}

/// Heartbeats for a while, with one agent leaving and one arriving a second.
async fn steadily(arrival: Arrival, steady: Duration) -> Result<Vec<Measured>> {
    let Arrival { seed, mut crowd, .. } = arrival;
    let agents = crowd.len();
    eprintln!("they beat for {steady:?}; one leaves and one arrives a second");
    crowd.forget_latencies();
    let (cpu, begun) = (seed.cpu()?, Instant::now());
    while begun.elapsed() < steady {
        crowd.leave_and_arrive(&seed).await;
        sleep(Duration::from_secs(1)).await;
    }
    let cpu = (seed.cpu()? - cpu).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    let (posts, heads) = crowd.latencies();
    eprintln!("  {}", crowd.state());
    let rss = resident_mb(seed.pid()?)?;
    let mut lists = Vec::new();
    for _ in 0..LISTS {
        let begun = Instant::now();
        let listed = seed.list().await?;
        lists.push(begun.elapsed().as_secs_f64() * 1e3);
        let listed = Seed::agents(&listed)?;
        ensure!(listed >= agents, "only {listed} of {agents} agents are listed");
    }
    let p50 = |times: &[f64]| [("p50_ms", quantile(times, 0.5))];
    Ok(vec![
        Measured::plain("post_p99_ms@2000", quantile(&posts, 0.99), posts.len()).with(p50(&posts)),
        Measured::plain("head_p99_ms@2000", quantile(&heads, 0.99), heads.len()).with(p50(&heads)),
        Measured::plain("cpu_pct@2000", cpu, 1),
        Measured::plain("rss_mb@2000", rss, 1),
        Measured::plain("agents_get_ms@2000", quantile(&lists, 0.5), lists.len()),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "a count")]
fn count(number: usize) -> f64 {
    number as f64
}
