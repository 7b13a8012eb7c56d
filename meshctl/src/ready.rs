//! When something that was started can be called.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use mesh_node::runtime_file::{self, RuntimeFile};
use tokio::time::{Instant, sleep, timeout};

use crate::book::Entry;
use crate::client::tls;
use crate::process::{group_of, ports};
use crate::registry;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long one probe may take.
const PROBE: Duration = Duration::from_secs(2);

/// How long something that may be no agent of ours is watched: long enough to see it die of a wrong argument.
const GLANCE: Duration = Duration::from_millis(500);

/// What is known of something that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It is a node of ours, or several in one process, and all are ready.
    Callable(Vec<RuntimeFile>),
    /// It runs.
    Running,
    /// It has ended already.
    Ended,
}

/// How long to wait for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until it can be called, at most this long.
    Callable(Duration),
    /// Until it can be called, at most this long, if it turns out to be a node of ours within a moment.
    IfOurs(Duration),
    /// Until it serves, at most this long, though it may not have a view of the mesh yet.
    Serving(Duration),
    /// Until it listens, at most this long: an agent in another language serves once its code was read.
    Listening(Duration),
    /// Until the registry at this URL knows it, at most this long.
    Registered(Duration, String),
    /// Only whether it dies at once.
    Alive,
}

/// Asks nodes whether they are ready.
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    client: reqwest::Client,
}

impl Prober {
    /// One that asks directly, whatever proxies the environment names: nodes of this machine are not behind one.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let client = tls::builder(false)?.no_proxy().timeout(PROBE).build();
        Ok(Self { client: client.context("cannot set up an HTTP client")? })
    }

    /// Waits for `entry`, whose run-time file is in `home`, as long as `patience` says.
    pub(crate) async fn wait(&self, home: &Path, entry: &Entry, patience: Patience) -> Readiness {
        let begun = Instant::now();
        loop {
            if !entry.is_running() {
                return Readiness::Ended;
            }
            let nodes = nodes_of(home, entry);
            let bound = match patience {
                Patience::Callable(bound) | Patience::Serving(bound) => bound,
                Patience::Listening(bound) | Patience::Registered(bound, _) => bound,
                Patience::IfOurs(bound) if !nodes.is_empty() => bound,
                Patience::IfOurs(_) | Patience::Alive => GLANCE,
            };
            let Some(left) = bound.checked_sub(begun.elapsed()) else { return Readiness::Running };
            let is_there = match &patience {
                Patience::Listening(_) => !ports(entry.pid).is_empty(),
                Patience::Registered(_, registry) => is_registered(registry, entry).await,
                _ if nodes.is_empty() => false,
                Patience::Alive => false,
                // The file is written by a node that serves.
                Patience::Serving(_) => true,
                Patience::Callable(_) | Patience::IfOurs(_) => {
                    timeout(left, self.are_ready(&nodes)).await.unwrap_or(false)
                }
            };
            if is_there {
                return Readiness::Callable(nodes);
            }
            let look = if matches!(patience, Patience::Registered(..)) { LOOK * 10 } else { LOOK };
            sleep(look.min(left)).await;
        }
    }

    /// Whether a node says that it can be called. One without HTTP is believed when it has its run-time file.
    pub(crate) async fn is_ready(&self, node: &RuntimeFile) -> bool {
        let Some(url) = &node.http_url else { return true };
        self.client.get(format!("{url}/ready")).send().await.is_ok_and(|response| response.status().is_success())
    }

    async fn are_ready(&self, nodes: &[RuntimeFile]) -> bool {
        for node in nodes {
            if !self.is_ready(node).await {
                return false;
            }
        }
        true
    }
}

/// Whether an agent that `entry` serves is registered at `registry`. One that does not answer knows nobody.
async fn is_registered(registry: &str, entry: &Entry) -> bool {
    let ports = ports(entry.pid);
    !ports.is_empty()
        && registry::agents(registry).await.is_ok_and(|agents| agents.iter().any(|agent| agent.is_at(&ports)))
}

/// The nodes in the process group of `entry` that run with `home`.
pub(crate) fn nodes_of(home: &Path, entry: &Entry) -> Vec<RuntimeFile> {
    let running = runtime_file::running(home).into_iter();
    running.filter(|node| group_of(node.pid) == Some(entry.pid)).collect()
}
