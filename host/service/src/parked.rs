//! The callers that wait on this member for the outcome of a parked call, by session and request.
//!
//! A waiter registers before its call is proposed, so that no completion can come too early.
//! Completions come from this member's apply, whichever member and command they are of. A snapshot
//! may have jumped over completions: after its installation each waiter is looked up in the new
//! state, and gets its outcome, waits on, or asks again.
//!
//! The arguments, which are kept to ask again, take room of their caller's connection while it
//! waits, and an outcome does from here on, see `propose::delivery`.
//!
//! Several callers may wait for one request, when its client tried again. The call stays parked
//! when they leave.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::channel::oneshot;
use synod_abi::{RequestId, SessionId};
use synod_machine::sessions::{self, RequestState};
use synod_machine::{Completed, Fatal, StateView};

use crate::failure::{CallFailure, UnavailableReason};
use crate::ports::Kept;
use crate::progress::lock;
use crate::propose::{DeliveryResult, Room, deliver};

/// Calls that may wait on one member.
pub const WAITING_CALLS: usize = 65_536;
/// Bytes of their arguments, which are kept to ask again.
pub const WAITING_CALL_BYTES: usize = 32 * 1_024 * 1_024;
/// Arguments up to this length take no room of a connection; the number of calls bounds them.
const SHORT_BYTES: usize = 32;
/// Callers that may wait for one request on one member.
pub const WAITERS_PER_REQUEST: usize = 16;

type Key = (SessionId, RequestId);

/// How waiting ends.
#[derive(Debug)]
pub(crate) enum Resolution {
    Outcome(DeliveryResult),
    /// The state does not know the request: propose it again.
    Lost,
}

#[derive(Debug)]
struct Slot {
    id: u64,
    /// None once it was used, and when the member gives its waiters up.
    reply: Option<oneshot::Sender<Resolution>>,
    room: Room,
}

#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<Key, Vec<Slot>>,
    next: u64,
    calls: usize,
    bytes: usize,
    closed: bool,
}

impl State {
    fn take_replies(&mut self, key: Key) -> impl Iterator<Item = (oneshot::Sender<Resolution>, Room)> {
        let slots = self.slots.get_mut(&key).into_iter().flatten();
        slots.filter_map(|slot| slot.reply.take().map(|reply| (reply, slot.room.clone())))
    }
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
    resolution: oneshot::Receiver<Resolution>,
    _kept: Option<Kept>,
}

impl ParkedCalls {
    /// A place for a waiter that keeps `bytes` of arguments.
    pub(crate) fn wait(
        &self,
        session: SessionId,
        request: RequestId,
        bytes: usize,
        room: Room,
    ) -> Result<Place, CallFailure> {
        let key = (session, request);
        let mut state = lock(&self.0);
        let state = &mut *state;
        let busy = |message| Err(CallFailure::unavailable(UnavailableReason::Busy, message));
        if state.calls >= WAITING_CALLS || (state.calls > 0 && state.bytes + bytes > WAITING_CALL_BYTES) {
            return busy(format!(
                "{WAITING_CALLS} calls, or {WAITING_CALL_BYTES} bytes of their arguments, wait on this \
                    member, which is its limit; try again later or on another member"
            ));
        }
        if state.slots.get(&key).is_some_and(|slots| slots.len() >= WAITERS_PER_REQUEST) {
            return busy(format!(
                "{WAITERS_PER_REQUEST} callers wait for this request on this member already, which is its \
                    limit"
            ));
        }
        let _kept = match &room {
            Some(room) if bytes > SHORT_BYTES => match room.park(bytes) {
                None => {
                    return busy(format!(
                        "there is no room for {bytes} bytes of arguments of one more waiting call: this \
                            connection has as many bytes of them as one may have, or all together have; try \
                            again later or on another connection"
                    ));
                }
                kept => kept,
            },
            _ => None,
        };
        let (reply, resolution) = oneshot::channel();
        state.next += 1;
        state.calls += 1;
        state.bytes += bytes;
        let reply = (!state.closed).then_some(reply);
        state.slots.entry(key).or_default().push(Slot { id: state.next, reply, room });
        Ok(Place { calls: self.clone(), key, id: state.next, bytes, resolution, _kept })
    }

    /// Resolves the waiters of what was completed.
    pub(crate) fn complete(&self, completions: Vec<Completed>) {
        if completions.is_empty() {
            return;
        }
        let mut resolved = Vec::new();
        {
            let mut state = lock(&self.0);
            for Completed { session, request, outcome } in completions {
                let replies = state.take_replies((session, request));
                resolved.extend(replies.map(|(reply, room)| (reply, room, outcome.clone())));
            }
        }
        for (reply, room, outcome) in resolved {
            let _ = reply.send(Resolution::Outcome(deliver(Ok(outcome), &room)));
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
                let lost: Vec<_> = lock(&self.0).take_replies((session, request)).collect();
                for (reply, _) in lost {
                    let _ = reply.send(Resolution::Lost);
                }
            }
        }
        Ok(())
    }

    /// Ends all waiting without a resolution, for good.
    pub(crate) fn close(&self) {
        lock(&self.0).closed = true;
        self.end_all();
    }

    /// Ends all present waiting without a resolution; the calls stay parked.
    pub(crate) fn end_all(&self) {
        let mut state = lock(&self.0);
        let slots = state.slots.values_mut().flatten();
        let replies: Vec<_> = slots.filter_map(|slot| slot.reply.take()).collect();
        drop(state);
        drop(replies);
    }

    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let state = lock(&self.0);
        (state.slots.len(), state.calls, state.bytes)
    }
}

impl Place {
    /// How waiting ended; nothing if the member gives its waiters up.
    pub(crate) async fn resolution(&mut self) -> Option<Resolution> {
        (&mut self.resolution).await.ok()
    }

    /// Waits again, after its request was lost.
    pub(crate) fn renew(&mut self) {
        let (reply, resolution) = oneshot::channel();
        self.resolution = resolution;
        let mut state = lock(&self.calls.0);
        if state.closed {
            return;
        }
        let slot =
            state.slots.get_mut(&self.key).and_then(|slots| slots.iter_mut().find(|slot| slot.id == self.id));
        if let Some(slot) = slot {
            slot.reply = Some(reply);
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
