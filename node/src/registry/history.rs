//! Keeps the history of the mesh as this seed sees it: writes events and schemas to the store, and tells whoever watches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::View;
use mesh_gossip::catalog::{AgentId, Offers};
use mesh_gossip::schema::{Digest, canonical};
use serde_json::value::RawValue;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Registry;
use super::chronicle::{Chronicle, Condition, Seen, present};
use super::events::{Event as Told, EventKind, Resolved};
use super::store::{Event, EventType, Known, Schema, Store};
use crate::admin::explain;
use crate::admin::timestamp::Timestamp;
use crate::admin::wire::{AuditTrace, Chosen};
use crate::offers::{ROLE_LABEL, RUNTIME_LABEL};

/// How many events wait for a slow watcher; older ones are lost to it.
const WATCHED: usize = 256;

/// How long changes gather before they are looked at, so that thousands who arrive at once are looked at a few times.
const GATHER: Duration = Duration::from_millis(100);

/// How often those are judged who are waited for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The most schemas that are remembered as written.
const MAX_SCHEMAS: usize = 10_000;

/// Where history is told, and read. Cheap to clone.
#[derive(Clone)]
pub(super) struct History {
    store: Store,
    watchers: broadcast::Sender<Arc<Event>>,
}

impl History {
    /// A history in `store`.
    pub(super) fn new(store: Store) -> Self {
        Self { store, watchers: broadcast::Sender::new(WATCHED) }
    }

    /// What was written.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// All events from now on. Who is too slow loses the oldest ones.
    pub(super) fn watch(&self) -> broadcast::Receiver<Arc<Event>> {
        self.watchers.subscribe()
    }

    /// Writes an event down, and tells whoever watches.
    pub(super) fn tell(&self, event: Event) {
        if self.watchers.receiver_count() > 0 {
            // The last of them may have gone in this moment.
            let _ = self.watchers.send(Arc::new(event.clone()));
        }
        self.store.record(event);
    }

    /// Follows the view of `registry`, and what it does, until the node stops.
    pub(super) async fn keep(self, registry: Registry, told: broadcast::Receiver<Told>) {
        let last = self.store.last_known().await.unwrap_or_else(|why| {
            tracing::warn!(%why, "nothing is known of the time before this start");
            Vec::new()
        });
        let chronicle = Chronicle::resume(last, Timestamp::now());
        Keeper { history: self, registry, chronicle, epoch: None, schemas: BTreeSet::new(), offers: BTreeMap::new() }
            .run(told)
            .await;
    }
}

/// The one task behind a history.
struct Keeper {
    history: History,
    registry: Registry,
    chronicle: Chronicle,
    /// Of the catalog that was looked at last.
    epoch: Option<u64>,
    /// Those that were handed to the store.
    schemas: BTreeSet<Digest>,
    /// What was offered when schemas were last looked for.
    offers: BTreeMap<AgentId, Arc<Offers>>,
}

