//! `#[ops]`: dispatch, schema, and the exports of the module.
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ImplItem, ItemImpl, Result, Type};

use crate::client;
use crate::data::shape_of;
use crate::names::check_hashes;
use crate::signature::{self, EntryPoint, Kind, option_item};

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !args.is_empty() {
        return Err(Error::new_spanned(args, "#[ops] takes no arguments"));
    }
    let mut item: ItemImpl = syn::parse2(item).map_err(|error| Error::new(error.span(), "#[ops] goes on the impl block of a recipe"))?;
    let recipe = match (&*item.self_ty, &item.trait_) {
        (Type::Path(path), None) if item.generics.params.is_empty() => {
            path.path.get_ident().cloned().ok_or_else(|| Error::new_spanned(path, "write the recipe's name alone"))?
        }
        _ => return Err(Error::new_spanned(&item.self_ty, "#[ops] goes on the inherent impl block of a recipe")),
    };
    let mut points = Vec::new();
    let mut errors: Option<Error> = None;
    for member in &mut item.items {
        if let ImplItem::Fn(method) = member {
            match signature::take(method) {
                Ok(point) => points.extend(point),
                Err(error) => match &mut errors {
                    Some(errors) => errors.combine(error),
                    None => errors = Some(error),
                },
            }
        }
    }
    if let Some(errors) = errors {
        return Err(errors);
    }
    if points.is_empty() {
        return Err(Error::new_spanned(recipe, "a recipe has at least one #[op] or #[query]"));
    }
    check_hashes("operations or queries", "choose another name", points.iter().map(|point| (&point.ident, point.name.clone())))?;

    let of = |kind: Kind| points.iter().filter(move |point| point.kind == kind);
    let (operations, queries) = (of(Kind::Operation).map(def), of(Kind::Query).map(def));
    let (run_operations, run_queries) =
        (of(Kind::Operation).map(|point| arm(&recipe, point)), of(Kind::Query).map(|point| arm(&recipe, point)));
    let client = client::expand(&recipe, &points);
    let (client_name, blocking_name) = client::names(&recipe);
    Ok(quote! {
        #item
        #client
        const _: () = {
            use ::synod_sdk::__private as __synod;
            #[allow(long_running_const_eval)]
            impl __synod::Recipe for #recipe {
                const SCHEMA: __synod::SchemaDef = __synod::SchemaDef {
                    name: <#recipe as __synod::RecipeState>::NAME,
                    version: <#recipe as __synod::RecipeState>::VERSION,
                    docs: <#recipe as __synod::RecipeState>::DOCS,
                    operations: &[#(#operations),*],
                    queries: &[#(#queries),*],
                    fields: <#recipe as __synod::RecipeState>::FIELDS,
                };
                const SCHEMA_BYTES: &'static [u8] = &SCHEMA;

                #[cfg(not(target_arch = "wasm32"))]
                type Client<'t, T: __synod::Transport + 't> = #client_name<'t, T>;
                #[cfg(not(target_arch = "wasm32"))]
                type BlockingClient<'t, T: __synod::Transport + 't> = #blocking_name<'t, T>;

                #[cfg(not(target_arch = "wasm32"))]
                fn client<T: __synod::Transport>(transport: &T, space: impl ::core::convert::Into<__synod::String>) -> Self::Client<'_, T> {
                    #recipe::client(transport, space)
                }
                #[cfg(not(target_arch = "wasm32"))]
                fn blocking<T: __synod::Transport>(transport: &T, space: impl ::core::convert::Into<__synod::String>) -> Self::BlockingClient<'_, T> {
                    #recipe::blocking(transport, space)
                }

                #[allow(unused_variables)]
                fn operation(__id: __synod::OperationId, __cx: &mut __synod::Ctx<'_>, __args: &[u8]) -> __synod::Vec<u8> {
                    let mut __args = __synod::Args(__args);
                    match __id.0 { #(#run_operations)* _ => __synod::bad_arguments() }
                }
                #[allow(unused_variables)]
                fn query(__id: __synod::OperationId, __cx: &__synod::QueryCtx<'_>, __args: &[u8]) -> __synod::Vec<u8> {
                    let mut __args = __synod::Args(__args);
                    match __id.0 { #(#run_queries)* _ => __synod::bad_arguments() }
                }
            }

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
        };
    })
}

fn def(point: &EntryPoint) -> TokenStream {
    let EntryPoint { name, docs, args, result, error, .. } = point;
    let args = args.iter().map(|arg| crate::data::field_shape(Some(&arg.ident), &[], &arg.ty));
    let result = shape_of(result);
    let errors = match error {
        None => quote!(::core::option::Option::None),
        Some(error) => quote_spanned!(error.span()=> ::core::option::Option::Some(&<#error as __synod::RecipeError>::ERRORS)),
    };
    quote! { __synod::EntryPointDef { name: #name, docs: #docs, args: &[#(#args),*], result: #result, errors: #errors } }
}

fn arm(recipe: &syn::Ident, point: &EntryPoint) -> TokenStream {
    let EntryPoint { name, ident, args, error, .. } = point;
    let bindings: Vec<_> = (0..args.len()).map(|at| format_ident!("__arg_{at}", span = Span::mixed_site())).collect();
    let decode = args.iter().zip(&bindings).map(|(arg, binding)| {
        let (ty, span) = (&arg.ty, arg.ty.span());
        let value = match option_item(ty) {
            Some(item) => quote_spanned!(span=> __args.optional::<#item>()),
            None => quote_spanned!(span=> __args.required::<#ty>()),
        };
        quote! { let ::core::result::Result::Ok(#binding) = #value else { return __synod::bad_arguments() }; }
    });
    let call = quote!(#recipe::#ident(&<#recipe as __synod::RecipeState>::INSTANCE, __cx, #(#bindings),*));
    let reply = match error {
        None => quote!(__synod::replied(&#call)),
        Some(_) => quote! {
            match #call {
                ::core::result::Result::Ok(__result) => __synod::replied(&__result),
                ::core::result::Result::Err(__error) => __synod::refused(&__error),
            }
        },
    };
    quote! {
        __id if __id == const { __synod::OperationId::of(#name).0 } => {
            #(#decode)*
            let ::core::result::Result::Ok(()) = __args.end() else { return __synod::bad_arguments() };
            #reply
        }
    }
}
