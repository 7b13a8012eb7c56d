//! `#[mesh::service]`: a trait becomes a struct with a dependency for each of its methods.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, Ident, ItemTrait, Meta, Pat, Result, ReturnType, TraitItem, TraitItemFn, Type, Visibility,
};

use crate::keys::Keys;
use crate::need::{self, Need};
use crate::types;

/// One method of the view.
struct Method {
    attributes: Vec<Attribute>,
    name: Ident,
    parameters: Vec<(Ident, Type)>,
    returns: Type,
    result: Type,
    need: Need,
    required: bool,
}

pub(crate) fn expand(keys: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let item: ItemTrait = syn::parse2(item)
        .map_err(|mistake| Error::new(mistake.span(), "`#[mesh::service]` makes a view of a trait, nothing else"))?;
    let keys: Keys = syn::parse2(keys)?;
    keys.only(&["min_available"], "a service")?;
    check(&item)?;
    let methods = methods(&item)?;
    let least = match keys.number("min_available")? {
        None => 0,
        Some(number) => {
            let least = need::small(&number)? as usize;
            if least > methods.len() {
                let message = format!("{least} can never be there: there are {} methods", methods.len());
                return Err(Error::new(number.span(), message));
            }
            least
        }
    };
    Ok(view(&item, &methods, least))
}

fn check(item: &ItemTrait) -> Result<()> {
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(&item.generics, "a service has no generics"));
    }
    if !item.supertraits.is_empty() {
        return Err(Error::new_spanned(&item.supertraits, "a service is made into a struct: it has nothing above it"));
    }
    if item.items.is_empty() {
        return Err(Error::new_spanned(
            &item.ident,
            "a service has at least one method with `#[selector(\"capability\")]`",
        ));
    }
    Ok(())
}

fn methods(item: &ItemTrait) -> Result<Vec<Method>> {
    let mut methods = Vec::new();
    let mut mistakes: Option<Error> = None;
    for item in &item.items {
        let method = match item {
            TraitItem::Fn(method) => Method::read(method),
            other => Err(Error::new_spanned(other, "a service has methods and nothing else")),
        };
        match (method, &mut mistakes) {
            (Ok(method), _) => methods.push(method),
            (Err(mistake), Some(mistakes)) => mistakes.combine(mistake),
            (Err(mistake), None) => mistakes = Some(mistake),
        }
    }
    match mistakes {
        Some(mistakes) => Err(mistakes),
        None => Ok(methods),
    }
}

impl Method {
    fn read(method: &TraitItemFn) -> Result<Self> {
        let signature = &method.sig;
        if signature.asyncness.is_none() {
            return Err(Error::new_spanned(
                signature.fn_token,
                "a method of a service calls somebody: make it `async fn`",
            ));
        }
        if let Some(body) = &method.default {
            return Err(Error::new_spanned(
                body,
                "a method of a service is what its capability does: leave out the body",
            ));
        }
        if !signature.generics.params.is_empty() {
            return Err(Error::new_spanned(&signature.generics, "a method of a service has no generics"));
        }
        let ReturnType::Type(_, returns) = &signature.output else {
            return Err(Error::new_spanned(signature, "a call may fail: let the method return `Result<T>`"));
        };
        if !types::is(returns, "Result") {
            return Err(Error::new_spanned(returns, "a call may fail: let the method return `Result<T>`"));
        }
        let result = types::inside(returns, "Result").cloned().unwrap_or_else(|| syn::parse_quote!(()));

        let mut attributes = method.attrs.clone();
        let usage = "a method says what it calls: `#[selector(\"capability\")]`";
        let Some(at) = attributes.iter().position(|attribute| attribute.path().is_ident("selector")) else {
            return Err(Error::new_spanned(&signature.ident, usage));
        };
        let selector = attributes.remove(at);
        let Meta::List(list) = &selector.meta else { return Err(Error::new_spanned(selector, usage)) };
        let keys: Keys = list.parse_args()?;
        let known: Vec<&str> = need::KEYS.iter().copied().chain(["required"]).collect();
        keys.only(&known, "a selector")?;
        let need = Need::read(&keys, "selector", selector.span(), &result)?;
        let required = keys.flag("required")?.unwrap_or(false);
        Ok(Self {
            attributes,
            name: signature.ident.clone(),
            parameters: parameters(method)?,
            returns: (**returns).clone(),
            result,
            need,
            required,
        })
    }
}

fn parameters(method: &TraitItemFn) -> Result<Vec<(Ident, Type)>> {
    let mut inputs = method.sig.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.mutability.is_none() => {}
        _ => return Err(Error::new_spanned(&method.sig.ident, "a method of a service takes `&self`")),
    }
    let parameter = |input: &FnArg| match input {
        FnArg::Typed(typed) => match &*typed.pat {
            Pat::Ident(name) if name.subpat.is_none() => Ok((name.ident.clone(), (*typed.ty).clone())),
            other => Err(Error::new_spanned(other, "a parameter has a name, by which it is sent")),
        },
        FnArg::Receiver(other) => Err(Error::new_spanned(other, "`self` stands first")),
    };
    inputs.map(parameter).collect()
}

fn view(item: &ItemTrait, methods: &[Method], least: usize) -> TokenStream {
    let (attributes, visibility, view) = (&item.attrs, &item.vis, &item.ident);
    // The methods of a trait are as visible as the trait.
    let inner = match visibility {
        Visibility::Inherited => quote!(pub(self)),
        other => quote!(#other),
    };
    let count = methods.len();
    let names: Vec<_> = methods.iter().map(|method| &method.name).collect();
    let results = methods.iter().map(|method| &method.result);
    let needs = methods.iter().map(|method| method.need.declared(method.required));
    let documentation =
        methods.iter().map(|method| format!("Who provides `{}`, if anybody.", method.need.capability.value()));
    let places = 0..count;
    let calls = methods.iter().map(|method| {
        let Method { attributes, name, parameters, returns, need, .. } = method;
        let capability = &need.capability;
        let (idents, types): (Vec<_>, Vec<_>) = parameters.iter().map(|(name, ty)| (name, ty)).unzip();
        let sent = idents.iter().map(|ident| ident.unraw().to_string());
        quote! {
            #(#attributes)*
            #inner async fn #name(&self #(, #idents: #types)*) -> #returns {
                let dependency = self.#name.as_ref().ok_or(::mesh::glue::Absent(#capability))?;
                let arguments = ::mesh::glue::object([#((#sent, ::mesh::glue::json(#sent, &#idents))),*]);
                ::core::result::Result::Ok(dependency.call(arguments).await?)
            }
        }
    });
    quote! {
        #(#attributes)*
        #[derive(Clone, Debug)]
        #visibility struct #view {
            #(#[doc = #documentation] #inner #names: ::core::option::Option<::mesh::Dep<#results>>,)*
        }

        impl #view {
            #(#calls)*
        }

        impl ::mesh::Service for #view {
            const COUNT: usize = #count;
            const MIN_AVAILABLE: usize = #least;

            fn needs() -> ::std::vec::Vec<::mesh::glue::Need> {
                ::std::vec![#(#needs),*]
            }

            fn of(slots: &::mesh::glue::Slots, first: usize) -> Self {
                Self { #(#names: slots.optional(first + #places)),* }
            }
        }
    }
}
