//! `#[mesh::main]`: an async function becomes the program.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Result};

pub(crate) fn expand(keys: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !keys.is_empty() {
        return Err(Error::new_spanned(
            keys,
            "`#[mesh::main]` has no keys: what an agent is told, its environment tells it",
        ));
    }
    let mut item: ItemFn = syn::parse2(item)
        .map_err(|mistake| Error::new(mistake.span(), "`#[mesh::main]` belongs on `async fn main()`"))?;
    if item.sig.asyncness.is_none() {
        return Err(Error::new_spanned(item.sig.fn_token, "`#[mesh::main]` runs what waits: make it `async fn`"));
    }
    if let Some(parameter) = item.sig.inputs.first() {
        return Err(Error::new_spanned(parameter, "a program's `main` has no parameters: see `std::env::args`"));
    }
    let attributes = std::mem::take(&mut item.attrs);
    let (visibility, name) = (item.vis.clone(), item.sig.ident.clone());
    item.vis = syn::Visibility::Inherited;
    Ok(quote! {
        #(#attributes)*
        #visibility fn #name() -> ::std::process::ExitCode {
            #item

            ::mesh::glue::run(#name())
        }
    })
}