impl Keeper {
    async fn run(mut self, mut told: broadcast::Receiver<Told>) {
        let mut views = self.registry.gossip().watch();
        let mut sweep = interval(self.registry.config().sweep_interval);
        let mut again = interval(LOOK_AGAIN);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                event = told.recv() => match event {
                    Ok(event) => self.hear(event),
                    Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "too much happened to write it all down"),
                    Err(RecvError::Closed) => return,
                },
                changed = views.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    sleep(GATHER).await;
                    let view = views.borrow_and_update().clone();
                    self.look(&view);
                }
                _ = again.tick() => {
                    self.epoch = None;
                    let view = self.registry.gossip().view();
                    self.look(&view);
                }
                _ = sweep.tick() => self.sweep(),
            }
        }
    }

    /// Our own agents are told of by whoever keeps their leases; everybody else is judged by the view.
    fn look(&mut self, view: &View) {
        let epoch = view.catalog().epoch();
        if self.epoch.replace(epoch) == Some(epoch) {
            return;
        }
        let own = view.catalog().agents().filter(|agent| agent.owner.member == view.me());
        let own: BTreeSet<String> = own.map(|agent| agent.owner.agent.to_string()).collect();
        let patience = self.registry.config().heartbeat_timeout;
        let events = self.chronicle.look(present(view), &own, patience, Timestamp::now());
        events.into_iter().for_each(|event| self.history.tell(event));
        self.keep_schemas(view);
    }

    fn hear(&mut self, told: Told) {
        let condition = match told.kind {
            EventKind::Registered | EventKind::Recovered | EventKind::Inherited => Condition::Healthy,
            EventKind::Unregistered => Condition::Gone,
            EventKind::Unhealthy { .. } => Condition::Ill,
            EventKind::Purged => return self.chronicle.forget(told.agent.as_str()),
            EventKind::Resolved(resolved) => return self.resolve(&told.agent, &told.name, &resolved),
            EventKind::Rotated => {
                let event = Event::now(EventType::Rotate, told.agent.as_str(), told.name.as_str());
                let data = serde_json::json!({
                    "agent_id": told.agent.as_str(), "name": told.name, "entity_id": "", "reason": "cert_rotation",
                });
                return self.history.tell(event.with(data));
            }
            EventKind::Updated => return,
        };
        let seen = Seen { name: told.name, agent_type: told.agent_type, version: told.version, condition };
        if let Some(event) = self.chronicle.hear(told.agent.as_str(), seen, told.at) {
            self.history.tell(event);
        }
    }

    /// What was answered may be another replica than the one that the resolver puts first.
    fn resolve(&mut self, agent: &AgentId, name: &str, resolved: &Resolved) {
        let bound = &resolved.bound;
        let chosen = (!bound.agent_id.is_empty()).then(|| Chosen {
            agent_id: bound.agent_id.clone(),
            endpoint: bound.endpoint.clone(),
            function_name: bound.function_name.clone(),
        });
        let mut stages = explain::stages(&resolved.resolution);
        if let (Some(last), Some(chosen)) = (stages.last_mut(), &chosen) {
            last.chosen = Some(format!("{}:{}", chosen.agent_id, chosen.function_name));
        }
        let trace = AuditTrace {
            consumer: agent.to_string(),
            dep_index: resolved.index,
            spec: explain::spec(resolved.resolution.explanation.selector()),
            stages,
            chosen,
            prior_chosen: resolved.before.clone(),
        };
        if let Some(event) = self.chronicle.resolve(name, &resolved.function, trace) {
            self.history.tell(event);
        }
    }

    /// Schemas that arrive later than the offers that name them are found when those are looked at again.
    fn keep_schemas(&mut self, view: &View) {
        let mut offers = BTreeMap::new();
        for (agent, offered) in view.catalog().agents().filter_map(|entry| Some((&entry.owner.agent, entry.offers?))) {
            let is_known = self.offers.get(agent).is_some_and(|known| Arc::ptr_eq(known, offered));
            let runtime = offered.labels.get(RUNTIME_LABEL).map_or("unknown", String::as_str);
            if is_known || offered.labels.contains_key(ROLE_LABEL) || self.put_schemas(view, offered, runtime) {
                offers.insert(agent.clone(), Arc::clone(offered));
            }
        }
        self.offers = offers;
    }

    /// Says whether all schemas of `offers` were there.
    fn put_schemas(&mut self, view: &View, offers: &Offers, runtime: &str) -> bool {
        let mut is_complete = true;
        for digest in offers.tools.iter().flat_map(|tool| tool.input.iter().chain(&tool.output)) {
            if self.schemas.contains(digest) || self.schemas.len() >= MAX_SCHEMAS {
                continue;
            }
            let Some(schema) = view.schemas().get(digest) else {
                is_complete = false;
                continue;
            };
            if let Ok(canonical) = RawValue::from_string(canonical::text(schema)) {
                let (hash, runtime_origin) = (digest.to_string(), runtime.to_owned());
                self.history.store.keep_schema(Schema {
                    hash,
                    canonical,
                    runtime_origin,
                    created_at: Timestamp::now(),
                });
                self.schemas.insert(*digest);
            }
        }
        is_complete
    }

    fn sweep(&mut self) {
        let view = self.registry.gossip().view();
        let digests = view.catalog().agents().filter_map(|agent| agent.offers).flat_map(|offers| &offers.tools);
        let named: BTreeSet<Digest> = digests.flat_map(|tool| tool.input.iter().chain(&tool.output)).copied().collect();
        self.schemas.retain(|digest| named.contains(digest));
        let schemas = named.iter().map(ToString::to_string).collect();
        let now = Timestamp::now();
        self.history.store.sweep(Known { agents: self.chronicle.known(), schemas, at: now });
        if let Some(retention) = self.registry.config().retention {
            let retention = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
            self.chronicle.forget_gone(Timestamp(now.0.saturating_sub(retention)));
        }
    }
}
