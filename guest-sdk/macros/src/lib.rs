//! The macros of the guest SDK. Documentation for people is in `synod-sdk`, which re-exports them.
//!
//! Each macro checks what it can where the author wrote it, and leaves the rest to traits with
//! messages of their own. What they write goes through `::synod_sdk::__private` only, so that a
//! recipe depends on `synod-sdk` alone.
//!
//! They do not look at types beyond their last path segment: `Result`, `Option`, `String` and
//! `Blob` are known by name, so an alias of one of them is not treated as it.
mod attributes;
mod client;
mod data;
mod errors;
mod names;
mod ops;
mod recipe;
mod signature;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Makes a struct or enum that arguments, results and rows can hold. Put it above every derive.
///
/// It derives `Clone`, `Debug`, `PartialEq`, `Eq` (unless the item names them) and the wire's
/// traits, and describes the type with its documentation in the schema. `#[data(key)]` derives
/// `PartialOrd` and `Ord` too, and makes it a key of a `Map` or `Queue`, sorted as its fields are.
///
/// Attributes that would change the wire are refused.
/// What has no shape, such as a float, is refused, and so is an option of an option.
#[proc_macro_attribute]
pub fn data(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(data::expand(args.into(), item.into()))
}

/// Makes an enum what a recipe refuses with: every variant has `#[error(code)]`, or `#[error(code,
/// status)]` with one of the gRPC statuses `failed_precondition` (when none is named),
/// `invalid_argument`, `not_found`, `already_exists`, `permission_denied`, `resource_exhausted`,
/// `aborted`, `out_of_range`.
///
/// Codes are for ever: a variant keeps its code, and new ones are appended.
#[proc_macro_attribute]
pub fn errors(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(errors::expand(args.into(), item.into()))
}

/// Makes a struct of state handles a recipe: `#[recipe(name = "locks", version = 1)]`.
///
/// `#[recipe(name = "kv", version = 1, emits = Change)]` says what its events carry: a `#[data]`
/// type of the same crate, as visible as the recipe. It is the one type that `cx.emit` takes, it is
/// `Recipe::Event` for clients that watch, and its shape is in the schema. No other recipe emits
/// it: one of two in a crate wraps it.
///
/// A field's rows are found by a hash of its name; `#[state(name = "…")]` keeps them when the field
/// is renamed.
#[proc_macro_attribute]
pub fn recipe(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(recipe::expand(args.into(), item.into()))
}

/// Makes the methods of a recipe its operations, queries and hooks.
///
/// `#[op]` methods take `&self, cx: &mut Ctx` and owned arguments, `#[query]` methods `&self, cx:
/// &QueryCtx`; both return `T` or `Result<T, E>` with an `#[errors]` enum. An operation that may
/// answer later returns `Reply<T>` or `Result<Reply<T>, E>`. Arguments may be appended later if
/// they are `Option`s: who does not know them passes `None`.
///
/// A recipe has at most one of each hook. The first three run in commands that cannot be rejected:
/// one that panics or meets a limit is rolled back, counted where people see it (`synod space
/// list`), and owed: tried again until it succeeds or an operator drops it, see `synod space owed`.
/// They return nothing, or `Hook`: after `Hook::More` they run again, with the same arguments, in a
/// later command.
/// * `#[on_session_end] fn …(&self, cx: &mut Ctx, session: SessionId)`: a session that called this
///   space has ended, and its waiting calls with it. Here a recipe releases what it bound to the
///   session.
/// * `#[on_timer] fn …(&self, cx: &mut Ctx, timer: TimerId, payload: T)`: a timer of
///   `cx.set_timer(at, &payload)` is due.
/// * `#[on_cancel] fn …(&self, cx: &mut Ctx, ticket: TicketId, granted: bool)`: a call that waited
///   does not any more, because its caller gave it up or its time was up. With `granted` it had its
///   result, which its caller never heard of or does not want: the recipe takes it back.
///   `cx.session()` is the session of the call. It does not run when that ends. If it fails
///   without `granted`, it is not tried again: there was nothing to take back.
/// * `#[on_event] fn …(&self, cx: &mut Ctx, event: Event)`: a space that this one is bound to
///   (`synod space bind`) emitted an event. It runs in the command that emitted it and shares its
///   fuel. If it fails, that command is rejected, unless the binding says `skip` or the command is
///   the cluster's own.
///
/// Other methods are plain helpers. Beside the entry points it writes two clients with one method
/// each per operation and query: `Recipe::client(&transport, "space")` is async,
/// `Recipe::blocking(&transport, "space")` waits.
#[proc_macro_attribute]
pub fn ops(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(ops::expand(args.into(), item.into()))
}

fn expand(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(|error| error.into_compile_error()).into()
}
