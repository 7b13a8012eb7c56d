//! A name for what a tool requires.

use super::offer::{Offers, Tool};

/// Names what a tool requires: equal for tools that require the same, in the same namespace. Replicas do, so that what
/// is found out about one holds for all. A hash, and one that nobody can aim: offers come from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Needs([u8; 16]);

impl Needs {
    /// Of tools that require nothing.
    pub(crate) const NOTHING: Self = Self([0; 16]);

    /// What `tool` requires, one of those of `offers`.
    pub(super) fn of(offers: &Offers, tool: &Tool) -> Self {
        let mut required = tool.required().peekable();
        if required.peek().is_none() {
            return Self::NOTHING;
        }
        let mut hasher = blake3::Hasher::new_derive_key("mesh 2026 needs");
        let mut add = |text: &str| {
            hasher.update(&text.len().to_le_bytes());
            hasher.update(text.as_bytes());
        };
        add(&offers.namespace);
        required.for_each(|selector| add(&selector.to_string()));
        let mut name = [0; 16];
        name.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(name)
    }
}
