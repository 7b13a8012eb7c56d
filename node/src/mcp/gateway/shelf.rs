//! What agents say about themselves, asked for when somebody wants to know and remembered for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use mesh_gossip::catalog::Offers;
use serde_json::Value;
use tokio::time::Instant;

use super::directory::{Agent, Directory};
use super::wire::Wire;
use crate::tool::JsonObject;

/// How many agents are asked at once.
const AT_ONCE: usize = 32;

/// How long an agent is waited for. Whoever is slower is listed as it was last, or as its offers say.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer counts, and how long a silence.
const FRESH: Duration = Duration::from_secs(10);

/// How many pages a list may have.
const PAGES: usize = 64;

/// The most items of one list.
const MAX_ITEMS: usize = 4096;

/// A list that agents have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum List {
    Tools,
    Prompts,
    Resources,
    Templates,
}

/// The items of one list of one agent, as it wrote them.
pub(super) type Items = Arc<[Value]>;

/// The lists of all agents.
#[derive(Default)]
pub(super) struct Shelf {
    known: Mutex<BTreeMap<(Arc<str>, List), Known>>,
}

struct Known {
    items: Items,
    /// What the agent offered when it was asked.
    offers: Arc<Offers>,
    asked: Instant,
}

impl List {
    fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }
}

impl Shelf {
    /// This list of every agent in `directory`, in order of their names. Asks those of whom nothing fresh is known, many at
    /// once and none for longer than two seconds.
    pub(super) async fn all(&self, wire: &Wire, directory: &Directory, list: List) -> Vec<(Arc<str>, Items)> {
        self.forget_others(directory);
        let mut asked: Vec<BoxFuture<'_, (Arc<str>, Items)>> = Vec::with_capacity(directory.agents.len());
        for (name, agent) in &directory.agents {
            asked.push(Box::pin(async move { (Arc::clone(name), self.of(wire, name, agent, list).await) }));
        }
        stream::iter(asked).buffered(AT_ONCE).collect().await
    }

    /// This list of one agent.
    async fn of(&self, wire: &Wire, name: &Arc<str>, agent: &Agent, list: List) -> Items {
        let key = (name.clone(), list);
        let Some(first) = agent.replicas.first() else { return Arc::from([]) };
        let last = self.known().get(&key).map(|known| {
            let is_fresh = known.asked.elapsed() < FRESH && known.offers == first.offers;
            (Arc::clone(&known.items), is_fresh)
        });
        if let Some((items, true)) = &last {
            return Arc::clone(items);
        }
        let items = match fetch(wire, agent, list).await {
            Some(items) => items,
            None => last.map_or_else(|| Arc::from([]), |(items, _)| items),
        };
        let offers = Arc::clone(&first.offers);
        self.known().insert(key, Known { items: Arc::clone(&items), offers, asked: Instant::now() });
        items
    }

    /// What an agent said last, if it did; nobody is asked.
    pub(super) fn last(&self, name: &Arc<str>, list: List) -> Option<Items> {
        self.known().get(&(name.clone(), list)).map(|known| Arc::clone(&known.items))
    }

    fn forget_others(&self, directory: &Directory) {
        self.known().retain(|(name, _), _| directory.agents.contains_key(name));
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<(Arc<str>, List), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole list, of the first replica that has an answer. `None`: nobody answered. Whoever refuses has none.
async fn fetch(wire: &Wire, agent: &Agent, list: List) -> Option<Items> {
    let deadline = Instant::now() + PATIENCE;
    'replicas: for replica in &agent.replicas {
        let mut items = Vec::new();
        let mut params = JsonObject::new();
        for _ in 0..PAGES {
            let mut page = match wire.ask(replica, list.method(), params, deadline).await {
                Ok(page) => page,
                Err(error) if error.is_final() => {
                    tracing::debug!(agent = %replica.owner.agent, %error, "{} is refused", list.method());
                    break;
                }
                Err(error) => {
                    tracing::debug!(agent = %replica.owner.agent, %error, "{} has no answer", list.method());
                    continue 'replicas;
                }
            };
            if let Some(Value::Array(more)) = page.remove(list.field()) {
                items.extend(more);
            }
            match page.remove("nextCursor") {
                Some(cursor @ Value::String(_)) if items.len() < MAX_ITEMS => {
                    params = [("cursor".to_owned(), cursor)].into_iter().collect();
                }
                _ => break,
            }
        }
        items.truncate(MAX_ITEMS);
        return Some(items.into());
    }
    None
}
