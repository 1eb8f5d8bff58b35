//! What a leader keeps: the entries that it has in flight, how much it holds for its followers, and
//! their links.
use bytes::Bytes;
use futures::channel::oneshot;
use synod_abi::Time;
use synod_machine::{CommandOutcome, Origin, Rejection};

use super::Ledger;
use super::links::Links;
use super::queue::{Forwarded, Item, Queued};
use crate::ports::ProposeError;
use crate::propose::forward::DropReason;
use crate::propose::fuel::{FuelEstimates, FuelKey};
use crate::propose::packing::Packer;
use crate::propose::waiters::{Answers, Placement};

/// An entry to propose.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadyEntry {
    pub(crate) id: u64,
    pub(crate) term: u64,
    pub(crate) bytes: Bytes,
}

/// A command of an entry, with what its cost is learnt for.
type Sent = (Queued, Option<FuelKey>);

/// An entry that was proposed, and not applied here.
#[derive(Debug)]
struct InFlight {
    id: u64,
    term: u64,
    first: Origin,
    items: Vec<Sent>,
}

/// Followers' commands in the queue, counted.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    pub(super) commands: usize,
    pub(super) bytes: usize,
    /// Links that wait for room.
    room: Vec<oneshot::Sender<()>>,
}

impl Backlog {
    pub(super) fn enter(&mut self, bytes: usize) {
        self.commands += 1;
        self.bytes += bytes;
    }

    pub(super) fn leave(&mut self, bytes: usize) {
        self.commands -= 1;
        self.bytes -= bytes;
        self.make_room();
    }

    /// Resolves when there may be room.
    pub(super) fn wait_for_room(&mut self) -> oneshot::Receiver<()> {
        let (room, resolved) = oneshot::channel();
        self.room.push(room);
        resolved
    }

    /// Lets the links that wait for room try again.
    pub(super) fn make_room(&mut self) {
        self.room.clear();
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Leader {
    in_flight: Vec<InFlight>,
    last_entry: u64,
    estimates: FuelEstimates,
    pub(super) backlog: Backlog,
    pub(super) links: Links,
}

impl Leader {
    /// A forwarded command leaves the queue and will surely not be proposed.
    pub(super) fn drop_queued(&mut self, forwarded: &Forwarded, reason: DropReason) {
        self.backlog.leave(forwarded.packed.bytes.len());
        self.links.drop_forwarded(forwarded, reason);
    }

    fn begin(&mut self, term: u64, first: Origin, items: Vec<Sent>) -> u64 {
        self.last_entry += 1;
        self.in_flight.push(InFlight { id: self.last_entry, term, first, items });
        self.last_entry
    }

    /// Forgets the entries of terms up to `term`.
    pub(super) fn forget_through(&mut self, term: u64) {
        self.in_flight.retain(|entry| entry.term > term);
    }

    /// An entry of `term` with these outcomes was applied: it is no longer in flight, and its cost
    /// improves the estimates.
    pub(super) fn applied(&mut self, term: u64, outcomes: &[CommandOutcome]) {
        let Some(first) = outcomes.first().map(|outcome| outcome.origin) else { return };
        let is_applied = |entry: &InFlight| entry.term == term && entry.first == first;
        let Some(at) = self.in_flight.iter().position(is_applied) else { return };
        let entry = self.in_flight.swap_remove(at);
        for ((_, key), outcome) in entry.items.iter().zip(outcomes) {
            if let Some(key) = *key
                && outcome.outcome.result != Err(Rejection::Deferred)
            {
                self.estimates.learn(key, outcome.cost);
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.in_flight.clear();
        self.backlog.make_room();
        self.links.close();
    }
}

impl Ledger {
    /// The next entry to propose, if this member leads, has applied its term's first entry, and has
    /// not enough in flight. `stamp` is the time of an entry of a term; none if it has ended.
    pub(crate) fn next_entry(&mut self, stamp: impl FnOnce(u64) -> Option<Time>) -> Option<ReadyEntry> {
        let term = self.leading_term()?;
        if self.applied_term < term
            || self.leader.in_flight.len() >= self.limits.entries_in_flight
            || self.queue.is_empty()
        {
            return None;
        }
        let stamp = stamp(term)?;
        let mut packer = Packer::default();
        let mut items: Vec<Sent> = Vec::new();
        let mut first = Origin::default();
        while let Some(queued) = self.queue.pop() {
            let packed = match &queued.item {
                Item::Own(sequence) => match self.waiters.get(*sequence) {
                    Some(waiter) if waiter.reply.is_canceled() => {
                        let _ = self.take_waiter(*sequence);
                        continue;
                    }
                    Some(waiter) => &waiter.packed,
                    None => continue,
                },
                Item::Forwarded(forwarded) => &forwarded.packed,
            };
            let key = packed.fuel_key;
            let fuel = self.leader.estimates.estimate(key);
            if !packer.fits(packed, fuel) {
                self.queue.unpop(queued);
                break;
            }
            packer.add(packed, fuel);
            if items.is_empty() {
                first = packed.origin;
            }
            self.bind(&queued.item, term);
            items.push((queued, key));
        }
        if packer.is_empty() {
            return None;
        }
        self.stats.entries += 1;
        self.stats.commands += items.len() as u64;
        let id = self.leader.begin(term, first, items);
        Some(ReadyEntry { id, term, bytes: packer.entry(stamp) })
    }

    /// A queued command becomes part of an entry of `term`.
    fn bind(&mut self, item: &Item, term: u64) {
        match item {
            Item::Own(sequence) => {
                if let Some(waiter) = self.waiters.get_mut(*sequence) {
                    waiter.placement = Placement::Bound { term, position: None };
                }
            }
            Item::Forwarded(forwarded) => self.leader.backlog.leave(forwarded.packed.bytes.len()),
        }
    }

    /// The answer to the proposal of an entry. True if it was refused, so that it is better to wait
    /// a little.
    pub(crate) fn proposed(
        &mut self,
        id: u64,
        result: Result<(), ProposeError>,
        answers: &mut Answers,
    ) -> bool {
        let Some(at) = self.leader.in_flight.iter().position(|entry| entry.id == id) else { return false };
        match result {
            Ok(()) => {
                self.last_refusal = None;
                false
            }
            Err(ProposeError::Unknown(_)) => {
                self.leader.in_flight.swap_remove(at);
                false
            }
            Err(ProposeError::Refused(reason)) => {
                let entry = self.leader.in_flight.swap_remove(at);
                self.last_refusal = Some(reason);
                self.queue_again(entry.items, answers);
                true
            }
        }
    }

    /// Queues the commands of a refused entry again; those of followers only while the term lasts.
    fn queue_again(&mut self, items: Vec<Sent>, answers: &mut Answers) {
        let leading = self.leading_term();
        let mut own = Vec::new();
        let mut forwarded = Vec::new();
        for (queued, _) in items {
            match queued.item {
                Item::Own(sequence) => own.push(sequence),
                Item::Forwarded(ref item) if leading == Some(item.term) => {
                    self.leader.backlog.enter(item.packed.bytes.len());
                    self.note_deadline(item.deadline);
                    forwarded.push(queued);
                }
                Item::Forwarded(item) => self.leader.links.drop_forwarded(&item, DropReason::NotLeading),
            }
        }
        self.requeue_own(own, answers);
        self.queue.put_back(forwarded);
    }
}
