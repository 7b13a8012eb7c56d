//! Versions of tools and the constraints on them, as the existing system reads them (Masterminds/semver 3.4): partial
//! and `v`-prefixed versions, wildcards, ranges, and plain text for what is no version at all.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

mod constraint;
mod scan;

pub use constraint::Constraint;
use scan::Scanner;

/// A tool's version, parsed once. Anything is one: what is not semantic stands below all that is, ordered as text.
///
/// Equality is precedence, so build metadata and spelling do not count: `v1.2` equals `1.2.0+build.7`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Arc<str>", into = "Arc<str>")]
pub struct Version {
    text: Arc<str>,
    semantic: Option<Semantic>,
}

/// The parts of a semantic version that decide precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Semantic {
    major: u64,
    minor: u64,
    patch: u64,
    pre: PreRelease,
}

/// A release is above all its pre-releases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PreRelease {
    Of(Vec<Identifier>),
    None,
}

/// One dot-separated part of a pre-release; numbers stand below words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(Arc<str>),
}

impl Version {
    /// Reads a version.
    pub fn new(text: &str) -> Self {
        Self { semantic: Semantic::parse(text), text: text.into() }
    }

    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a semantic version, if a sloppy one.
    pub fn is_semantic(&self) -> bool {
        self.semantic.is_some()
    }
}

impl Semantic {
    fn parse(text: &str) -> Option<Self> {
        let mut scanner = Scanner::new(text);
        let spelled = scanner.version()?;
        if !scanner.is_done() {
            return None;
        }
        let number = |part: Option<&str>| part.map_or(Some(0), |part| part.parse().ok());
        let [major, minor, patch] = spelled.parts;
        let (major, minor, patch) = (number(major)?, number(minor)?, number(patch)?);
        Some(Self { major, minor, patch, pre: PreRelease::parse(spelled.pre)? })
    }

    fn is_pre_release(&self) -> bool {
        self.pre != PreRelease::None
    }
}

impl PreRelease {
    fn parse(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else { return Some(Self::None) };
        let identifiers = text.split('.').map(|part| {
            let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
            let padded = is_number && part.len() > 1 && part.starts_with('0');
            (!padded).then(|| part.parse().map_or_else(|_| Identifier::Word(part.into()), Identifier::Number))
        });
        identifiers.collect::<Option<_>>().map(Self::Of)
    }
}

impl Default for Version {
    /// What a tool has that does not say: 1.0.0.
    fn default() -> Self {
        Self::new("1.0.0")
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.semantic, &other.semantic) {
            (None, None) => self.text.cmp(&other.text),
            (mine, others) => mine.cmp(others),
        }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl From<Arc<str>> for Version {
    fn from(text: Arc<str>) -> Self {
        Self { semantic: Semantic::parse(&text), text }
    }
}

impl From<Version> for Arc<str> {
    fn from(version: Version) -> Self {
        version.text
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    #[test]
    fn versions_rise_from_words_over_pre_releases_to_releases() {
        let rising = ["", "latest", "1.0.0-1", "1.0.0-alpha", "1.0.0-alpha.1", "v1", "1.2", "01.2.3", "10"];
        for pair in rising.windows(2) {
            assert!(Version::new(pair[0]) < Version::new(pair[1]), "{pair:?}");
        }
        assert_eq!(Version::new("v1.2"), Version::new("1.2.0+build.7"));
    }

    #[test]
    fn what_is_no_version_stays_text() {
        for text in ["1.2.3.4", "1.", "1.0.0-01", " 1", "1.0.0-", "V1", "99999999999999999999"] {
            assert!(!Version::new(text).is_semantic(), "{text}");
        }
        assert!(Version::new("1.0.0-99999999999999999999").is_semantic());
    }

    proptest! {
        #[test]
        fn any_text_is_a_version_and_a_constraint(version in "[0-9v.x*+a -]{0,12}", constraint in "\\PC{0,20}") {
            let (version, constraint) = (Version::new(&version), Constraint::new(&constraint));
            let _ = constraint.allows(&version);
            prop_assert!(Constraint::default().allows(&version));
        }
    }
}
