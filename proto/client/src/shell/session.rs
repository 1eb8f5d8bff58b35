//! A session: a client's sign of life, in which calls have their effect once, run in their order
//! and may wait, and to which recipes bind what is to be released when the client is gone.
//!
//! In the background it stays alive across failures of members and sends lost requests again. It
//! knows by its own clock until when it may be relied upon; that ends before the cluster releases
//! what is bound to it.

mod alive;
mod clock;
mod open;
mod pump;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use synod_abi::{RawCall, RawError, RawQuery, RawReply, SessionId, Transport};
use synod_api::v1::{CallReply, CallRequest, Consistency, Context, Value, value::Form};
use tokio::sync::watch;

pub use self::open::SessionBuilder;
use self::shared::{Ending, Shared};
use super::client::{Answer, Client};
use super::transport::{raw_query, reply_of, request_of};
use crate::Error;
use crate::core::{Lifetime, SessionState};
use crate::error::json_of;

/// A session. Cheap to clone; it is closed, as well as that can be done, when the last clone is
/// dropped.
///
/// Calls made through it, typed ones too (`Lock::client(&session, "lock")`), have their effect
/// exactly once per call, and calls that are made one after another, without waiting for answers in
/// between, run in that order. They are tried again on any member until they have an outcome, the
/// session is lost, or no member had a word for the time of the client's
/// [`Policy`](crate::core::Policy). Dropping a call's future gives the call up: if it waits, it
/// stops waiting, and if it had been granted something in that moment, that is given back.
///
/// What the session holds, such as a lock, may be relied upon while [`is_lost`](Self::is_lost) is
/// false and no longer, and what the lock protects should check fencing tokens: a program can
/// always stall between looking and acting.
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle>,
}

/// The last of its clones closes the session.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.finish("its last handle was dropped", Ending::Dropped);
    }
}

/// What takes a session up again: see [`Client::resume`].
#[derive(Clone, PartialEq, Eq)]
pub struct Detached {
    /// Which session.
    pub session: SessionId,
    /// Its secret. Whoever has it is the session's client.
    pub secret: [u8; 16],
    /// The id of its next request.
    pub next_request_id: u64,
}

