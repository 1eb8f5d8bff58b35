//! Reads a method as an operation or query, and refuses what cannot be one.
use quote::ToTokens;
use syn::{Attribute, Error, FnArg, GenericArgument, Ident, ImplItemFn, Pat, PathArguments, Result, ReturnType, Type, parse_quote};

use crate::attributes::{docs, refuse_cfg};
use crate::names::plain;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Operation,
    Query,
}

pub(crate) struct Argument {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
}

pub(crate) struct EntryPoint {
    pub(crate) kind: Kind,
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) docs: String,
    pub(crate) args: Vec<Argument>,
    pub(crate) result: Type,
    pub(crate) error: Option<Type>,
}

const RESERVED: [&str; 2] = ["client", "blocking"];
const LATER: [&str; 6] = ["guard", "on_event", "on_session_end", "on_timer", "on_cancel", "migrate"];
const BUILT_IN: [&str; 14] = [
    "doc",
    "cfg",
    "cfg_attr",
    "allow",
    "warn",
    "deny",
    "forbid",
    "expect",
    "inline",
    "cold",
    "must_use",
    "deprecated",
    "track_caller",
    "test",
];

/// Removes the attribute that makes `method` an entry point; `None` for a plain helper.
pub(crate) fn take(method: &mut ImplItemFn) -> Result<Option<EntryPoint>> {
    let mut kind = None;
    let mut kept = Vec::new();
    for attribute in core::mem::take(&mut method.attrs) {
        match kind_of(&attribute)? {
            None => kept.push(attribute),
            Some(found) if kind.is_none() => kind = Some(found),
            Some(_) => return Err(Error::new_spanned(attribute, "a method is one operation or one query")),
        }
    }
    method.attrs = kept;
    kind.map(|kind| read(kind, method)).transpose()
}

fn kind_of(attribute: &Attribute) -> Result<Option<Kind>> {
    let Some(name) = attribute.path().get_ident().map(Ident::to_string) else { return Ok(None) };
    let kind = match name.as_str() {
        "op" => Kind::Operation,
        "query" => Kind::Query,
        later if LATER.contains(&later) => {
            return Err(Error::new_spanned(attribute, format!("this version of synod-sdk does not have #[{later}] yet")));
        }
        built_in if BUILT_IN.contains(&built_in) => return Ok(None),
        other => {
            return Err(Error::new_spanned(
                attribute,
                format!("#[{other}] is not known here: a method of a recipe is an #[op], a #[query], or a plain helper without either"),
            ));
        }
    };
    attribute.meta.require_path_only()?;
    Ok(Some(kind))
}

fn read(kind: Kind, method: &ImplItemFn) -> Result<EntryPoint> {
    refuse_cfg(&method.attrs, "an operation or query")?;
    let signature = &method.sig;
    let name = plain(&signature.ident);
    if RESERVED.contains(&name.as_str()) {
        return Err(Error::new_spanned(&signature.ident, format!("`{name}` is the function that makes a client: choose another name")));
    }
    if let Some(token) = &signature.asyncness {
        return Err(Error::new(token.span, "an entry point is not async: it runs to its end within one command"));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(&signature.generics, "an entry point has no generics: its types are written into the schema"));
    }
    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.mutability.is_none() => {}
        _ => return Err(Error::new_spanned(&signature.ident, "an entry point begins with `&self`")),
    }
    check_context(kind, signature, inputs.next())?;
    let args = inputs.map(argument).collect::<Result<_>>()?;
    let (result, error) = output(&signature.output)?;
    Ok(EntryPoint { kind, ident: signature.ident.clone(), name, docs: docs(&method.attrs), args, result, error })
}

fn check_context(kind: Kind, signature: &syn::Signature, input: Option<&FnArg>) -> Result<()> {
    let found = match input {
        Some(FnArg::Typed(input)) => match &*input.ty {
            Type::Reference(reference) => last_segment(&reference.elem).map(|ident| (reference.mutability.is_some(), ident.to_string())),
            _ => None,
        },
        _ => None,
    };
    let place = input.map_or_else(|| signature.ident.to_token_stream(), ToTokens::to_token_stream);
    match (kind, found.as_ref().map(|(mutable, name)| (*mutable, name.as_str()))) {
        (Kind::Operation, Some((true, "Ctx"))) | (Kind::Query, Some((false, "QueryCtx"))) => Ok(()),
        (Kind::Operation, Some((false, "QueryCtx"))) => {
            Err(Error::new_spanned(place, "an operation takes `cx: &mut Ctx`; if it only reads, make it a #[query]"))
        }
        (Kind::Operation, _) => Err(Error::new_spanned(place, "an operation begins with `&self, cx: &mut Ctx`")),
        (Kind::Query, Some((true, "Ctx"))) => {
            Err(Error::new_spanned(place, "a query takes `cx: &QueryCtx`; if it writes, make it an #[op]"))
        }
        (Kind::Query, _) => Err(Error::new_spanned(place, "a query begins with `&self, cx: &QueryCtx`")),
    }
}

fn argument(input: &FnArg) -> Result<Argument> {
    let FnArg::Typed(input) = input else { return Err(Error::new_spanned(input, "`self` comes first")) };
    if let Some(attribute) = input.attrs.first() {
        return Err(Error::new_spanned(attribute, "arguments have no attributes"));
    }
    let Pat::Ident(pattern) = &*input.pat else {
        return Err(Error::new_spanned(&input.pat, "an argument is a plain name: it is the argument's name in the schema"));
    };
    match &*input.ty {
        Type::Reference(reference) => Err(Error::new_spanned(
            reference,
            format!("arguments are owned: they are decoded for the call; for `{}` take String, Vec or Blob", reference.to_token_stream()),
        )),
        Type::ImplTrait(ty) => Err(Error::new_spanned(ty, "an argument has one type: it is written into the schema")),
        ty => Ok(Argument { ident: pattern.ident.clone(), ty: ty.clone() }),
    }
}

fn output(output: &ReturnType) -> Result<(Type, Option<Type>)> {
    let ReturnType::Type(_, ty) = output else { return Ok((parse_quote!(()), None)) };
    if last_segment(ty).is_none_or(|ident| ident != "Result") {
        return Ok(((**ty).clone(), None));
    }
    let Type::Path(path) = &**ty else { return Ok(((**ty).clone(), None)) };
    if let Some(PathArguments::AngleBracketed(arguments)) = path.path.segments.last().map(|segment| &segment.arguments) {
        let types: Vec<_> = arguments
            .args
            .iter()
            .filter_map(|argument| if let GenericArgument::Type(ty) = argument { Some(ty.clone()) } else { None })
            .collect();
        if let [result, error] = types.as_slice() {
            return Ok((result.clone(), Some(error.clone())));
        }
    }
    Err(Error::new_spanned(ty, "write Result<T, E> with both types: E is written into the schema"))
}

/// The last segment of a path, such as `Option` of `std::option::Option<u32>`.
pub(crate) fn last_segment(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        Type::Paren(paren) => last_segment(&paren.elem),
        Type::Group(group) => last_segment(&group.elem),
        _ => None,
    }
}

/// `T` of `Option<T>`.
pub(crate) fn option_item(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let segment = path.path.segments.last().filter(|segment| segment.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(item)) => Some(item),
        _ => None,
    }
}
