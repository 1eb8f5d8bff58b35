//! What the handles of a session and its two tasks share: its calls, its lifetime and its state.
//!
//! News is carried out at once, under one lock: a caller sends its own request, and the reader of a
//! stream returns the answer and sends what that made possible. Only what takes time is left to the
//! task in [`pump`](super::pump): connecting, waiting for room, pauses, cancels.
mod calls;
mod landing;
mod sending;
mod turn;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prost::Message;
use synod_abi::SessionId;
use synod_api::v1::{CallReply, CallRequest};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};

pub(super) use self::calls::Ending;
use self::calls::{Calls, Over, Waiting};
use super::clock;
use crate::Error;
use crate::core::{Lifetime, MAX_RUNNING, Patience, Policy, Requests, SessionState, Trouble};
use crate::shell::client::Client;
use crate::shell::trouble::check_size;

pub(super) use self::sending::Slot;
pub(super) use self::turn::Turn;

/// What a request's context adds to its bytes, at most.
const CONTEXT_BYTES: usize = 8 * 1_024;

/// A session, as its handles and tasks see it.
pub(crate) struct Shared {
    pub(super) client: Client,
    pub(super) id: SessionId,
    pub(super) secret: [u8; 16],
    /// Tells the requests of this handle from those of others that have the session's token.
    user: u64,
    calls: Mutex<Calls>,
    life: Mutex<Lifetime>,
    states: watch::Sender<SessionState>,
    permits: Arc<Semaphore>,
    /// Wakes the task that pumps.
    pub(super) pump: Notify,
    /// Wakes the task that keeps alive.
    pub(super) alive: Notify,
}

impl Shared {
    pub(super) fn new(
        client: Client,
        (id, secret): (SessionId, [u8; 16]),
        user: u64,
        next_request_id: u64,
        life: Lifetime,
    ) -> Arc<Self> {
        let options = client.options();
        let now_ms = client.now_ms();
        let give_up_ms = client.end_ms(now_ms).saturating_sub(now_ms);
        let patience = Patience {
            policy: Policy { give_up_ms, ..options.policy },
            attempt_ms: options.attempt_timeout_ms,
            silent_ms: options.answer_hedge_ms,
        };
        let calls = Calls::new(Requests::new(next_request_id, patience));
        Arc::new(Self {
            client,
            id,
            secret,
            user,
            calls: Mutex::new(calls),
            states: watch::Sender::new(life.state()),
            life: Mutex::new(life),
            permits: Arc::new(Semaphore::new(MAX_RUNNING)),
            pump: Notify::new(),
            alive: Notify::new(),
        })
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or changes the lifetime, and notifies the owner if its state changed.
    pub(super) fn life<T>(&self, change: impl FnOnce(&mut Lifetime) -> T) -> T {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut life);
        let state = life.state();
        self.states.send_if_modified(|known| std::mem::replace(known, state) != state);
        result
    }

    pub(super) fn states(&self) -> watch::Receiver<SessionState> {
        self.states.subscribe()
    }

    pub(super) fn remaining(&self) -> Duration {
        Duration::from_millis(self.life(|life| life.remaining_ms(clock::now_ms())))
    }

    pub(super) fn next_request_id(&self) -> u64 {
        self.calls().requests.next_id()
    }

    fn expired(&self, over: Option<&Over>) -> Error {
        Error::SessionExpired(over.map_or_else(
            || "its deadline passed without contact to the cluster".to_owned(),
            |over| over.why.clone(),
        ))
    }

    /// Makes a call, and waits for its outcome. Dropping the future gives the call up.
    pub(super) async fn call(self: &Arc<Self>, request: CallRequest) -> Result<CallReply, Error> {
        if let Err(Trouble::Answered(failure)) = check_size(request.encoded_len() + CONTEXT_BYTES) {
            return Err(Error::from(*failure));
        }
        let permit = self.permit().await?;
        let (id, answer) = self.make(request, permit)?;
        let mut guard = Guard { session: self, id, taken: false };
        let answer = answer.await;
        guard.taken = true;
        drop(guard);
        let answer = answer.unwrap_or_else(|_| Err(self.expired(self.calls().over.as_ref())));
        answer.map_err(|error| self.client.explained(error))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        loop {
            let acquire = Arc::clone(&self.permits).acquire_owned();
            let patience = Duration::from_millis(self.client.options().policy.give_up_ms.max(1));
            match tokio::time::timeout(patience, acquire).await {
                Ok(Ok(permit)) => return Ok(permit),
                Ok(Err(_closed)) => return Err(self.expired(self.calls().over.as_ref())),
                Err(_) => {
                    if let Some(why) = self.calls().requests.is_silent(self.client.now_ms()) {
                        return Err(self.client.explained(Error::Unavailable(why.to_owned())));
                    }
                }
            }
        }
    }

    fn make(
        self: &Arc<Self>,
        request: CallRequest,
        permit: OwnedSemaphorePermit,
    ) -> Result<(u64, oneshot::Receiver<Result<CallReply, Error>>), Error> {
        let mut calls = self.calls();
        if calls.over.is_some() || self.remaining().is_zero() {
            self.alive.notify_one();
            return Err(self.expired(calls.over.as_ref()));
        }
        let id = calls.requests.add(self.client.now_ms())?;
        let (sender, answer) = oneshot::channel();
        calls
            .waiting
            .insert(id, Waiting { request, answer: Some(sender), permit: Some(permit), flight: None });
        self.go_on(&mut calls);
        Ok((id, answer))
    }

    /// The caller has taken the outcome, or gave the call up.
    fn let_go(self: &Arc<Self>, id: u64, taken: bool) {
        let mut calls = self.calls();
        if taken {
            calls.requests.taken(id);
        } else {
            calls.take_back(id);
            calls.requests.abandon(id);
            calls.give_up(id, None);
        }
        self.go_on(&mut calls);
    }

    /// Ends the session. One that was dropped, the task that keeps it alive closes on the cluster.
    pub(super) fn finish(&self, why: &str, ending: Ending) {
        let mut calls = self.calls();
        self.end(&mut calls, why, ending);
    }

    fn end(&self, calls: &mut Calls, why: &str, ending: Ending) {
        if calls.over.is_some() {
            return;
        }
        calls.over = Some(Over { why: why.to_owned(), close: ending == Ending::Dropped });
        for (id, error) in calls.requests.over(why) {
            calls.answer(id, Err(error));
        }
        calls.waiting.clear();
        calls.lane = None;
        calls.line = None;
        self.permits.close();
        self.life(if ending == Ending::Lost { Lifetime::ended } else { Lifetime::closed });
        self.pump.notify_one();
        self.alive.notify_one();
    }

    /// If the session is over for its client: whether it is to be closed on the cluster.
    pub(super) fn over(&self) -> Option<bool> {
        self.calls().over.as_ref().map(|over| over.close)
    }
}

/// A call whose caller waits; dropping it untaken gives the call up.
struct Guard<'a> {
    session: &'a Arc<Shared>,
    id: u64,
    taken: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.session.let_go(self.id, self.taken);
    }
}
