//! The whole mesh as one MCP server: tools, prompts and resources of all agents of a namespace.
//!
//! Nothing is kept that the mesh does not know: which tools there are comes from gossip, how they look from the agents
//! themselves, who are asked when a client wants to know. A tool is called as any other, balanced and failed over.

mod directory;
mod link;
mod names;
mod passage;
mod session;
mod shelf;
mod tools;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use mesh_gossip::resolve::Resolver;
use rmcp::ServerHandler;
use tokio::sync::watch;
use tokio::time::sleep;

use self::directory::Directory;
use self::session::Session;
use self::shelf::Shelf;
use self::wire::Wire;
use crate::call::Caller;
use crate::call::exchange;
use crate::propagation::Propagation;

/// How long changes are collected before clients are told: a rolling restart is one change, not fifty.
const COLLECT: Duration = Duration::from_millis(200);

/// The mesh behind one endpoint. Cheap to clone; all clones share what is known of the agents.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    caller: Caller,
    namespace: Arc<str>,
    propagation: Propagation,
    wire: Wire,
    resolver: Resolver,
    shelf: Shelf,
    /// The directory of this epoch of the catalog.
    directory: ArcSwapOption<(u64, Arc<Directory>)>,
    changes: watch::Sender<Changes>,
}

/// How often what clients were shown has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Changes {
    tools: u64,
    agents: u64,
}

impl Gateway {
    /// Everything in the namespace of `caller`'s node; `own` answers for that node itself, and `propagation` says which
    /// headers travel on.
    pub fn new(caller: Caller, own: Arc<dyn exchange::Answer>, propagation: Propagation) -> Self {
        let wire = Wire::new(Arc::clone(caller.gossip()), own, &caller.settings().clients);
        let namespace = Arc::clone(&caller.settings().namespace);
        let (resolver, shelf) = (Resolver::new(), Shelf::default());
        let (directory, changes) = (ArcSwapOption::empty(), watch::Sender::default());
        let inner = Inner { caller, namespace, propagation, wire, resolver, shelf, directory, changes };
        Self { inner: Arc::new(inner) }
    }

    /// The handler for one MCP session, or for one request outside of any.
    pub fn session(&self) -> impl ServerHandler + use<> {
        Session::new(Arc::clone(&self.inner))
    }

    /// Watches the mesh and lets clients know what comes and goes, for as long as it is polled.
    pub async fn watch(self) {
        let mut views = self.inner.caller.gossip().watch();
        let mut last = self.inner.directory().signature();
        while views.changed().await.is_ok() {
            sleep(COLLECT).await;
            views.mark_unchanged();
            let now = self.inner.directory().signature();
            let agents = !now.keys().eq(last.keys());
            if now != last {
                self.inner.changes.send_modify(|changes| {
                    changes.tools += 1;
                    changes.agents += u64::from(agents);
                });
                last = now;
            }
        }
    }
}

impl Inner {
    /// Who there is now.
    fn directory(&self) -> Arc<Directory> {
        let view = self.caller.gossip().view();
        let epoch = view.catalog().epoch();
        if let Some(known) = &*self.directory.load()
            && known.0 == epoch
        {
            return Arc::clone(&known.1);
        }
        let directory = Arc::new(Directory::of(&view, &self.resolver, &self.namespace));
        self.directory.store(Some(Arc::new((epoch, Arc::clone(&directory)))));
        directory
    }
}
