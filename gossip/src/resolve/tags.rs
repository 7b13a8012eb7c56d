//! What a selector asks of a tool's tags, and what the answer is worth.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a tag that was required is worth.
const REQUIRED_SCORE: u32 = 5;

/// What a tag that was preferred is worth: more than any number of versions.
const PREFERRED_SCORE: u32 = 10;

/// One tag with its operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wish {
    /// `tag`: has to be there.
    Required(Arc<str>),
    /// `+tag`: better when it is there.
    Preferred(Arc<str>),
    /// `-tag`: must not be there.
    Excluded(Arc<str>),
}

/// One element of a list of wished tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    /// A single tag.
    One(Wish),
    /// At least one has to be there, counted once at its best; none of the excluded may be. Without any required or
    /// preferred wish nothing can satisfy it.
    AnyOf(Vec<Wish>),
}

/// Everything a selector asks of tags. Tags compare exactly. In JSON a list of strings and of lists of strings.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Spelled>", into = "Vec<Spelled>")]
pub struct TagWishes(Vec<Term>);

/// Why a tool's tags will not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagMismatch {
    /// It has this excluded tag.
    Excluded(Arc<str>),
    /// It lacks these required tags.
    Missing(Vec<Arc<str>>),
    /// It has nothing of this group.
    MissingOneOf(Vec<Wish>),
}

/// A list element as JSON has it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Spelled {
    One(String),
    AnyOf(Vec<String>),
}

impl Wish {
    /// Reads a tag with its operator; `None` for the empty tag, which wishes nothing.
    pub fn new(text: &str) -> Option<Self> {
        let (wish, tag): (fn(Arc<str>) -> Self, _) = match text.as_bytes().first()? {
            b'+' => (Self::Preferred, &text[1..]),
            b'-' => (Self::Excluded, &text[1..]),
            _ => (Self::Required, text),
        };
        (!tag.is_empty()).then(|| wish(tag.into()))
    }
}

impl Term {
    /// A single tag with its operator; `None` for the empty tag.
    pub fn one(text: &str) -> Option<Self> {
        Wish::new(text).map(Self::One)
    }

    /// A group of which one has to match; `None` for an empty list.
    pub fn any_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut texts = texts.into_iter().peekable();
        texts.peek()?;
        Some(Self::AnyOf(texts.filter_map(Wish::new).collect()))
    }
}

impl TagWishes {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The elements, in the order they were given.
    pub fn terms(&self) -> &[Term] {
        &self.0
    }

    /// What `tags` are worth to whoever wishes this: the higher the better.
    ///
    /// # Errors
    /// [`TagMismatch`] when they will not do: first an excluded tag, then missing ones, then groups.
    pub fn score(&self, tags: &[Arc<str>]) -> Result<u32, TagMismatch> {
        let mut score = 0;
        for term in &self.0 {
            match term_score(term, tags) {
                Some(worth) => score += worth,
                None => return Err(self.mismatch(tags)),
            }
        }
        Ok(score)
    }

    #[cold]
    fn mismatch(&self, tags: &[Arc<str>]) -> TagMismatch {
        let mut missing = Vec::new();
        for term in &self.0 {
            match term {
                Term::One(Wish::Excluded(tag)) if has(tags, tag) => return TagMismatch::Excluded(tag.clone()),
                Term::One(Wish::Required(tag)) if !has(tags, tag) => missing.push(tag.clone()),
                _ => {}
            }
        }
        if !missing.is_empty() {
            return TagMismatch::Missing(missing);
        }
        for term in &self.0 {
            let Term::AnyOf(group) = term else { continue };
            for wish in group {
                match wish {
                    Wish::Excluded(tag) if has(tags, tag) => return TagMismatch::Excluded(tag.clone()),
                    _ => {}
                }
            }
            if term_score(term, tags).is_none() {
                return TagMismatch::MissingOneOf(group.clone());
            }
        }
        TagMismatch::Missing(missing)
    }
}

