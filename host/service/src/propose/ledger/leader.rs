//! What a leader keeps: the entries that it has in flight, how much it holds for its followers, and
//! their links.
use bytes::Bytes;
use futures::channel::oneshot;
use synod_abi::{SessionId, Time, limits};
use synod_machine::{CommandOutcome, Origin, Rejection};

use super::Ledger;
use super::ends::Ends;
use super::links::Links;
use super::queue::{Forwarded, Item, Queued};
use super::shares::share;
use crate::ports::ProposeError;
use crate::propose::forward::DropReason;
use crate::propose::fuel::{FuelEstimates, FuelKey};
use crate::propose::packing::{Load, Packed, Packer, Room, Sharing};
use crate::propose::waiters::{Answers, Placement, Waiters};

/// Commands of the queue that are looked at for one entry.
const LOOKAHEAD: usize = 4 * limits::ENTRY_COMMANDS;
/// Fuel of all entries in flight together: a command that comes waits for them.
const FUEL_IN_FLIGHT: u64 = 2 * limits::ENTRY_FUEL;
/// An entry of less is not begun while others are in flight.
const LEAST_ENTRY_FUEL: u64 = limits::ENTRY_FUEL / 4;

/// An entry to propose.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadyEntry {
    pub(crate) id: u64,
    pub(crate) term: u64,
    pub(crate) bytes: Bytes,
}

/// A command of an entry, with what its cost is learnt for and the session that it ends.
#[derive(Debug)]
struct Sent {
    queued: Queued,
    fuel_key: Option<FuelKey>,
    ends: Option<SessionId>,
}

/// An entry that was proposed, and not applied here.
#[derive(Debug)]
struct InFlight {
    id: u64,
    term: u64,
    first: Origin,
    fuel: u64,
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
    pub(super) ends: Ends,
    pub(super) backlog: Backlog,
    pub(super) links: Links,
}

impl Leader {
    /// A forwarded command leaves the queue and will surely not be proposed.
    pub(super) fn drop_queued(&mut self, forwarded: &Forwarded, reason: DropReason) {
        self.backlog.leave(forwarded.packed.bytes.len());
        self.links.drop_forwarded(forwarded, reason);
    }

    fn begin(&mut self, term: u64, first: Origin, fuel: u64, items: Vec<Sent>) -> u64 {
        self.last_entry += 1;
        items.iter().filter_map(|sent| sent.ends).for_each(|session| self.ends.packed(session));
        self.in_flight.push(InFlight { id: self.last_entry, term, first, fuel, items });
        self.last_entry
    }

    /// The fuel that the next entry may take: less if what is in flight has much to do already.
    /// None if nothing is to be proposed now.
    fn fuel_room(&self, entries_in_flight: usize) -> Option<u64> {
        let in_flight = self.in_flight.iter().map(|entry| entry.fuel).fold(0, u64::saturating_add);
        let room = FUEL_IN_FLIGHT.saturating_sub(in_flight).min(limits::ENTRY_FUEL);
        let may = self.in_flight.len() < entries_in_flight
            && (self.in_flight.is_empty() || room >= LEAST_ENTRY_FUEL);
        may.then_some(room)
    }

    /// Forgets the entries of terms up to `term`, and what they end.
    pub(super) fn forget_through(&mut self, term: u64) {
        self.in_flight.retain(|entry| entry.term > term);
        self.ends.forget();
        self.in_flight.iter().flat_map(ended).for_each(|session| self.ends.packed(session));
    }

