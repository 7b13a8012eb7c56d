//! The keys of an attribute: `key`, `key = value`, in any order.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprArray, ExprLit, Ident, Lit, LitInt, LitStr, Result, Token};

/// The keys of one attribute, after the value that stands first where there is one.
pub(crate) struct Keys {
    pub(crate) first: Option<LitStr>,
    entries: Vec<Entry>,
}

struct Entry {
    key: Ident,
    value: Option<Expr>,
}

enum Item {
    First(LitStr),
    Entry(Entry),
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            return Ok(Self::First(input.parse()?));
        }
        let key = Ident::parse_any(input)?;
        let value = if input.parse::<Option<Token![=]>>()?.is_some() { Some(input.parse()?) } else { None };
        Ok(Self::Entry(Entry { key, value }))
    }
}

impl Parse for Keys {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut keys = Self { first: None, entries: Vec::new() };
        for (place, item) in Punctuated::<Item, Token![,]>::parse_terminated(input)?.into_iter().enumerate() {
            match item {
                Item::First(text) if place == 0 => keys.first = Some(text),
                Item::First(text) => {
                    return Err(Error::new(text.span(), "a text without a key stands first or not at all"));
                }
                Item::Entry(entry) if keys.entries.iter().any(|other| other.key == entry.key) => {
                    return Err(Error::new(entry.key.span(), format!("`{}` is given twice", entry.key)));
                }
                Item::Entry(entry) => keys.entries.push(entry),
            }
        }
        Ok(keys)
    }
}

impl Keys {
    /// Only `known` keys may be there; `whose` says of what, for people.
    pub(crate) fn only(&self, known: &[&str], whose: &str) -> Result<()> {
        match self.entries.iter().find(|entry| !known.contains(&entry.key.to_string().as_str())) {
            None => Ok(()),
            Some(entry) => {
                let message = format!("unknown key `{}`; {whose} has {}", entry.key, known.join(", "));
                Err(Error::new(entry.key.span(), message))
            }
        }
    }

    pub(crate) fn has(&self, key: &str) -> Option<Span> {
        self.entry(key).map(|entry| entry.key.span())
    }

    /// `key = "text"`.
    pub(crate) fn text(&self, key: &str) -> Result<Option<LitStr>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match &entry.value {
            Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => Ok(Some(text.clone())),
            _ => Err(entry.wrong(&format!("a text: `{key} = \"…\"`"))),
        }
    }

    /// `key`, `key = true` or `key = false`.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match &entry.value {
            None => Ok(Some(true)),
            Some(Expr::Lit(ExprLit { lit: Lit::Bool(flag), .. })) => Ok(Some(flag.value)),
            _ => Err(entry.wrong(&format!("nothing, `true` or `false`: `{key}`"))),
        }
    }

    /// `key = 3`.
    pub(crate) fn number(&self, key: &str) -> Result<Option<LitInt>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match &entry.value {
            Some(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) => Ok(Some(number.clone())),
            _ => Err(entry.wrong(&format!("a number: `{key} = 2`"))),
        }
    }

    /// `key = word`.
    pub(crate) fn word(&self, key: &str, words: &[&str]) -> Result<Option<String>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let word = match &entry.value {
            Some(Expr::Path(path)) => path.path.get_ident().map(ToString::to_string),
            _ => None,
        };
        match word.filter(|word| words.contains(&word.as_str())) {
            Some(word) => Ok(Some(word)),
            None => Err(entry.wrong(&format!("one of {}", words.join(", ")))),
        }
    }

    /// `key = ["a", "b"]`; elements that are lists themselves are groups.
    pub(crate) fn groups(&self, key: &str) -> Result<Vec<Vec<LitStr>>> {
        let Some(entry) = self.entry(key) else { return Ok(Vec::new()) };
        let wrong = || entry.wrong(&format!("a list of texts: `{key} = [\"a\", \"b\"]`"));
        let Some(Expr::Array(list)) = &entry.value else { return Err(wrong()) };
        let element = |element: &Expr| match element {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(vec![text.clone()]),
            Expr::Array(group) if !group.elems.is_empty() => texts(group).ok_or_else(wrong),
            _ => Err(wrong()),
        };
        list.elems.iter().map(element).collect()
    }

    /// `key = [("name", "value")]`.
    pub(crate) fn pairs(&self, key: &str) -> Result<Vec<(LitStr, LitStr)>> {
        let Some(entry) = self.entry(key) else { return Ok(Vec::new()) };
        let wrong = || entry.wrong(&format!("a list of pairs: `{key} = [(\"name\", \"value\")]`"));
        let Some(Expr::Array(list)) = &entry.value else { return Err(wrong()) };
        let pair = |element: &Expr| {
            let Expr::Tuple(pair) = element else { return Err(wrong()) };
            let parts: Option<Vec<LitStr>> = pair.elems.iter().map(text).collect();
            match parts.as_deref() {
                Some([name, value]) => Ok((name.clone(), value.clone())),
                _ => Err(wrong()),
            }
        };
        list.elems.iter().map(pair).collect()
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Entry {
    fn wrong(&self, wanted: &str) -> Error {
        let message = format!("`{}` takes {wanted}", self.key);
        match &self.value {
            Some(value) => Error::new_spanned(value, message),
            None => Error::new(self.key.span(), message),
        }
    }
}

fn texts(list: &ExprArray) -> Option<Vec<LitStr>> {
    list.elems.iter().map(text).collect()
}

fn text(element: &Expr) -> Option<LitStr> {
    match element {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.clone()),
        _ => None,
    }
}
