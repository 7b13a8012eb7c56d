//! The parameters of tools and routes, by what they are given.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprLit, FnArg, Ident, Lit, Pat, PatType, Result, Type};

use crate::function::documentation;
use crate::keys::Keys;
use crate::need::{self, Need};
use crate::types;

/// One parameter.
pub(crate) struct Parameter {
    /// The pattern, for handlers that take theirs apart.
    pub(crate) pattern: Pat,
    pub(crate) ty: Type,
    pub(crate) description: String,
    pub(crate) kind: Kind,
}

/// What a parameter is given.
pub(crate) enum Kind {
    /// Whatever the caller sends.
    Plain,
    /// The same, with a value for when it is missing.
    Defaulted(Expr),
    /// A dependency.
    Dep { need: Need, presence: Presence, result: Type },
    /// A model.
    Llm { presence: Presence, answer: Type },
    /// A view of several.
    Service,
    /// What the body may know of its call.
    Context,
    /// The agent's state.
    State(Type),
}

/// Whether a dependency has to be there.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Presence {
    Required,
    Optional,
}

/// Takes the attributes that are ours off `arguments`, and says what each parameter is. All mistakes are reported at once.
pub(crate) fn read<'a>(arguments: impl Iterator<Item = &'a mut FnArg>, what: &str) -> Result<Vec<Parameter>> {
    let mut parameters = Vec::new();
    let mut mistakes: Option<Error> = None;
    for argument in arguments {
        match one(argument, what) {
            Ok(parameter) => parameters.push(parameter),
            Err(mistake) => match &mut mistakes {
                Some(mistakes) => mistakes.combine(mistake),
                None => mistakes = Some(mistake),
            },
        }
    }
    match mistakes {
        Some(mistakes) => Err(mistakes),
        None => {
            check_states(&parameters)?;
            Ok(parameters)
        }
    }
}

fn check_states(parameters: &[Parameter]) -> Result<()> {
    match parameters.iter().filter(|it| matches!(it.kind, Kind::State(_))).nth(1) {
        None => Ok(()),
        Some(second) => Err(Error::new(second.ty.span(), "an agent has one state: put both into one struct")),
    }
}

fn one(argument: &mut FnArg, what: &str) -> Result<Parameter> {
    let typed = match argument {
        FnArg::Typed(typed) => typed,
        FnArg::Receiver(receiver) => {
            let message =
                format!("a {what} is a free function: what `self` would hold is the agent's state, `State<T>`");
            return Err(Error::new_spanned(receiver, message));
        }
    };
    let description = documentation(&typed.attrs);
    let default = take(&mut typed.attrs, "default");
    let dep = take(&mut typed.attrs, "dep");
    let service = take(&mut typed.attrs, "service");
    typed.attrs.retain(|attribute| !attribute.path().is_ident("doc"));
    let kind = kind(typed, default, dep, service)?;
    Ok(Parameter { pattern: (*typed.pat).clone(), ty: (*typed.ty).clone(), description, kind })
}

fn kind(
    typed: &PatType,
    default: Option<Attribute>,
    dep: Option<Attribute>,
    service: Option<Attribute>,
) -> Result<Kind> {
    let ty = &*typed.ty;
    let given: Vec<&Attribute> = [&default, &dep, &service].into_iter().flatten().collect();
    if let [_, second, ..] = given.as_slice() {
        return Err(Error::new_spanned(second, "a parameter is one of `#[default]`, `#[dep]` and `#[service]`"));
    }
    let (result, presence) = match types::inside(ty, "Option") {
        Some(inner) => (types::inside(inner, "Dep"), Presence::Optional),
        None => (types::inside(ty, "Dep"), Presence::Required),
    };
    if let Some(dep) = dep {
        let Some(result) = result else {
            return Err(Error::new_spanned(ty, "`#[dep]` is for `Dep<T>` (required) and `Option<Dep<T>>` (optional)"));
        };
        let keys = match &dep.meta {
            syn::Meta::List(list) => list.parse_args::<Keys>()?,
            other => {
                let message = "`#[dep]` begins with a capability: `#[dep(\"weather\")]`";
                return Err(Error::new_spanned(other, message));
            }
        };
        keys.only(need::KEYS, "a dependency")?;
        let need = Need::read(&keys, "dep", dep.span(), result)?;
        return Ok(Kind::Dep { need, presence, result: result.clone() });
    }
    if result.is_some() || types::is(ty, "Dep") {
        return Err(Error::new_spanned(ty, "a dependency says on what: `#[dep(\"weather\")]` before the parameter"));
    }
    if let Some(service) = service {
        service.meta.require_path_only()?;
        return Ok(Kind::Service);
    }
    if let Some(default) = default {
        if types::is(ty, "Option") {
            return Err(Error::new_spanned(
                default,
                "an `Option` is `None` when it is missing: leave out either the `Option` or the default",
            ));
        }
        let value = default.parse_args::<Expr>().map_err(|mistake| {
            Error::new(mistake.span(), "`#[default]` takes the value: `#[default(5)]` or `#[default(\"text\")]`")
        })?;
        return Ok(Kind::Defaulted(value));
    }
    if types::is(ty, "Context") {
        return Ok(Kind::Context);
    }
    let (answer, presence) = match types::inside(ty, "Option") {
        Some(inner) => (types::inside(inner, "Llm"), Presence::Optional),
        None => (types::inside(ty, "Llm"), Presence::Required),
    };
    if let Some(answer) = answer {
        return Ok(Kind::Llm { presence, answer: answer.clone() });
    }
    match types::inside(ty, "State") {
        Some(state) => Ok(Kind::State(state.clone())),
        None => Ok(Kind::Plain),
    }
}

