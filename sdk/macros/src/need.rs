//! `("capability", tags = […], …)`: one dependency, as a call that declares it.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Error, LitInt, LitStr, Result, Type};

use crate::check;
use crate::keys::Keys;

/// The keys of a dependency.
pub(crate) const KEYS: &[&str] = &[
    "tags",
    "version",
    "namespace",
    "schema",
    "timeout",
    "retry_count",
    "idempotent",
    "session_required",
    "custom_headers",
];

/// One dependency, checked.
pub(crate) struct Need {
    pub(crate) capability: LitStr,
    declared: TokenStream,
}

impl Need {
    /// Reads the keys of the attribute called `attribute`, whose result is a `result`.
    pub(crate) fn read(keys: &Keys, attribute: &str, at: Span, result: &Type) -> Result<Self> {
        let Some(capability) = keys.first.clone() else {
            return Err(Error::new(
                at,
                format!("`#[{attribute}]` begins with a capability: `#[{attribute}(\"weather\")]`"),
            ));
        };
        check::capability(&capability)?;
        let mut calls = TokenStream::new();
        for group in keys.groups("tags")? {
            group.iter().try_for_each(check::wish)?;
            calls.extend(quote!(.tags(&[#(#group),*])));
        }
        if let Some(version) = keys.text("version")? {
            check::constraint(&version)?;
            calls.extend(quote!(.version(#version)));
        }
        if let Some(namespace) = keys.text("namespace")? {
            calls.extend(quote!(.namespace(#namespace)));
        }
        match keys.word("schema", &["subset", "strict"])?.as_deref() {
            Some("subset") => calls.extend(quote!(.at_least::<#result>())),
            Some(_) => calls.extend(quote!(.exactly::<#result>())),
            None => {}
        }
        calls.extend(call_options(keys)?);
        if let Some(required) = keys.flag("session_required")? {
            calls.extend(quote!(.session_required(#required)));
        }
        Ok(Self { declared: quote!(::mesh::glue::Need::new(#capability) #calls), capability })
    }

    /// The declaration.
    pub(crate) fn declared(&self, required: bool) -> TokenStream {
        let declared = &self.declared;
        if required { quote!(#declared.required()) } else { declared.clone() }
    }
}

/// The options that both a tool and a dependency have.
pub(crate) fn call_options(keys: &Keys) -> Result<TokenStream> {
    let mut calls = TokenStream::new();
    if let Some(timeout) = keys.text("timeout")? {
        let milliseconds = u64::try_from(check::duration(&timeout)?.as_millis()).unwrap_or(u64::MAX);
        calls.extend(quote!(.timeout(::mesh::glue::milliseconds(#milliseconds))));
    }
    if let Some(count) = keys.number("retry_count")? {
        let count = small(&count)?;
        calls.extend(quote!(.retry_count(#count)));
    }
    if let Some(idempotent) = keys.flag("idempotent")? {
        calls.extend(quote!(.idempotent(#idempotent)));
    }
    for (name, value) in keys.pairs("custom_headers")? {
        let lower = name.value();
        if lower.is_empty() || !lower.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-') {
            return Err(Error::new(name.span(), format!("`{lower}` is no header: lower-case letters, digits and `-`")));
        }
        calls.extend(quote!(.custom_header(#name, #value)));
    }
    Ok(calls)
}

/// A number up to 100: nobody means more repetitions or methods.
pub(crate) fn small(number: &LitInt) -> Result<u32> {
    match number.base10_parse::<u32>() {
        Ok(count @ 0..=100) => Ok(count),
        _ => Err(Error::new(number.span(), "a number from 0 to 100")),
    }
}