    /// An entry of `term` with these outcomes was applied: it is no longer in flight, and its cost
    /// improves the estimates.
    pub(super) fn applied(&mut self, term: u64, outcomes: &[CommandOutcome]) {
        let Some(first) = outcomes.first().map(|outcome| outcome.origin) else { return };
        let is_applied = |entry: &InFlight| entry.term == term && entry.first == first;
        let Some(at) = self.in_flight.iter().position(is_applied) else { return };
        let entry = self.in_flight.swap_remove(at);
        ended(&entry).for_each(|session| self.ends.settled(session));
        for (sent, outcome) in entry.items.iter().zip(outcomes) {
            if let Some(key) = sent.fuel_key
                && outcome.outcome.result != Err(Rejection::Deferred)
            {
                self.estimates.learn(key, outcome.cost);
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.in_flight.clear();
        self.ends.forget();
        self.backlog.make_room();
        self.links.close();
    }
}

impl Ledger {
    /// The next entry to propose, if this member leads and can, has applied its term's first entry,
    /// and has not enough in flight. If it cannot, what waits here, forwarded commands too, waits
    /// for another leader. `stamp` is the time of an entry of a term; none if it has ended, or time
    /// is not known yet.
    pub(crate) fn next_entry(&mut self, stamp: impl FnOnce(u64) -> Option<Time>) -> Option<ReadyEntry> {
        let term = self.leading_term()?;
        if !self.availability.packs() {
            return None;
        }
        let fuel_room = self.leader.fuel_room(self.limits.entries_in_flight)?;
        if self.applied_term < term || self.queue.is_empty() {
            return None;
        }
        let stamp = stamp(term)?;
        let (chosen, load) = self.choose(Room::of_entry(fuel_room));
        let mut packer = Packer::of(load);
        let mut items: Vec<Sent> = Vec::with_capacity(chosen.len());
        let mut first = None;
        for queued in chosen {
            let Some(packed) = packed_of(&queued.item, &self.waiters) else { continue };
            packer.add(packed);
            first.get_or_insert(packed.origin);
            let (fuel_key, ends) = (packed.fuel_key, packed.ends());
            self.bind(&queued.item, term);
            items.push(Sent { queued, fuel_key, ends });
        }
        let first = first?;
        self.stats.entries += 1;
        self.stats.commands += items.len() as u64;
        let id = self.leader.begin(term, first, load.fuel, items);
        Some(ReadyEntry { id, term, bytes: packer.entry(stamp) })
    }

    /// Takes what goes into the next entry out of the queue: all of it, in its order, or if that
    /// does not fit, a share for each space that waits. Nothing if it is better to wait until more
    /// of what is in flight is applied.
    fn choose(&mut self, room: Room) -> (Vec<Queued>, Load) {
        let mut chosen = Vec::new();
        let mut demands = Vec::new();
        let mut load = Load::default();
        let mut is_full = false;
        while chosen.len() < LOOKAHEAD
            && let Some(queued) = self.queue.pop()
        {
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
            let demand = packed.demand(self.leader.estimates.estimate(packed.fuel_key));
            is_full = is_full || !load.fits(&demand, room);
            if !is_full {
                load.add(&demand);
            }
            chosen.push(queued);
            demands.push(demand);
            if demand.sharing == Sharing::Alone {
                break;
            }
        }
        if !is_full {
            return (chosen, load);
        }
        let (shared, load) = share(&demands, room);
        let mut left = Vec::with_capacity(chosen.len());
        let mut taken = Vec::new();
        for (queued, is_taken) in chosen.into_iter().zip(shared) {
            if is_taken { &mut taken } else { &mut left }.push(queued);
        }
        left.into_iter().rev().for_each(|queued| self.queue.unpop(queued));
        (taken, load)
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
                ended(&entry).for_each(|session| self.leader.ends.settled(session));
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
        for Sent { queued, .. } in items {
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

/// The sessions that an entry ends.
fn ended(entry: &InFlight) -> impl Iterator<Item = SessionId> {
    entry.items.iter().filter_map(|sent| sent.ends)
}

/// The command of an item; none if nobody waits for it any more.
fn packed_of<'a>(item: &'a Item, waiters: &'a Waiters) -> Option<&'a Packed> {
    match item {
        Item::Own(sequence) => waiters.get(*sequence).map(|waiter| &waiter.packed),
        Item::Forwarded(forwarded) => Some(&forwarded.packed),
    }
}
