//! Write recipes for Synod: the one dependency of a recipe.
//!
//! A recipe is a struct of typed state handles and an impl block of operations and queries. The
//! macros make from it the module's entry points, its schema, and a typed client.
//!
//! ```
//! use synod_sdk::prelude::*;
//!
//! /// Named counters.
//! #[recipe(name = "tally", version = 1)]
//! pub struct Tally {
//!     counts: Map<String, u64>,
//! }
//!
//! /// Why a tally refuses.
//! #[errors]
//! pub enum TallyError {
//!     /// The count is at its largest value.
//!     #[error(1, resource_exhausted)]
//!     Full,
//! }
//!
//! #[ops]
//! impl Tally {
//!     /// Counts one up and returns the new count.
//!     #[op]
//!     fn count(&self, cx: &mut Ctx, name: String) -> Result<u64, TallyError> {
//!         let count = self.counts.get(cx, &name).unwrap_or(0);
//!         let count = count.checked_add(1).ok_or(TallyError::Full)?;
//!         self.counts.put(cx, &name, &count);
//!         Ok(count)
//!     }
//!
//!     /// The count; 0 if nothing was counted.
//!     #[query]
//!     fn count_of(&self, cx: &QueryCtx, name: String) -> u64 {
//!         self.counts.get(cx, &name).unwrap_or(0)
//!     }
//! }
//! ```
//!
//! Reads take `&QueryCtx`, writes `&mut Ctx`, so a query cannot write by type. Reads and writes
//! return no `Result`: a limit of the host ends the call, nothing of it is kept, and the caller
//! gets a coded fault. A returned `Err` is the recipe's own refusal, which rolls the call back as
//! well.
//!
//! An operation that returns a [`Reply`] may wait: its caller is answered by a later command, in
//! the one round trip that it began. Besides operations and queries a recipe may have one of each
//! hook, which the cluster calls: `#[on_session_end]` when a session that called the space has
//! ended, `#[on_timer]` when a timer is due, `#[on_cancel]` when a waiting call is given up, and
//! `#[on_event]` when a space that this one is bound to emitted an event; see [`ops`]. One that
//! fails is owed: it is tried again until it succeeds. One that has much to do does it in parts,
//! see [`Hook`].
//!
//! What a recipe tells the world it emits, [`Ctx::emit`]: clients watch it, and spaces are bound to
//! it. [`Ctx::send`] runs an operation of another space. Both happen in the command that called the
//! recipe, all of it or nothing.
//!
//! What it does not do: keep anything in memory between two calls. Statics, thread locals and the
//! heap are at the start of each call what they are in a module that was just loaded, so a `static`
//! cache, a `OnceLock` or std's buffer of `print!` serve one call and are empty in the next. What
//! is to stay goes into the state.
#![deny(unsafe_code)]

extern crate alloc;
extern crate self as synod_sdk;

#[cfg(not(target_arch = "wasm32"))]
mod client;
mod ctx;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[allow(unsafe_code, reason = "the boundary to the host is made of pointers; this module is all of it")]
pub mod guest;
mod hook;
mod host;
mod log;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
mod recipe;
mod reply;
mod rng;
pub mod state;

#[cfg(not(target_arch = "wasm32"))]
pub use client::{ClientCore, Rejection, block_on};
pub use ctx::{Ctx, QueryCtx};
pub use hook::Hook;
pub use log::Level;
pub use recipe::{EmitsDef, Never, Recipe, RecipeError, RecipeState};
pub use reply::{Reply, Ticket};
pub use rng::Rng;
pub use synod_abi as abi;
pub use synod_abi::EventPayload;
pub use synod_macros::{data, errors, ops, recipe};

/// Everything that a recipe needs: `use synod_sdk::prelude::*;`.
pub mod prelude {
    #[cfg(not(target_arch = "wasm32"))]
    pub use crate::Rejection;
    pub use crate::state::{Cell, Claims, Counter, Line, Map, Queue};
    pub use crate::{Ctx, Hook, Level, Never, QueryCtx, Recipe, RecipeError, Reply, Rng, Ticket};
    pub use crate::{data, ensure, errors, info, log, ops, recipe, warn};
    pub use synod_abi::{
        Blob, CallError, Direction, Event, EventPayload, Key, OwnedKey, RequestId, Revision, SessionId,
        Shaped, TicketId, Time, TimerId, Token,
    };
}

/// What the macros write; not for people.
#[doc(hidden)]
pub mod __private {
    #[cfg(not(target_arch = "wasm32"))]
    pub use crate::client::{ClientCore, block_on};
    pub use crate::hook::hooked;
    pub use crate::log::line;
    pub use crate::recipe::{Args, bad_arguments, refused, replied};
    pub use crate::reply::answered;
    pub use crate::state::StateField;
    pub use crate::{Ctx, EmitsDef, Never, QueryCtx, Recipe, RecipeError, RecipeState};
    pub use alloc::string::String;
    pub use alloc::vec::Vec;
    pub use serde;
    pub use synod_abi::schema::{
        EntryPointDef, ErrorCode, ErrorsDef, HooksDef, SchemaDef, StateFieldDef, Status,
    };
    pub use synod_abi::{
        CallError, EntryPoint, EnumShape, EventPayload, FieldShape, Key, KeyError, OperationId, OwnedKey,
        Shape, Shaped, StructShape, Transport, VariantShape, encode_into, fnv1a_32,
    };

