//! Whether what an offer requires is itself available, and so on: the least set of offers that hold each other up.
//!
//! A loop of requirements holds nothing up, so it fails closed. Nothing recurses: how deep requirements nest is decided
//! by whoever writes the offers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::schema::SchemaCheck;
use super::selector::Selector;
use crate::catalog::{AgentId, Catalog, Needs, Row, Standing};
use crate::schema::Digest;

mod settle;

/// What an offer lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What it requires.
    pub selector: Box<Selector>,
    /// Why that is not available.
    pub reason: LackReason,
}

/// Why something required is not available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LackReason {
    /// Nobody offers the capability.
    Nobody,
    /// Whoever offers it is of the wrong kind.
    NobodyFits,
    /// This agent fits and is unhealthy or gone.
    Unhealthy(AgentId),
    /// This agent fits and is itself withdrawn.
    Withdrawn(AgentId),
    /// This agent fits, and in the end requires itself.
    Loop(AgentId),
    /// Finding out would take too long.
    Tangled,
}

/// The most offers that are held against requirements to find out about one offer; beyond, it is withdrawn as too
/// tangled. Honest meshes need a few dozen; a liar could ask for a hundred million, at some 30 ns each.
const MAX_CHECKS: usize = 50_000;

/// Finds out what is available. Offers that require the same share the answer.
pub(super) struct Availability<'a> {
    catalog: &'a Catalog,
    pub(super) schemas: SchemaCheck<'a>,
    known: BTreeMap<Needs, State>,
    /// Single requirements, by the namespace of whoever has them, and whether somebody meets them.
    decided: BTreeMap<(&'a Selector, &'a str), bool>,
    /// How many more offers may be looked at for the one in question.
    checks_left: usize,
    touched: BTreeMap<Arc<str>, u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Being looked into: coming back to it is a loop.
    Open,
    Available,
    Withdrawn,
    /// Withdrawn because of a loop.
    Looped,
    /// Withdrawn because finding out takes too long.
    Tangled,
}

/// An offer being looked into, and how far one has come.
struct Frame<'a> {
    row: &'a Row,
    /// The requirement being looked at, among those of the tool.
    need: usize,
    /// The first row of its capability that has not been tried.
    next: usize,
}

/// What to do after the next step of a frame.
enum Step<'a> {
    /// This one decides.
    Ask(&'a Row),
    /// The requirement is met; on to the next one.
    Met,
    /// All are met.
    Done,
    /// One is not.
    Unmet,
}

impl<'a> Availability<'a> {
    pub(super) fn new(catalog: &'a Catalog, schemas: SchemaCheck<'a>) -> Self {
        let (known, decided, touched) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { catalog, schemas, known, decided, checks_left: 0, touched }
    }

    /// Notes that the answer depends on the offers of `capability`.
    pub(super) fn touch(&mut self, capability: &Arc<str>) {
        if !self.touched.contains_key(capability) {
            self.touched.insert(capability.clone(), self.catalog.stamp(capability));
        }
    }

    /// What the answers depended on: capabilities with their stamps, and schemas that were missing.
    pub(super) fn into_traces(self) -> (Vec<(Arc<str>, u64)>, Vec<Digest>) {
        (self.touched.into_iter().collect(), self.schemas.into_pending())
    }

    /// Whether `row` works and everything it requires is available.
    pub(super) fn is_available(&mut self, row: &'a Row) -> bool {
        if !works(row) {
            return false;
        }
        if row.needs == Needs::NOTHING {
            return true;
        }
        match self.known.get(&row.needs) {
            Some(state) => *state == State::Available,
            None => self.search(row),
        }
    }

    /// Tries providers depth first and stops at the first that holds, which is quick. Where it runs into a loop, a "no"
    /// is only a guess, and [`Self::settle`] decides.
    fn search(&mut self, root: &'a Row) -> bool {
        self.checks_left = MAX_CHECKS;
        let mut refused = Vec::new();
        let mut looped = false;
        let mut stack = vec![Frame { row: root, need: 0, next: 0 }];
        self.known.insert(root.needs, State::Open);
        while let Some(frame) = stack.last_mut() {
            let needs = frame.row.needs;
            match self.step(frame, looped) {
                Step::Met => {
                    frame.need += 1;
                    frame.next = 0;
                }
                Step::Ask(provider) if self.known.contains_key(&provider.needs) => looped = true,
                Step::Ask(provider) => {
                    // Comes back to the same provider when it is known.
                    frame.next -= 1;
                    self.known.insert(provider.needs, State::Open);
                    stack.push(Frame { row: provider, need: 0, next: 0 });
                }
                Step::Done => {
                    self.known.insert(needs, State::Available);
                    stack.pop();
                }
                Step::Unmet => {
                    self.known.insert(needs, State::Withdrawn);
                    refused.push(needs);
                    stack.pop();
                }
            }
        }
        let guessed = looped || self.checks_left == 0;
        let found = self.known.get(&root.needs) == Some(&State::Available);
        if !guessed {
            return found;
        }
        for needs in refused {
            self.known.remove(&needs);
        }
        found || {
            self.settle(root);
            self.known.get(&root.needs) == Some(&State::Available)
        }
    }

