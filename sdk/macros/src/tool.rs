//! `#[mesh::tool]`: the function as it is, and a type of its name that describes and runs it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, ItemFn, LitStr, Result};

use crate::keys::Keys;
use crate::llm::{self, Model};
use crate::parameter::{self, Kind, Parameter, Place, Presence, own};
use crate::types::{Returned, StreamOf};
use crate::{check, function, need, types};

const KEYS: &[&str] = &[
    "capability",
    "tags",
    "version",
    "name",
    "title",
    "description",
    "idempotent",
    "read_only",
    "destructive",
    "open_world",
    "timeout",
    "retry_count",
    "session_required",
    "auth_required",
    "custom_headers",
];

pub(crate) fn expand(keys: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let item: ItemFn = syn::parse2(item)
        .map_err(|mistake| Error::new(mistake.span(), "`#[mesh::tool]` makes a function a tool, nothing else"))?;
    expanded(&syn::parse2(keys)?, item, None)
}

/// The tool that `item` is, with a `model` if it has one.
pub(crate) fn expanded(keys: &Keys, mut item: ItemFn, model: Option<&Model>) -> Result<TokenStream> {
    function::check(&item, "tool")?;
    let parameters = parameter::read(item.sig.inputs.iter_mut(), "tool")?;
    check_async(&item, &parameters)?;
    check_model(&item, &parameters, model)?;
    let known: Vec<&str> = KEYS.iter().chain(model.iter().flat_map(|_| llm::KEYS)).copied().collect();
    keys.only(&known, "a tool")?;
    let described = described(keys, &item)?;
    let declared = declared(&parameters, model)?;
    let body = body(&item, &parameters)?;
    if model.is_some() {
        use_all(&mut item, &parameters);
    }

    let returned = Returned::of(&item.sig.output).ty;
    let returns = quote_spanned!(returned.span()=> .returns::<#returned>());
    let definition = quote!(::mesh::glue::Definition::new #body #described #declared #returns);
    Ok(function::with_companion(&item, "Tool", quote!(::mesh::glue::Definition), &definition))
}

/// What is injected asynchronously is of no use to a function that cannot wait.
fn check_async(item: &ItemFn, parameters: &[Parameter]) -> Result<()> {
    if item.sig.asyncness.is_some() {
        return Ok(());
    }
    let waits =
        |it: &&Parameter| matches!(it.kind, Kind::Dep { .. } | Kind::Llm { .. } | Kind::Service | Kind::Context);
    match parameters.iter().find(waits) {
        None => Ok(()),
        Some(_) => Err(Error::new_spanned(
            item.sig.fn_token,
            "a tool that calls others or talks to its caller has to wait for them: make it `async fn`",
        )),
    }
}

/// What only the model's instructions use counts as used.
fn use_all(item: &mut ItemFn, parameters: &[Parameter]) {
    let plain = parameters.iter().filter(|it| matches!(it.kind, Kind::Plain | Kind::Defaulted(_)));
    let names: Vec<_> = plain.filter_map(|parameter| parameter.name().ok()).collect();
    if names.is_empty() {
        return;
    }
    item.block.stmts.insert(0, syn::parse_quote!(let _ = (#(&#names,)*);));
}

/// A tool has one model or none, and says how it is used.
fn check_model(item: &ItemFn, parameters: &[Parameter], model: Option<&Model>) -> Result<()> {
    let mut given = parameters.iter().filter(|it| matches!(it.kind, Kind::Llm { .. }));
    match (given.next(), given.next(), model) {
        (Some(_), Some(second), _) => {
            Err(Error::new(second.ty.span(), "a tool has one model: ask it for another type with `llm.of::<T>()`"))
        }
        (Some(only), None, None) => {
            Err(Error::new(only.ty.span(), "a model says who runs it: `#[mesh::llm(provider(\"llm\"), …)]`"))
        }
        (None, _, Some(_)) => Err(Error::new(
            item.sig.ident.span(),
            "a tool with a model asks for it: `llm: Llm<T>`, which answers with a `T`",
        )),
        _ => Ok(()),
    }
}

/// The calls that say what the author said about the tool.
fn described(keys: &Keys, item: &ItemFn) -> Result<TokenStream> {
    if let Some(text) = &keys.first {
        return Err(Error::new(
            text.span(),
            format!("what a tool provides has a key: `capability = \"{}\"`", text.value()),
        ));
    }
    let mut calls = TokenStream::new();
    match keys.text("capability")? {
        Some(capability) => {
            check::capability(&capability)?;
            calls.extend(quote!(.capability(#capability)));
        }
        None => {
            if let Some(span) = keys.has("tags").or_else(|| keys.has("version")) {
                return Err(Error::new(span, "only what provides a `capability` is looked for: say which"));
            }
        }
    }
    for group in keys.groups("tags")? {
        let [tag] = group.as_slice() else {
            return Err(Error::new(
                group[0].span(),
                "a tool simply has its tags: groups are for whoever looks for one",
            ));
        };
        check::tag(tag)?;
        calls.extend(quote!(.tag(#tag)));
    }
    if let Some(version) = keys.text("version")? {
        check::version(&version)?;
        calls.extend(quote!(.version(#version)));
    }
    if let Some(title) = keys.text("title")? {
        calls.extend(quote!(.title(#title)));
    }
    let description = match keys.text("description")? {
        Some(text) => text.value(),
        None => function::documentation(&item.attrs),
    };
    if !description.is_empty() {
        calls.extend(quote!(.description(#description)));
    }
    for key in ["read_only", "destructive", "open_world", "session_required", "auth_required"] {
        if let Some(flag) = keys.flag(key)? {
            let call = format_ident!("{key}");
            calls.extend(quote!(.#call(#flag)));
        }
    }
    calls.extend(need::call_options(keys)?);
    // Last, and first in what is made: the name begins the description.
    let name = match keys.text("name")? {
        Some(name) => name,
        None => LitStr::new(&item.sig.ident.unraw().to_string(), item.sig.ident.span()),
    };
    check::name(&name)?;
    calls.extend(quote!(.named(#name)));
    Ok(calls)
}

/// The calls that declare parameters, dependencies and state.
fn declared(parameters: &[Parameter], model: Option<&Model>) -> Result<TokenStream> {
    let mut calls = TokenStream::new();
    let mut names: Vec<String> = Vec::new();
    for parameter in parameters {
        if let Some(call) = parameter.declared() {
            calls.extend(call);
            continue;
        }
        let (ty, description) = (&parameter.ty, &parameter.description);
        if let (Kind::Llm { presence, answer }, Some(model)) = (&parameter.kind, model) {
            calls.extend(model.declared(*presence, answer));
            continue;
        }
        if matches!(parameter.kind, Kind::Context) {
            calls.extend(quote!(.asks_client()));
            continue;
        }
        let ident = parameter.name()?;
        let name = ident.unraw().to_string();
        if names.contains(&name) {
            return Err(Error::new(ident.span(), format!("two parameters are called `{name}`")));
        }
        calls.extend(match (&parameter.kind, types::inside(ty, "Option")) {
            (Kind::Defaulted(value), _) => {
                let value = parameter::default_value(value);
                quote_spanned!(ty.span()=> .defaulted::<#ty>(#name, #description, || { #value }))
            }
            (_, Some(inner)) => quote_spanned!(inner.span()=> .optional::<#inner>(#name, #description)),
            (_, None) => quote_spanned!(ty.span()=> .required::<#ty>(#name, #description)),
        });
        names.push(name);
    }
    Ok(calls)
}

/// `(|call| …)`: reads the arguments, injects the rest, runs the function, hands its result on.
fn body(item: &ItemFn, parameters: &[Parameter]) -> Result<TokenStream> {
    let (call, given, result, error) = (own("call"), own("given"), own("result"), own("error"));
    let slots = quote!(#call.slots());
    let (mut locals, mut reads, mut passed) = (Vec::new(), Vec::new(), Vec::new());
    let mut place = Place::default();
    for (number, parameter) in parameters.iter().enumerate() {
        let ty = &parameter.ty;
        if let Some(injected) = parameter.injected(&slots, &place) {
            passed.push(injected);
            place.after(parameter);
            continue;
        }
        if let Kind::Llm { presence, answer } = &parameter.kind {
            passed.push(match presence {
                Presence::Required => quote_spanned!(answer.span()=> #call.llm::<#answer>(#place)),
                Presence::Optional => quote_spanned!(answer.span()=> #call.optional_llm::<#answer>(#place)),
            });
            place.after(parameter);
            continue;
        }
        if matches!(parameter.kind, Kind::Context) {
            passed.push(quote!(#call.context()));
            continue;
        }
        let name = parameter.name()?.unraw().to_string();
        let local = own(&format!("argument{number}"));
        reads.push(match (&parameter.kind, types::inside(ty, "Option")) {
            (Kind::Defaulted(value), _) => {
                let value = parameter::default_value(value);
                quote_spanned!(ty.span()=> #given.or::<#ty>(#name, || { #value })?)
            }
            (_, Some(inner)) => quote_spanned!(inner.span()=> #given.optional::<#inner>(#name)?),
            (_, None) => quote_spanned!(ty.span()=> #given.required::<#ty>(#name)?),
        });
        passed.push(quote!(#local));
        locals.push(local);
    }
    let function = &item.sig.ident;
    let run = if item.sig.asyncness.is_some() {
        quote!(#function(#(#passed),*).await)
    } else {
        let injected: Vec<_> = (0..passed.len()).map(|number| own(&format!("passed{number}"))).collect();
        quote!({
            let (#(#injected,)*) = (#(#passed,)*);
            ::mesh::glue::blocking(move || #function(#(#injected),*)).await
        })
    };
    let returned = Returned::of(&item.sig.output);
    let opened = returned.is_result.then(|| {
        quote!(let #result = #result.map_err(|#error| ::mesh::glue::Fault::from(::mesh::glue::Error::from(#error)))?;)
    });
    let streamed = returned.stream.map(|of| match of {
        StreamOf::Values => quote!(let #result = ::mesh::glue::Stream::new(#result);),
        StreamOf::Results => quote!(let #result = ::mesh::glue::Stream::fallible(#result);),
    });
    let finish = quote_spanned!(returned.ty.span()=> #call.finish(#result).await);
    Ok(quote! {
        (|#call| ::std::boxed::Box::pin(async move {
            let (#(#locals,)*) = #call.arguments(|#given| ::core::result::Result::Ok((#(#reads,)*)))?;
            let #result = #run;
            #opened
            #streamed
            #finish
        }))
    })
}
