//! `#[ops]`: dispatch, schema, and the exports of the module.
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ImplItem, ItemImpl, Result, Type};

use crate::client;
use crate::data::shape_of;
use crate::names::check_hashes;
use crate::signature::{self, EntryPoint, Hook, HookKind, Kind, Member, option_item};

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !args.is_empty() {
        return Err(Error::new_spanned(args, "#[ops] takes no arguments"));
    }
    let mut item: ItemImpl = syn::parse2(item)
        .map_err(|error| Error::new(error.span(), "#[ops] goes on the impl block of a recipe"))?;
    let recipe = recipe_of(&item)?;
    let (points, hooks) = members(&mut item)?;
    if points.is_empty() {
        return Err(Error::new_spanned(recipe, "a recipe has at least one #[op] or #[query]"));
    }
    check_hashes(
        "operations or queries",
        "choose another name",
        points.iter().map(|point| (&point.ident, point.name.clone())),
    )?;
    let client = client::expand(&recipe, &points);
    let implementation = implementation(&recipe, &points, &hooks);
    let exports = exports(&recipe, &hooks);
    Ok(quote! {
        #item
        #client
        const _: () = {
            use ::synod_sdk::__private as __synod;
            #implementation
            #exports
        };
    })
}

/// The recipe that the impl block is of.
fn recipe_of(item: &ItemImpl) -> Result<syn::Ident> {
    let (Type::Path(path), None, true) = (&*item.self_ty, &item.trait_, item.generics.params.is_empty())
    else {
        return Err(Error::new_spanned(&item.self_ty, "#[ops] goes on the inherent impl block of a recipe"));
    };
    let name = path.path.get_ident().cloned();
    name.ok_or_else(|| Error::new_spanned(path, "write the recipe's name alone"))
}

/// The operations, queries and hooks of the block, whose attributes are taken off; or everything
/// that is wrong with them.
fn members(item: &mut ItemImpl) -> Result<(Vec<EntryPoint>, Vec<Hook>)> {
    let mut points = Vec::new();
    let mut hooks = Vec::<Hook>::new();
    let mut errors: Option<Error> = None;
    let mut refuse = |error| match &mut errors {
        Some(errors) => Error::combine(errors, error),
        None => errors = Some(error),
    };
    for member in &mut item.items {
        let ImplItem::Fn(method) = member else { continue };
        match signature::take(method) {
            Ok(None) => {}
            Ok(Some(Member::Point(point))) => points.push(*point),
            Ok(Some(Member::Hook(hook))) => match hooks.iter().find(|other| other.kind == hook.kind) {
                None => hooks.push(hook),
                Some(other) => refuse(Error::new_spanned(
                    &hook.ident,
                    format!(
                        "a recipe has one #[{}], which is `{}`: call this from there",
                        hook.kind.attribute(),
                        other.ident
                    ),
                )),
            },
            Err(error) => refuse(error),
        }
    }
    match errors {
        Some(errors) => Err(errors),
        None => Ok((points, hooks)),
    }
}

/// `impl Recipe`: the schema, the clients and the dispatch.
fn implementation(recipe: &syn::Ident, points: &[EntryPoint], hooks: &[Hook]) -> TokenStream {
    let of = |kind: Kind| points.iter().filter(move |point| point.kind == kind);
    let operations = of(Kind::Operation).map(def);
    let queries = of(Kind::Query).map(def);
    let hooks_def = hooks_def(hooks);
    let (client_name, blocking_name) = client::names(recipe);
    let dispatch = dispatch(recipe, points, hooks);
    quote! {
        #[allow(long_running_const_eval)]
        impl __synod::Recipe for #recipe {
            const SCHEMA: __synod::SchemaDef = __synod::SchemaDef {
                name: <#recipe as __synod::RecipeState>::NAME,
                version: <#recipe as __synod::RecipeState>::VERSION,
                docs: <#recipe as __synod::RecipeState>::DOCS,
                operations: &[#(#operations),*],
                queries: &[#(#queries),*],
                fields: <#recipe as __synod::RecipeState>::FIELDS,
                hooks: #hooks_def,
                emits: match <#recipe as __synod::RecipeState>::EMITS {
                    ::core::option::Option::Some(__emits) => ::core::option::Option::Some(__emits.shape),
                    ::core::option::Option::None => ::core::option::Option::None,
                },
            };
            const SCHEMA_BYTES: &'static [u8] = &SCHEMA;

            #[cfg(not(target_arch = "wasm32"))]
            type Client<'t, T: __synod::Transport + 't> = #client_name<'t, T>;
            #[cfg(not(target_arch = "wasm32"))]
            type BlockingClient<'t, T: __synod::Transport + 't> = #blocking_name<'t, T>;

            #[cfg(not(target_arch = "wasm32"))]
            fn client<T: __synod::Transport>(
                transport: &T,
                space: impl ::core::convert::Into<__synod::String>,
            ) -> Self::Client<'_, T> {
                #recipe::client(transport, space)
            }
            #[cfg(not(target_arch = "wasm32"))]
            fn blocking<T: __synod::Transport>(
                transport: &T,
                space: impl ::core::convert::Into<__synod::String>,
            ) -> Self::BlockingClient<'_, T> {
                #recipe::blocking(transport, space)
            }
            #dispatch
        }
    }
}

