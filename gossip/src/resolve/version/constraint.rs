//! What a selector asks of a version.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::scan::{Scanner, Spelled};
use super::{PreRelease, Semantic, Version};

/// What a selector asks of a version, parsed once. Any text is one: empty allows everything, and what cannot be parsed
/// allows the version that is spelled the same.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Arc<str>", into = "Arc<str>")]
pub struct Constraint {
    text: Arc<str>,
    /// One of them has to hold; `None` when the text is no constraint.
    alternatives: Option<Vec<AllOf>>,
}

#[derive(Clone, Debug)]
struct AllOf {
    bounds: Vec<Bound>,
    /// Pre-releases count only where a bound names one.
    pre_releases: bool,
}

#[derive(Clone, Debug)]
struct Bound {
    operator: Operator,
    version: Semantic,
    wild: Wild,
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Tilde,
    Caret,
}

/// The first part of a bound's version that is a wildcard or absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wild {
    Nothing,
    Patch,
    Minor,
    Major,
}

/// Longer spellings first: `>=` is not `>`.
const OPERATORS: [(&str, Operator); 11] = [
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterOrEqual),
    ("=>", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("=<", Operator::LessOrEqual),
    ("~>", Operator::Tilde),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
];

impl Constraint {
    /// Reads a constraint.
    pub fn new(text: &str) -> Self {
        Self::from(Arc::from(text))
    }

    /// The constraint as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it allows everything, even tools without a version.
    pub fn is_any(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether `version` will do.
    pub fn allows(&self, version: &Version) -> bool {
        if self.is_any() {
            return true;
        }
        match (&self.alternatives, &version.semantic) {
            (Some(alternatives), Some(version)) => alternatives.iter().any(|all| all.allows(version)),
            _ => !version.text.is_empty() && version.text == self.text,
        }
    }
}

impl AllOf {
    fn parse(text: &str) -> Option<Self> {
        let mut scanner = Scanner::new(text);
        let mut bounds = Vec::new();
        // A range may stand first, behind a comma, or behind a range.
        let mut range_may_follow = true;
        scanner.spaces();
        loop {
            let operator = OPERATORS.iter().find(|(token, _)| scanner.eat(token));
            if operator.is_some() {
                scanner.spaces();
            }
            let first = scanner.version()?;
            let is_range = scanner.rest().trim_start().starts_with('-') && scanner.spaces();
            if is_range {
                if operator.is_some() || !range_may_follow || !scanner.eat("-") || !scanner.spaces() {
                    return None;
                }
                bounds.push(Bound::new(Operator::GreaterOrEqual, &first)?);
                bounds.push(Bound::new(Operator::LessOrEqual, &scanner.version()?)?);
            } else {
                bounds.push(Bound::new(operator.map_or(Operator::Equal, |(_, operator)| *operator), &first)?);
            }
            let spaces = scanner.spaces();
            if scanner.is_done() {
                break;
            }
            let comma = scanner.eat(",");
            if !comma && !spaces && !is_range {
                return None;
            }
            scanner.spaces();
            range_may_follow = comma || is_range;
        }
        let pre_releases = bounds.iter().any(|bound| bound.version.is_pre_release());
        Some(Self { bounds, pre_releases })
    }

    fn allows(&self, version: &Semantic) -> bool {
        (self.pre_releases || !version.is_pre_release()) && self.bounds.iter().all(|bound| bound.allows(version))
    }
}

impl Bound {
    fn new(operator: Operator, spelled: &Spelled<'_>) -> Option<Self> {
        let is_wild = |part: &Option<&str>| part.is_none_or(|part| matches!(part, "x" | "X" | "*"));
        let first_wild = spelled.parts.iter().position(is_wild);
        let wild = match first_wild {
            None => Wild::Nothing,
            Some(2) => Wild::Patch,
            Some(1) => Wild::Minor,
            Some(_) => Wild::Major,
        };
        let mut numbers = [0; 3];
        for (number, part) in numbers.iter_mut().zip(spelled.parts).take(first_wild.unwrap_or(3)) {
            *number = part?.parse().ok()?;
        }
        let [major, minor, patch] = numbers;
        let version = Semantic { major, minor, patch, pre: PreRelease::parse(spelled.pre)? };
        Some(Self { operator, version, wild })
    }

    fn allows(&self, version: &Semantic) -> bool {
        let bound = &self.version;
        let whole = self.wild == Wild::Nothing;
        match self.operator {
            Operator::Equal if whole => version == bound,
            Operator::Equal | Operator::Tilde => self.allows_tilde(version),
            Operator::NotEqual => self.differs(version),
            Operator::GreaterOrEqual => version >= bound,
            Operator::Less => version < bound,
            Operator::Greater => match self.wild {
                Wild::Minor => version.major > bound.major,
                Wild::Patch => (version.major, version.minor) > (bound.major, bound.minor),
                Wild::Nothing | Wild::Major => version > bound,
            },
            Operator::LessOrEqual => match self.wild {
                Wild::Nothing => version <= bound,
                Wild::Minor => version.major <= bound.major,
                Wild::Patch | Wild::Major => (version.major, version.minor) <= (bound.major, bound.minor),
            },
            Operator::Caret => self.allows_caret(version),
        }
    }

    fn differs(&self, version: &Semantic) -> bool {
        let bound = &self.version;
        match self.wild {
            Wild::Nothing => version != bound,
            Wild::Minor => version.major != bound.major,
            Wild::Patch => (version.major, version.minor, &version.pre) != (bound.major, bound.minor, &bound.pre),
            Wild::Major => version != bound,
        }
    }

    fn allows_tilde(&self, version: &Semantic) -> bool {
        let bound = &self.version;
        let zero = (bound.major, bound.minor, bound.patch) == (0, 0, 0);
        if version < bound {
            return false;
        }
        // As the library does it: `~0.0.0`, like `*`, is "anything from here on".
        if zero && matches!(self.wild, Wild::Nothing | Wild::Major) {
            return true;
        }
        version.major == bound.major && (self.wild == Wild::Minor || version.minor == bound.minor)
    }

    fn allows_caret(&self, version: &Semantic) -> bool {
        let bound = &self.version;
        if version < bound || version.major != bound.major {
            return false;
        }
        if bound.major > 0 || self.wild == Wild::Minor {
            return true;
        }
        if version.minor != bound.minor {
            return false;
        }
        bound.minor > 0 || self.wild == Wild::Patch || version.patch == bound.patch
    }
}

impl Default for Constraint {
    /// Allows everything.
    fn default() -> Self {
        Self::new("")
    }
}

impl From<Arc<str>> for Constraint {
    fn from(text: Arc<str>) -> Self {
        let alternatives = text.split("||").map(AllOf::parse).collect();
        Self { text, alternatives }
    }
}

impl From<Constraint> for Arc<str> {
    fn from(constraint: Constraint) -> Self {
        constraint.text
    }
}

// Constraints are what their text says, so that equal ones are equal and the others keep an order.
impl PartialEq for Constraint {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Constraint {}

impl PartialOrd for Constraint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Constraint {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Constraint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
