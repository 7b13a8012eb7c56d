//! Which headers travel along a chain of calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::context::Headers;

/// Headers that always travel: what the existing system hands on.
const ALWAYS: [&str; 2] = ["x-mesh-calling-job-id", "x-mesh-calling-claim-epoch"];

/// The list of headers that are let through: exact names, or prefixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Propagation {
    exact: Vec<Arc<str>>,
    prefixes: Vec<Arc<str>>,
}

/// A pattern that would let everything through. Name what is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no header: write names, or prefixes such as x-team-*")]
pub struct BadPattern(pub String);

impl Propagation {
    /// Lets through what `patterns` name: `authorization`, `x-team-*`. Case does not matter.
    ///
    /// # Errors
    /// [`BadPattern`] for a bare `*`, or a `*` elsewhere than at the end.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, BadPattern> {
        let mut propagation = Self::default();
        for pattern in patterns.into_iter().map(str::trim).filter(|pattern| !pattern.is_empty()) {
            let lower = pattern.to_ascii_lowercase();
            let (name, list) = match lower.strip_suffix('*') {
                Some(prefix) => (prefix, &mut propagation.prefixes),
                None => (lower.as_str(), &mut propagation.exact),
            };
            if name.is_empty() || name.contains('*') {
                return Err(BadPattern(pattern.to_owned()));
            }
            list.push(name.into());
        }
        Ok(propagation)
    }

    /// Whether the header called `name`, in lower case, travels.
    pub fn lets_through(&self, name: &str) -> bool {
        ALWAYS.contains(&name)
            || self.exact.iter().any(|exact| **exact == *name)
            || self.prefixes.iter().any(|prefix| name.starts_with(&**prefix))
    }

    /// Those of `headers` that travel, names in lower case; of two with one name the last counts.
    pub fn filter<'a>(&self, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Headers {
        let mut kept = BTreeMap::new();
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            if self.lets_through(&name) {
                kept.insert(Arc::from(name), Arc::from(value));
            }
        }
        kept.into_iter().collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{BadPattern, Propagation};

    #[test]
    fn names_and_prefixes_are_let_through_and_nothing_else() {
        let propagation = Propagation::new(["Authorization", " x-team-* ", ""]).unwrap();
        for (name, travels) in [
            ("authorization", true),
            ("authorization-2", false),
            ("x-team-color", true),
            ("x-mesh-calling-job-id", true),
            ("cookie", false),
        ] {
            assert_eq!(propagation.lets_through(name), travels, "{name}");
        }
        let kept = propagation.filter([("X-Team-A", "1"), ("cookie", "2"), ("x-team-a", "3")]);
        assert_eq!(kept, [("x-team-a".into(), "3".into())]);
    }

    #[test]
    fn a_pattern_for_everything_is_refused() {
        for bad in ["*", "x-*-a"] {
            assert_eq!(Propagation::new([bad]), Err(BadPattern(bad.into())));
        }
    }
}
