//! Reads a method as an operation, query or hook, and refuses what cannot be one.
use quote::ToTokens;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, ImplItemFn, Pat, PathArguments, Result, ReturnType,
    Type, parse_quote,
};

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
    /// Whether it returns `Reply<result>`.
    pub(crate) waits: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookKind {
    SessionEnd,
    Timer,
    Cancel,
    Event,
}

impl HookKind {
    const ALL: [Self; 4] = [Self::SessionEnd, Self::Timer, Self::Cancel, Self::Event];

    pub(crate) const fn attribute(self) -> &'static str {
        match self {
            Self::SessionEnd => "on_session_end",
            Self::Timer => "on_timer",
            Self::Cancel => "on_cancel",
            Self::Event => "on_event",
        }
    }

    const fn usage(self) -> &'static str {
        match self {
            Self::SessionEnd => "write `#[on_session_end] fn …(&self, cx: &mut Ctx, session: SessionId)`",
            Self::Timer => {
                "write `#[on_timer] fn …(&self, cx: &mut Ctx, timer: TimerId, payload: T)`, with the T that \
                    timers are set with"
            }
            Self::Cancel => "write `#[on_cancel] fn …(&self, cx: &mut Ctx, ticket: TicketId, granted: bool)`",
            Self::Event => {
                "write `#[on_event] fn …(&self, cx: &mut Ctx, event: Event)`; `event.decode::<T>()` is its \
                    payload"
            }
        }
    }

    /// The types of its arguments by name; an empty name is any type.
    pub(crate) const fn types(self) -> &'static [&'static str] {
        match self {
            Self::SessionEnd => &["SessionId"],
            Self::Timer => &["TimerId", ""],
            Self::Cancel => &["TicketId", "bool"],
            Self::Event => &["Event"],
        }
    }
}

pub(crate) struct Hook {
    pub(crate) kind: HookKind,
    pub(crate) ident: Ident,
    pub(crate) args: Vec<Argument>,
}

pub(crate) enum Member {
    Point(Box<EntryPoint>),
    Hook(Hook),
}

/// What an attribute makes of its method.
enum Role {
    Point(Kind),
    Hook(HookKind),
}

const RESERVED: [&str; 3] = ["client", "blocking", "waiting_ms"];
const LATER: [&str; 2] = ["guard", "migrate"];
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
pub(crate) fn take(method: &mut ImplItemFn) -> Result<Option<Member>> {
    let mut role = None;
    let mut kept = Vec::new();
    for attribute in core::mem::take(&mut method.attrs) {
        match role_of(&attribute)? {
            None => kept.push(attribute),
            Some(found) if role.is_none() => role = Some(found),
            Some(_) => {
                return Err(Error::new_spanned(
                    attribute,
                    "a method is one operation, one query or one hook",
                ));
            }
        }
    }
    method.attrs = kept;
    Ok(match role {
        None => None,
        Some(Role::Point(kind)) => Some(Member::Point(Box::new(read(kind, method)?))),
        Some(Role::Hook(kind)) => Some(Member::Hook(read_hook(kind, method)?)),
    })
}

fn role_of(attribute: &Attribute) -> Result<Option<Role>> {
    let Some(name) = attribute.path().get_ident().map(Ident::to_string) else { return Ok(None) };
    let role = match name.as_str() {
        "op" => Role::Point(Kind::Operation),
        "query" => Role::Point(Kind::Query),
        hook if HookKind::ALL.iter().any(|kind| kind.attribute() == hook) => {
            let kind = HookKind::ALL.into_iter().find(|kind| kind.attribute() == hook);
            Role::Hook(kind.expect("the guard found it"))
        }
        later if LATER.contains(&later) => {
            return Err(Error::new_spanned(
                attribute,
                format!("this version of synod-sdk does not have #[{later}] yet"),
            ));
        }
        built_in if BUILT_IN.contains(&built_in) => return Ok(None),
        other => {
            return Err(Error::new_spanned(
                attribute,
                format!(
                    "#[{other}] is not known here: a method of a recipe is an #[op], a #[query], a hook \
                        (#[on_session_end], #[on_timer], \
                     #[on_cancel], #[on_event]), or a plain helper without any of them"
                ),
            ));
        }
    };
    attribute.meta.require_path_only()?;
    Ok(Some(role))
}

fn read(kind: Kind, method: &ImplItemFn) -> Result<EntryPoint> {
    refuse_cfg(&method.attrs, "an operation or query")?;
    let signature = &method.sig;
    let name = plain(&signature.ident);
    if RESERVED.contains(&name.as_str()) {
        return Err(Error::new_spanned(
            &signature.ident,
            format!("`{name}` is a method of every client: choose another name"),
        ));
    }
    let mut inputs = entry(signature)?;
    check_context(kind, signature, inputs.next())?;
    let args = inputs.map(argument).collect::<Result<_>>()?;
    let (result, error) = output(&signature.output)?;
    let (result, waits) = match reply_item(&result) {
        Some(item) => (item.clone(), true),
        None => (result, false),
    };
    if waits && kind == Kind::Query {
        return Err(Error::new_spanned(
            &signature.output,
            "a query answers at once: only an #[op] returns Reply<T>; return T",
        ));
    }
    Ok(EntryPoint {
        kind,
        ident: signature.ident.clone(),
        name,
        docs: docs(&method.attrs),
        args,
        result,
        error,
        waits,
    })
}

