//! Sessions in a test: a client that numbers its requests, acknowledges what it got, and gives up
//! what is dropped.
//!
//! Nothing keeps a session alive, because nothing but the test ends it: [`TestSession::expire`] is
//! what a leader does about a client that it does not hear of.
use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use synod_abi::{RawCall, RawError, RawQuery, RawReply, RequestId, SessionId, Transport, limits};
use synod_machine::{
    Action, Caller, Cancelled, EndCause, OpenSession, Outcome, Principal, Reply, Request, SessionCall,
    TtlPolicy,
};
use synod_sdk::Recipe;

use crate::TestHost;
use crate::host::answer;

/// A call of a session, for whoever cancels it.
type CallId = (SessionId, RequestId);

thread_local! {
    /// Whether a future is polled by [`Started`], which may wait.
    static STARTED: Cell<bool> = const { Cell::new(false) };
    /// The last call that a future made on this thread.
    static LAST_CALL: Cell<Option<CallId>> = const { Cell::new(None) };
}

/// A session of a [`TestHost`], see [`TestHost::open_session`]. Its clients are the recipe's:
/// `session.client()` for what answers at once, `session.async_client()` with [`TestHost::start`]
/// for what may wait.
pub struct TestSession<'h, R = ()> {
    host: &'h TestHost<R>,
    id: SessionId,
    client: Mutex<Client>,
}

/// What a client knows of its session.
#[derive(Default)]
struct Client {
    last: Option<SessionCall>,
    next: u64,
    /// Requests that were parked and whose outcomes are not acknowledged.
    parked: BTreeSet<RequestId>,
    /// Those of them that have theirs.
    received: Vec<RequestId>,
}

impl<R> TestHost<R> {
    /// Opens a session. It lives until it is closed or expired: dropping it is what a client does
    /// that vanishes.
    pub fn open_session(&self) -> TestSession<'_, R> {
        let opened = {
            let mut inner = self.lock();
            inner.opened += 1;
            let mut nonce = [0; 16];
            nonce[..8].copy_from_slice(&inner.opened.to_be_bytes());
            let (ttl_ms, ttl_policy) = (limits::SESSION_TTL_DEFAULT_MS, TtlPolicy::Nearest);
            let open = OpenSession {
                nonce,
                secret_hash: [7; 32],
                ttl_ms,
                ttl_policy,
                label: format!("session {}", inner.opened),
            };
            inner.apply(Caller::default(), Action::OpenSession(open)).result
        };
        match opened {
            Ok(Reply::Session { session: id, .. }) => {
                TestSession { host: self, id, client: Mutex::new(Client::default()) }
            }
            other => panic!("a session could not be opened: {other:?}"),
        }
    }

    /// Starts a call that may wait, or anything made of such calls.
    ///
    /// ```
    /// # use synod_sdk::prelude::*;
    /// # use synod_test::TestHost;
    /// # #[recipe(name = "doors", version = 1)]
    /// # pub struct Doors { waiting: Queue<String, Ticket<u32>> }
    /// # #[ops]
    /// # impl Doors {
    /// #     #[op] fn enter(&self, cx: &mut Ctx, door: String) -> Reply<u32> {
    /// #         let ticket = cx.ticket();
    /// #         self.waiting.push_back(cx, &door, &ticket);
    /// #         Reply::Later(ticket)
    /// #     }
    /// #     #[op] fn open(&self, cx: &mut Ctx, door: String, number: u32) {
    /// #         while let Some(ticket) = self.waiting.pop_front(cx, &door) {
    /// #             cx.complete(ticket, &number);
    /// #         }
    /// #     }
    /// # }
    /// let host = TestHost::of::<Doors>();
    /// let session = host.open_session();
    /// let doors = session.async_client();
    /// let entered = host.start(doors.enter("front"));
    /// assert!(entered.is_waiting());
    /// host.client().open("front", 7).unwrap();
    /// assert_eq!(entered.take().unwrap(), 7);
    /// ```
    pub fn start<'f, F: Future + 'f>(&'f self, future: F) -> Started<'f, F::Output> {
        let started =
            Started { host: self, state: Cell::new(State::Waiting(Box::pin(future))), call: Cell::new(None) };
        started.poll();
        started
    }
}

