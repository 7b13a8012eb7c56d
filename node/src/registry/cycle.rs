//! Required dependencies that lead back to where they began: such a registration is refused.

use std::collections::{BTreeMap, BTreeSet};

use mesh_gossip::catalog::{AgentId, Offers};

/// Which capabilities a capability requires, as far as somebody who offers it says so.
pub(super) trait Requirements {
    /// The capabilities that offers of `capability` require, those of `agent` left out.
    fn of(&self, capability: &str, agent: &AgentId) -> BTreeSet<String>;
}

/// A cycle that `offers` would close: capabilities from one to itself.
pub(super) fn closed_by(offers: &Offers, others: &dyn Requirements) -> Option<Vec<String>> {
    let mut own: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for tool in offers.tools.iter().filter(|tool| !tool.capability.is_empty()) {
        let required = tool.required().map(|selector| selector.capability.to_string());
        own.entry(&tool.capability).or_default().extend(required);
    }
    own.retain(|_, required| !required.is_empty());
    let mut clean = BTreeSet::new();
    own.keys().find_map(|start| from(start, &own, others, &offers.agent, &mut clean))
}

/// Depth first, without recursing: how deep requirements go is decided by those who write them.
fn from(
    start: &str,
    own: &BTreeMap<&str, BTreeSet<String>>,
    others: &dyn Requirements,
    agent: &AgentId,
    clean: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    let next = |capability: &str| {
        let mut required = others.of(capability, agent);
        required.extend(own.get(capability).into_iter().flatten().cloned());
        required.into_iter().collect::<Vec<_>>()
    };
    let mut path = vec![(start.to_owned(), next(start))];
    while let Some((capability, left)) = path.last_mut() {
        let Some(required) = left.pop() else {
            clean.insert(capability.clone());
            path.pop();
            continue;
        };
        if let Some(at) = path.iter().position(|(on, _)| *on == required) {
            let cycle = path[at..].iter().map(|(capability, _)| capability.clone());
            return Some(cycle.chain([required.clone()]).collect());
        }
        if !clean.contains(&required) {
            let beyond = next(&required);
            path.push((required, beyond));
        }
    }
    None
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use mesh_gossip::catalog::{AgentId, Dependency, Offers, Tool};
    use mesh_gossip::resolve::selector::Selector;

    use super::{Requirements, closed_by};

    struct Mesh(BTreeMap<&'static str, Vec<&'static str>>);

    impl Requirements for Mesh {
        fn of(&self, capability: &str, _: &AgentId) -> BTreeSet<String> {
            self.0.get(capability).into_iter().flatten().map(|required| (*required).to_owned()).collect()
        }
    }

    fn offers(edges: &[(&str, &str)], required: bool) -> Offers {
        let mut offers = Offers::new("a".parse().unwrap(), "a");
        for (capability, needed) in edges {
            let mut tool = Tool::new("f", *capability);
            tool.dependencies = vec![Dependency { selector: Selector::new(*needed), required }];
            offers.tools.push(tool);
        }
        offers
    }

    fn cycle(edges: &[(&str, &str)], mesh: &Mesh) -> Option<String> {
        closed_by(&offers(edges, true), mesh).map(|cycle| cycle.join(" → "))
    }

    #[test]
    fn a_cycle_is_named_from_one_to_itself() {
        let mesh = Mesh(BTreeMap::from([("b", vec!["c"]), ("c", vec!["a", "d"])]));
        assert_eq!(cycle(&[("a", "b")], &mesh).unwrap(), "a → b → c → a");
        assert_eq!(cycle(&[("a", "a")], &mesh).unwrap(), "a → a");
        assert_eq!(cycle(&[("x", "y"), ("y", "x")], &mesh).unwrap(), "x → y → x");
    }

    #[test]
    fn what_is_optional_or_merely_shared_is_no_cycle() {
        let mesh = Mesh(BTreeMap::from([("b", vec!["d"]), ("c", vec!["d"])]));
        assert_eq!(cycle(&[("a", "b"), ("e", "c"), ("f", "a")], &mesh), None);
        assert_eq!(closed_by(&offers(&[("a", "a")], false), &mesh), None);
        assert_eq!(cycle(&[("", "a"), ("a", "")], &mesh), None);
    }

    #[test]
    fn a_long_chain_is_walked_once() {
        let names: Vec<&'static str> = (0..5_000).map(|at| &*format!("c{at}").leak()).collect();
        let chain = names.windows(2).map(|pair| (pair[0], vec![pair[1]])).collect();
        assert_eq!(cycle(&[("a", "c0")], &Mesh(chain)), None);
    }
}