fn read_hook(kind: HookKind, method: &ImplItemFn) -> Result<Hook> {
    refuse_cfg(&method.attrs, "a hook")?;
    let signature = &method.sig;
    let wrong = |place: &dyn ToTokens, why: &str| {
        Err(Error::new_spanned(place.to_token_stream(), format!("{why}: {usage}", usage = kind.usage())))
    };
    let mut inputs = entry(signature)?;
    match context_of(inputs.next()) {
        Some((true, name)) if name == "Ctx" => {}
        _ => return wrong(&signature.inputs, "a hook begins with `&self, cx: &mut Ctx`"),
    }
    let args = inputs.map(argument).collect::<Result<Vec<_>>>()?;
    if args.len() != kind.types().len() {
        return wrong(&signature.inputs, "this hook has other arguments");
    }
    for (arg, name) in args.iter().zip(kind.types()) {
        if !name.is_empty() && last_segment(&arg.ty).is_none_or(|ident| ident != name) {
            return wrong(&arg.ty, &format!("`{}` is a {name}", arg.ident));
        }
    }
    match &signature.output {
        ReturnType::Default => {}
        ReturnType::Type(_, ty) if matches!(&**ty, Type::Tuple(tuple) if tuple.elems.is_empty()) => {}
        ReturnType::Type(_, ty)
            if kind != HookKind::Event && last_segment(ty).is_some_and(|ident| ident == "Hook") => {}
        ReturnType::Type(_, ty) if kind == HookKind::Event => {
            return wrong(ty, "this hook answers nobody, so it returns nothing");
        }
        ReturnType::Type(_, ty) => {
            return wrong(ty, "a hook answers nobody, so it returns nothing, or `Hook` if it has more to do");
        }
    }
    Ok(Hook { kind, ident: signature.ident.clone(), args })
}

/// What operations, queries and hooks have in common; returns the arguments behind `&self`.
fn entry(signature: &syn::Signature) -> Result<syn::punctuated::Iter<'_, FnArg>> {
    if let Some(token) = &signature.asyncness {
        return Err(Error::new(
            token.span,
            "an entry point is not async: it runs to its end within one command",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &signature.generics,
            "an entry point has no generics: its types are written into the schema",
        ));
    }
    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.mutability.is_none() => {}
        _ => return Err(Error::new_spanned(&signature.ident, "an entry point begins with `&self`")),
    }
    Ok(inputs)
}

/// Whether the context is mutable, and its type's name.
fn context_of(input: Option<&FnArg>) -> Option<(bool, String)> {
    let Some(FnArg::Typed(input)) = input else { return None };
    let Type::Reference(reference) = &*input.ty else { return None };
    last_segment(&reference.elem).map(|ident| (reference.mutability.is_some(), ident.to_string()))
}

fn check_context(kind: Kind, signature: &syn::Signature, input: Option<&FnArg>) -> Result<()> {
    let found = context_of(input);
    let place = input.map_or_else(|| signature.ident.to_token_stream(), ToTokens::to_token_stream);
    match (kind, found.as_ref().map(|(mutable, name)| (*mutable, name.as_str()))) {
        (Kind::Operation, Some((true, "Ctx"))) | (Kind::Query, Some((false, "QueryCtx"))) => Ok(()),
        (Kind::Operation, Some((false, "QueryCtx"))) => Err(Error::new_spanned(
            place,
            "an operation takes `cx: &mut Ctx`; if it only reads, make it a #[query]",
        )),
        (Kind::Operation, _) => {
            Err(Error::new_spanned(place, "an operation begins with `&self, cx: &mut Ctx`"))
        }
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
        return Err(Error::new_spanned(
            &input.pat,
            "an argument is a plain name: it is the argument's name in the schema",
        ));
    };
    match &*input.ty {
        Type::Reference(reference) => Err(Error::new_spanned(
            reference,
            format!(
                "arguments are owned: they are decoded for the call; for `{}` take String, Vec or Blob",
                reference.to_token_stream()
            ),
        )),
        Type::ImplTrait(ty) => {
            Err(Error::new_spanned(ty, "an argument has one type: it is written into the schema"))
        }
        ty => Ok(Argument { ident: pattern.ident.clone(), ty: ty.clone() }),
    }
}

fn output(output: &ReturnType) -> Result<(Type, Option<Type>)> {
    let ReturnType::Type(_, ty) = output else { return Ok((parse_quote!(()), None)) };
    if last_segment(ty).is_none_or(|ident| ident != "Result") {
        return Ok(((**ty).clone(), None));
    }
    let Type::Path(path) = &**ty else { return Ok(((**ty).clone(), None)) };
    if let Some(PathArguments::AngleBracketed(arguments)) =
        path.path.segments.last().map(|segment| &segment.arguments)
    {
        let types: Vec<_> = arguments
            .args
            .iter()
            .filter_map(
                |argument| if let GenericArgument::Type(ty) = argument { Some(ty.clone()) } else { None },
            )
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
    item_of(ty, "Option")
}

/// `T` of `Reply<T>`; a `Reply` without `T` is a type of the author's own.
fn reply_item(ty: &Type) -> Option<&Type> {
    item_of(ty, "Reply")
}

fn item_of<'t>(ty: &'t Type, name: &str) -> Option<&'t Type> {
    let path = match ty {
        Type::Path(path) => path,
        Type::Paren(paren) => return item_of(&paren.elem, name),
        Type::Group(group) => return item_of(&group.elem, name),
        _ => return None,
    };
    let segment = path.path.segments.last().filter(|segment| segment.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(item)) => Some(item),
        _ => None,
    }
}
