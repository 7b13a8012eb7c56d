//! `#[mesh::route]`: an axum handler as it is, and a type of its name that mounts it with its dependencies.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Ident, ItemFn, LitStr, Result, ReturnType, Token};

use crate::function;
use crate::parameter::{self, Kind, Parameter, Place, own};

const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// `POST, "/plan"`.
struct Endpoint {
    method: Ident,
    path: LitStr,
}

impl Parse for Endpoint {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let usage = "a route is a method and a path: `#[mesh::route(GET, \"/hello\")]`";
        let method: Ident = input.parse().map_err(|mistake| Error::new(mistake.span(), usage))?;
        if !METHODS.contains(&method.to_string().as_str()) {
            let message = format!("`{method}` is no method: one of {}", METHODS.join(", "));
            return Err(Error::new(method.span(), message));
        }
        input.parse::<Token![,]>().map_err(|mistake| Error::new(mistake.span(), usage))?;
        let path: LitStr = input.parse().map_err(|mistake| Error::new(mistake.span(), usage))?;
        if !path.value().starts_with('/') {
            return Err(Error::new(path.span(), "a path begins with `/`"));
        }
        input.parse::<Option<Token![,]>>()?;
        if !input.is_empty() {
            return Err(input.error(usage));
        }
        Ok(Self { method, path })
    }
}

pub(crate) fn expand(keys: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let endpoint: Endpoint = syn::parse2(keys)?;
    let mut item: ItemFn = syn::parse2(item)
        .map_err(|mistake| Error::new(mistake.span(), "`#[mesh::route]` makes a function a route, nothing else"))?;
    function::check(&item, "route")?;
    if item.sig.asyncness.is_none() {
        return Err(Error::new_spanned(item.sig.fn_token, "a route is an axum handler: make it `async fn`"));
    }
    let parameters = parameter::read(item.sig.inputs.iter_mut(), "route")?;
    let declared = declared(&parameters)?;
    let handler = handler(&item, &parameters);

    let Endpoint { method, path } = endpoint;
    let method_name = method.to_string();
    let filter = format_ident!("{method_name}", span = method.span());
    let definition = quote! {
        ::mesh::glue::RouteDefinition::new(#method_name, #path, |home| {
            ::mesh::glue::on(::mesh::glue::MethodFilter::#filter, #handler).with_state(home)
        }) #declared
    };
    Ok(function::with_companion(&item, "Route", quote!(::mesh::glue::RouteDefinition), &definition))
}

fn declared(parameters: &[Parameter]) -> Result<TokenStream> {
    let mut calls = TokenStream::new();
    for parameter in parameters {
        if matches!(parameter.kind, Kind::Llm { .. }) {
            let message = "a route has no model: give one to a tool by `#[mesh::llm]`, and call that";
            return Err(Error::new(parameter.ty.span(), message));
        }
        if matches!(parameter.kind, Kind::Context) {
            let message = "a route serves a request, not a call of a tool: take what you need by an axum extractor";
            return Err(Error::new(parameter.ty.span(), message));
        }
        if let Kind::Defaulted(value) = &parameter.kind {
            return Err(Error::new_spanned(
                value,
                "a route has no arguments with defaults: that is up to its extractors",
            ));
        }
        calls.extend(parameter.declared());
    }
    Ok(calls)
}

/// The handler as axum sees it: what the mesh injects comes first, then the author's extractors.
fn handler(item: &ItemFn, parameters: &[Parameter]) -> TokenStream {
    let slots = own("slots");
    let (mut extracted, mut types, mut passed) = (Vec::new(), Vec::new(), Vec::new());
    let mut place = Place::default();
    for (number, parameter) in parameters.iter().enumerate() {
        match parameter.injected(&quote!(#slots), &place) {
            Some(injected) => {
                passed.push(injected);
                place.after(parameter);
            }
            None => {
                let local = own(&format!("extracted{number}"));
                passed.push(quote!(#local));
                extracted.push(local);
                types.push(&parameter.ty);
            }
        }
    }
    let function = &item.sig.ident;
    let unit = matches!(item.sig.output, ReturnType::Default).then(|| quote!(;));
    quote! {
        |#slots: ::mesh::glue::Slots #(, #extracted: #types)*| async move { #function(#(#passed),*).await #unit }
    }
}