/// What `tags` are worth to one term, if they will do.
fn term_score(term: &Term, tags: &[Arc<str>]) -> Option<u32> {
    match term {
        Term::One(wish) => match wish {
            Wish::Required(tag) => has(tags, tag).then_some(REQUIRED_SCORE),
            Wish::Preferred(tag) => Some(if has(tags, tag) { PREFERRED_SCORE } else { 0 }),
            Wish::Excluded(tag) => (!has(tags, tag)).then_some(0),
        },
        Term::AnyOf(group) => {
            let mut best = None;
            for wish in group {
                match wish {
                    Wish::Excluded(tag) if has(tags, tag) => return None,
                    Wish::Required(tag) if has(tags, tag) => best = best.max(Some(REQUIRED_SCORE)),
                    Wish::Preferred(tag) if has(tags, tag) => best = best.max(Some(PREFERRED_SCORE)),
                    _ => {}
                }
            }
            best
        }
    }
}

fn has(tags: &[Arc<str>], tag: &str) -> bool {
    tags.iter().any(|own| **own == *tag)
}

impl FromIterator<Term> for TagWishes {
    fn from_iter<I: IntoIterator<Item = Term>>(terms: I) -> Self {
        Self(terms.into_iter().collect())
    }
}

impl From<Vec<Spelled>> for TagWishes {
    fn from(list: Vec<Spelled>) -> Self {
        let terms = list.iter().filter_map(|element| match element {
            Spelled::One(text) => Term::one(text),
            Spelled::AnyOf(texts) => Term::any_of(texts.iter().map(String::as_str)),
        });
        terms.collect()
    }
}

impl From<TagWishes> for Vec<Spelled> {
    fn from(wishes: TagWishes) -> Self {
        let spell = |term| match term {
            Term::One(wish) => Spelled::One(wish.to_string()),
            // An empty list would ask nothing, this group cannot be satisfied.
            Term::AnyOf(group) if group.is_empty() => Spelled::AnyOf(vec![String::new()]),
            Term::AnyOf(group) => Spelled::AnyOf(group.iter().map(Wish::to_string).collect()),
        };
        wishes.0.into_iter().map(spell).collect()
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required(tag) => write!(f, "{tag}"),
            Self::Preferred(tag) => write!(f, "+{tag}"),
            Self::Excluded(tag) => write!(f, "-{tag}"),
        }
    }
}

impl fmt::Display for TagMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded(tag) => write!(f, "has the excluded tag {tag}"),
            Self::Missing(tags) => write!(f, "lacks the tag {}", tags.join(", ")),
            Self::MissingOneOf(group) => {
                let group: Vec<_> = group.iter().map(Wish::to_string).collect();
                write!(f, "has none of the tags {}", group.join(" | "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn score(tags: &[&str], wishes: &str) -> Result<u32, TagMismatch> {
        let tags: Vec<Arc<str>> = tags.iter().map(|tag| Arc::from(*tag)).collect();
        serde_json::from_str::<TagWishes>(wishes).unwrap().score(&tags)
    }

    #[test]
    fn the_table_of_the_existing_system_holds() {
        assert_eq!(score(&["llm", "claude"], r#"["llm"]"#), Ok(5));
        assert_eq!(score(&["llm", "claude"], r#"["llm","+claude","-beta"]"#), Ok(15));
        assert_eq!(score(&["llm", "gpt"], r#"["llm","+claude"]"#), Ok(5));
        assert_eq!(score(&["llm", "gpt"], r#"["-gpt"]"#), Err(TagMismatch::Excluded("gpt".into())));
        assert_eq!(score(&["math", "python"], r#"["math",["python","typescript"]]"#), Ok(10));
        assert!(matches!(
            score(&["math", "java"], r#"["math",["python","+typescript"]]"#),
            Err(TagMismatch::MissingOneOf(_))
        ));
        assert_eq!(score(&["math", "typescript"], r#"["math",["python","+typescript"]]"#), Ok(15));
    }

    #[test]
    fn empty_elements_ask_nothing_but_a_group_of_them_cannot_be_satisfied() {
        assert_eq!(score(&[], r#"["","+","-",[]]"#), Ok(0));
        assert!(score(&["a"], r#"[["-"]]"#).is_err());
        assert!(score(&["a"], r#"[["-b"]]"#).is_err());
        assert_eq!(score(&["a"], r#"["a","a"]"#), Ok(10));
    }

    #[test]
    fn all_missing_tags_are_named_at_once() {
        let expected = TagMismatch::Missing(vec!["b".into(), "c".into()]);
        assert_eq!(score(&["a"], r#"["b","a","c",["d"]]"#), Err(expected));
    }
}
