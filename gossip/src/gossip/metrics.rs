//! What a node did so far and how it fares, as plain numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::courier;
use crate::effects::Standing;
use crate::reject::Reject;
use crate::transport::quic::QuicCounts;
use crate::transport::udp::DatagramCounts;

/// A reading of everything a node counts. Counters never go back while the node lives; gauges say how things are now.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Members by what they are in our eyes, ourselves included.
    pub members: BTreeMap<Standing, usize>,
    /// How ill we think we are: 0 is healthy (memberlist's health score).
    pub health_score: u8,
    /// For how long our view has differed from those of the members we talk to; zero when it is like theirs.
    pub convergence_lag: Duration,
    /// Rumours that are being told.
    pub rumours: usize,
    /// Bytes of blobs that are kept.
    pub blob_bytes: usize,
    /// What the core and its runtime did.
    pub counts: Counts,
    /// What the gossip sockets did.
    pub datagrams: DatagramCounts,
    /// What the QUIC endpoint did.
    pub quic: QuicCounts,
    /// What the courier did.
    pub courier: courier::Counts,
    /// Datagrams dropped unread, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// What members sent that the core refused, by reason.
    pub rejects: BTreeMap<Reject, u64>,
}

/// What is counted by the driver itself.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Rounds of probing begun.
    pub probes: u64,
    /// Times a member came under suspicion.
    pub suspicions: u64,
    /// Times a member was found dead.
    pub deaths: u64,
    /// Times our own alive record was signed anew: for news of ours, and to refute.
    pub renewals: u64,
    /// Questions asked over streams.
    pub asks: u64,
    /// Those without an answer.
    pub asks_failed: u64,
    /// Questions of others answered.
    pub answers: u64,
    /// Courier messages too large for a datagram.
    pub ships: u64,
    /// Questions and messages dropped because too many were under way.
    pub dropped_busy: u64,
    /// Views published.
    pub views: u64,
    /// Times the driver woke up.
    pub wakeups: u64,
    /// Identities left to another process with the same key.
    pub moves: u64,
}

/// One number with its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The name, `mesh_…`; counters end in `_total`.
    pub name: &'static str,
    /// What distinguishes it from others of this name: a label and its value.
    pub label: Option<(&'static str, &'static str)>,
    /// The number.
    pub value: f64,
}

impl Metrics {
    /// Everything as named numbers, for whoever exports them.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        let mut add = |name, label, value: f64| samples.push(Sample { name, label, value });
        for standing in [Standing::Alive, Standing::Suspect, Standing::Dead, Standing::Left] {
            let count = self.members.get(&standing).copied().unwrap_or_default();
            add("mesh_members", Some(("state", word(standing))), count as f64);
        }
        add("mesh_health_score", None, self.health_score.into());
        add("mesh_convergence_lag_seconds", None, self.convergence_lag.as_secs_f64());
        add("mesh_rumours", None, self.rumours as f64);
        add("mesh_blob_bytes", None, self.blob_bytes as f64);
        let counts = &self.counts;
        for (name, value) in [
            ("mesh_probes_total", counts.probes),
            ("mesh_suspicions_total", counts.suspicions),
            ("mesh_deaths_total", counts.deaths),
            ("mesh_renewals_total", counts.renewals),
            ("mesh_asks_total", counts.asks),
            ("mesh_asks_failed_total", counts.asks_failed),
            ("mesh_answers_total", counts.answers),
            ("mesh_dropped_busy_total", counts.dropped_busy),
            ("mesh_views_total", counts.views),
            ("mesh_wakeups_total", counts.wakeups),
            ("mesh_moves_total", counts.moves),
            ("mesh_datagrams_sent_total", self.datagrams.sent),
            ("mesh_datagrams_received_total", self.datagrams.received),
            ("mesh_datagrams_dropped_total", self.datagrams.dropped_full + self.datagrams.dropped_unreachable),
        ] {
            add(name, None, value as f64);
        }
        for (kind, sent, received) in [
            ("datagram", self.datagrams.sent_bytes, self.datagrams.received_bytes),
            ("quic", self.quic.sent_bytes, self.quic.received_bytes),
            ("courier", self.courier.sent_bytes, self.courier.received_bytes),
        ] {
            add("mesh_sent_bytes_total", Some(("kind", kind)), sent as f64);
            add("mesh_received_bytes_total", Some(("kind", kind)), received as f64);
        }
        for (reason, count) in &self.refused {
            add("mesh_refused_total", Some(("reason", reason)), *count as f64);
        }
        for (reason, count) in &self.rejects {
            add("mesh_rejected_total", Some(("reason", reason.label())), *count as f64);
        }
        samples
    }
}

/// A standing in one word, as label and in listings.
pub const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Alive => "alive",
        Standing::Suspect => "suspect",
        Standing::Dead => "dead",
        Standing::Left => "left",
    }
}
