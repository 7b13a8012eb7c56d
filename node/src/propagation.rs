//! Which headers travel along a chain of calls.

use std::sync::Arc;

use crate::context::Headers;

/// Headers of the existing system that travel whatever the configuration says.
const ALWAYS: [&str; 3] = ["x-mesh-timeout", "x-mesh-calling-job-id", "x-mesh-calling-claim-epoch"];

/// The most headers that travel with one call.
pub const MAX_HEADERS: usize = 64;

/// The most bytes of one header that travels, name and value together.
pub const MAX_HEADER_BYTES: usize = 8 << 10;

/// The headers that are let through. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Propagation(Arc<[Pattern]>);

#[derive(Clone, Debug)]
enum Pattern {
    Exactly(Box<str>),
    From(Box<str>),
}

impl Propagation {
    /// Lets `patterns` through: names of headers, or prefixes that end in `*`.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let pattern = |text: &str| match text.strip_suffix('*') {
            Some(prefix) => Pattern::From(prefix.to_ascii_lowercase().into()),
            None => Pattern::Exactly(text.to_ascii_lowercase().into()),
        };
        Self(patterns.into_iter().map(pattern).collect())
    }

    /// Whether a header of this name, in lower case, travels.
    pub fn lets_through(&self, name: &str) -> bool {
        let matches = |pattern: &Pattern| match pattern {
            Pattern::Exactly(exactly) => **exactly == *name,
            Pattern::From(prefix) => name.starts_with(&**prefix),
        };
        ALWAYS.contains(&name) || self.0.iter().any(matches)
    }

    /// Those of `headers` that travel, the first [`MAX_HEADERS`] of them.
    pub fn select<'a>(&self, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Headers {
        let fits = |(name, value): &(&str, &str)| name.len() + value.len() <= MAX_HEADER_BYTES;
        let lets_through = headers.into_iter().filter(|(name, _)| self.lets_through(name)).filter(fits);
        lets_through.take(MAX_HEADERS).map(|(name, value)| (name.into(), value.into())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Propagation;

    #[test]
    fn names_and_prefixes_are_let_through_and_nothing_else() {
        let propagation = Propagation::new(["Authorization", "x-tenant-*"]);
        for through in ["authorization", "x-tenant-", "x-tenant-id", "x-mesh-calling-job-id"] {
            assert!(propagation.lets_through(through), "{through}");
        }
        for kept in ["authorizations", "x-tenant", "cookie", ""] {
            assert!(!propagation.lets_through(kept), "{kept}");
        }
    }

    #[test]
    fn a_flood_of_headers_does_not_travel() {
        let propagation = Propagation::new(["x-*"]);
        let long = "v".repeat(9_000);
        let headers = std::iter::once(("x-long", long.as_str())).chain(std::iter::repeat_n(("x-a", "b"), 100));
        assert_eq!(propagation.select(headers).len(), super::MAX_HEADERS);
    }
}
