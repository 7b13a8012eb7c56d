//! The keys of an attribute: `key`, `key = value`, in any order.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Error, Expr, ExprArray, ExprLit, Ident, Lit, LitInt, LitStr, Result, Token, Type, TypePath, braced, bracketed,
    parenthesized, token,
};

/// The keys of one attribute, after the value that stands first where there is one.
pub(crate) struct Keys {
    pub(crate) first: Option<LitStr>,
    entries: Vec<Entry>,
}

struct Entry {
    key: Ident,
    value: Option<Expr>,
    nested: Option<Nested>,
}

/// What a key holds that is no expression.
enum Nested {
    /// `key("text", other = …)`.
    Keys(Box<Keys>),
    /// `key = ["text", { other = … }]`.
    List(Vec<Element>),
}

/// An element of a list.
pub(crate) enum Element {
    /// A text.
    Text(LitStr),
    /// Keys in braces.
    Keys(Keys),
}

/// The key whose list has keys in braces.
const LIST: &str = "filter";

enum Item {
    First(LitStr),
    Entry(Box<Entry>),
}

impl Item {
    fn entry(key: Ident, value: Option<Expr>, nested: Option<Nested>) -> Self {
        Self::Entry(Box::new(Entry { key, value, nested }))
    }
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            return Ok(Self::First(input.parse()?));
        }
        let key = Ident::parse_any(input)?;
        if input.peek(token::Paren) {
            let inside;
            parenthesized!(inside in input);
            let nested = Some(Nested::Keys(Box::new(inside.parse()?)));
            return Ok(Self::entry(key, None, nested));
        }
        if input.parse::<Option<Token![=]>>()?.is_none() {
            return Ok(Self::entry(key, None, None));
        }
        if key == LIST && input.peek(token::Bracket) {
            let inside;
            bracketed!(inside in input);
            let elements = Punctuated::<Element, Token![,]>::parse_terminated(&inside)?;
            let nested = Some(Nested::List(elements.into_iter().collect()));
            return Ok(Self::entry(key, None, nested));
        }
        Ok(Self::entry(key, Some(input.parse()?), None))
    }
}

impl Parse for Element {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            return Ok(Self::Text(input.parse()?));
        }
        if !input.peek(token::Brace) {
            let message = "a filter is a list of capabilities and of wishes: `[\"weather\", { tags = [\"fast\"] }]`";
            return Err(input.error(message));
        }
        let inside;
        braced!(inside in input);
        Ok(Self::Keys(inside.parse()?))
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
                Item::Entry(entry) => keys.entries.push(*entry),
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
            None if entry.nested.is_none() => Ok(Some(true)),
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

    /// `key = 0.5`.
    pub(crate) fn float(&self, key: &str) -> Result<Option<f64>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let number = match &entry.value {
            Some(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) => number.base10_parse().ok(),
            Some(Expr::Lit(ExprLit { lit: Lit::Float(number), .. })) => number.base10_parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| entry.wrong(&format!("a number: `{key} = 0.5`")))
    }

    /// `key = Type`.
    pub(crate) fn ty(&self, key: &str) -> Result<Option<Type>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match &entry.value {
            Some(Expr::Path(path)) => {
                Ok(Some(Type::Path(TypePath { qself: path.qself.clone(), path: path.path.clone() })))
            }
            _ => Err(entry.wrong(&format!("a type: `{key} = Known`"))),
        }
    }

    /// `key("text", other = …)`.
    pub(crate) fn nested(&self, key: &str) -> Result<Option<(Span, &Keys)>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match &entry.nested {
            Some(Nested::Keys(keys)) => Ok(Some((entry.key.span(), &**keys))),
            _ => Err(entry.wrong(&format!("what is in brackets: `{key}(\"…\")`"))),
        }
    }

    /// `key = ["text", { other = … }]`.
    pub(crate) fn elements(&self, key: &str) -> Result<&[Element]> {
        let Some(entry) = self.entry(key) else { return Ok(&[]) };
        match &entry.nested {
            Some(Nested::List(elements)) => Ok(elements.as_slice()),
            _ => Err(entry.wrong(&format!("a list: `{key} = [\"weather\", {{ tags = [\"fast\"] }}]`"))),
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