impl<'h, R: Recipe> TestSession<'h, R> {
    /// The client of the space that has the recipe's name. A call that waits panics: see
    /// [`TestHost::start`].
    pub fn client(&self) -> R::BlockingClient<'_, Self> {
        R::blocking(self, R::NAME)
    }

    /// The async client of the space that has the recipe's name, for [`TestHost::start`].
    pub fn async_client(&self) -> R::Client<'_, Self> {
        R::client(self, R::NAME)
    }
}

impl<R> TestSession<'_, R> {
    /// Its id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Ends it as its client does, or an operator.
    pub fn close(&self) {
        self.end(EndCause::Closed);
    }

    /// Ends it as a leader does that has not heard of its client for its time to live.
    pub fn expire(&self) {
        self.end(EndCause::Expired);
    }

    /// Sends the last call again, as a client does that got no reply: it has effect once, so the
    /// outcome is that of the first time.
    pub fn retry_last(&self) -> Outcome {
        let last = self
            .lock()
            .last
            .clone()
            .unwrap_or_else(|| panic!("the session has made no call that could be sent again"));
        self.host.lock().apply(self.caller(), Action::SessionCall(last))
    }

    /// The last request; 0 if there was none.
    pub fn last_request(&self) -> RequestId {
        RequestId(self.lock().next)
    }

    /// Gives up a request, and tells what it was.
    pub fn cancel(&self, request: RequestId) -> Cancelled {
        let cancelled = self.host.cancel((self.id, request));
        self.lock().receive(request);
        cancelled
    }

    fn end(&self, cause: EndCause) {
        let ended =
            self.host.lock().apply(Caller::default(), Action::EndSession { session: self.id, cause }).result;
        assert!(ended.is_ok(), "the session could not be ended: {ended:?}");
    }

    fn caller(&self) -> Caller {
        caller(self.id)
    }

    fn lock(&self) -> MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a call with the next request id, which acknowledges everything that was received.
    fn send(&self, call: RawCall) -> Answer<'_, R> {
        let wait_ms = call.wait_ms;
        let mut inner = self.host.lock();
        let call = match inner.operation(call) {
            Ok(call) => call,
            Err(error) => return Answer { session: self, state: Answered::Ready(Err(error)) },
        };
        let mut client = self.lock();
        client.next += 1;
        let id = RequestId(client.next);
        let acknowledged = std::mem::take(&mut client.received);
        client.parked.retain(|request| !acknowledged.contains(request));
        let request = Request { id, acknowledged_below: id, acknowledged, after: None, wait_ms };
        let sent = SessionCall { call, request };
        client.last = Some(sent.clone());
        LAST_CALL.set(Some((self.id, id)));
        let outcome = inner.apply(self.caller(), Action::SessionCall(sent));
        let state = match outcome.result {
            Ok(Reply::Parked { .. }) => {
                client.parked.insert(id);
                inner.parked.insert((self.id, id), None);
                Answered::Parked(id)
            }
            _ => Answered::Ready(answer(outcome)),
        };
        Answer { session: self, state }
    }

    /// The outcome of a parked call, once.
    fn receive(&self, request: RequestId) -> Option<Outcome> {
        let mut inner = self.host.lock();
        let call = (self.id, request);
        inner.parked.get(&call)?.as_ref()?;
        let outcome = inner.parked.remove(&call).flatten();
        self.lock().receive(request);
        outcome
    }
}

impl Client {
    fn receive(&mut self, request: RequestId) {
        if self.parked.contains(&request) && !self.received.contains(&request) {
            self.received.push(request);
        }
    }
}

fn caller(session: SessionId) -> Caller {
    Caller { principal: Principal::Anyone, session: Some(session) }
}

impl<R> Transport for TestSession<'_, R> {
    fn call(&self, call: RawCall) -> impl Future<Output = Result<RawReply, RawError>> + Send {
        self.send(call)
    }

    fn query(&self, query: RawQuery) -> impl Future<Output = Result<RawReply, RawError>> + Send {
        std::future::ready(self.host.lock().query(query, Some(self.id)))
    }
}

