//! The answer of an operation that may wait, and the ticket by which it is answered later.
//!
//! A ticket is a number that a recipe keeps in its rows while the call waits. That the call still
//! waits is known to the host only: who completes it is told.
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use synod_abi::{REPLY_LATER, REPLY_NOW, Shape, Shaped, TicketId, encode_into};

use crate::Ctx;

/// The answer of an operation that may wait: `#[op] fn … -> Reply<T>` or `-> Result<Reply<T>, E>`.
///
/// Its caller makes one call and gets one `T`, now or when another command completes the ticket.
/// Who calls it needs a session, to which the waiting call is bound: it ends with it, by
/// `waiting_ms`, or by the caller's cancelling it; `#[on_cancel]` tells the recipe of the latter
/// two, `#[on_session_end]` of the former.
///
/// An answer of `Now`, and one by [`Ctx::complete`], may still be cancelled until the caller has
/// acknowledged it: then `#[on_cancel]` runs with `granted = true`, for the recipe to take back
/// what nobody heard of.
///
/// ```
/// use synod_sdk::prelude::*;
///
/// /// Doors that open once.
/// #[recipe(name = "doors", version = 1)]
/// pub struct Doors {
///     open: Map<String, bool>,
///     waiting: Queue<String, Ticket<Revision>>,
/// }
///
/// #[ops]
/// impl Doors {
///     /// Waits until the door is open; answers the revision that opened it or found it open.
///     #[op]
///     fn enter(&self, cx: &mut Ctx, door: String) -> Reply<Revision> {
///         if self.open.get(cx, &door) == Some(true) {
///             return Reply::Now(cx.revision());
///         }
///         let ticket = cx.ticket();
///         self.waiting.push_back(cx, &door, &ticket);
///         Reply::Later(ticket)
///     }
///
///     /// Opens the door, and answers everyone who waits before it.
///     #[op]
///     fn open(&self, cx: &mut Ctx, door: String) {
///         self.open.put(cx, &door, &true);
///         let revision = cx.revision();
///         while let Some(ticket) = self.waiting.pop_front(cx, &door) {
///             cx.complete(ticket, &revision);
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<T> {
    /// The answer.
    Now(T),
    /// It comes later: the ticket is this call's, [`Ctx::ticket`] or [`Ctx::another_ticket`].
    Later(Ticket<T>),
}

/// A call that waits for a `T`. Lies in rows as its number.
pub struct Ticket<T> {
    id: TicketId,
    result: PhantomData<fn() -> T>,
}

impl<T> Ticket<T> {
    pub(crate) const fn of(id: TicketId) -> Self {
        Self { id, result: PhantomData }
    }

    /// Its number, which `#[on_cancel]` is told.
    pub const fn id(self) -> TicketId {
        self.id
    }
}

impl<T> Clone for Ticket<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ticket<T> {}

impl<T> PartialEq for Ticket<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for Ticket<T> {}

impl<T> fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ticket").field(&self.id.0).finish()
    }
}

impl<T> Serialize for Ticket<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Ticket<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        TicketId::deserialize(deserializer).map(Self::of)
    }
}

impl<T> Shaped for Ticket<T> {
    const SHAPE: Shape = TicketId::SHAPE;
}

/// The reply of an operation that may wait.
///
/// # Panics
/// If the ticket is another call's: this one would wait and nobody could answer it.
pub fn answered<T: Serialize>(cx: &Ctx<'_>, reply: Reply<T>) -> Vec<u8> {
    match reply {
        Reply::Now(result) => encode_into(&result, Vec::from([REPLY_NOW])),
        Reply::Later(Ticket { id, .. }) => {
            assert!(
                id.revision() == cx.revision() && id.ordinal() < cx.tickets(),
                "an operation waits with its own ticket, cx.ticket(), and this one is another call's"
            );
            let count: &[u8] = if cx.tickets() > 1 { &cx.tickets().to_le_bytes() } else { &[] };
            [&[REPLY_LATER], count].concat()
        }
    }
}
