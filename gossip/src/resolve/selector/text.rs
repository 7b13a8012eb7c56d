//! Selectors as one writes them on a command line.

use std::fmt;
use std::str::FromStr;

use super::{Constraint, MatchMode, SchemaWish, Scope, Selector};
use crate::resolve::tags::{TagWishes, Term, Wish};

/// A text that is not a selector; fix what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSelector {
    /// No capability comes first.
    #[error("a selector starts with a capability")]
    NoCapability,
    /// A quoted text does not end, or is not one as JSON has it.
    #[error("the quoted text at byte {0} does not end or is not as in JSON")]
    BadQuote(usize),
    /// A group has no closing parenthesis, or something else than `|` between its tags.
    #[error("the group of tags at byte {0} does not read `(a|b|…)`")]
    BadGroup(usize),
    /// Something follows a text without a space between.
    #[error("unexpected character at byte {0}")]
    Unexpected(usize),
    /// A tag is empty.
    #[error("a tag is missing at byte {0}")]
    NoTag(usize),
    /// `in=` or a schema was said twice, or a namespace is missing.
    #[error("the clause at byte {0} is incomplete or said twice")]
    BadClause(usize),
    /// Not a schema digest.
    #[error("at byte {0}: {1}")]
    BadDigest(usize, crate::schema::NotADigest),
}

/// Characters that mean something, and therefore stand in quotes when they are meant literally.
const SPECIAL: &[char] = &['"', '(', ')', '|', '@', '=', '\\'];

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn eat(&mut self, token: &str) -> bool {
        let eats = self.text[self.at..].starts_with(token);
        self.at += if eats { token.len() } else { 0 };
        eats
    }

    fn spaces(&mut self) {
        while let Some(space) = self.peek().filter(|next| next.is_whitespace()) {
            self.at += space.len_utf8();
        }
    }

    /// A word or a quoted text; empty when neither comes next. `plain` are special characters that are not, here.
    fn word(&mut self, plain: &[char]) -> Result<String, BadSelector> {
        let rest = &self.text[self.at..];
        if rest.starts_with('"') {
            let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            let word = strings.next().and_then(Result::ok).ok_or(BadSelector::BadQuote(self.at))?;
            self.at += strings.byte_offset();
            return Ok(word);
        }
        let ends = |next: char| next.is_whitespace() || SPECIAL.contains(&next) && !plain.contains(&next);
        let length = rest.find(ends).unwrap_or(rest.len());
        self.at += length;
        Ok(rest[..length].to_owned())
    }

    fn wish(&mut self) -> Result<Wish, BadSelector> {
        let start = self.at;
        let operator = if self.eat("+") {
            "+"
        } else if self.eat("-") {
            "-"
        } else {
            ""
        };
        let quoted = self.peek() == Some('"');
        let tag = self.word(&[])?;
        // Only quotes can ask for a tag that starts like an operator; there is no operator-free way to mean it.
        if operator.is_empty() && quoted && tag.starts_with(['+', '-']) {
            return Err(BadSelector::BadQuote(start));
        }
        Wish::new(&format!("{operator}{tag}")).ok_or(BadSelector::NoTag(start))
    }

    fn group(&mut self) -> Result<Term, BadSelector> {
        let start = self.at;
        let mut wishes = Vec::new();
        loop {
            self.spaces();
            if wishes.is_empty() && self.eat(")") {
                break;
            }
            wishes.push(self.wish()?);
            self.spaces();
            if self.eat(")") {
                break;
            }
            if !self.eat("|") {
                return Err(BadSelector::BadGroup(start));
            }
        }
        Ok(Term::AnyOf(wishes))
    }
}

impl FromStr for Selector {
    type Err = BadSelector;

    fn from_str(text: &str) -> Result<Self, BadSelector> {
        let mut reader = Reader { text, at: 0 };
        reader.spaces();
        let capability = reader.word(&[])?;
        if capability.is_empty() {
            return Err(BadSelector::NoCapability);
        }
        let mut selector = Self::new(capability);
        let mut terms = Vec::new();
        loop {
            let before = reader.at;
            reader.spaces();
            if reader.at == text.len() {
                break;
            }
            if reader.at == before {
                return Err(BadSelector::Unexpected(reader.at));
            }
            let start = reader.at;
            let twice = |said: bool| {
                if said { Err(BadSelector::BadClause(start)) } else { Ok(()) }
            };
            if reader.eat("(") {
                terms.push(reader.group()?);
            } else if reader.eat("@") {
                twice(!selector.version.is_any())?;
                selector.version = Constraint::new(&reader.word(&['=', '|'])?);
            } else if reader.eat("in=") {
                let namespace = reader.word(&[])?;
                twice(!selector.namespace.is_own() || namespace.is_empty())?;
                selector.namespace = Scope::from(Some(namespace.into()));
            } else if let Some(mode) = schema_mode(&mut reader) {
                twice(selector.schema.is_some())?;
                let digest = reader.word(&[])?.parse().map_err(|error| BadSelector::BadDigest(start, error))?;
                selector.schema = Some(SchemaWish { mode, digest });
            } else {
                terms.push(Term::One(reader.wish()?));
            }
        }
        selector.tags = terms.into_iter().collect::<TagWishes>();
        Ok(selector)
    }
}