impl<R> std::fmt::Debug for TestSession<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestSession").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The answer of a call: here, or to come. Dropped before it came, the call is cancelled.
struct Answer<'s, R> {
    session: &'s TestSession<'s, R>,
    state: Answered,
}

enum Answered {
    Ready(Result<RawReply, RawError>),
    Parked(RequestId),
    Taken,
}

impl<R> Future for Answer<'_, R> {
    type Output = Result<RawReply, RawError>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.state, Answered::Taken) {
            Answered::Ready(result) => Poll::Ready(result),
            Answered::Parked(request) => match self.session.receive(request) {
                Some(outcome) => Poll::Ready(answer(outcome)),
                None => {
                    assert!(
                        STARTED.get(),
                        "this call waits, and the test would with it: make it with the async client and \
                         start it, `let client = session.async_client(); let started = \
                         host.start(client.…)`; then see `started.is_waiting()`, let another session do \
                         what it waits for, and `started.take()`"
                    );
                    self.state = Answered::Parked(request);
                    Poll::Pending
                }
            },
            Answered::Taken => panic!("a future was polled after it was done"),
        }
    }
}

impl<R> Drop for Answer<'_, R> {
    fn drop(&mut self) {
        let Answered::Parked(request) = self.state else { return };
        if std::thread::panicking() {
            return;
        }
        if self.session.host.lock().parked.contains_key(&(self.session.id, request)) {
            self.session.cancel(request);
        } else {
            self.session.lock().receive(request);
        }
    }
}

/// Gives up calls: a [`TestHost`] of any recipe.
trait Cancels {
    fn cancel(&self, call: CallId) -> Cancelled;
}

impl<R> Cancels for TestHost<R> {
    fn cancel(&self, (session, request): CallId) -> Cancelled {
        let mut inner = self.lock();
        inner.parked.remove(&(session, request));
        match inner.apply(caller(session), Action::CancelRequest { request }).result {
            Ok(Reply::Cancelled { was }) => was,
            // The session is gone, and the call with it.
            _ => Cancelled::Final,
        }
    }
}

enum State<'f, T> {
    Waiting(Pin<Box<dyn Future<Output = T> + 'f>>),
    Done(T),
    Polled,
}

/// Something that was started and may wait: see [`TestHost::start`]. Dropped while it waits, its
/// call is cancelled, as a client does whose caller is gone.
pub struct Started<'f, T> {
    host: &'f dyn Cancels,
    state: Cell<State<'f, T>>,
    call: Cell<Option<CallId>>,
}

impl<T> Started<'_, T> {
    /// Whether it waits.
    pub fn is_waiting(&self) -> bool {
        self.poll()
    }

    /// Its result.
    ///
    /// # Panics
    /// If it still waits.
    #[track_caller]
    pub fn take(self) -> T {
        self.poll();
        match self.state.replace(State::Polled) {
            State::Done(result) => result,
            State::Waiting(_) | State::Polled => {
                panic!("the call still waits; let something happen that ends that first")
            }
        }
    }

    /// Gives its last call up, as a client may until it has acknowledged the outcome, and tells
    /// what that call was.
    ///
    /// # Panics
    /// If it made no call in a session.
    #[track_caller]
    pub fn cancel(self) -> Cancelled {
        let call = self.call.get().unwrap_or_else(|| panic!("nothing was called in a session"));
        self.host.cancel(call)
    }

    /// Lets it go on if it can, and tells whether it waits.
    fn poll(&self) -> bool {
        let mut state = self.state.replace(State::Polled);
        if let State::Waiting(future) = &mut state {
            let (nested, outer_call) = (STARTED.replace(true), LAST_CALL.replace(None));
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            STARTED.set(nested);
            if let Some(call) = LAST_CALL.replace(outer_call) {
                self.call.set(Some(call));
            }
            if let Poll::Ready(result) = polled {
                state = State::Done(result);
            }
        }
        let waits = matches!(state, State::Waiting(_));
        self.state.set(state);
        waits
    }
}

impl<T> std::fmt::Debug for Started<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started").field("call", &self.call.get()).finish_non_exhaustive()
    }
}
