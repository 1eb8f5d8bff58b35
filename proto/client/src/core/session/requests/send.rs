//! What is sent next, and what it acknowledges.
//!
//! It decides in the present round only; when a round begins and ends is decided in
//! [`silence`](super::silence), and how many requests may be in flight by the
//! [`Pace`](crate::core::session::pace::Pace).
use super::super::pace::Until;
use super::{MAX_PENDING, Place, Requests, Sending, has_run};

/// Parked requests that one request acknowledges; the rest follow with the next.
const MAX_ACKNOWLEDGED: usize = 256;

impl Requests {
    /// The next request to send in the present round, if any; it counts as sent.
    pub fn next_to_send(&mut self, now_ms: u64) -> Option<Sending> {
        let round = self.round?;
        let id = *self.here.first()?;
        let came = |until| match until {
            Until::Ran(id) => !self.running.contains(&id) || has_run(&self.calls, id),
            Until::Settled(id) => !self.running.contains(&id),
            Until::Later => false,
        };
        if !self.pace.allows(id, &self.flying, now_ms, came) && !self.calls.get(&id)?.parked {
            return None;
        }
        let first = self.calls.get(&id)?.sendings == 0;
        if first && !self.fits(id) {
            return None;
        }
        let below = self.floor().min(id);
        let carries = if first { self.load_acks(id) } else { Vec::new() };
        let after = self.running.range(..id).next_back().copied();
        let call = self.calls.get_mut(&id)?;
        if first {
            call.carries = carries;
        }
        call.sendings += 1;
        call.place = Place::Flight { round, at_ms: now_ms, below };
        if !call.parked {
            self.flying.insert(id);
        }
        let after = after.filter(|_| !call.parked).unwrap_or(0);
        let acknowledged = call.carries.clone();
        self.here.remove(&id);
        Some(Sending { id, round, acknowledged_below: below, after, acknowledged })
    }

    /// Takes acknowledgements that no request carries yet, for `id` to carry.
    fn load_acks(&mut self, id: u64) -> Vec<u64> {
        let free = self.acks.range_mut(..id).filter(|(_, carrier)| carrier.is_none());
        let load = |(acknowledged, carrier): (&u64, &mut Option<u64>)| {
            *carrier = Some(id);
            *acknowledged
        };
        free.take(MAX_ACKNOWLEDGED).map(load).collect()
    }

    /// Whether the cluster has room for the outcome of `id` beside those that it keeps. Results
    /// that callers have not taken count as taken if that makes the room.
    fn fits(&mut self, id: u64) -> bool {
        let kept = |this: &Self| (id - this.floor()) as usize + this.parked + this.acks.len();
        if self.floor() == id || kept(self) < MAX_PENDING {
            return true;
        }
        let idle: Vec<u64> = self.running.iter().copied().filter(|id| self.is_delivered(*id)).collect();
        for id in idle {
            self.settle(id, true);
        }
        self.floor() == id || kept(self) < MAX_PENDING
    }

    /// The last sending of a request surely has no effect: it never left, or was refused and left
    /// no record.
    pub fn not_sent(&mut self, id: u64) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.sendings = call.sendings.saturating_sub(1);
        if call.sendings == 0 {
            for acknowledged in std::mem::take(&mut call.carries) {
                self.acks.insert(acknowledged, None);
            }
        }
    }
}
