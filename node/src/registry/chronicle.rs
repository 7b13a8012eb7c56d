//! From what a seed sees to what is worth an event. Pure: what is seen comes in, events go out.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use mesh_gossip::View;
use mesh_gossip::catalog::{AgentEntry, AgentType, Standing, Status};
use serde::Serialize;
use serde_json::{Value, json};

use super::store::{Event, EventType};
use crate::admin::timestamp::Timestamp;
use crate::admin::wire::AuditTrace;
use crate::offers::{ROLE_LABEL, TRANSPORT_LABEL, TRANSPORT_MESH, VERSION_LABEL};

/// How long agents that an earlier process knew may take to be seen again.
const SEEN_AGAIN_WITHIN: Duration = Duration::from_secs(30);

/// The most dependencies whose last resolution is remembered, so that the same is not told twice.
const MAX_PLACES: usize = 65_536;

/// One agent, as somebody says or sees that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The name that it shares with its replicas.
    pub(super) name: String,
    /// What kind of agent it is.
    pub(super) agent_type: AgentType,
    /// Its own version.
    pub(super) version: String,
    /// How it fares.
    pub(super) condition: Condition,
}

/// How an agent fares, as far as events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Condition {
    /// It said goodbye.
    Gone,
    /// It does not work, or fell silent.
    Ill,
    /// The seed that speaks for it is gone: another one may take over.
    Unsure,
    /// It works.
    Healthy,
}

/// What was last told of everybody.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    agents: BTreeMap<String, Known>,
    /// By consumer, function and place among its dependencies.
    resolved: BTreeMap<(String, String, usize), Last>,
}

/// What was last told of a dependency: enough to see whether something else is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Last {
    /// The agent that was chosen.
    agent: Option<String>,
    chosen: u64,
    stages: u64,
}

#[derive(Clone, Debug)]
struct Known {
    seen: Seen,
    /// When it was last told of.
    since: Timestamp,
    /// Since when an earlier process, or another seed, alone vouches for it.
    unsure_since: Option<Timestamp>,
    /// Only an earlier process saw it.
    is_stale: bool,
}

impl Chronicle {
    /// Continues what an earlier process wrote: the last event of each agent.
    pub(super) fn resume(last: Vec<Event>, now: Timestamp) -> Self {
        let known = last.into_iter().map(|event| {
            let text = |key: &str| event.data.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let condition = match event.event_type {
                EventType::Unregister => Condition::Gone,
                EventType::Unhealthy => Condition::Ill,
                _ => Condition::Healthy,
            };
            let seen = Seen {
                name: event.agent_name.clone().unwrap_or_default(),
                agent_type: AgentType::from(text("agent_type")),
                version: text("version"),
                condition,
            };
            let unsure_since = Some(now).filter(|_| condition == Condition::Healthy);
            (event.agent_id, Known { seen, since: event.timestamp, unsure_since, is_stale: true })
        });
        Self { agents: known.collect(), resolved: BTreeMap::new() }
    }

    /// Takes in all agents that can be seen; those that `is_told` hold for are not judged by it, because somebody tells of
    /// them. `patience` is how long agents of a seed that is gone may take to be spoken for again.
    pub(super) fn look(
        &mut self,
        present: BTreeMap<String, Seen>,
        told: &BTreeSet<String>,
        patience: Duration,
        now: Timestamp,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for (agent, seen) in &present {
            if !told.contains(agent) {
                events.extend(self.pass_to(agent, seen.clone(), patience, now));
            }
        }
        let absent = |agent: &&String| !present.contains_key(*agent) && !told.contains(*agent);
        let absent: Vec<String> = self.agents.keys().filter(absent).cloned().collect();
        for agent in absent {
            let Some(known) = self.agents.get_mut(&agent) else { continue };
            if known.seen.condition < Condition::Unsure {
                // Everybody knows that it is not there: nothing happened to it.
                known.seen.condition = Condition::Gone;
                continue;
            }
            let (condition, patience) = match known.is_stale {
                true => (Condition::Unsure, SEEN_AGAIN_WITHIN),
                false => (Condition::Gone, patience),
            };
            let seen = Seen { condition, ..known.seen.clone() };
            events.extend(self.pass_to(&agent, seen, patience, now));
        }
        events
    }

