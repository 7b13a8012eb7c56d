//! Calling whoever provides something: resolve, choose, attempt, classify, perhaps the next one.

mod attempt;
pub mod balance;
pub mod breaker;
mod choose;
mod course;
mod doubt;
pub mod error;
pub mod exchange;
pub mod http;
mod meters;
pub mod neighbours;
pub mod options;
mod peers;
pub mod question;
pub mod quic;
pub mod request;
pub mod retry;
pub mod window;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::Gossip;
use mesh_gossip::resolve::selector::Selector;
use mesh_gossip::resolve::{Resolution, Resolver};
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use self::error::CallError;
pub use self::request::{Reply, Request, Tailor, Target};

use self::course::Course;
use self::doubt::Doubts;
use self::http::Http;
use self::meters::Meters;
use self::neighbours::Neighbours;
use self::peers::Peers;
use self::quic::lines::Lines;
use self::retry::Budget;
use crate::context::{Outlet, Scope};
use crate::propagation::Propagation;
use crate::session::{Bindings, LocalBindings};
use crate::tls::Clients;
use crate::trace::Ring;

/// How a [`Caller`] calls.
#[derive(Clone)]
pub struct CallSettings {
    /// The namespace it looks into when a selector names none, and in which agents are called by name.
    pub namespace: Arc<str>,
    /// How long a call may take when nobody says anything. Default 300 s.
    pub timeout: Duration,
    /// How long after the start of the node calls wait for a provider while the mesh has not been found. Default 20 s.
    pub settle: Duration,
    /// The most calls under way; more are refused as overloaded. Default 4,096.
    pub most: usize,
    /// Which headers travel along.
    pub propagate: Propagation,
    /// Where it is remembered which replica serves which session.
    pub bindings: Arc<dyn Bindings>,
    /// Whom its HTTP clients trust, and who they are. Default: as on the web.
    pub clients: Clients,
}

/// The way from one node to all tools of the mesh. Cheap to clone; all clones share breakers, bindings and budgets.
#[derive(Clone)]
pub struct Caller {
    inner: Arc<Inner>,
    /// What every call made with this inherits.
    scope: Option<Arc<Scope>>,
}

struct Inner {
    gossip: Arc<Gossip>,
    settings: CallSettings,
    ring: Ring,
    neighbours: Neighbours,
    lines: Lines,
    http: Http,
    resolver: Resolver,
    peers: Peers,
    budget: Budget,
    meters: Meters,
    doubts: Doubts,
    places: Semaphore,
    started: Instant,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            namespace: mesh_gossip::resolve::selector::DEFAULT_NAMESPACE.into(),
            timeout: Duration::from_secs(300),
            settle: Duration::from_secs(20),
            most: 4096,
            propagate: Propagation::default(),
            bindings: Arc::new(LocalBindings::default()),
            clients: Clients::default(),
        }
    }
}

impl Caller {
    /// Calls from the node of `gossip`; spans go into `ring`, members that are among `neighbours` are called directly.
    /// Must be called inside a tokio runtime.
    pub fn new(gossip: Arc<Gossip>, settings: CallSettings, ring: Ring, neighbours: Neighbours) -> Self {
        let inner = Inner {
            lines: Lines::new(Arc::clone(&gossip)),
            doubts: Doubts::new(Arc::clone(&gossip)),
            gossip,
            ring,
            neighbours,
            http: Http::new(settings.clients.clone()),
            resolver: Resolver::new(),
            peers: Peers::default(),
            budget: Budget::new(Instant::now()),
            meters: Meters::new(),
            places: Semaphore::new(settings.most.min(Semaphore::MAX_PERMITS)),
            started: Instant::now(),
            settings,
        };
        Self { inner: Arc::new(inner), scope: None }
    }

    /// The same way; calls made with it inherit `scope` where they say nothing themselves.
    #[must_use]
    pub fn scoped(&self, scope: Scope) -> Self {
        Self { inner: Arc::clone(&self.inner), scope: Some(Arc::new(scope)) }
    }

    /// Makes a call and waits for its result, at most until its deadline. Updates of the tool are lost; see
    /// [`Caller::call_streaming`]. Dropping the future abandons the call: its provider is told to cancel, but may have
    /// run it already.
    ///
    /// # Errors
    /// [`CallError`], by what the caller may do.
    pub async fn call(&self, request: Request) -> Result<Reply, CallError> {
        self.call_streaming(request, Outlet::closed()).await
    }

    /// The same, with progress, chunks and log messages of the tool going to `updates` as they come. A listener that
    /// takes none brings the tool to a halt. Once an update has been passed on the call is not repeated elsewhere.
    /// Dropping the future abandons the call.
    ///
    /// # Errors
    /// [`CallError`], by what the caller may do.
    pub async fn call_streaming(&self, mut request: Request, updates: Outlet) -> Result<Reply, CallError> {
        let Ok(_place) = self.inner.places.try_acquire() else {
            let why = format!("{} calls of this node are under way", self.inner.settings.most);
            return Err(CallError::Overloaded(why));
        };
        if let Some(scope) = &self.scope {
            request.scope = inherited(std::mem::take(&mut request.scope), scope);
        }
        let inner = &*self.inner;
        inner.budget.earn();
        let course = Course::begin(inner, request, updates).await;
        // Boxed it is not copied into each of the futures around it: it takes kilobytes.
        Box::pin(course.run()).await
    }

    /// From now on `registry`, this node's own, hears when its agents cannot be reached.
    pub(crate) fn tells(&self, registry: crate::registry::Registry) {
        self.inner.doubts.are_heard_by(registry);
    }

    /// This node's own registry, if it has one.
    pub(crate) fn registry(&self) -> Option<&crate::registry::Registry> {
        self.inner.doubts.registry()
    }

    /// Who will do for `selector` now, asked in the namespace of this node, and why others will not.
    pub fn resolve(&self, selector: &Selector) -> Arc<Resolution> {
        let view = self.inner.gossip.view();
        let selector = selector.clone().asked_in(&self.inner.settings.namespace);
        self.inner.resolver.answer(view.catalog(), view.schemas(), &selector)
    }

    /// The node that calls.
    pub fn gossip(&self) -> &Arc<Gossip> {
        &self.inner.gossip
    }

    /// Where the spans of this node are.
    pub fn ring(&self) -> &Ring {
        &self.inner.ring
    }

    /// How it was told to call.
    pub fn settings(&self) -> &CallSettings {
        &self.inner.settings
    }

    /// The nodes of this process.
    pub fn neighbours(&self) -> &Neighbours {
        &self.inner.neighbours
    }
}

/// What a call inherits: what it says itself, else what is `around` it. Deadlines only shrink.
fn inherited(own: Scope, around: &Scope) -> Scope {
    let deadline = match (own.deadline, around.deadline) {
        (Some(own), Some(around)) => Some(own.min(around)),
        (own, around) => own.or(around),
    };
    let mut headers = own.headers;
    for header in &around.headers {
        if !headers.iter().any(|(name, _)| *name == header.0) {
            headers.push(header.clone());
        }
    }
    Scope {
        deadline,
        trace: own.trace.or(around.trace),
        trace_state: own.trace_state.or_else(|| around.trace_state.clone()),
        session: own.session.or_else(|| around.session.clone()),
        headers,
    }
}
