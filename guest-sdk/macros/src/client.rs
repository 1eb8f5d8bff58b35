//! The typed clients that `#[ops]` writes: an async one over any transport, and its blocking twin.
//!
//! An argument of type `String` or `Blob` is taken as anything that becomes one; others are taken
//! as they are, so that `take("api", 1)` and `None` need no type annotations.
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, Type};

use crate::signature::{EntryPoint, Kind, last_segment};

/// Names of the async and the blocking client.
pub(crate) fn names(recipe: &Ident) -> (Ident, Ident) {
    (format_ident!("{recipe}Client"), format_ident!("{recipe}BlockingClient"))
}

pub(crate) fn expand(recipe: &Ident, points: &[EntryPoint]) -> TokenStream {
    let (client, blocking) = names(recipe);
    let (client_docs, blocking_docs) = (
        format!("Typed client of [`{recipe}`]."),
        format!("Typed client of [`{recipe}`] that waits for each answer on the calling thread."),
    );
    let mut at = [0, 0];
    let methods: Vec<_> = points
        .iter()
        .map(|point| {
            let at = &mut at[usize::from(point.kind == Kind::Query)];
            *at += 1;
            method(recipe, point, *at - 1)
        })
        .collect();
    let (asyncs, blockings) =
        (methods.iter().map(|(method, _)| method), methods.iter().map(|(_, method)| method));
    let waiting = waiting();
    quote! {
        #[cfg(not(target_arch = "wasm32"))]
        #[doc = #client_docs]
        #[derive(Debug)]
        #[allow(unreachable_pub, dead_code)]
        pub struct #client<'t, T>(::synod_sdk::__private::ClientCore<'t, T>);

        #[cfg(not(target_arch = "wasm32"))]
        #[allow(unreachable_pub, dead_code, private_interfaces, missing_docs, long_running_const_eval)]
        #[allow(clippy::too_many_arguments, clippy::missing_errors_doc)]
        impl<'t, T: ::synod_sdk::__private::Transport> #client<'t, T> {
            #waiting

            #(#asyncs)*
        }

        #[cfg(not(target_arch = "wasm32"))]
        #[doc = #blocking_docs]
        #[derive(Debug)]
        #[allow(unreachable_pub, dead_code)]
        pub struct #blocking<'t, T>(#client<'t, T>);

        #[cfg(not(target_arch = "wasm32"))]
        #[allow(unreachable_pub, dead_code, private_interfaces, missing_docs)]
        #[allow(clippy::too_many_arguments, clippy::missing_errors_doc)]
        impl<'t, T: ::synod_sdk::__private::Transport> #blocking<'t, T> {
            #waiting

            #(#blockings)*
        }

        #[cfg(not(target_arch = "wasm32"))]
        #[allow(unreachable_pub, dead_code)]
        impl #recipe {
            /// The typed client of the space called `space`.
            pub fn client<T: ::synod_sdk::__private::Transport>(
                transport: &T,
                space: impl ::core::convert::Into<::synod_sdk::__private::String>,
            ) -> #client<'_, T> {
                #client(::synod_sdk::__private::ClientCore::new(transport, space))
            }

            /// The typed client of the space called `space`, for programs and tests without
            /// `async`.
            pub fn blocking<T: ::synod_sdk::__private::Transport>(
                transport: &T,
                space: impl ::core::convert::Into<::synod_sdk::__private::String>,
            ) -> #blocking<'_, T> {
                #blocking(Self::client(transport, space))
            }
        }
    }
}

/// The method of both clients that bounds how long their calls wait.
fn waiting() -> TokenStream {
    quote! {
        /// The same client, whose calls wait at most `wait_ms` milliseconds of cluster time for an
        /// operation that answers later: then they end with `CallError::WaitTimeout`. 0 does not
        /// wait at all. Without it they wait as long as the session lives.
        #[must_use]
        pub fn waiting_ms(&self, wait_ms: u64) -> Self {
            Self(self.0.waiting_ms(wait_ms))
        }
    }
}

fn method(recipe: &Ident, point: &EntryPoint, at: usize) -> (TokenStream, TokenStream) {
    let EntryPoint { kind, ident, name, docs, args, result, error, .. } = point;
    let (send, defs) = match kind {
        Kind::Operation => (quote!(call), quote!(operations)),
        Kind::Query => (quote!(query), quote!(queries)),
    };
    let error = error.as_ref().map_or_else(|| quote!(::synod_sdk::__private::Never), |error| quote!(#error));
    let output = quote!(::core::result::Result<#result, ::synod_sdk::__private::CallError<#error>>);
    let names: Vec<_> = args.iter().map(|arg| &arg.ident).collect();
    let params: Vec<_> = args
        .iter()
        .map(|arg| {
            let (ident, ty) = (&arg.ident, &arg.ty);
            if into(ty) { quote!(#ident: impl ::core::convert::Into<#ty>) } else { quote!(#ident: #ty) }
        })
        .collect();
    let encode = args.iter().map(|arg| {
        let (ident, ty) = (&arg.ident, &arg.ty);
        let value =
            if into(ty) { quote!(::core::convert::Into::<#ty>::into(#ident)) } else { quote!(#ident) };
        quote! { let __args = ::synod_sdk::__private::encode_into(&#value, __args); }
    });
    let lines = docs.lines().map(|line| format!(" {line}"));
    let docs = quote!(#(#[doc = #lines])*);
    let asynchronous = quote! {
        #docs
        pub async fn #ident(&self, #(#params),*) -> #output {
            const DEF: ::synod_sdk::__private::EntryPointDef =
                <#recipe as ::synod_sdk::__private::Recipe>::SCHEMA.#defs[#at];
            const SIGNATURE: u64 = DEF.signature::<{ DEF.signature_len() }>();
            let __args = ::synod_sdk::__private::Vec::new();
            #(#encode)*
            self.0.#send(#name, SIGNATURE, __args).await
        }
    };
    let blocking = quote! {
        #docs
        pub fn #ident(&self, #(#params),*) -> #output {
            ::synod_sdk::__private::block_on(self.0.#ident(#(#names),*))
        }
    };
    (asynchronous, blocking)
}

fn into(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|ident| ident == "String" || ident == "Blob")
}