    /// Takes in what the owner of an agent says of it.
    pub(super) fn hear(&mut self, agent: &str, seen: Seen, now: Timestamp) -> Option<Event> {
        self.pass_to(agent, seen, Duration::ZERO, now)
    }

    /// Whether `trace` is worth an event: another choice, or other reasons among several candidates.
    pub(super) fn resolve(&mut self, agent_name: &str, function: &str, mut trace: AuditTrace) -> Option<Event> {
        let place = (trace.consumer.clone(), function.to_owned(), trace.dep_index);
        let last = Last::of(&trace);
        let prior = self.resolved.get(&place);
        if !is_news(&trace, &last, prior) {
            return None;
        }
        let before = prior.and_then(|prior| prior.agent.clone());
        if prior.is_some() || self.resolved.len() < MAX_PLACES {
            self.resolved.insert(place, last);
        }
        let now = trace.chosen.as_ref().map(|chosen| chosen.agent_id.clone());
        trace.prior_chosen = trace.prior_chosen.or(before).filter(|before| Some(before) != now.as_ref());
        let kind = if now.is_some() { EventType::DependencyResolved } else { EventType::DependencyUnresolved };
        let data = serde_json::to_value(&trace).expect("a trace has only texts for keys");
        let event = Event::now(kind, trace.consumer, agent_name).with(data);
        Some(Event { function_name: Some(function.to_owned()), ..event })
    }

    /// Forgets an agent that was dropped everywhere.
    pub(super) fn forget(&mut self, agent: &str) {
        self.agents.remove(agent);
        self.resolved.retain(|(consumer, ..), _| consumer != agent);
    }

    /// Everybody of whom anything is known.
    pub(super) fn known(&self) -> BTreeSet<String> {
        let here = |known: &&Known| known.seen.condition >= Condition::Unsure;
        self.agents.iter().filter(|(_, known)| here(known)).map(|(agent, _)| agent.clone()).collect()
    }

    /// Forgets those who have not been there since `before`.
    pub(super) fn forget_gone(&mut self, before: Timestamp) {
        self.agents.retain(|_, known| known.seen.condition >= Condition::Unsure || known.since >= before);
        let agents = &self.agents;
        self.resolved.retain(|(consumer, ..), _| agents.contains_key(consumer));
    }

    fn pass_to(&mut self, agent: &str, seen: Seen, patience: Duration, now: Timestamp) -> Option<Event> {
        let before = self.agents.get(agent);
        let was = before.map(|known| known.seen.condition);
        let since = before.and_then(|known| known.unsure_since);
        let is_stale = before.is_some_and(|known| known.is_stale) && seen.condition == Condition::Unsure;
        let mut seen = seen;
        if seen.condition == Condition::Unsure {
            // Nobody can be less than unsure of an agent that was not healthy.
            let doubted_since = match (was, since) {
                (Some(Condition::Gone | Condition::Ill) | None, _) => return None,
                (_, Some(since)) => since,
                (_, None) => now,
            };
            if u128::from(now.since(doubted_since)) < patience.as_millis() {
                let known = Known {
                    seen: Seen { condition: Condition::Healthy, ..seen },
                    since: now,
                    unsure_since: Some(doubted_since),
                    is_stale,
                };
                self.agents.insert(agent.to_owned(), known);
                return None;
            }
            seen.condition = Condition::Ill;
        }
        let event = match (was, seen.condition) {
            (None, Condition::Healthy) => Some(came(agent, &seen)),
            (None, _) => None,
            (Some(was), is) if was == is => None,
            (Some(was), Condition::Healthy) => Some(recovered(agent, &seen, was, now)),
            (Some(_), Condition::Gone) => Some(left(agent, &seen)),
            (Some(Condition::Gone), Condition::Ill) => None,
            (Some(_), _) if is_stale => Some(stale(agent, &seen)),
            (Some(was), _) => Some(fell_ill(agent, &seen, was, now)),
        };
        let is_quiet = seen.agent_type == AgentType::Api;
        self.agents.insert(agent.to_owned(), Known { seen, since: now, unsure_since: None, is_stale: false });
        event.filter(|_| !is_quiet)
    }
}

