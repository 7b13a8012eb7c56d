//! Nodes with tools that do as they are told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mesh_gossip::catalog::{AgentId, Offers, Tool};
use mesh_gossip::config::Config;
use mesh_gossip::gossip::{Gossip, GossipConfig, View, keys};
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::resolve::Query;
use mesh_gossip::seeds::SeedSpec;
use tokio::sync::watch;

use crate::call::neighbours::Neighbours;
use crate::call::options::{CallOptions, advertised};
use crate::call::quic::serve::{ServeLimits, Server, serve};
use crate::call::{CallSettings, Caller, Request, Target};
use crate::context::{CallContext, Scope, Update};
use crate::offers::{TRANSPORT_LABEL, TRANSPORT_MESH};
use crate::run::{Dispatch, RunSettings, Runner};
use crate::tool::{Fault, FaultKind, Payload, ToolDescriptor, ToolHost, Tools};
use crate::trace::Ring;

/// Long enough for anything that happens at all, on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A node with an agent.
pub(crate) struct TestNode {
    pub(crate) gossip: Arc<Gossip>,
    pub(crate) agent: AgentId,
    pub(crate) caller: Caller,
    pub(crate) runner: Runner,
    pub(crate) host: Arc<TestHost>,
    _server: Server,
    /// Who lives as long as this one.
    kept: Vec<TestNode>,
}

/// The tools of a node, and what they saw.
pub(crate) struct TestHost {
    tools: watch::Sender<Tools>,
    /// Runs that began.
    pub(crate) begun: watch::Sender<usize>,
    /// Runs whose token fired.
    pub(crate) cancelled: watch::Sender<usize>,
    pub(crate) runs: AtomicUsize,
    /// The scope and the arguments of the last run.
    pub(crate) last: Mutex<(Scope, Bytes)>,
    /// What `who` says.
    name: Mutex<String>,
    /// Whether `wait` waits for ever here, and what runs `lose` is lost.
    pub(crate) hangs: bool,
}

/// How a node is to be.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) tools: Vec<ToolDescriptor>,
    pub(crate) hangs: bool,
    pub(crate) neighbours: Neighbours,
    pub(crate) settings: RunSettings,
    pub(crate) calls: CallSettings,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            name: "hello",
            tools: Vec::new(),
            hangs: false,
            neighbours: Neighbours::new(),
            settings: RunSettings::default(),
            calls: CallSettings::default(),
        }
    }
}

/// A tool that provides `capability` of the same name.
pub(crate) fn tool(name: &str) -> ToolDescriptor {
    provides(name, name)
}

pub(crate) fn provides(name: &str, capability: &str) -> ToolDescriptor {
    ToolDescriptor { capability: Some(capability.into()), ..ToolDescriptor::new(name) }
}

pub(crate) fn idempotent(name: &str) -> ToolDescriptor {
    ToolDescriptor { options: CallOptions { idempotent: Some(true), ..CallOptions::default() }, ..tool(name) }
}

pub(crate) fn ask(capability: &str) -> Request {
    Request::new(Target::Capability(Arc::new(Query::new(capability.parse().unwrap()))), "{}")
}

#[async_trait]
impl ToolHost for TestHost {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.tools.subscribe()
    }

    async fn call(&self, tool: &ToolDescriptor, arguments: Bytes, context: CallContext) -> Result<Payload, Fault> {
        *self.last.lock().unwrap() = (context.scope.clone(), arguments.clone());
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.begun.send_modify(|begun| *begun += 1);
        match &*tool.name {
            "echo" => Ok(Payload::Value(arguments)),
            "wait" if self.hangs => {
                context.cancelled.cancelled().await;
                self.cancelled.send_modify(|cancelled| *cancelled += 1);
                std::future::pending().await
            }
            "lose" if self.hangs => Err(Fault::new(FaultKind::Lost, "as asked")),
            "count" => {
                for at in 0..3 {
                    context.outlet.send(Update::Chunk(at.to_string().into())).await;
                }
                Ok(Payload::Value("3".into()))
            }
            "break" => {
                context.outlet.send(Update::Chunk("0".into())).await;
                Err(Fault::new(FaultKind::Failed, "as asked"))
            }
            "busy" => {
                let data = Some(Bytes::from_static(b"{\"retry_after\":60}"));
                Err(Fault { data, ..Fault::new(FaultKind::Overloaded, "as asked") })
            }
            "hear" if self.runs.load(Ordering::SeqCst) == 1 => {
                Err(Fault::new(FaultKind::DependencyUnavailable, "not heard of it yet"))
            }
            "lack" => Err(Fault::new(FaultKind::DependencyUnavailable, "as asked")),
            "panic" => panic!("as asked"),
            "fail" => Err(Fault::new(FaultKind::Failed, "as asked")),
            "relay" => {
                let reply = context.mesh.call(ask("who")).await;
                reply.map(|reply| reply.payload).map_err(|error| Fault::new(FaultKind::Failed, error.to_string()))
            }
            _ => Ok(Payload::Value(serde_json::to_vec(&*self.name.lock().unwrap()).unwrap().into())),
        }
    }
}

