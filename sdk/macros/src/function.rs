//! What tools and routes have in common: a free function without generics, whose own attributes stay.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Error, Expr, ExprLit, ItemFn, Lit, Meta, Result};

/// Whether the function can be what the attribute makes of it; `what` is a word such as "tool".
pub(crate) fn check(function: &ItemFn, what: &str) -> Result<()> {
    let signature = &function.sig;
    if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
        let message = format!("a {what} has no generics: it is called with JSON, which has no types to choose");
        return Err(Error::new_spanned(&signature.generics, message));
    }
    if let Some(word) = &signature.constness {
        return Err(Error::new_spanned(word, format!("a {what} cannot be const")));
    }
    if let Some(word) = &signature.unsafety {
        return Err(Error::new_spanned(word, format!("a {what} cannot be unsafe: everybody may call it")));
    }
    if let Some(word) = &signature.abi {
        return Err(Error::new_spanned(word, format!("a {what} has no other ABI than Rust's")));
    }
    Ok(())
}

/// The function as it is, and beside it the type of its name that is a `trait_name` (`Tool`, `Route`): `definition`, which
/// is a `defined`.
pub(crate) fn with_companion(
    item: &ItemFn,
    trait_name: &str,
    defined: TokenStream,
    definition: &TokenStream,
) -> TokenStream {
    let (visibility, name) = (&item.vis, &item.sig.ident);
    let what = trait_name.to_lowercase();
    let documentation = format!("The {what} [`{name}`](fn@{name}), for `Agent::{what}`.");
    let trait_name = format_ident!("{trait_name}");
    quote! {
        #item

        #[doc = #documentation]
        #[expect(non_camel_case_types, reason = "it stands for the function")]
        #visibility struct #name {}

        const _: () = {
            impl ::mesh::#trait_name for #name {
                fn definition() -> #defined {
                    #definition
                }
            }
        };
    }
}

/// The doc comment among `attributes`, as text.
pub(crate) fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<String> = lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect();
    lines.join("\n").trim().to_owned()
}