fn schema_mode(reader: &mut Reader<'_>) -> Option<MatchMode> {
    if reader.eat("subset=") {
        return Some(MatchMode::Subset);
    }
    reader.eat("strict=").then_some(MatchMode::Strict)
}

/// Prints a text so that it reads back as one word.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let special = |next: char| next.is_whitespace() || next.is_control() || SPECIAL.contains(&next);
        if self.0.is_empty() || self.0.contains(special) {
            let quoted = serde_json::Value::from(self.0);
            return write!(f, "{quoted}");
        }
        f.write_str(self.0)
    }
}

struct WishWord<'a>(&'a Wish);

impl fmt::Display for WishWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Wish::Required(tag) => write!(f, "{}", Word(tag)),
            Wish::Preferred(tag) => write!(f, "+{}", Word(tag)),
            Wish::Excluded(tag) => write!(f, "-{}", Word(tag)),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Word(&self.capability))?;
        for term in self.tags.terms() {
            match term {
                Term::One(wish) => write!(f, " {}", WishWord(wish))?,
                Term::AnyOf(group) => {
                    let group: Vec<_> = group.iter().map(|wish| WishWord(wish).to_string()).collect();
                    write!(f, " ({})", group.join("|"))?;
                }
            }
        }
        if !self.version.is_any() {
            write!(f, " @{}", Word(self.version.as_str()))?;
        }
        match &self.namespace {
            Scope::Own => {}
            Scope::Only(namespace) => write!(f, " in={}", Word(namespace))?,
            Scope::Any => f.write_str(" in=*")?,
        }
        match &self.schema {
            None => Ok(()),
            Some(SchemaWish { mode: MatchMode::Subset, digest }) => write!(f, " subset={digest}"),
            Some(SchemaWish { mode: MatchMode::Strict, digest }) => write!(f, " strict={digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::option::of;
    use proptest::prelude::{Strategy, prop_assert_eq, prop_oneof, proptest};

    use super::*;
    use crate::schema::Digest;

    fn wish() -> impl Strategy<Value = Wish> {
        ("[+-]?", "\\PC{1,6}|[a-z]{1,6}").prop_filter_map("a tag", |(operator, tag)| Wish::new(&(operator + &tag)))
    }

    fn selector() -> impl Strategy<Value = Selector> {
        let term =
            prop_oneof![wish().prop_map(Term::One), proptest::collection::vec(wish(), 0..4).prop_map(Term::AnyOf),];
        let schema = ("strict|subset", "[a-z]*")
            .prop_map(|(mode, name)| SchemaWish { mode: MatchMode::from(mode), digest: Digest::of(&name.into()) });
        let tags = proptest::collection::vec(term, 0..5);
        ("\\PC{1,8}|[a-z.]{1,8}", tags, "|[>=<~^]{0,2}[0-9.x]{1,5}|\\PC{0,8}", of("[a-z*]{1,5}"), of(schema)).prop_map(
            |(capability, tags, version, namespace, schema)| Selector {
                tags: tags.into_iter().collect(),
                version: Constraint::new(&version),
                namespace: Scope::from(namespace.map(Into::into)),
                schema,
                ..Selector::new(capability)
            },
        )
    }

    proptest! {
        #[test]
        fn a_selector_reads_back_from_what_it_prints(selector in selector()) {
            let text = selector.to_string();
            prop_assert_eq!(text.parse(), Ok(selector), "{}", text);
        }

        #[test]
        fn a_selector_survives_json(selector in selector()) {
            let json = serde_json::to_string(&selector).unwrap();
            prop_assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), selector, "{}", json);
        }

        #[test]
        fn any_text_is_a_selector_or_an_error(text in "\\PC{0,40}|[a-c ()|+@=\"in-]{0,20}") {
            let _ = text.parse::<Selector>();
        }
    }

    #[test]
    fn a_selector_reads_like_a_sentence() {
        let text = r#"weather api +fast -old (python|+rust) @">=1.2 <2" in=prod"#;
        let selector: Selector = text.parse().unwrap();
        assert_eq!(selector.to_string(), text);
        assert_eq!("a @>=1||2".parse::<Selector>().unwrap().version.as_str(), ">=1||2");
        assert_eq!("".parse::<Selector>(), Err(BadSelector::NoCapability));
        assert_eq!("a (b".parse::<Selector>(), Err(BadSelector::BadGroup(3)));
        assert_eq!("a in=".parse::<Selector>(), Err(BadSelector::BadClause(2)));
    }
}