impl Parameter {
    /// Its name, as callers say it.
    pub(crate) fn name(&self) -> Result<Ident> {
        match &self.pattern {
            Pat::Ident(name) if name.subpat.is_none() && name.by_ref.is_none() => Ok(name.ident.clone()),
            other => Err(Error::new_spanned(other, "a parameter of a tool has a name, by which callers give it")),
        }
    }

    /// What injects it, of a `slots: &Slots` called `slots`, the next dependency being at `place`; `None` for what is no
    /// dependency and no state, and for models, which know their call.
    pub(crate) fn injected(&self, slots: &TokenStream, place: &Place) -> Option<TokenStream> {
        let ty = &self.ty;
        match &self.kind {
            Kind::Dep { presence: Presence::Required, result, .. } => {
                Some(quote_spanned!(result.span()=> #slots.required::<#result>(#place)))
            }
            Kind::Dep { result, .. } => Some(quote_spanned!(result.span()=> #slots.optional::<#result>(#place))),
            Kind::Service => Some(quote!(#slots.service::<#ty>(#place))),
            Kind::State(state) => Some(quote!(#slots.state::<#state>())),
            Kind::Plain | Kind::Defaulted(_) | Kind::Context | Kind::Llm { .. } => None,
        }
    }

    /// What declares it to the mesh, if it is a dependency or state.
    pub(crate) fn declared(&self) -> Option<TokenStream> {
        let ty = &self.ty;
        match &self.kind {
            Kind::Dep { need, presence, .. } => {
                let need = need.declared(*presence == Presence::Required);
                Some(quote!(.need(#need)))
            }
            Kind::Service => {
                let name = quote!(#ty).to_string();
                Some(quote!(.service::<#ty>(#name)))
            }
            Kind::State(state) => Some(quote!(.state::<#state>())),
            Kind::Plain | Kind::Defaulted(_) | Kind::Context | Kind::Llm { .. } => None,
        }
    }
}

/// Where the next dependency is: so many single ones, and all those of these views.
#[derive(Clone, Default)]
pub(crate) struct Place {
    single: usize,
    views: Vec<Type>,
}

impl Place {
    /// The place after `parameter`.
    pub(crate) fn after(&mut self, parameter: &Parameter) {
        match &parameter.kind {
            Kind::Dep { .. } | Kind::Llm { .. } => self.single += 1,
            Kind::Service => self.views.push(parameter.ty.clone()),
            _ => {}
        }
    }
}

impl quote::ToTokens for Place {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { single, views } = self;
        tokens.extend(quote!(#single #(+ <#views as ::mesh::Service>::COUNT)*));
    }
}

/// The value of a default: texts become whatever the parameter is.
pub(crate) fn default_value(value: &Expr) -> TokenStream {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => quote!(::core::convert::Into::into(#text)),
        other => quote!(#other),
    }
}

/// A name of our own that no name of the author's can meet.
pub(crate) fn own(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

fn take(attributes: &mut Vec<Attribute>, name: &str) -> Option<Attribute> {
    let place = attributes.iter().position(|attribute| attribute.path().is_ident(name))?;
    Some(attributes.remove(place))
}