/// Everybody in `view` but the seeds and clients; of two that speak for one agent the better one counts.
pub(super) fn present(view: &View) -> BTreeMap<String, Seen> {
    let mut present: BTreeMap<String, Seen> = BTreeMap::new();
    for entry in view.catalog().agents() {
        let Some(offers) = entry.offers.filter(|offers| !offers.labels.contains_key(ROLE_LABEL)) else { continue };
        let seen = Seen {
            name: offers.name.to_string(),
            agent_type: offers.agent_type.clone(),
            version: offers.labels.get(VERSION_LABEL).cloned().unwrap_or_default(),
            condition: condition(&entry),
        };
        match present.get(offers.agent.as_str()) {
            Some(other) if other.condition >= seen.condition => {}
            _ => drop(present.insert(offers.agent.to_string(), seen)),
        }
    }
    present
}

fn condition(entry: &AgentEntry<'_>) -> Condition {
    let is_own =
        entry.offers.and_then(|offers| offers.labels.get(TRANSPORT_LABEL)).is_some_and(|at| at == TRANSPORT_MESH);
    let status = entry.health.map(|health| health.status).unwrap_or_default();
    match (entry.standing, status) {
        (_, Status::Unhealthy | Status::Unknown) => Condition::Ill,
        (Standing::Gone, _) if is_own => Condition::Ill,
        (Standing::Gone, _) => Condition::Unsure,
        _ => Condition::Healthy,
    }
}

impl Last {
    fn of(trace: &AuditTrace) -> Self {
        let agent = trace.chosen.as_ref().map(|chosen| chosen.agent_id.clone());
        Self { agent, chosen: fingerprint(&trace.chosen), stages: fingerprint(&trace.stages) }
    }
}

fn fingerprint(value: &impl Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_vec(value).expect("a trace has only texts for keys").hash(&mut hasher);
    hasher.finish()
}

fn is_news(trace: &AuditTrace, last: &Last, prior: Option<&Last>) -> bool {
    let contested = trace.stages.iter().any(|stage| stage.kept.len() + stage.evicted.len() >= 2);
    let evicted = trace.stages.iter().any(|stage| !stage.evicted.is_empty());
    let worthy = contested || (trace.chosen.is_none() && evicted);
    match prior {
        None => worthy || trace.chosen.is_some(),
        Some(prior) => last.chosen != prior.chosen || (worthy && last.stages != prior.stages),
    }
}

fn came(agent: &str, seen: &Seen) -> Event {
    let data = json!({"agent_type": kind(seen), "name": seen.name, "version": seen.version});
    Event::now(EventType::Register, agent, seen.name.as_str()).with(data)
}

fn left(agent: &str, seen: &Seen) -> Event {
    let data = json!({
        "agent_type": kind(seen), "name": seen.name, "version": seen.version, "reason": "graceful_shutdown",
        "source": "delete_endpoint",
    });
    Event::now(EventType::Unregister, agent, seen.name.as_str()).with(data)
}

fn stale(agent: &str, seen: &Seen) -> Event {
    let data = json!({
        "agent_type": kind(seen), "name": seen.name, "version": seen.version, "previous_status": "healthy",
        "reason": "stale_on_startup", "threshold_seconds": SEEN_AGAIN_WITHIN.as_secs(),
    });
    Event::now(EventType::Unhealthy, agent, seen.name.as_str()).with(data)
}

