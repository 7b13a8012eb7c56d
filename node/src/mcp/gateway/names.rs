//! What things of many agents are called behind one endpoint: `agent.thing` always, `thing` while it is unique.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A thing of an agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Thing {
    /// Whose it is.
    pub(super) agent: Arc<str>,
    /// What it calls it.
    pub(super) name: Arc<str>,
}

/// The names of all things of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    things: BTreeSet<Thing>,
    /// How many agents have a thing of that name.
    owners: BTreeMap<Arc<str>, usize>,
}

impl Thing {
    /// The name that it has as long as it exists.
    pub(super) fn full(&self) -> String {
        format!("{}.{}", self.agent, self.name)
    }
}

impl FromIterator<Thing> for Names {
    fn from_iter<I: IntoIterator<Item = Thing>>(things: I) -> Self {
        let things: BTreeSet<Thing> = things.into_iter().collect();
        let mut owners = BTreeMap::new();
        for thing in &things {
            *owners.entry(thing.name.clone()).or_default() += 1;
        }
        Self { things, owners }
    }
}

impl Names {
    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Thing> {
        self.things.iter()
    }

    /// Under which name clients are shown `thing`.
    pub(super) fn shown(&self, thing: &Thing) -> String {
        let is_unique = self.owners.get(&thing.name) == Some(&1) && self.split(&thing.name).is_none();
        if is_unique { thing.name.to_string() } else { thing.full() }
    }

    /// What is called `name`: the full name first, which nothing can take away.
    ///
    /// # Errors
    /// The full names among which the client has to choose; none when there is no such thing.
    pub(super) fn find(&self, name: &str) -> Result<Thing, Vec<String>> {
        if let Some(thing) = self.split(name) {
            return Ok(thing);
        }
        let mut called: Vec<&Thing> = self.things.iter().filter(|thing| *thing.name == *name).collect();
        match (called.pop(), called.is_empty()) {
            (Some(thing), true) => Ok(thing.clone()),
            (last, _) => Err(called.into_iter().chain(last).map(Thing::full).collect()),
        }
    }

    /// The thing whose full name it is. Names of agents have no dots.
    fn split(&self, name: &str) -> Option<Thing> {
        let (agent, name) = name.split_once('.')?;
        let thing = Thing { agent: agent.into(), name: name.into() };
        self.things.contains(&thing).then_some(thing)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn thing(agent: &str, name: &str) -> Thing {
        Thing { agent: agent.into(), name: name.into() }
    }

    #[test]
    fn a_bare_name_works_while_it_is_unique_and_the_full_name_always() {
        let names: Names = [thing("a", "add"), thing("b", "add"), thing("b", "mul")].into_iter().collect();
        assert_eq!(names.shown(&thing("b", "mul")), "mul");
        assert_eq!(names.shown(&thing("a", "add")), "a.add");
        assert_eq!(names.find("mul").unwrap(), thing("b", "mul"));
        assert_eq!(names.find("b.mul").unwrap(), thing("b", "mul"));
        assert_eq!(names.find("add").unwrap_err(), ["a.add", "b.add"]);
        assert_eq!(names.find("div").unwrap_err(), [""; 0]);
    }

    #[test]
    fn a_bare_name_does_not_take_a_full_one_away() {
        let names: Names = [thing("a", "b.c"), thing("a", "x"), thing("z", "a.x")].into_iter().collect();
        assert_eq!(names.find("a.x").unwrap(), thing("a", "x"));
        assert_eq!(names.shown(&thing("z", "a.x")), "z.a.x");
        assert_eq!(names.find("z.a.x").unwrap(), thing("z", "a.x"));
        assert_eq!(names.find("b.c").unwrap(), thing("a", "b.c"));
    }
}
