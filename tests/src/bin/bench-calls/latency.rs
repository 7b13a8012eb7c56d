//! How long one call takes and how many fit into a second, beside whoever else could carry it.
//!
//! Everybody is measured in turn, round after round, and compared within a round: what else the machine does in the
//! meantime hits all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::figure::Measured;
use mesh_tests::bench::load::{median, rate};
use mesh_tests::bench::post::Post;
use mesh_tests::bench::process::{Process, role};

use crate::load::{self, Way};
use crate::mesh::Mesh;
use crate::note::Note;
use crate::plain::Client;
use crate::quic::Quic;
use crate::stock::{self, Delay, Pair};

/// What is measured here.
pub(crate) const IDS: &[&str] = &[
    "call_vs_quic_p50",
    "call_vs_rmcp_p50",
    "call_vs_rmcp_rate64",
    "call_vs_mcpmesh_p50",
    "call_vs_mcpmesh_patched_p50",
    "mcp_http_vs_rmcp_rate64",
];

/// How many calls are under way where throughput is measured.
const IN_FLIGHT: usize = 64;

/// How long throughput is measured for in one round.
const SPAN: Duration = Duration::from_secs(1);

/// Who can carry a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Carrier {
    Mesh,
    MeshPost,
    Quic,
    Rmcp,
    RmcpPost,
    Stock,
    Patched,
}

/// What the rounds gave: one number a round.
#[derive(Default)]
struct Rounds {
    p50_us: BTreeMap<Carrier, Vec<f64>>,
    rate: BTreeMap<Carrier, Vec<f64>>,
}

impl Rounds {
    fn p50(&mut self, carrier: Carrier, times_ms: &[f64]) {
        self.p50_us.entry(carrier).or_default().push(median(times_ms) * 1e3);
    }
}

/// Measures all figures of this kind that are wanted.
pub(crate) async fn measure(effort: &Effort) -> Result<Vec<Measured>> {
    let wants = |ids: &[&str]| effort.wants_any(ids);
    // First, because it takes longest: the connections of the others would be idle meanwhile.
    let mut stock = Vec::new();
    if wants(&["call_vs_mcpmesh_p50", "call_vs_mcpmesh_patched_p50"]) {
        stock::install().await?;
        stock.push((Carrier::Stock, Pair::start(Delay::Stock).await?, effort.amount(30, 10)));
        stock.push((Carrier::Patched, Pair::start(Delay::Patched).await?, effort.amount(100, 30)));
    }
    let mut quic_server = Process::start(role(&["quic"])?)?;
    let mut rmcp_server = Process::start(role(&["rmcp"])?)?;
    let mesh = Mesh::start().await?;
    let provider = mesh.provider().await?;
    mesh.reach("signing", &[&provider]).await?;
    let rmcp_url = rmcp_server.ready().await?;
    let mut ways: Vec<(Carrier, Arc<dyn Way>)> = Vec::new();
    if IDS.iter().any(|id| id.starts_with("call_") && effort.wants(id)) {
        ways.push((Carrier::Mesh, mesh.notes()?));
    }
    if wants(&["call_vs_quic_p50"]) {
        ways.push((Carrier::Quic, Arc::new(Quic::connect(&quic_server.ready().await?).await?)));
    }
    if wants(&["call_vs_rmcp_p50", "call_vs_rmcp_rate64"]) {
        ways.push((Carrier::Rmcp, Arc::new(Client::connect(&rmcp_url).await?)));
    }
    if wants(&["mcp_http_vs_rmcp_rate64"]) {
        ways.push((Carrier::RmcpPost, Arc::new(Post::to(&rmcp_url))));
        ways.push((Carrier::MeshPost, Arc::new(Post::to(&provider.url))));
    }
    let mut rounds = Rounds::default();
    for round in 0..effort.amount(9, 2) {
        for turn in 0..ways.len() {
            // Nobody comes first, or after the same one, each time.
            let (carrier, way) = &ways[(turn + round) % ways.len()];
            rounds.p50(*carrier, &load::sequential(Arc::clone(way), effort.amount(2_000, 200)).await?);
            rounds.rate.entry(*carrier).or_default().push(throughput(way).await?);
        }
        for (carrier, pair, calls) in &stock {
            rounds.p50(*carrier, &pair.times(*calls).await?);
        }
    }
    Ok(figures(&rounds))
}

/// Calls a second, with many under way.
async fn throughput(way: &Arc<dyn Way>) -> Result<f64> {
    let way = Arc::clone(way);
    let call = move || {
        let way = Arc::clone(&way);
        async move { way.call(&Note::example()).await.map(drop) }
    };
    rate(call, IN_FLIGHT, SPAN).await
}

fn figures(rounds: &Rounds) -> Vec<Measured> {
    use Carrier::{Mesh, MeshPost, Patched, Quic, Rmcp, RmcpPost, Stock};
    let (p50, rate) = (&rounds.p50_us, &rounds.rate);
    let figures = [
        compare("call_vs_quic_p50", p50, [("mesh_us", Mesh), ("quic_us", Quic)], Ratio::OursToTheirs),
        compare("call_vs_rmcp_p50", p50, [("mesh_us", Mesh), ("rmcp_us", Rmcp)], Ratio::OursToTheirs),
        compare("call_vs_rmcp_rate64", rate, [("mesh_per_s", Mesh), ("rmcp_per_s", Rmcp)], Ratio::OursToTheirs),
        compare("call_vs_mcpmesh_p50", p50, [("mesh_us", Mesh), ("mcpmesh_us", Stock)], Ratio::TheirsToOurs),
        compare("call_vs_mcpmesh_patched_p50", p50, [("mesh_us", Mesh), ("mcpmesh_us", Patched)], Ratio::TheirsToOurs),
        compare(
            "mcp_http_vs_rmcp_rate64",
            rate,
            [("mesh_per_s", MeshPost), ("rmcp_per_s", RmcpPost)],
            Ratio::OursToTheirs,
        ),
    ];
    figures.into_iter().flatten().collect()
}

/// Which way a ratio is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ratio {
    OursToTheirs,
    TheirsToOurs,
}

/// The middle one of the ratios of all rounds; nothing when one of the two was not measured.
fn compare(
    id: &'static str,
    rounds: &BTreeMap<Carrier, Vec<f64>>,
    [ours, theirs]: [(&'static str, Carrier); 2],
    ratio: Ratio,
) -> Option<Measured> {
    let (our, their) = (rounds.get(&ours.1)?, rounds.get(&theirs.1)?);
    let ratios = our.iter().zip(their).map(|(our, their)| match ratio {
        Ratio::OursToTheirs => our / their,
        Ratio::TheirsToOurs => their / our,
    });
    let ratios: Vec<f64> = ratios.collect();
    Some(Measured::plain(id, median(&ratios), ratios.len()).with([(ours.0, median(our)), (theirs.0, median(their))]))
}
