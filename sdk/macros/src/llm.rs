//! `#[mesh::llm]`: a tool that has a model, and how it uses it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ItemFn, LitInt, LitStr, Result, Type};

use crate::keys::{Element, Keys};
use crate::need::Need;
use crate::parameter::Presence;
use crate::{check, need, tool};

/// What the attribute takes on top of what tools take.
pub(crate) const KEYS: &[&str] = &[
    "provider",
    "filter",
    "filter_mode",
    "prompt",
    "context",
    "max_iterations",
    "max_total_tokens",
    "max_cost_usd",
    "max_result_bytes",
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
    "model",
    "output_mode",
    "parallel_tool_calls",
];

/// The keys of an element of a filter.
const FILTER_KEYS: &[&str] = &["capability", "tags", "version"];

/// How a tool uses its model.
pub(crate) struct Model {
    provider: Need,
    /// The calls that declare the rest.
    declared: TokenStream,
}

pub(crate) fn expand(keys: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let item: ItemFn = syn::parse2(item)
        .map_err(|mistake| Error::new(mistake.span(), "`#[mesh::llm]` gives a function a model, nothing else"))?;
    let keys: Keys = syn::parse2(keys)?;
    let model = Model::read(&keys, &item)?;
    tool::expanded(&keys, item, Some(&model))
}

impl Model {
    fn read(keys: &Keys, item: &ItemFn) -> Result<Self> {
        let Some((at, provider)) = keys.nested("provider")? else {
            let message = "a model says who runs it: `provider(\"llm\", tags = [\"+claude\"])`";
            return Err(Error::new(item.sig.ident.span(), message));
        };
        provider.only(need::KEYS, "a provider")?;
        if let Some(span) = provider.has("schema") {
            return Err(Error::new(
                span,
                "all providers of models answer in the same form: there is no schema to match",
            ));
        }
        if provider.first.is_none() {
            return Err(Error::new(at, "a provider begins with a capability: `provider(\"llm\")`"));
        }
        let nothing: Type = syn::parse_quote!(());
        let provider = Need::read(provider, "provider", at, &nothing)?;
        let mut declared = filter(keys)?;
        declared.extend(prompt(keys)?);
        if let Some(context) = keys.ty("context")? {
            declared.extend(quote_spanned!(context.span()=> .context::<#context>()));
        }
        declared.extend(limits(keys)?);
        declared.extend(parameters(keys)?);
        Ok(Self { provider, declared })
    }

    /// The call that declares it, for a model that answers with an `answer`.
    pub(crate) fn declared(&self, presence: Presence, answer: &Type) -> TokenStream {
        let provider = self.provider.declared(presence == Presence::Required);
        let declared = &self.declared;
        quote_spanned! {answer.span()=>
            .llm(
                #provider.tags(&["-ai.mcpmesh.stream"]),
                ::mesh::glue::LlmDeclaration::answering::<#answer>() #declared
            )
        }
    }
}

fn filter(keys: &Keys) -> Result<TokenStream> {
    let mut calls = TokenStream::new();
    for element in keys.elements("filter")? {
        match element {
            Element::Text(capability) if capability.value() == "*" => calls.extend(quote!(.shown("", &[], ""))),
            Element::Text(capability) => {
                check::capability(capability)?;
                calls.extend(quote!(.shown(#capability, &[], "")));
            }
            Element::Keys(keys) => calls.extend(wish(keys)?),
        }
    }
    if let Some(mode) = keys.text("filter_mode")? {
        if !["all", "best_match", "*"].contains(&mode.value().as_str()) {
            return Err(Error::new(mode.span(), "a filter's mode is `all`, `best_match` or `*`"));
        }
        calls.extend(quote!(.filter_mode(#mode)));
    }
    Ok(calls)
}

fn wish(keys: &Keys) -> Result<TokenStream> {
    keys.only(FILTER_KEYS, "an element of a filter")?;
    if let Some(text) = &keys.first {
        let message = format!("inside of braces it has a key: `capability = \"{}\"`", text.value());
        return Err(Error::new(text.span(), message));
    }
    let capability = keys.text("capability")?;
    capability.iter().try_for_each(check::capability)?;
    let capability = capability.map_or_else(String::new, |capability| capability.value());
    let groups = keys.groups("tags")?;
    groups.iter().flatten().try_for_each(check::wish)?;
    let groups = groups.iter().map(|group| quote!(&[#(#group),*]));
    let version = keys.text("version")?;
    version.iter().try_for_each(check::constraint)?;
    let version = version.map_or_else(String::new, |version| version.value());
    Ok(quote!(.shown(#capability, &[#(#groups),*], #version)))
}

/// A text, or the path of a file that is embedded.
fn prompt(keys: &Keys) -> Result<TokenStream> {
    let Some(prompt) = keys.text("prompt")? else { return Ok(TokenStream::new()) };
    let said = prompt.value();
    let path = said.strip_prefix("file://").unwrap_or(&said);
    let is_file = path.len() < said.len()
        || (!said.contains('\n') && [".j2", ".jinja2", ".jinja"].iter().any(|ending| said.ends_with(ending)));
    if !is_file {
        return Ok(quote!(.prompt(#prompt)));
    }
    let path = LitStr::new(path, prompt.span());
    let text = quote_spanned! {prompt.span()=>
        ::core::include_str!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/", #path))
    };
    Ok(quote!(.prompt_file(#path, #text)))
}

fn limits(keys: &Keys) -> Result<TokenStream> {
    let mut calls = TokenStream::new();
    for key in ["max_iterations", "max_total_tokens", "max_result_bytes"] {
        if let Some(number) = keys.number(key)? {
            let number = positive(&number)?;
            let call = format_ident!("{key}");
            calls.extend(quote!(.#call(#number)));
        }
    }
    if let Some(cost) = keys.float("max_cost_usd")? {
        calls.extend(quote!(.max_cost_usd(#cost)));
    }
    Ok(calls)
}

fn positive(number: &LitInt) -> Result<LitInt> {
    match number.base10_parse::<u32>() {
        Ok(1..) => Ok(number.clone()),
        _ => Err(Error::new(number.span(), "a whole number above zero")),
    }
}

fn parameters(keys: &Keys) -> Result<TokenStream> {
    let mut calls = TokenStream::new();
    for key in ["max_tokens", "seed"] {
        if let Some(number) = keys.number(key)? {
            let number = number.base10_parse::<u32>()?;
            calls.extend(quote!(.parameter(#key, #number.into())));
        }
    }
    for key in ["temperature", "top_p"] {
        if let Some(number) = keys.float(key)? {
            calls.extend(quote!(.parameter(#key, #number.into())));
        }
    }
    for key in ["model", "output_mode"] {
        if let Some(text) = keys.text(key)? {
            calls.extend(quote!(.parameter(#key, #text.into())));
        }
    }
    if let Some(flag) = keys.flag("parallel_tool_calls")? {
        calls.extend(quote!(.parameter("parallel_tool_calls", #flag.into())));
    }
    Ok(calls)
}