impl fmt::Debug for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detached")
            .field("session", &self.session)
            .field("next_request_id", &self.next_request_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Session {
    fn start(
        client: Client,
        (id, secret): (SessionId, [u8; 16]),
        user: u64,
        next_request_id: u64,
        life: Lifetime,
    ) -> Self {
        let shared = Shared::new(client, (id, secret), user, next_request_id, life);
        tokio::spawn(pump::run(Arc::clone(&shared)));
        tokio::spawn(alive::run(Arc::clone(&shared)));
        Self { handle: Arc::new(Handle { shared }) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Its id.
    pub fn id(&self) -> SessionId {
        self.shared().id
    }

    /// Its secret: with the id, all that it takes to be the session's client.
    pub fn secret(&self) -> [u8; 16] {
        self.shared().secret
    }

    /// The client that it was opened with.
    pub fn client(&self) -> &Client {
        &self.shared().client
    }

    /// How long it lives without a sign of life, as the cluster granted it.
    pub fn ttl(&self) -> Duration {
        Duration::from_millis(self.shared().life(|life| life.ttl_ms()))
    }

    /// For how much longer it may be relied upon without contact to the cluster; zero: it is lost.
    /// Every answered sign of life prolongs it. The clock goes on while the machine sleeps.
    pub fn deadline(&self) -> Duration {
        self.shared().remaining()
    }

    /// Whether it may not be relied upon any more: closed, ended by the cluster, or past its
    /// deadline. For good.
    pub fn is_lost(&self) -> bool {
        self.shared().remaining().is_zero()
    }

    /// Its state. [`SessionState::Lost`] may come a moment after the deadline;
    /// [`is_lost`](Self::is_lost) is exact.
    pub fn state(&self) -> SessionState {
        *self.states().borrow()
    }

    /// Its state, and every change from now on. States that pass before they are read are skipped;
    /// [`SessionState::Lost`] or [`SessionState::Closed`] is the last one.
    pub fn states(&self) -> watch::Receiver<SessionState> {
        self.shared().states()
    }

    /// Resolves when it is over: lost, or closed by its owner.
    pub async fn lost(&self) {
        let mut states = self.states();
        let _ended = states.wait_for(|state| state.is_over()).await;
    }

    /// Runs an operation with its arguments as a JSON object; answers with the result as JSON. An
    /// operation that waits does so as long as the session lives.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call_json(&self, space: &str, operation: &str, args: &str) -> Result<Answer<String>, Error> {
        self.call_json_waiting(space, operation, args, None).await
    }

    /// As [`call_json`](Self::call_json), but an operation that waits does so for at most `wait_ms`
    /// milliseconds of cluster time; 0: not at all.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::WaitTimeout`] when that time is over.
    pub async fn call_json_waiting(
        &self,
        space: &str,
        operation: &str,
        args: &str,
        wait_ms: Option<u64>,
    ) -> Result<Answer<String>, Error> {
        let args = Some(Value { form: Some(Form::Json(args.to_owned())), signature: 0 });
        let (space, operation) = (space.to_owned(), operation.to_owned());
        let reply =
            self.call(CallRequest { space, operation, args, wait_ms, ..CallRequest::default() }).await?;
        let value = json_of(reply.result)?;
        Ok(Answer::new(value, reply.header.as_ref()))
    }

    /// Runs a query in the session, with its arguments as a JSON object: the recipe sees which
    /// session asks. Answers with the result as JSON.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::SessionExpired`] if the session has ended.
    pub async fn query_json(
        &self,
        space: &str,
        query: &str,
        args: &str,
        consistency: Consistency,
    ) -> Result<Answer<String>, Error> {
        let args = Value { form: Some(Form::Json(args.to_owned())), signature: 0 };
        let reply = self.client().query_in(self.context(), space, query, args, consistency).await?;
        let value = json_of(reply.result)?;
        Ok(Answer::new(value, reply.header.as_ref()))
    }

    fn context(&self) -> Context {
        Context { session: self.id().0.to_vec(), secret: self.secret().to_vec(), ..Context::default() }
    }

    /// Runs an operation; the request's context and tag are set here.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call(&self, request: CallRequest) -> Result<CallReply, Error> {
        self.shared().call(request).await
    }

    /// Closes it: waiting calls are given up, and the cluster releases what is bound to it. The
    /// session is lost from here on, even if closing fails. A session that ended before counts as
    /// closed. Closing goes on in the background if the future is dropped.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no member did it within the policy's time: then the session
    /// expires.
    pub async fn close(&self) -> Result<(), Error> {
        self.shared().finish("it was closed", Ending::Closed);
        let (client, id) = (self.client().clone(), self.id());
        let closing = tokio::spawn(async move { client.close_session(id).await });
        match closing.await {
            Ok(Ok(()) | Err(Error::SessionExpired(_))) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Unavailable("the runtime is shutting down; the session will expire".into())),
        }
    }

    /// Lets go of it without closing it: it lives for its time to live, or until somebody takes it
    /// up. Calls that wait are given up here, and wait on in the cluster. All clones of this handle
    /// are lost.
    pub fn detach(self) -> Detached {
        let next_request_id = self.shared().next_request_id();
        self.shared().finish("it was detached", Ending::Closed);
        Detached { session: self.id(), secret: self.secret(), next_request_id }
    }
}

impl Transport for Session {
    async fn call(&self, call: RawCall) -> Result<RawReply, RawError> {
        reply_of(Self::call(self, request_of(call)).await?)
    }

    async fn query(&self, query: RawQuery) -> Result<RawReply, RawError> {
        raw_query(self.client(), self.context(), query).await
    }
}
