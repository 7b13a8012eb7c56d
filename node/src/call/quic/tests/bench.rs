//! A caller and a callee, and the tools of the callee.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mesh_gossip::config::Config;
use mesh_gossip::gossip::{Gossip, GossipConfig, View};
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::seeds::SeedSpec;
use tokio::sync::watch;

use crate::call::quic::attempt::{Outgoing, Silence};
use crate::call::quic::lines::Lines;
use crate::call::quic::serve::{ServeLimits, Server, serve};
use crate::call::window::CallKey;
use crate::context::{Outlet, Scope, Update};
use crate::run::{Arrival, CallId, Dispatch};
use crate::tool::{Fault, FaultKind, Payload};

/// Long enough for anything that happens at all, on a machine that has much else to do.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Two nodes that know each other; the second serves [`Tools`].
pub(super) struct Pair {
    pub(super) lines: Lines,
    pub(super) caller: Arc<Gossip>,
    pub(super) callee: Gossip,
    pub(super) tools: Arc<Tools>,
    pub(super) server: Server,
}

/// What the callee can do, and what it saw.
#[derive(Default)]
pub(super) struct Tools {
    /// Runs that began.
    pub(super) begun: watch::Sender<usize>,
    /// Runs whose token fired.
    pub(super) cancelled: watch::Sender<usize>,
    /// Runs that are over, one way or the other.
    pub(super) over: watch::Sender<usize>,
    /// Results that are known to have come to their callers.
    pub(super) delivered: watch::Sender<usize>,
    /// Bytes of chunks that `pour` got rid of.
    pub(super) poured: AtomicUsize,
    /// Whether calls that come are said to be under way already.
    pub(super) knows: AtomicBool,
    /// The last arrival's scope.
    pub(super) scope: std::sync::Mutex<Scope>,
}

struct Over<'a>(&'a Tools);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.send_modify(|over| *over += 1);
    }
}

#[async_trait]
impl Dispatch for Tools {
    fn knows(&self, _: &CallKey) -> bool {
        self.knows.load(Ordering::SeqCst)
    }

    fn delivered(&self, _: &CallKey) {
        self.delivered.send_modify(|delivered| *delivered += 1);
    }

    async fn run(&self, arrival: Arrival) -> Result<Payload, Fault> {
        self.begun.send_modify(|begun| *begun += 1);
        let _over = Over(self);
        *self.scope.lock().unwrap() = arrival.scope.clone();
        match &*arrival.tool {
            "echo" => Ok(Payload::Value(arrival.arguments)),
            "content" => Ok(Payload::Content(arrival.arguments)),
            "large" => Ok(Payload::Value(vec![b'7'; arrival.arguments.len() + 1].into())),
            "fail" => Err(Fault { data: Some("[1]".into()), ..Fault::new(FaultKind::Failed, "as asked") }),
            "panic" => panic!("as asked"),
            "wait" => {
                arrival.cancelled.cancelled().await;
                self.cancelled.send_modify(|cancelled| *cancelled += 1);
                std::future::pending().await
            }
            "count" => {
                for at in 0..3 {
                    let message = Some("on it".into());
                    arrival.outlet.send(Update::Progress { progress: f64::from(at), total: Some(3.0), message }).await;
                    arrival.outlet.send(Update::Chunk(at.to_string().into())).await;
                }
                let (level, logger) = ("warning", Some("counter".into()));
                arrival.outlet.send(Update::Log { level, logger, data: "\"done\"".into() }).await;
                Ok(Payload::Value("3".into()))
            }
            "pour" => loop {
                let chunk = Bytes::from(vec![b'1'; 64 << 10]);
                arrival.outlet.send(Update::Chunk(chunk)).await;
                self.poured.fetch_add(64 << 10, Ordering::Relaxed);
            },
            tool => Err(Fault::new(FaultKind::UnknownTool, format!("there is no tool {tool}"))),
        }
    }
}

/// A node of the mesh of this test, on a free port, without a disk.
pub(super) async fn spawn(seeds: &[&Gossip]) -> Gossip {
    let config = GossipConfig {
        keys: Some(Keyring::new(MeshKey::from_bytes([1; 32]))),
        listen: vec![([127, 0, 0, 1], 0).into()],
        seeds: seeds.iter().map(|seed| SeedSpec::from(seed.local_addresses()[0])).collect(),
        protocol: Config::local(),
        // A port that one test gives back may be the next one of another test.
        ..GossipConfig::new(std::thread::current().name().unwrap_or("test"))
    };
    Gossip::spawn(config).await.unwrap()
}

pub(super) async fn until(gossip: &Gossip, what: &str, mut holds: impl FnMut(&View) -> bool) {
    let mut views = gossip.watch();
    let seen = tokio::time::timeout(PATIENCE, views.wait_for(|view| holds(view))).await;
    assert!(matches!(seen, Ok(Ok(_))), "{what}");
}

pub(super) async fn counts(count: &watch::Sender<usize>, to: usize) {
    let mut count = count.subscribe();
    let counted = tokio::time::timeout(PATIENCE, count.wait_for(|&count| count >= to)).await;
    assert!(counted.is_ok(), "counts to {to}");
}

pub(super) async fn pair() -> Pair {
    pair_with(ServeLimits::default()).await
}

pub(super) async fn pair_with(limits: ServeLimits) -> Pair {
    let caller = Arc::new(spawn(&[]).await);
    let callee = spawn(&[&caller]).await;
    until(&caller, "sees the callee", |view| view.live().count() == 2).await;
    until(&callee, "sees the caller", |view| view.live().count() == 2).await;
    let tools = Arc::new(Tools::default());
    let server = serve(&callee, Arc::clone(&tools) as Arc<dyn Dispatch>, limits).await.unwrap();
    Pair { lines: Lines::new(Arc::clone(&caller)), caller, callee, tools, server }
}

impl Pair {
    pub(super) async fn call(&self, outgoing: Outgoing) -> Result<Payload, crate::call::quic::attempt::AttemptError> {
        let attempt = self.lines.attempt(self.callee.me(), outgoing);
        tokio::time::timeout(PATIENCE, attempt).await.expect("attempts end")
    }
}

pub(super) fn outgoing(tool: &str, arguments: impl Into<Bytes>) -> Outgoing {
    Outgoing {
        id: CallId::random(),
        attempt: 1,
        agent: None,
        tool: tool.into(),
        arguments: arguments.into(),
        scope: Scope::default(),
        outlet: Outlet::closed(),
        silence: Silence::Ends,
    }
}