impl Plan {
    pub(crate) fn with(tools: impl IntoIterator<Item = ToolDescriptor>) -> Self {
        Self { tools: tools.into_iter().collect(), ..Self::default() }
    }

    pub(crate) async fn start(self, seeds: &[&TestNode]) -> TestNode {
        let config = GossipConfig {
            keys: Some(Keyring::new(MeshKey::from_bytes([1; 32]))),
            listen: vec![([127, 0, 0, 1], 0).into()],
            seeds: seeds.iter().map(|seed| SeedSpec::from(seed.gossip.local_addresses()[0])).collect(),
            protocol: Config::local(),
            // A port that one test gives back may be the next one of another test.
            ..GossipConfig::new(std::thread::current().name().unwrap_or("test"))
        };
        let gossip = Arc::new(Gossip::spawn(config).await.unwrap());
        let agent = AgentId::native(self.name, &gossip.me()).unwrap();
        let ring = Ring::default();
        ring.belongs_to(agent.as_str());
        let caller = Caller::new(Arc::clone(&gossip), self.calls, ring, self.neighbours.clone());
        let tools: Tools = self.tools.into_iter().map(Arc::new).collect();
        let host = Arc::new(TestHost {
            tools: watch::Sender::new(tools.clone()),
            begun: watch::Sender::default(),
            cancelled: watch::Sender::default(),
            runs: AtomicUsize::default(),
            last: Mutex::default(),
            name: Mutex::new(agent.as_str().to_owned()),
            hangs: self.hangs,
        });
        let runner = Runner::new(Arc::clone(&host) as Arc<dyn ToolHost>, caller.clone(), self.settings);
        self.neighbours.join(&gossip, &runner);
        let dispatch = Arc::new(runner.clone()) as Arc<dyn Dispatch>;
        let server = serve(&gossip, dispatch, ServeLimits::default()).await.unwrap();
        offer(&gossip, &agent, self.name, &tools).await;
        TestNode { gossip, agent, caller, runner, host, _server: server, kept: Vec::new() }
    }
}

async fn offer(gossip: &Gossip, agent: &AgentId, name: &str, tools: &Tools) {
    let mut offers = Offers::new(agent.clone(), name);
    offers.labels = BTreeMap::from([(TRANSPORT_LABEL.to_owned(), TRANSPORT_MESH.to_owned())]);
    offers.tools = tools
        .iter()
        .map(|tool| Tool {
            kwargs: advertised(tool),
            version: tool.version.clone(),
            ..Tool::new(tool.name.clone(), tool.capability.clone().unwrap_or_default())
        })
        .collect();
    gossip.set(keys::offers(agent).unwrap(), offers.encode().unwrap()).await.unwrap();
}

impl TestNode {
    /// `other` lives as long as this one.
    pub(crate) fn keep(mut self, other: TestNode) -> Self {
        self.kept.push(other);
        self
    }

    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut(&View) -> bool) {
        let mut views = self.gossip.watch();
        let seen = tokio::time::timeout(PATIENCE, views.wait_for(|view| holds(view))).await;
        assert!(matches!(seen, Ok(Ok(_))), "{what}");
    }

    /// Waits until it sees so many offers of `capability`.
    pub(crate) async fn sees(&self, capability: &str, offers: usize) {
        let resolves = |_: &View| self.caller.resolve(&capability.parse().unwrap()).candidates.len() == offers;
        self.until(capability, resolves).await;
    }

    /// Calls `capability`, and reads the text that comes back.
    pub(crate) async fn asks(&self, request: Request) -> String {
        let reply = self.caller.call(request).await.unwrap();
        let Payload::Value(value) = reply.payload else { panic!("a value") };
        serde_json::from_slice(&value).unwrap()
    }
}

impl TestHost {
    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

pub(crate) async fn counts(count: &watch::Sender<usize>, to: usize) {
    let mut count = count.subscribe();
    let counted = tokio::time::timeout(PATIENCE, count.wait_for(|&count| count >= to)).await;
    assert!(counted.is_ok(), "counts to {to}");
}
