//! A catalog of ten thousand offers, for measuring.

use std::sync::Arc;

use super::selector::Selector;
use super::version::Version;
use crate::catalog::{AgentId, Catalog, Dependency, Offers, Owner, Tool};
use crate::id::MemberId;

/// Capabilities of the sample.
pub const CAPABILITIES: usize = 200;

/// Offers of each capability.
pub const OFFERS_EACH: usize = 50;

/// One catalog of [`CAPABILITIES`] × [`OFFERS_EACH`] offers, each by an agent of its own with tags, a version and a
/// required dependency (on a capability of the lower half, which requires nothing), and one selector for each capability
/// of the upper half, with tags and a version constraint.
pub fn catalog() -> (Catalog, Vec<Selector>) {
    let mut catalog = Catalog::new();
    for capability in 0..CAPABILITIES {
        for replica in 0..OFFERS_EACH {
            let (owner, offers) = offers(capability, replica);
            catalog.apply(&owner, Some(Arc::new(offers))).expect("the sample owns its offers");
        }
    }
    let half = CAPABILITIES / 2;
    let selector = |capability| selector(&format!(r#"capability-{capability} api +fast -beta @">=1.2 <3""#));
    (catalog, (half..CAPABILITIES).map(selector).collect())
}

/// One agent of the sample and its offers.
pub fn offers(capability: usize, replica: usize) -> (Owner, Offers) {
    let number = capability * OFFERS_EACH + replica;
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&blake3::hash(&number.to_le_bytes()).as_bytes()[..8]);
    let member = MemberId::from_bytes(bytes);
    let agent = AgentId::native("sample", &member).expect("a good name");
    let mut tool = Tool::new("run", format!("capability-{capability}"));
    tool.version = Version::new(&format!("{}.{}.{}", 1 + replica % 3, replica % 7, replica));
    let optional = ["fast", "beta", "python", "rust"].iter().enumerate();
    let tags = optional.filter(|(at, _)| replica >> at & 1 == 1).map(|(_, tag)| Arc::from(*tag));
    tool.tags = std::iter::once("api".into()).chain(tags).collect();
    let half = CAPABILITIES / 2;
    if capability >= half {
        let selector = selector(&format!("capability-{} api (python|+rust) @^2", capability - half));
        tool.dependencies = vec![Dependency { selector, required: true }];
    }
    let mut offers = Offers::new(agent.clone(), "sample");
    offers.tools.push(tool);
    (Owner { member, agent }, offers)
}

fn selector(text: &str) -> Selector {
    text.parse().expect("a good selector")
}
