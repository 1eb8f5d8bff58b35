//! Sends requests, under the session's lock, while the core has some to send and the link's queue
//! has room. Waiting for room is left to the pump.
use std::sync::Arc;

use synod_api::v1::{CallReply, CallRequest, Context};
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::mpsc::error::TrySendError;

use super::Shared;
use super::calls::{Calls, Flight};
use crate::core::{Sending, Trouble};
use crate::shell::flights::{Ground, Key};

/// A slot of the queue of a link's call stream.
pub(crate) type Slot = OwnedPermit<CallRequest>;

impl Shared {
    /// Sends what can be sent, and wakes the pump if there is something for it to do.
    pub(super) fn go_on(self: &Arc<Self>, calls: &mut Calls) {
        self.send(calls, None);
        let now_ms = self.client.now_ms();
        let wake_ms = calls.requests.wake_at(now_ms).unwrap_or(u64::MAX);
        let stands = calls
            .crowded_by()
            .is_none_or(|link| calls.line.as_ref().is_some_and(|line| Arc::ptr_eq(line, link)));
        if wake_ms < calls.wakes_ms
            || !stands
            || calls.requests.has_cancels()
            || calls.requests.wants_round(now_ms)
        {
            self.pump.notify_one();
        }
    }

    /// Sends what can be sent, the first request with `slot`. While other sessions stand in line
    /// for slots, that is the only one.
    pub(super) fn send(self: &Arc<Self>, calls: &mut Calls, mut slot: Option<Slot>) {
        calls.crowded = false;
        if calls.requests.has_work()
            && calls.requests.is_idle()
            && let Some(aboard) = &calls.lane
            && !self.client.prefers(&aboard.address)
        {
            calls.lane = None;
            calls.requests.part();
        }
        while calls.requests.has_work()
            && let Some(aboard) = calls.lane.clone()
        {
            let lane = aboard.link.calls();
            let own = slot.take().filter(|slot| slot.same_channel_as_sender(&lane.queue));
            let room = match own.map_or_else(|| lane.queue.clone().try_reserve_owned(), Ok) {
                Ok(room) => room,
                Err(TrySendError::Full(_)) => {
                    calls.crowded = true;
                    return;
                }
                Err(TrySendError::Closed(_)) => {
                    let why = "the stream ended".to_owned();
                    calls.requests.failed(why.clone(), 0, self.client.now_ms(), self.client.jitter());
                    self.leave(calls, Trouble::NotSent(why));
                    return;
                }
            };
            if self.remaining().is_zero() {
                self.alive.notify_one();
                return;
            }
            let Some(sending) = calls.requests.next_to_send(self.client.now_ms()) else { return };
            let key = Key { id: sending.id, round: sending.round };
            let Some(waiting) = calls.waiting.get_mut(&key.id) else { continue };
            match lane.flights.enter_for(Arc::clone(self) as Arc<dyn Ground<CallReply>>, key) {
                Ok(ticket) => {
                    let tag = ticket.tag;
                    waiting.flight = Some(Flight { round: key.round, ticket, aboard: aboard.clone() });
                    let context = Some(self.context(sending));
                    room.send(CallRequest { context, tag, ..waiting.request.clone() });
                }
                Err(trouble) => self.carry_out(calls, key, Err(trouble)),
            }
        }
    }

    fn context(&self, sending: Sending) -> Context {
        Context {
            session: self.id.0.to_vec(),
            secret: self.secret.to_vec(),
            request_id: sending.id,
            acknowledged_below: sending.acknowledged_below,
            after: sending.after,
            acknowledged: sending.acknowledged,
            at_least_revision: 0,
            user: self.user,
        }
    }
}
