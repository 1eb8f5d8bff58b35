//! What each session holds and waits for, so that its end finds all of it and nothing else.
//!
//! A session that has claims has one row that lists them, and each claim has a row of its own. The
//! list is why nothing looks for claims by a range: a session that lives for weeks and claims and
//! gives back a million times ends as fast as one that began now. It is bounded, because it is
//! written with each claim, and because the session's end releases all of it.
use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use synod_abi::schema::StateKind;
use synod_abi::{SessionId, Shape, Shaped, TicketId, Time, Token};

use super::{StateField, read, row_key, write};
use crate::{Ctx, QueryCtx, data};

/// Most claims that a session can be allowed.
const CLAIMS: u32 = 1_024;

/// Claims of sessions, each by the call that made it: a `T` says what is claimed, such as the name
/// of a lock. A session has at most `MOST` at a time, which is at most 1,024.
///
/// ```
/// use synod_sdk::prelude::*;
///
/// /// Seats that are free again when their session has ended.
/// #[recipe(name = "seats", version = 1)]
/// pub struct Seats {
///     taken: Map<u32, SessionId>,
///     claims: Claims<u32, 4>,
/// }
///
/// #[ops]
/// impl Seats {
///     /// Takes a seat, if it is free; one session has at most four.
///     #[op]
///     fn take(&self, cx: &mut Ctx, seat: u32) -> bool {
///         let Some(session) = cx.session() else { return false };
///         let call = cx.ticket::<()>().id();
///         if self.taken.contains(cx, &seat) || !self.claims.add(cx, session, call, &seat) {
///             return false;
///         }
///         self.taken.put(cx, &seat, &session);
///         true
///     }
///
///     /// Frees the seats of a session that is gone.
///     #[on_session_end]
///     fn ended(&self, cx: &mut Ctx, session: SessionId) {
///         for (_, seat) in self.claims.release(cx, session) {
///             self.taken.delete(cx, &seat);
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Claims<T, const MOST: u32> {
    prefix: u32,
    claim: PhantomData<fn() -> T>,
}

impl<T: Shaped, const MOST: u32> StateField for Claims<T, MOST> {
    const KIND: StateKind = StateKind::Claims;
    const KEY: Shape = <(SessionId, TicketId)>::SHAPE;
    const VALUE: Shape = T::SHAPE;
}

impl<T: Shaped + Serialize + DeserializeOwned, const MOST: u32> Claims<T, MOST> {
    #[doc(hidden)]
    pub const fn at(prefix: u32) -> Self {
        const { assert!(MOST <= CLAIMS, "a session has at most 1,024 claims") }
        Self { prefix, claim: PhantomData }
    }

    /// Notes what the session claims by a call, in place of what it claimed by the same call.
    /// Changes nothing and returns `false` if the session has `MOST` claims.
    #[must_use]
    pub fn add(&self, cx: &mut Ctx<'_>, session: SessionId, call: TicketId, claim: &T) -> bool {
        let mut calls = self.calls(cx, session);
        if !calls.contains(&call) {
            if calls.len() >= MOST as usize {
                return false;
            }
            calls.push(call);
            write(cx, &row_key(self.prefix, &session), &calls);
        }
        write(cx, &row_key(self.prefix, &(session, call)), claim);
        true
    }

    /// What the session claims by a call.
    pub fn get(&self, cx: &QueryCtx<'_>, session: SessionId, call: TicketId) -> Option<T> {
        read(cx, row_key(self.prefix, &(session, call)), "claim")
    }

    /// Takes away what the session claims by a call, and returns it.
    pub fn remove(&self, cx: &mut Ctx<'_>, session: SessionId, call: TicketId) -> Option<T> {
        let claim = self.get(cx, session, call)?;
        let mut calls = self.calls(cx, session);
        calls.retain(|other| *other != call);
        let row = row_key(self.prefix, &session);
        if calls.is_empty() {
            cx.delete(&row)
        } else {
            write(cx, &row, &calls)
        }
        cx.delete(&row_key(self.prefix, &(session, call)));
        Some(claim)
    }

    /// Takes away everything that the session claims, and returns it in the order in which it was
    /// claimed: for `#[on_session_end]`.
    pub fn release(&self, cx: &mut Ctx<'_>, session: SessionId) -> Vec<(TicketId, T)> {
        let claims = self.of(cx, session);
        for (call, _) in &claims {
            cx.delete(&row_key(self.prefix, &(session, *call)));
        }
        if !claims.is_empty() {
            cx.delete(&row_key(self.prefix, &session));
        }
        claims
    }

    /// What the session claims, in the order in which it was claimed.
    pub fn of(&self, cx: &QueryCtx<'_>, session: SessionId) -> Vec<(TicketId, T)> {
        let claim = |call| {
            let claim = self.get(cx, session, call).unwrap_or_else(|| cx.host.corrupt("list of claims"));
            (call, claim)
        };
        self.calls(cx, session).into_iter().map(claim).collect()
    }

    /// How much the session claims; reads one row.
    pub fn len(&self, cx: &QueryCtx<'_>, session: SessionId) -> usize {
        self.calls(cx, session).len()
    }

    /// Whether the session claims nothing.
    pub fn is_empty(&self, cx: &QueryCtx<'_>, session: SessionId) -> bool {
        self.calls(cx, session).is_empty()
    }

    /// By which calls the session claims something.
    fn calls(&self, cx: &QueryCtx<'_>, session: SessionId) -> Vec<TicketId> {
        read(cx, row_key(self.prefix, &session), "list of claims").unwrap_or_default()
    }
}

/// What one call holds or waits for, as a query `who(name, session)` answers it: `synod who` asks
/// that of every space whose recipe has one.
#[data]
pub struct Claimed {
    /// What is claimed: the name of a lock, of an election.
    pub name: String,
    /// Whose it is.
    pub session: SessionId,
    /// Who in the session.
    pub owner: String,
    /// Since when.
    pub since: Time,
    /// With which token it is held; absent while the call waits.
    pub token: Option<Token>,
}

impl Claimed {
    /// The answer of a query `who(name, session)`: the claims on `name`, or those of `session`;
    /// if both are given, those on `name` that are the session's.
    pub fn by(
        name: Option<&str>,
        session: Option<SessionId>,
        on: impl FnOnce(&str) -> Vec<Self>,
        of: impl FnOnce(SessionId) -> Vec<Self>,
    ) -> Vec<Self> {
        let mut claimed = match (name, session) {
            (Some(name), _) => on(name),
            (None, Some(session)) => of(session),
            (None, None) => Vec::new(),
        };
        claimed.retain(|claimed| session.is_none_or(|session| claimed.session == session));
        claimed
    }
}
