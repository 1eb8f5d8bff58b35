//! What an operation and a query are given: the call's place in the world, and the way to its rows.
//!
//! A [`Ctx`] derefs to a [`QueryCtx`], so whatever reads takes `&QueryCtx` and serves both. The
//! lifetime is elided in recipes: it is that of the host's port when a recipe runs natively.
use core::cell::Cell;
use core::ops::Deref;

use serde::Serialize;
use synod_abi::{
    Context, EventPayload, OperationId, Revision, SessionId, Shape, Shaped, TicketId, Time, TimerId, Token,
    encode, limits,
};

use crate::host::Host;
use crate::recipe::{refused, replied};
use crate::{Recipe, RecipeError, Rng, Ticket};

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

    /// The caller's session, if it has one. In `#[on_session_end]` and `#[on_cancel]` the one that
    /// they are about.
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

/// What a recipe declared, that its calls are held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared {
    /// What its `#[on_timer]` takes.
    timer: Option<&'static Shape>,
    /// Signature of what it emits.
    emits: Option<u64>,
}

impl Declared {
    pub(crate) const fn of<R: Recipe>() -> Self {
        let emits = match R::EMITS {
            Some(emits) => Some(emits.signature),
            None => None,
        };
        // In a guest the shape of a timer's payload is not looked at, and need not be in the module
        // a second time.
        let timer = match R::SCHEMA.hooks.timer {
            Some(_) if cfg!(target_arch = "wasm32") => Some(&Shape::Unit),
            timer => timer,
        };
        Self { timer, emits }
    }
}

/// What an operation or hook is given: it can read and write.
#[derive(Debug)]
pub struct Ctx<'h> {
    query: QueryCtx<'h>,
    declared: Declared,
    /// How many tickets this call holds if it waits.
    tickets: u16,
}

impl<'h> Ctx<'h> {
    pub(crate) fn new(context: Context, host: Host<'h>, declared: Declared) -> Self {
        Self { query: QueryCtx::new(context, host), declared, tickets: 1 }
    }

    /// Draws a fencing token: greater than every token that this cluster drew before.
    pub fn next_token(&mut self) -> Token {
        Token(self.host.next_token())
    }

    /// Whether this operation may answer later: a session calls it, and directly. Otherwise
    /// [`Reply::Later`](crate::Reply::Later) is rejected.
    pub fn can_wait(&self) -> bool {
        self.query.context.may_wait
    }

    /// The ticket of this call: an operation that returns `Reply::Later(ticket)` is answered by
    /// whoever completes it.
    pub fn ticket<T>(&self) -> Ticket<T> {
        Ticket::of(TicketId::new(self.revision(), 0))
    }

    /// A further ticket of this call, another one each time: for an operation that waits for one of
    /// several things, such as a place in several lines. If it returns `Reply::Later` with any of
    /// its tickets, whichever is completed first answers it, and completing the others returns
    /// `false` from then on. Who gives up is told by `#[on_cancel]` for each ticket.
    ///
    /// # Panics
    /// If the call has `limits::CALL_TICKETS` already, its first one counted.
    pub fn another_ticket<T>(&mut self) -> Ticket<T> {
        assert!(self.tickets < limits::CALL_TICKETS, "a call has at most {} tickets", limits::CALL_TICKETS);
        let ticket = TicketId::new(self.revision(), self.tickets);
        self.tickets += 1;
        Ticket::of(ticket)
    }

    /// How many tickets this call holds if it waits.
    pub(crate) fn tickets(&self) -> u16 {
        self.tickets
    }

    /// Answers a call that waits with its result. Returns `false` if it does not wait any more: it
    /// was cancelled, its time was up, or its session ended; then nobody has the result, and what
    /// it would have granted is still there to give.
    pub fn complete<T: Serialize>(&mut self, ticket: Ticket<T>, result: &T) -> bool {
        self.host.complete(ticket.id().0, &replied(result)) == 1
    }