    fn step(&mut self, frame: &mut Frame<'a>, looped: bool) -> Step<'a> {
        let Some(selector) = frame.row.offer.tool().required().nth(frame.need) else {
            return Step::Done;
        };
        let home: &'a str = &frame.row.offer.offers().namespace;
        if frame.next == 0 {
            self.touch(&selector.capability);
            match self.decided.get(&(selector, home)) {
                Some(true) => return Step::Met,
                Some(false) => return Step::Unmet,
                None => {}
            }
        }
        let rows = self.catalog.rows(&selector.capability);
        while let Some(provider) = rows.get(frame.next) {
            if self.checks_left == 0 {
                return Step::Unmet;
            }
            self.checks_left -= 1;
            frame.next += 1;
            if !works(provider) || !self.fits(selector, home, provider) {
                continue;
            }
            if provider.needs == Needs::NOTHING {
                self.decided.insert((selector, home), true);
                return Step::Met;
            }
            match self.known.get(&provider.needs) {
                Some(State::Available) => {
                    self.decided.insert((selector, home), true);
                    return Step::Met;
                }
                Some(State::Withdrawn | State::Looped | State::Tangled) => {}
                Some(State::Open) | None => return Step::Ask(provider),
            }
        }
        if !looped && self.checks_left > 0 {
            self.decided.insert((selector, home), false);
        }
        Step::Unmet
    }

    /// Whether `provider` is what `selector` asks for, whether it works or not.
    fn fits(&mut self, selector: &Selector, home: &str, provider: &Row) -> bool {
        let tool = provider.offer.tool();
        selector.namespace.includes(&provider.offer.offers().namespace, home)
            && selector.version.allows(&tool.version)
            && selector.tags.score(&tool.tags).is_ok()
            && self.schemas.check(selector.schema.as_ref(), tool).is_ok()
    }

    /// What `row`, which works and is not available, lacks first.
    pub(super) fn lack(&mut self, row: &'a Row) -> Lack {
        let home: &'a str = &row.offer.offers().namespace;
        let is_tangled = self.known.get(&row.needs) == Some(&State::Tangled);
        let lack = row.offer.tool().required().find_map(|selector| {
            let reason = if is_tangled { LackReason::Tangled } else { self.why_unmet(selector, home)? };
            Some(Lack { selector: Box::new(selector.clone()), reason })
        });
        lack.expect("an offer that works is withdrawn only for something it requires")
    }

    fn why_unmet(&mut self, selector: &'a Selector, home: &'a str) -> Option<LackReason> {
        let rows = self.catalog.rows(&selector.capability);
        let mut reason = if rows.is_empty() { LackReason::Nobody } else { LackReason::NobodyFits };
        for provider in rows {
            if !self.fits(selector, home, provider) {
                continue;
            }
            if self.is_available(provider) {
                return None;
            }
            if matches!(reason, LackReason::NobodyFits) {
                let agent = provider.offer.agent().clone();
                let is_looped = self.known.get(&provider.needs) == Some(&State::Looped);
                reason = match works(provider) {
                    false => LackReason::Unhealthy(agent),
                    true if is_looped => LackReason::Loop(agent),
                    true => LackReason::Withdrawn(agent),
                };
            }
        }
        Some(reason)
    }
}

fn works(row: &Row) -> bool {
    row.standing != Standing::Gone && row.status.is_usable()
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capability = &self.selector.capability;
        match &self.reason {
            LackReason::Nobody => write!(f, "requires {capability}, which nobody offers"),
            LackReason::NobodyFits => write!(f, "requires `{}`, which nobody offers", self.selector),
            LackReason::Unhealthy(agent) => write!(f, "requires {capability}, and {agent} is unhealthy or gone"),
            LackReason::Withdrawn(agent) => write!(f, "requires {capability}, and {agent} is itself withdrawn"),
            LackReason::Tangled => write!(f, "requires {capability} and too much else to find out"),
            LackReason::Loop(agent) => write!(f, "requires {capability}, and {agent} in the end requires itself"),
        }
    }
}
