//! Nodes that serve their administration, and somebody who asks.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use bytes::Bytes;
use mesh_gossip::catalog::{AgentId, Offers};
use mesh_gossip::config::Config;
use mesh_gossip::gossip::keys;
use mesh_gossip::identity::operator::OperatorKey;
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::seeds::SeedSpec;
use mesh_gossip::{Gossip, GossipConfig};
use reqwest::{Client, Response};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::admin::signing::{ANSWER_HEADER, Signer};
use crate::admin::wire::{Challenge, PREFIX, Problem};
use crate::admin::{About, AdminState, Observer, router};
use crate::call::neighbours::Neighbours;
use crate::call::question::{Desk, Questions};
use crate::call::quic::serve::{ServeLimits, serve};
use crate::call::{CallSettings, Caller};
use crate::context::{CallContext, Update};
use crate::offers::{TRANSPORT_LABEL, TRANSPORT_MESH};
use crate::run::{RunSettings, Runner};
use crate::tool::{Fault, FaultKind, Payload, ToolDescriptor, ToolHost, Tools};
use crate::trace::Ring;

pub(super) const LONG: Duration = Duration::from_secs(30);

/// One node that serves its administration.
pub(super) struct Served {
    pub(super) gossip: Arc<Gossip>,
    pub(super) agent: AgentId,
    pub(super) address: SocketAddr,
    tasks: Vec<AbortHandle>,
    _calls: Box<dyn Any + Send>,
}

/// What the agent behind each node can do.
struct OneTool;

#[async_trait]
impl ToolHost for OneTool {
    fn tools(&self) -> watch::Receiver<Tools> {
        let mut tool = ToolDescriptor::new("greet");
        tool.capability = Some("greeting".into());
        let schema = json!({"type": "object", "properties": {"first_name": {"type": "string"}}});
        tool.input_schema = Arc::new(schema.as_object().unwrap().clone());
        watch::channel(Tools::from([Arc::new(tool)])).1
    }

    async fn call(&self, _: &ToolDescriptor, arguments: Bytes, context: CallContext) -> Result<Payload, Fault> {
        match &*arguments {
            br#"{"do":"fail"}"# => Err(Fault::new(FaultKind::Failed, "it did not work")),
            br#"{"do":"stream"}"# => {
                context.outlet.send(Update::Chunk(Bytes::from_static(b"1"))).await;
                context.outlet.send(Update::Progress { progress: 1.0, total: Some(2.0), message: None }).await;
                Ok(Payload::Value(Bytes::from_static(b"2")))
            }
            br#"{"do":"hang"}"# => std::future::pending().await,
            _ => Ok(Payload::Value(arguments)),
        }
    }
}

/// Somebody who asks, with a key.
pub(super) struct Asker {
    pub(super) http: Client,
    pub(super) at: SocketAddr,
    pub(super) key: MeshKey,
}

pub(super) fn key(byte: u8) -> MeshKey {
    MeshKey::from_bytes([byte; 32])
}

impl Served {
    pub(super) async fn new(name: &str, seeds: Vec<SeedSpec>) -> Self {
        Self::with_operator(name, seeds, None).await
    }

    pub(super) async fn with_operator(name: &str, seeds: Vec<SeedSpec>, operator: Option<&OperatorKey>) -> Self {
        let mut ring = Keyring::new(key(1));
        ring.install(key(2)).unwrap();
        let config = GossipConfig {
            keys: Some(ring),
            listen: vec![([127, 0, 0, 1], 0).into()],
            seeds,
            protocol: Config::local(),
            operator: operator.map(mesh_gossip::signature::Signer::public_key),
            ..GossipConfig::new("admin")
        };
        let gossip = Arc::new(Gossip::spawn(config).await.unwrap());
        let agent = AgentId::native(name, &gossip.me()).unwrap();
        let ring = Ring::default();
        ring.belongs_to(agent.as_str());
        let caller = Caller::new(Arc::clone(&gossip), CallSettings::default(), ring, Neighbours::default());
        let host = Arc::new(OneTool) as Arc<dyn ToolHost>;
        let runner = Runner::new(Arc::clone(&host), caller.clone(), RunSettings::default());
        let calls = serve(&gossip, Arc::new(runner), ServeLimits::default()).await.unwrap();
        let observer = Observer::new(&gossip);
        let desk = observer.answer_at(Desk::default(), host, &caller);
        let questions = Questions::new(Arc::clone(&gossip), desk);
        let answering = tokio::spawn(questions.serve().await.unwrap()).abort_handle();
        let about = About {
            agent: watch::channel(agent.clone()).1,
            name: name.into(),
            role: "agent".into(),
            mesh: "admin".into(),
            url: None,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(AdminState { gossip: Arc::clone(&gossip), caller, questions, observer, about });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }).abort_handle();
        Self { gossip, agent, address, tasks: vec![answering, serving], _calls: Box::new(calls) }
    }

    pub(super) async fn offer(&self, change: impl FnOnce(&mut Offers)) {
        let name = self.agent.as_str().rsplit_once('-').unwrap().0;
        let mut offers = Offers::new(self.agent.clone(), name);
        offers.labels.insert(TRANSPORT_LABEL.into(), TRANSPORT_MESH.into());
        change(&mut offers);
        self.gossip.set(keys::offers(&self.agent).unwrap(), offers.encode().unwrap()).await.unwrap();
    }

    pub(super) fn asker(&self) -> Asker {
        Asker { http: client(), at: self.address, key: key(1) }
    }

    pub(super) fn seed(&self) -> SeedSpec {
        self.gossip.local_addresses()[0].into()
    }

    pub(super) async fn sees(&self, what: impl Fn(&mesh_gossip::View) -> bool) {
        let mut views = self.gossip.watch();
        tokio::time::timeout(LONG, views.wait_for(|view| what(view))).await.unwrap().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

impl Asker {
    pub(super) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.at)
    }

    pub(super) async fn signer(&self) -> Signer {
        let challenge = self.http.get(self.url(&format!("{PREFIX}/challenge"))).send().await.unwrap();
        let challenge: Challenge = challenge.json().await.unwrap();
        Signer::new(&self.key, challenge.nonce.parse().unwrap())
    }

    pub(super) async fn send(&self, signer: &Signer, method: &str, target: &str, body: Vec<u8>) -> Response {
        let credentials = signer.credentials(method, target, &body).to_string();
        let request = self.http.request(method.parse().unwrap(), self.url(target)).header("authorization", credentials);
        request.body(body).send().await.unwrap()
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, rest: &str) -> T {
        let signer = self.signer().await;
        let response = self.send(&signer, "GET", &format!("{PREFIX}/{rest}"), Vec::new()).await;
        assert_eq!(response.status(), StatusCode::OK, "{rest}");
        let mac = response.headers()[ANSWER_HEADER].to_str().unwrap().to_owned();
        let body = response.bytes().await.unwrap();
        assert_eq!(mac, signer.answer(200, &body).to_hex().as_str());
        serde_json::from_slice(&body).unwrap()
    }

    pub(super) async fn refusal(&self, rest: &str) -> (StatusCode, Problem) {
        let signer = self.signer().await;
        refused(self.send(&signer, "GET", &format!("{PREFIX}/{rest}"), Vec::new()).await).await
    }
}

pub(super) async fn refused(response: Response) -> (StatusCode, Problem) {
    (response.status(), response.json().await.unwrap())
}
