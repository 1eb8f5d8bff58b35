//! Who waits on this member for the outcome of a parked call, by session and request.
//!
//! A waiter is there before its call is proposed, so that no completion can come too early.
//! Completions come from this member's apply, whichever member and command they are of. When a
//! snapshot was installed, completions may have been jumped over: each waiter is looked up in the
//! new state, and told its outcome, left to wait, or told to ask again.
//!
//! Several callers may wait for one request: its client tried again. What is parked stays so when
//! they leave.
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures::channel::oneshot;
use synod_abi::{RequestId, SessionId};
use synod_machine::sessions::{self, RequestState};
use synod_machine::{Completed, Fatal, Outcome, StateView};

use crate::failure::{CallFailure, UnavailableReason};
use crate::progress::lock;

/// Calls that may wait on one member.
pub const WAITING_CALLS: usize = 65_536;
/// Bytes of their arguments, which are kept to ask again.
pub const WAITING_CALL_BYTES: usize = 64 * 1_024 * 1_024;
/// Callers that may wait for one request on one member.
pub const WAITERS_PER_REQUEST: usize = 16;

type Key = (SessionId, RequestId);

/// What a waiter hears.
#[derive(Debug)]
pub(crate) enum News {
    Outcome(Outcome),
    /// The state does not know the request: ask again.
    Lost,
}

#[derive(Debug)]
struct Slot {
    id: u64,
    news: Option<oneshot::Sender<News>>,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<Key, Vec<Slot>>,
    next: u64,
    calls: usize,
    bytes: usize,
    closed: bool,
}

/// The waiters of a member. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParkedCalls(Arc<Mutex<State>>);

/// A waiter's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    calls: ParkedCalls,
    key: Key,
    id: u64,
    bytes: usize,
    news: oneshot::Receiver<News>,
}

impl ParkedCalls {
    /// A place for a waiter that keeps `bytes` of arguments.
    pub(crate) fn wait(
        &self,
        session: SessionId,
        request: RequestId,
        bytes: usize,
    ) -> Result<Place, CallFailure> {
        let (key, mut state) = ((session, request), lock(&self.0));
        let state = &mut *state;
        let busy = |message| Err(CallFailure::unavailable(UnavailableReason::Busy, message));
        if state.calls >= WAITING_CALLS || (state.calls > 0 && state.bytes + bytes > WAITING_CALL_BYTES) {
            return busy(format!(
                "{WAITING_CALLS} calls, or {WAITING_CALL_BYTES} bytes of their arguments, wait on this \
                    member, which is its limit; try again \
                 later or on another member"
            ));
        }
        if state.slots.get(&key).is_some_and(|slots| slots.len() >= WAITERS_PER_REQUEST) {
            return busy(format!(
                "{WAITERS_PER_REQUEST} callers wait for this request on this member already, which is its \
                    limit"
            ));
        }
        let (sender, news) = oneshot::channel();
        state.next += 1;
        state.calls += 1;
        state.bytes += bytes;
        let sender = (!state.closed).then_some(sender);
        state.slots.entry(key).or_default().push(Slot { id: state.next, news: sender });
        Ok(Place { calls: self.clone(), key, id: state.next, bytes, news })
    }

    /// Tells those who wait for what was completed.
    pub(crate) fn complete(&self, completions: Vec<Completed>) {
        if completions.is_empty() {
            return;
        }
        let mut told = Vec::new();
        {
            let mut state = lock(&self.0);
            for Completed { session, request, outcome } in completions {
                let slots = state.slots.get_mut(&(session, request)).into_iter().flatten();
                told.extend(
                    slots
                        .filter_map(|slot| slot.news.take())
                        .map(|news| (news, News::Outcome(outcome.clone()))),
                );
            }
        }
        for (news, message) in told {
            let _ = news.send(message);
        }
    }

    /// Looks every waiter up in a state that may have jumped over its completion.
    pub(crate) fn restored(&self, view: &impl StateView) -> Result<(), Fatal> {
        let keys: Vec<Key> = lock(&self.0).slots.keys().copied().collect();
        keys.into_iter().try_for_each(|(session, request)| self.look_up(view, session, request))
    }

    /// Looks the waiters of one request up.
    pub(crate) fn look_up(
        &self,
        view: &impl StateView,
        session: SessionId,
        request: RequestId,
    ) -> Result<(), Fatal> {
        match sessions::request(view, session, request)?.map(|record| record.state) {
            Some(RequestState::Waiting { .. }) => {}
            Some(RequestState::Done { outcome, .. }) => {
                self.complete(vec![Completed { session, request, outcome }])
            }
            None => {
                let mut state = lock(&self.0);
                let slots = state.slots.get_mut(&(session, request)).into_iter().flatten();
                let told: Vec<_> = slots.filter_map(|slot| slot.news.take()).collect();
                drop(state);
                told.into_iter().for_each(|news| drop(news.send(News::Lost)));
            }
        }
        Ok(())
    }

    /// Ends all waiting: nobody hears anything any more.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.0);
        state.closed = true;
        let news: Vec<_> = state.slots.values_mut().flatten().filter_map(|slot| slot.news.take()).collect();
        drop(state);
        drop(news);
    }

    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let state = lock(&self.0);
        (state.slots.len(), state.calls, state.bytes)
    }
}

impl Place {
    /// What the waiter hears; nothing if the member ends.
    pub(crate) async fn news(&mut self) -> Option<News> {
        (&mut self.news).await.ok()
    }

    /// Makes the place hear again, after it heard that its request is lost.
    pub(crate) fn renew(&mut self) {
        let (sender, news) = oneshot::channel();
        self.news = news;
        let mut state = lock(&self.calls.0);
        if state.closed {
            return;
        }
        let slot =
            state.slots.get_mut(&self.key).and_then(|slots| slots.iter_mut().find(|slot| slot.id == self.id));
        if let Some(slot) = slot {
            slot.news = Some(sender);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.calls.0);
        state.calls -= 1;
        state.bytes -= self.bytes;
        if let Some(slots) = state.slots.get_mut(&self.key) {
            slots.retain(|slot| slot.id != self.id);
            if slots.is_empty() {
                state.slots.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