    /// The types that hooks take, by the names that the macro looks for: a type of the author's own
    /// with such a name is not taken for it.
    pub mod hook_types {
        pub use core::primitive::bool;
        pub use synod_abi::{Event, SessionId, TicketId, TimerId};
    }
}

/// What only the compiler can refuse, since a macro sees no types.
///
/// ```compile_fail,E0277
/// # use synod_sdk::prelude::*;
/// #[data]
/// pub struct Share { part: f64 }
/// ```
/// ```compile_fail,E0080
/// # use synod_sdk::prelude::*;
/// #[data]
/// pub struct Twice { maybe: Option<Option<u32>> }
/// const _: synod_sdk::abi::Shape = Twice::SHAPE;
/// ```
/// ```compile_fail,E0391
/// # use synod_sdk::prelude::*;
/// #[data]
/// pub struct Tree { branches: Vec<Tree> }
/// const _: synod_sdk::abi::Shape = Tree::SHAPE;
/// ```
/// ```compile_fail,E0277
/// # use synod_sdk::prelude::*;
/// #[recipe(name = "r", version = 1)]
/// pub struct R { field: u32 }
/// ```
/// A query cannot write.
/// ```compile_fail,E0308
/// # use synod_sdk::prelude::*;
/// # #[recipe(name = "r", version = 1)] pub struct R { a: Cell<u32> }
/// fn get(r: &R, cx: &QueryCtx) { r.a.put(cx, &1) }
/// ```
/// An answer for later is the whole answer.
/// ```compile_fail,E0277
/// # use synod_sdk::prelude::*;
/// # #[recipe(name = "r", version = 1)] pub struct R { a: Cell<u32> }
/// #[ops]
/// impl R { #[op] fn get(&self, cx: &mut Ctx) -> Vec<Reply<u32>> { vec![] } }
/// ```
/// A ticket is completed with what its call waits for.
/// ```compile_fail,E0308
/// # use synod_sdk::prelude::*;
/// fn answer(cx: &mut Ctx, ticket: Ticket<u32>) { cx.complete(ticket, &"text"); }
/// ```
/// A recipe emits what it says it does.
/// ```compile_fail,E0277
/// # use synod_sdk::prelude::*;
/// #[data]
/// pub struct Other { a: u32 }
/// fn tell(cx: &mut Ctx) { cx.emit("topic", &Other { a: 1 }); }
/// ```
/// And only what can cross the boundary.
/// ```compile_fail,E0277
/// # use synod_sdk::prelude::*;
/// pub struct Change { a: u32 }
/// #[recipe(name = "r", version = 1, emits = Change)]
/// pub struct R { a: Cell<u32> }
/// ```
/// Clients decode it, so it is as visible as the recipe.
/// ```compile_fail,E0446
/// # use synod_sdk::prelude::*;
/// #[data]
/// struct Change { a: u32 }
/// #[recipe(name = "r", version = 1, emits = Change)]
/// pub struct R { a: Cell<u32> }
/// ```
/// A query emits nothing.
/// ```compile_fail,E0599
/// # use synod_sdk::prelude::*;
/// # #[data] pub struct Change { a: u32 }
/// # #[recipe(name = "r", version = 1, emits = Change)] pub struct R { a: Cell<u32> }
/// fn look(cx: &QueryCtx) { cx.emit("topic", &Change { a: 1 }); }
/// ```
/// A handler gets the event as the cluster has it.
/// ```compile_fail,E0308
/// # use synod_sdk::prelude::*;
/// #[data]
/// pub struct Event { a: u32 }
/// # #[recipe(name = "r", version = 1)] pub struct R { a: Cell<u32> }
/// #[ops]
/// impl R {
///     #[op] fn set(&self, cx: &mut Ctx, a: u32) { self.a.put(cx, &a) }
///     #[on_event] fn heard(&self, cx: &mut Ctx, event: Event) { self.a.put(cx, &event.a) }
/// }
/// ```
/// Nothing writes under an iterator.
/// ```compile_fail,E0502
/// # use synod_sdk::prelude::*;
/// # #[recipe(name = "r", version = 1)] pub struct R { a: Map<u32, u32> }
/// fn clear(r: &R, cx: &mut Ctx) { for (key, _) in r.a.iter(cx) { r.a.delete(cx, &key) } }
/// ```
#[cfg(doctest)]
mod refused_by_types {}

/// Returns `Err($error)` unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $error:expr $(,)?) => {
        if !$condition {
            return ::core::result::Result::Err($error);
        }
    };
}
