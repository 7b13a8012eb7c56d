//! The attributes of mesh-sdk. They describe and connect; what happens is in the SDK.

mod check;
mod entry;
mod function;
mod keys;
mod llm;
mod need;
mod parameter;
mod route;
mod service;
mod tool;
mod types;

use proc_macro::TokenStream;

/// Makes a function a tool; see `mesh::tool`.
#[proc_macro_attribute]
pub fn tool(keys: TokenStream, item: TokenStream) -> TokenStream {
    expanded(tool::expand(keys.into(), item.into()))
}

/// Makes a function a tool that has a model; see `mesh::llm`.
#[proc_macro_attribute]
pub fn llm(keys: TokenStream, item: TokenStream) -> TokenStream {
    expanded(llm::expand(keys.into(), item.into()))
}

/// Makes an axum handler a route with dependencies; see `mesh::route`.
#[proc_macro_attribute]
pub fn route(keys: TokenStream, item: TokenStream) -> TokenStream {
    expanded(route::expand(keys.into(), item.into()))
}

/// Makes a trait a typed view of several capabilities; see `mesh::service`.
#[proc_macro_attribute]
pub fn service(keys: TokenStream, item: TokenStream) -> TokenStream {
    expanded(service::expand(keys.into(), item.into()))
}

/// Makes an async function the program; see `mesh::main`.
#[proc_macro_attribute]
pub fn main(keys: TokenStream, item: TokenStream) -> TokenStream {
    expanded(entry::expand(keys.into(), item.into()))
}

fn expanded(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(|mistakes| mistakes.to_compile_error()).into()
}