fn recovered(agent: &str, seen: &Seen, was: Condition, now: Timestamp) -> Event {
    let description = format!("Agent {agent} is healthy again");
    Event::now(EventType::Register, agent, seen.name.as_str()).with(changed(seen, was, now, "recovery", description))
}

fn fell_ill(agent: &str, seen: &Seen, was: Condition, now: Timestamp) -> Event {
    let description = format!("Agent {agent} is not healthy any more");
    let data = changed(seen, was, now, "health_degradation", description);
    Event::now(EventType::Unhealthy, agent, seen.name.as_str()).with(data)
}

fn changed(seen: &Seen, was: Condition, now: Timestamp, reason: &str, description: String) -> Value {
    let (old, new) = (status(was), status(seen.condition));
    json!({
        "agent_type": kind(seen), "name": seen.name, "version": seen.version, "reason": reason, "old_status": old,
        "new_status": new, "detected_at": now, "source": "status_change_hook",
        "transition_type": format!("{old}_to_{new}"), "description": description,
    })
}

fn kind(seen: &Seen) -> String {
    seen.agent_type.clone().into()
}

fn status(condition: Condition) -> &'static str {
    match condition {
        Condition::Healthy | Condition::Unsure => "healthy",
        Condition::Ill | Condition::Gone => "unhealthy",
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use mesh_gossip::catalog::AgentType;
    use serde_json::json;

    use super::{Chronicle, Condition, Event, Seen};
    use crate::admin::timestamp::Timestamp;
    use crate::admin::wire::{AuditTrace, Chosen, SpecInfo, StageInfo};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn seen(condition: Condition) -> Seen {
        Seen { name: "hello".into(), agent_type: AgentType::Mcp, version: "1.0.0".into(), condition }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    fn look(chronicle: &mut Chronicle, agents: &[(&str, Condition)], now: u64) -> Vec<(String, String)> {
        let present = agents.iter().map(|(agent, condition)| ((*agent).to_owned(), seen(*condition)));
        words(chronicle.look(present.collect(), &BTreeSet::new(), PATIENCE, at(now)))
    }

    fn words(events: Vec<Event>) -> Vec<(String, String)> {
        let word =
            |event: &Event| event.data.get("reason").map_or("new".to_owned(), |why| why.as_str().unwrap().to_owned());
        events.iter().map(|event| (event.event_type.word().to_owned(), word(event))).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(kind, why)| ((*kind).to_owned(), (*why).to_owned())).collect()
    }

    #[test]
    fn an_agent_comes_falls_ill_recovers_and_leaves_and_each_is_told_once() {
        let mut chronicle = Chronicle::default();
        for (condition, told) in [
            (Condition::Healthy, pairs(&[("register", "new")])),
            (Condition::Ill, pairs(&[("unhealthy", "health_degradation")])),
            (Condition::Healthy, pairs(&[("register", "recovery")])),
        ] {
            assert_eq!(look(&mut chronicle, &[("a", condition)], 1), told);
            assert_eq!(look(&mut chronicle, &[("a", condition)], 2), []);
        }
        assert_eq!(look(&mut chronicle, &[], 3), pairs(&[("unregister", "graceful_shutdown")]));
        assert_eq!(look(&mut chronicle, &[], 4), []);
        assert_eq!(look(&mut chronicle, &[("a", Condition::Healthy)], 5), pairs(&[("register", "recovery")]));
    }

    #[test]
    fn an_agent_whose_seed_is_gone_has_time_to_be_spoken_for_by_another() {
        let mut chronicle = Chronicle::default();
        look(&mut chronicle, &[("a", Condition::Healthy), ("b", Condition::Healthy)], 0);
        assert_eq!(look(&mut chronicle, &[("a", Condition::Unsure), ("b", Condition::Unsure)], 10), []);
        assert_eq!(look(&mut chronicle, &[("a", Condition::Healthy), ("b", Condition::Unsure)], 20), []);
        let told = look(&mut chronicle, &[("a", Condition::Healthy), ("b", Condition::Unsure)], 30);
        assert_eq!(told, pairs(&[("unhealthy", "health_degradation")]));
    }

    #[test]
    fn after_a_restart_only_those_who_do_not_come_back_are_told_of() {
        let mut former = Chronicle::default();
        let present: BTreeMap<_, _> = ["a", "b"].map(|agent| (agent.to_owned(), seen(Condition::Healthy))).into();
        let written = former.look(present, &BTreeSet::new(), PATIENCE, at(0));
        let mut chronicle = Chronicle::resume(written, at(100));
        assert_eq!(look(&mut chronicle, &[], 101), [], "nobody was there yet");
        assert_eq!(look(&mut chronicle, &[("a", Condition::Healthy)], 102), []);
        assert_eq!(
            look(&mut chronicle, &[("a", Condition::Healthy)], 131),
            pairs(&[("unhealthy", "stale_on_startup")])
        );
        assert_eq!(look(&mut chronicle, &[("a", Condition::Healthy)], 140), []);
    }

    #[test]
    fn nothing_is_told_of_who_only_consumes_and_who_is_told_of_by_somebody() {
        let mut chronicle = Chronicle::default();
        let api = Seen { agent_type: AgentType::Api, ..seen(Condition::Healthy) };
        assert_eq!(words(chronicle.look([("a".to_owned(), api)].into(), &BTreeSet::new(), PATIENCE, at(0))), []);
        let told: BTreeSet<String> = ["b".to_owned()].into();
        let present = || [("b".to_owned(), seen(Condition::Healthy))].into();
        assert_eq!(words(chronicle.look(present(), &told, PATIENCE, at(0))), []);
        chronicle.hear("b", seen(Condition::Healthy), at(1)).unwrap();
        assert_eq!(words(chronicle.look(BTreeMap::new(), &told, PATIENCE, at(2))), []);
    }

    fn trace(candidates: &[&str], chosen: Option<&str>) -> AuditTrace {
        let chosen = chosen.map(|agent| Chosen {
            agent_id: agent.to_owned(),
            endpoint: String::new(),
            function_name: "f".to_owned(),
        });
        let kept = candidates.iter().map(|agent| format!("{agent}:f")).collect();
        let stage = StageInfo { stage: "health".into(), kept, evicted: Vec::new(), chosen: None, reason: None };
        let spec = SpecInfo {
            capability: "c".into(),
            tags: Vec::new(),
            version_constraint: String::new(),
            schema_mode: "none".into(),
        };
        AuditTrace { consumer: "me".into(), dep_index: 0, spec, stages: vec![stage], chosen, prior_chosen: None }
    }

    #[test]
    fn a_resolution_is_told_when_somebody_else_is_chosen_or_reasons_differ() {
        let mut chronicle = Chronicle::default();
        let mut tell = |trace| chronicle.resolve("me", "f", trace).map(|event| json!(event));
        assert!(tell(trace(&[], None)).is_none(), "nobody was there to be chosen from");
        let first = tell(trace(&["a"], Some("a"))).unwrap();
        assert_eq!(
            (&first["event_type"], &first["data"]["chosen"]["agent_id"]),
            (&json!("dependency_resolved"), &json!("a"))
        );
        assert!(tell(trace(&["a"], Some("a"))).is_none(), "the same again");
        assert!(tell(trace(&["a", "b"], Some("a"))).is_some(), "there is a choice now");
        let moved = tell(trace(&["a", "b"], Some("b"))).unwrap();
        assert_eq!(moved["data"]["prior_chosen"], "a");
        let lost = tell(trace(&[], None)).unwrap();
        assert_eq!(
            (&lost["event_type"], &lost["data"]["prior_chosen"]),
            (&json!("dependency_unresolved"), &json!("b"))
        );
        assert!(tell(trace(&[], None)).is_none());
    }
}