    /// Answers a call that waits with a business error. Returns `false` if it does not wait any
    /// more, as [`Ctx::complete`] does.
    pub fn refuse<T, E: RecipeError>(&mut self, ticket: Ticket<T>, error: &E) -> bool {
        self.host.complete(ticket.id().0, &refused(error)) == 1
    }

    /// Has `#[on_timer]` run with `payload` in a command of its own, when cluster time has reached
    /// `at`: never before, and soon after it; a millisecond from now at the earliest, so that a
    /// hook that sets the next timer for a time that has passed does not run again at once. A space
    /// has at most `limits::SPACE_TIMERS`. The payload has the hook's type.
    ///
    /// # Panics
    /// If the recipe has no `#[on_timer]`. Where it runs natively, also if that takes another type.
    pub fn set_timer<T: Shaped + Serialize>(&mut self, at: Time, payload: &T) -> TimerId {
        let Some(shape) = self.declared.timer else {
            panic!("a timer was set by a recipe without #[on_timer]")
        };
        if cfg!(not(target_arch = "wasm32")) {
            assert!(
                *shape == T::SHAPE,
                "the payload of a timer has another type than that of #[on_timer]: {:?}, not {shape:?}",
                T::SHAPE
            );
        }
        TimerId(self.host.set_timer(at.0, &encode(payload)))
    }

    /// Cancels a timer. Returns `false` if it has fired or was cancelled before.
    pub fn cancel_timer(&mut self, timer: TimerId) -> bool {
        self.host.cancel_timer(timer.0) == 1
    }

    /// Emits an event about `topic`, any text of 1 to 512 bytes, such as the key that changed:
    /// whoever watches the space gets it once, in order, and the spaces that are bound to it react
    /// to it within this command. If the call does not take effect, nothing of it is seen. A call
    /// emits at most 1,024 events and 1 MiB of topics and payloads; one payload has at most 256
    /// KiB.
    ///
    /// ```
    /// use synod_sdk::prelude::*;
    ///
    /// /// What became of a task.
    /// #[data]
    /// pub enum Progress {
    ///     Begun { by: String },
    ///     Done,
    /// }
    ///
    /// /// Tasks.
    /// #[recipe(name = "tasks", version = 1, emits = Progress)]
    /// pub struct Tasks {
    ///     done: Map<String, bool>,
    /// }
    ///
    /// #[ops]
    /// impl Tasks {
    ///     /// Ends a task; tells whoever watches it.
    ///     #[op]
    ///     fn end(&self, cx: &mut Ctx, task: String) {
    ///         self.done.put(cx, &task, &true);
    ///         cx.emit(&task, &Progress::Done);
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    /// If `T` is what another recipe emits.
    pub fn emit<T: EventPayload>(&mut self, topic: &str, payload: &T) {
        assert!(
            self.declared.emits == Some(T::SIGNATURE),
            "an event has another type than the recipe's `emits`"
        );
        self.host.emit(topic.as_bytes(), &encode(payload));
    }

    /// Runs an operation of another space, or of this one, within this command: after this call has
    /// its result, in the order of all that it emits and sends, on what is left of its fuel. `args`
    /// is the tuple of its arguments. Its result goes nowhere, and it cannot wait. If it refuses or
    /// fails, or there is no such space or operation, the whole command is rejected; in a command
    /// of the cluster's own, such as a session's end, it alone leaves nothing, and is counted.
    ///
    /// ```
    /// # use synod_sdk::prelude::*;
    /// /// Starts the day in two other spaces, or in none.
    /// fn open_shop(cx: &mut Ctx, name: &str) {
    ///     cx.send("lights", "switch", &(name, true));
    ///     cx.send("doors", "open_all", &());
    /// }
    /// ```
    pub fn send<A: Serialize + ?Sized>(&mut self, space: &str, operation: &str, args: &A) {
        self.host.send(space.as_bytes(), OperationId::of(operation).0, &encode(args));
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