/// The methods that decode arguments, call the recipe's own and encode the reply.
fn dispatch(recipe: &syn::Ident, points: &[EntryPoint], hooks: &[Hook]) -> TokenStream {
    let of = |kind: Kind| points.iter().filter(move |point| point.kind == kind);
    let operations = of(Kind::Operation).map(|point| arm(recipe, point));
    let queries = of(Kind::Query).map(|point| arm(recipe, point));
    let hooks = hooks.iter().map(|hook| hook_arm(recipe, hook));
    quote! {
        #[allow(unused_variables)]
        fn operation(
            __id: __synod::OperationId,
            __cx: &mut __synod::Ctx<'_>,
            __args: &[u8],
        ) -> __synod::Vec<u8> {
            let mut __args = __synod::Args(__args);
            match __id.0 { #(#operations)* _ => __synod::bad_arguments() }
        }
        #[allow(unused_variables)]
        fn query(
            __id: __synod::OperationId,
            __cx: &__synod::QueryCtx<'_>,
            __args: &[u8],
        ) -> __synod::Vec<u8> {
            let mut __args = __synod::Args(__args);
            match __id.0 { #(#queries)* _ => __synod::bad_arguments() }
        }
        #[allow(unused_variables)]
        fn hook(
            __entry: __synod::EntryPoint,
            __cx: &mut __synod::Ctx<'_>,
            __args: &[u8],
        ) -> __synod::Vec<u8> {
            let mut __args = __synod::Args(__args);
            match __entry { #(#hooks)* _ => __synod::bad_arguments() }
        }
    }
}

/// What the module exports: its schema, the input buffer and the entry points.
fn exports(recipe: &syn::Ident, hooks: &[Hook]) -> TokenStream {
    let hook_export = hook_export(recipe, hooks);
    quote! {
        const SCHEMA_LEN: usize = <#recipe as __synod::Recipe>::SCHEMA.encoded_len();
        #[cfg_attr(target_arch = "wasm32", unsafe(link_section = "synod_schema"), used)]
        static SCHEMA: [u8; SCHEMA_LEN] = <#recipe as __synod::Recipe>::SCHEMA.encode();

        #[cfg(target_arch = "wasm32")]
        #[unsafe(export_name = "synod_input")]
        pub static INPUT: ::synod_sdk::guest::Input = ::synod_sdk::guest::input();
        #[cfg(target_arch = "wasm32")]
        #[unsafe(export_name = "synod_operation")]
        pub extern "C" fn operation(id: i32, len: i32) -> i64 {
            let entry = ::synod_sdk::abi::EntryPoint::Operation(__synod::OperationId(id as u32));
            ::synod_sdk::guest::run::<#recipe>(&INPUT, entry, len)
        }
        #[cfg(target_arch = "wasm32")]
        #[unsafe(export_name = "synod_query")]
        pub extern "C" fn query(id: i32, len: i32) -> i64 {
            let entry = ::synod_sdk::abi::EntryPoint::Query(__synod::OperationId(id as u32));
            ::synod_sdk::guest::run::<#recipe>(&INPUT, entry, len)
        }
        #hook_export
    }
}

fn def(point: &EntryPoint) -> TokenStream {
    let EntryPoint { name, docs, args, result, error, waits, .. } = point;
    let args = args.iter().map(|arg| crate::data::field_shape(Some(&arg.ident), &[], &arg.ty));
    let result = shape_of(result);
    let errors = match error {
        None => quote!(::core::option::Option::None),
        Some(error) => {
            let errors = quote_spanned!(error.span()=> <#error as __synod::RecipeError>::ERRORS);
            quote_spanned!(error.span()=> ::core::option::Option::Some(&#errors))
        }
    };
    quote! {
        __synod::EntryPointDef {
            name: #name,
            docs: #docs,
            args: &[#(#args),*],
            result: #result,
            errors: #errors,
            waits: #waits,
        }
    }
}

fn arm(recipe: &syn::Ident, point: &EntryPoint) -> TokenStream {
    let EntryPoint { name, ident, args, error, waits, .. } = point;
    let (decode, call) = invocation(recipe, ident, args, option_item);
    let answer =
        if *waits { quote!(__synod::answered(__cx, __result)) } else { quote!(__synod::replied(&__result)) };
    let reply = match error {
        None => quote!({ let __result = #call; #answer }),
        Some(_) => quote! {
            match #call {
                ::core::result::Result::Ok(__result) => #answer,
                ::core::result::Result::Err(__error) => __synod::refused(&__error),
            }
        },
    };
    quote! {
        __id if __id == const { __synod::OperationId::of(#name).0 } => {
            #decode
            #reply
        }
    }
}

fn hook_arm(recipe: &syn::Ident, hook: &Hook) -> TokenStream {
    let entry = match hook.kind {
        HookKind::SessionEnd => quote!(SessionEnd),
        HookKind::Timer => quote!(Timer),
        HookKind::Cancel => quote!(Cancel),
        HookKind::Event => quote!(Event),
    };
    let (decode, call) = invocation(recipe, &hook.ident, &hook.args, |_| None);
    let checks =
        hook.args.iter().zip(hook.kind.types()).filter(|(_, name)| !name.is_empty()).map(|(arg, name)| {
            let (ty, meant) = (&arg.ty, format_ident!("{name}"));
            quote_spanned!(ty.span()=> { let _: fn(#ty) -> __synod::hook_types::#meant = |__arg| __arg; })
        });
    let answer = match hook.kind {
        HookKind::Event => quote! { let () = #call; __synod::replied(&()) },
        HookKind::SessionEnd | HookKind::Timer | HookKind::Cancel => quote!(__synod::hooked(#call)),
    };
    quote! {
        __synod::EntryPoint::#entry => {
            #(#checks)*
            #decode
            #answer
        }
    }
}

/// Decodes the arguments, and calls the method with them. `optional` tells which may be missing.
fn invocation(
    recipe: &syn::Ident,
    ident: &syn::Ident,
    args: &[signature::Argument],
    optional: fn(&Type) -> Option<&Type>,
) -> (TokenStream, TokenStream) {
    let bindings: Vec<_> =
        (0..args.len()).map(|at| format_ident!("__arg_{at}", span = Span::mixed_site())).collect();
    let decode = args.iter().zip(&bindings).map(|(arg, binding)| {
        let (ty, span) = (&arg.ty, arg.ty.span());
        let value = match optional(ty) {
            Some(item) => quote_spanned!(span=> __args.optional::<#item>()),
            None => quote_spanned!(span=> __args.required::<#ty>()),
        };
        quote! { let ::core::result::Result::Ok(#binding) = #value else { return __synod::bad_arguments() }; }
    });
    let decode = quote! {
        #(#decode)*
        let ::core::result::Result::Ok(()) = __args.end() else { return __synod::bad_arguments() };
    };
    (decode, quote!(#recipe::#ident(&<#recipe as __synod::RecipeState>::INSTANCE, __cx, #(#bindings),*)))
}

fn hooks_def(hooks: &[Hook]) -> TokenStream {
    let has = |kind| hooks.iter().any(|hook| hook.kind == kind);
    let session_end = has(HookKind::SessionEnd);
    let cancel = has(HookKind::Cancel);
    let event = has(HookKind::Event);
    let payload = hooks.iter().find(|hook| hook.kind == HookKind::Timer).and_then(|hook| hook.args.last());
    let timer = match payload {
        None => quote!(::core::option::Option::None),
        Some(payload) => {
            let shape = shape_of(&payload.ty);
            quote!(::core::option::Option::Some(#shape))
        }
    };
    quote!(__synod::HooksDef { session_end: #session_end, cancel: #cancel, timer: #timer, event: #event })
}

/// Only recipes with a hook export it, so that a module without hooks is as small as it can be.
fn hook_export(recipe: &syn::Ident, hooks: &[Hook]) -> TokenStream {
    if hooks.is_empty() {
        return TokenStream::new();
    }
    quote! {
        #[cfg(target_arch = "wasm32")]
        #[unsafe(export_name = "synod_hook")]
        pub extern "C" fn hook(hook: i32, len: i32) -> i64 {
            ::synod_sdk::guest::run_hook::<#recipe>(&INPUT, hook, len)
        }
    }
}
