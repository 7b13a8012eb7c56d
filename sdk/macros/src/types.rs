//! What can be seen of a type without knowing what its names mean.

use syn::{GenericArgument, PathArguments, PathSegment, ReturnType, Type, TypeParamBound};

/// The last name of a path: `Dep` of `mesh::Dep<T>`.
pub(crate) fn is(ty: &Type, name: &str) -> bool {
    segment(ty).is_some_and(|segment| segment.ident == name)
}

/// `T` of `Name<T, …>`.
pub(crate) fn inside<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    segment(ty).filter(|segment| segment.ident == name).and_then(first_argument)
}

/// What a function returns, apart from its error.
pub(crate) struct Returned {
    /// The type, as the SDK calls it.
    pub(crate) ty: Type,
    /// Whether it comes in a `Result`.
    pub(crate) is_result: bool,
    /// How a nameless stream is turned into one of the SDK.
    pub(crate) stream: Option<StreamOf>,
}

/// The elements of a nameless stream.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum StreamOf {
    Values,
    Results,
}

impl Returned {
    pub(crate) fn of(output: &ReturnType) -> Self {
        let ReturnType::Type(_, whole) = output else {
            return Self { ty: syn::parse_quote!(()), is_result: false, stream: None };
        };
        let is_result = is(whole, "Result");
        let inner = match inside(whole, "Result") {
            Some(inner) => inner.clone(),
            None if is_result => syn::parse_quote!(()),
            None => (**whole).clone(),
        };
        match stream_item(&inner) {
            None => Self { ty: inner, is_result, stream: None },
            Some(item) => {
                let (item, stream) = match inside(item, "Result") {
                    Some(value) => (value, StreamOf::Results),
                    None => (item, StreamOf::Values),
                };
                Self { ty: syn::parse_quote!(::mesh::Stream<#item>), is_result, stream: Some(stream) }
            }
        }
    }
}

/// `T` of `impl Stream<Item = T>`.
fn stream_item(ty: &Type) -> Option<&Type> {
    let Type::ImplTrait(opaque) = ty else { return None };
    opaque.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let segment = bound.path.segments.last().filter(|segment| segment.ident == "Stream")?;
        let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(item) if item.ident == "Item" => Some(&item.ty),
            _ => None,
        })
    })
}

fn segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        Type::Group(group) => segment(&group.elem),
        Type::Paren(paren) => segment(&paren.elem),
        _ => None,
    }
}

fn first_argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
