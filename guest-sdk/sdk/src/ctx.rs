//! What an operation and a query are given: the call's place in the world, and the way to its rows.
//!
//! A [`Ctx`] derefs to a [`QueryCtx`], so whatever reads takes `&QueryCtx` and serves both. The lifetime is elided in
//! recipes: it is that of the host's port when a recipe runs natively.
use core::cell::Cell;
use core::ops::Deref;

use synod_abi::{Context, Revision, SessionId, Time, Token};

use crate::Rng;
use crate::host::Host;

/// What a query is given: it can read.
pub struct QueryCtx<'h> {
    pub(crate) host: Host<'h>,
    context: Context,
    rngs: Cell<u64>,
}

impl<'h> QueryCtx<'h> {
    pub(crate) fn new(context: Context, host: Host<'h>) -> Self {
        Self { host, context, rngs: Cell::new(0) }
    }

    /// Cluster time: the same on every member, and never earlier than in a former command.
    pub fn now(&self) -> Time {
        self.context.now
    }

    /// Revision of this command; of a query: that of the state it reads.
    pub fn revision(&self) -> Revision {
        self.context.revision
    }

    /// The caller's session, if it has one.
    pub fn session(&self) -> Option<SessionId> {
        self.context.session
    }

    /// Sixteen bytes that differ for each command. Known to every member: never a secret.
    pub fn seed(&self) -> [u8; 16] {
        self.context.seed
    }

    /// A generator of pseudo-random numbers; each one that a call asks for yields other numbers.
    pub fn rng(&self) -> Rng {
        let stream = self.rngs.get();
        self.rngs.set(stream + 1);
        Rng::new(self.context.seed, stream)
    }
}

impl core::fmt::Debug for QueryCtx<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("QueryCtx").field(&self.context).finish()
    }
}

/// What an operation is given: it can read and write.
#[derive(Debug)]
pub struct Ctx<'h> {
    query: QueryCtx<'h>,
}

impl<'h> Ctx<'h> {
    pub(crate) fn new(context: Context, host: Host<'h>) -> Self {
        Self { query: QueryCtx::new(context, host) }
    }

    /// Draws a fencing token: greater than every token that this cluster drew before.
    pub fn next_token(&mut self) -> Token {
        Token(self.host.next_token())
    }

    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.host.put(key, value);
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        self.host.delete(key);
    }
}

impl<'h> Deref for Ctx<'h> {
    type Target = QueryCtx<'h>;

    fn deref(&self) -> &QueryCtx<'h> {
        &self.query
    }
}
