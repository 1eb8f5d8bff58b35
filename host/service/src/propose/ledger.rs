//! What the proposer knows, without doing anything: the queue, what is in flight, the waiters, the
//! links of followers.
//!
//! Every proposal is bound to the term of the leader that it is given to, and only that leader can
//! append it, in that term. The log is ordered by term: once this member has applied an entry of a
//! larger term, none of its own proposals bound to a smaller one and still without outcome can ever
//! be committed. They are queued again, so a change of leaders costs a client time, but never its
//! answer. What is left as "outcome unknown" is a deadline that passes while a proposal is bound,
//! and a snapshot that jumps over a command that may not be run twice.
//!
//! Order: a proposal keeps its place in the queue for life, and nothing is proposed in a term
//! before this member has applied its first entry, when all that earlier terms left behind is in
//! the queue again. A call that was put off because the one that it follows had not run is held
//! until that one, if it waits here too, is queued again or has its outcome. What a leader decided
//! is only proposed in its own term, and answered as unavailable at its end.
//!
//! It is one value behind a mutex, with no futures in it, so that every step can be tested by
//! itself. The [`proposer`](super::proposer) drives it.
mod follower;
mod links;

use std::collections::{BTreeMap, HashMap, VecDeque};

use futures::channel::oneshot;
use synod_abi::{MemberId, Time};
use synod_machine::{CommandOutcome, Origin, Rejection};

use super::forward::DropReason;
use super::fuel::{FuelEstimates, FuelKey};
use super::packing::{Packed, Packer, Repeat};
use super::waiters::{Answers, Binding, Waiter, Waiters};
use crate::failure::{ProposalError, ProposalResult, UnavailableReason};
use crate::ports::{Leadership, Monotonic, ProposeError, Role};
use links::LinkState;

pub(crate) use links::{Link, Taken};

/// Entries that a leader has in flight by default: proposed, and not applied on itself. More hide
/// the latency of disk and network; fewer make larger entries.
pub const ENTRIES_IN_FLIGHT: usize = 4;
/// Own proposals without outcome, by default.
pub const OWN_COMMANDS: usize = 16_384;
/// Bytes of them, by default.
pub const OWN_BYTES: usize = 64 * 1_024 * 1_024;
/// Commands of followers that wait in a leader's queue, by default.
pub const FORWARDED_COMMANDS: usize = 16_384;
/// Bytes of them, by default.
pub const FORWARDED_BYTES: usize = 64 * 1_024 * 1_024;
/// Followers, by incarnation, that a leader takes commands from in one term.
pub(crate) const LINKS_PER_TERM: usize = 1_024;

/// How much the proposer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposerLimits {
    /// See [`ENTRIES_IN_FLIGHT`].
    pub entries_in_flight: usize,
    /// See [`OWN_COMMANDS`].
    pub own_commands: usize,
    /// See [`OWN_BYTES`].
    pub own_bytes: usize,
    /// See [`FORWARDED_COMMANDS`].
    pub forwarded_commands: usize,
    /// See [`FORWARDED_BYTES`].
    pub forwarded_bytes: usize,
}

impl Default for ProposerLimits {
    fn default() -> Self {
        Self {
            entries_in_flight: ENTRIES_IN_FLIGHT,
            own_commands: OWN_COMMANDS,
            own_bytes: OWN_BYTES,
            forwarded_commands: FORWARDED_COMMANDS,
            forwarded_bytes: FORWARDED_BYTES,
        }
    }
}

/// Counts since the start, for `synod bench` and status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProposerStats {
    /// Entries proposed by this member as leader.
    pub entries: u64,
    /// Commands in them.
    pub commands: u64,
    /// Own proposals that wait for their outcome now.
    pub waiting: u64,
    /// Own proposals that were queued again, after a change of leaders or a deferral.
    pub resubmitted: u64,
}

type LinkKey = (MemberId, u64);

#[derive(Clone, Debug)]
struct Forwarded {
    link: LinkKey,
    term: u64,
    position: u64,
    deadline: Monotonic,
    packed: Packed,
}

#[derive(Clone, Debug)]
enum Item {
    Own(u64),
    Forwarded(Forwarded),
}

#[derive(Clone, Debug)]
struct Queued {
    ticket: u64,
    item: Item,
}

#[derive(Debug)]
struct InFlight {
    id: u64,
    term: u64,
    first: Origin,
    items: Vec<(Queued, Option<FuelKey>)>,
}

/// An entry to propose.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadyEntry {
    pub(crate) id: u64,
    pub(crate) term: u64,
    pub(crate) bytes: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    limits: ProposerLimits,
    waiters: Waiters,
    queue: VecDeque<Queued>,
    next_ticket: u64,
    forwarded_commands: usize,
    forwarded_bytes: usize,
    in_flight: Vec<InFlight>,
    next_entry: u64,
    held: HashMap<u64, Vec<u64>>,
    leadership: Leadership,
    applied_term: u64,
    estimates: FuelEstimates,
    earliest: Option<Monotonic>,
    sent_term: u64,
    sent: BTreeMap<u64, u64>,
    next_position: u64,
    links_term: u64,
    links: HashMap<LinkKey, LinkState>,
    room: Vec<oneshot::Sender<()>>,
    refusing: Option<(UnavailableReason, String)>,
    last_refusal: Option<String>,
    closed: bool,
    idle: Vec<oneshot::Sender<()>>,
    stats: ProposerStats,
}

impl Ledger {
    pub(crate) fn new(template: Origin, limits: ProposerLimits, applied_term: u64) -> Self {
        Self {
            limits,
            waiters: Waiters::new(template),
            queue: VecDeque::new(),
            next_ticket: 0,
            forwarded_commands: 0,
            forwarded_bytes: 0,
            in_flight: Vec::new(),
            next_entry: 0,
            held: HashMap::new(),
            leadership: Leadership::default(),
            applied_term,
            estimates: FuelEstimates::default(),
            earliest: None,
            sent_term: 0,
            sent: BTreeMap::new(),
            next_position: 1,
            links_term: 0,
            links: HashMap::new(),
            room: Vec::new(),
            refusing: None,
            last_refusal: None,
            closed: false,
            idle: Vec::new(),
            stats: ProposerStats::default(),
        }
    }

    pub(crate) fn stats(&self) -> ProposerStats {
        ProposerStats { waiting: self.waiters.len() as u64, ..self.stats }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    // Own proposals.

    pub(crate) fn submit(
        &mut self,
        packed: Packed,
        deadline: Monotonic,
        now: Monotonic,
    ) -> Result<oneshot::Receiver<ProposalResult>, ProposalError> {
        if let Some((reason, message)) = &self.refusing {
            return Err(ProposalError::unavailable(*reason, message.clone()));
        }
        if deadline <= now {
            return Err(ProposalError::unavailable(
                UnavailableReason::Deadline,
                "the deadline had passed before the command was proposed",
            ));
        }
        let ProposerLimits { own_commands, own_bytes, .. } = self.limits;
        if self.waiters.len() >= own_commands {
            let message = format!(
                "{own_commands} commands wait on this member, which is its limit; try again later or on another member"
            );
            return Err(ProposalError::unavailable(UnavailableReason::QueueFull, message));
        }
        if self.waiters.len() > 0 && self.waiters.bytes() + packed.bytes.len() > own_bytes {
            let message = format!(
                "commands of {own_bytes} bytes wait on this member, which is its limit; try again later or on another member"
            );
            return Err(ProposalError::unavailable(UnavailableReason::QueueFull, message));
        }
        Ok(self.enqueue(packed, deadline, None))
    }

    /// The same for what the leader of `term` decided: it is proposed in that term or never. The
    /// limits are for clients.
    pub(crate) fn submit_as_leader(
        &mut self,
        term: u64,
        packed: Packed,
        deadline: Monotonic,
    ) -> Result<oneshot::Receiver<ProposalResult>, ProposalError> {
        if let Some((reason, message)) = &self.refusing {
            return Err(ProposalError::unavailable(*reason, message.clone()));
        }
        if self.leading_term() != Some(term) {
            return Err(not_leading(term));
        }
        Ok(self.enqueue(packed, deadline, Some(term)))
    }

    fn enqueue(
        &mut self,
        packed: Packed,
        deadline: Monotonic,
        only_in: Option<u64>,
    ) -> oneshot::Receiver<ProposalResult> {
        let (reply, outcome) = oneshot::channel();
        let ticket = self.ticket();
        let sequence = packed.origin.sequence;
        self.note_deadline(deadline);
        self.waiters.insert(Waiter { packed, deadline, binding: Binding::Queued, ticket, only_in, reply });
        self.queue.push_back(Queued { ticket, item: Item::Own(sequence) });
        outcome
    }

    /// Refuses new proposals until [`accept_proposals`](Self::accept_proposals).
    pub(crate) fn refuse_proposals(&mut self, reason: UnavailableReason, message: String) {
        if self.refusing.as_ref().is_none_or(|(present, _)| *present != UnavailableReason::ShuttingDown) {
            self.refusing = Some((reason, message));
        }
    }

    /// Ends a refusal for `reason`.
    pub(crate) fn accept_proposals(&mut self, reason: UnavailableReason) {
        if self.refusing.as_ref().is_some_and(|(present, _)| *present == reason) {
            self.refusing = None;
        }
    }

    /// Resolves when no own proposal waits.
    pub(crate) fn when_idle(&mut self) -> oneshot::Receiver<()> {
        let (idle, resolved) = oneshot::channel();
        if self.waiters.len() == 0 {
            let _ = idle.send(());
        } else {
            self.idle.push(idle);
        }
        resolved
    }

    /// Ends everything.
    pub(crate) fn close(&mut self, message: &str) -> Answers {
        self.closed = true;
        self.refusing = Some((UnavailableReason::ShuttingDown, message.to_owned()));
        self.queue.clear();
        self.held.clear();
        self.in_flight.clear();
        self.sent.clear();
        self.links_term = u64::MAX;
        self.links.drain().for_each(|(_, link)| link.signal.raise());
        self.room.clear();
        self.idle.clear();
        let unavailable = ProposalError::unavailable(UnavailableReason::ShuttingDown, message);
        self.waiters.end(&unavailable, &format!("{message}, while the command may be in the log"))
    }

    /// Answers proposals whose deadline has passed, and drops forwarded ones whose client has gone.
    pub(crate) fn expire(&mut self, now: Monotonic) -> Answers {
        let mut answers = Answers::default();
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return answers;
        }
        for sequence in self.waiters.select(|waiter| waiter.deadline <= now) {
            self.resolve_expired(sequence, &mut answers);
        }
        let (waiters, mut expired) = (&self.waiters, Vec::new());
        self.queue.retain(|queued| match &queued.item {
            Item::Own(sequence) => waiters.get(*sequence).is_some(),
            Item::Forwarded(forwarded) if forwarded.deadline > now => true,
            Item::Forwarded(forwarded) => {
                expired.push(forwarded.clone());
                false
            }
        });
        for forwarded in expired {
            self.leave_queue(&forwarded);
            self.drop_forwarded(&forwarded, DropReason::Expired);
        }
        self.earliest = self.waiters.earliest();
        let forwarded = self.queue.iter().filter_map(|queued| match &queued.item {
            Item::Own(_) => None,
            Item::Forwarded(forwarded) => Some(forwarded.deadline),
        });
        if let Some(earliest) = forwarded.min() {
            self.note_deadline(earliest);
        }
        answers
    }

    /// When [`expire`](Self::expire) has something to do next, at the earliest.
    pub(crate) fn next_expiry(&self) -> Option<Monotonic> {
        self.earliest
    }

    fn resolve_expired(&mut self, sequence: u64, answers: &mut Answers) {
        let Some(waiter) = self.take_waiter(sequence) else { return };
        let error = match waiter.binding {
            Binding::Bound { .. } => ProposalError::OutcomeUnknown(
                "the deadline passed while the command may have been in the log; it may still be applied"
                    .to_owned(),
            ),
            Binding::Held => ProposalError::unavailable(
                UnavailableReason::OutOfOrder,
                "the deadline passed before the request that this one follows had run; send both again",
            ),
            Binding::Queued => match (self.leadership.leader, &self.last_refusal) {
                (None, _) => ProposalError::unavailable(
                    UnavailableReason::NoLeader,
                    "the cluster has no leader that this member knows of; is a majority of its members up \
                        and connected?",
                ),
                (_, Some(refusal)) => ProposalError::unavailable(
                    UnavailableReason::Refused,
                    format!("the leader refused: {refusal}"),
                ),
                (Some(leader), None) => ProposalError::unavailable(
                    UnavailableReason::Deadline,
                    format!(
                        "the deadline passed before the command was given to the leader, member {leader}"
                    ),
                ),
            },
        };
        answers.push(waiter, Err(error));
    }

    fn take_waiter(&mut self, sequence: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(sequence)?;
        if let Binding::Bound { term, position: Some(position) } = waiter.binding
            && term == self.sent_term
        {
            self.sent.remove(&position);
        }
        let mut released = Vec::new();
        self.release(sequence, &mut released);
        self.requeue(released);
        if self.waiters.len() == 0 {
            self.idle.drain(..).for_each(|idle| {
                let _ = idle.send(());
            });
        }
        Some(waiter)
    }

    fn note_deadline(&mut self, deadline: Monotonic) {
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Puts items back where they were in the queue.
    fn requeue(&mut self, items: Vec<Queued>) {
        if !items.is_empty() {
            self.queue.extend(items);
            self.queue.make_contiguous().sort_by_key(|queued| queued.ticket);
        }
    }

    /// Queues proposals again that are surely in no log; what a leader decided only in its own
    /// term.
    fn requeue_own(&mut self, sequences: Vec<u64>, answers: &mut Answers) {
        let (leading, mut items) = (self.leading_term(), Vec::with_capacity(sequences.len()));
        for sequence in sequences {
            let Some(waiter) = self.unbind(sequence, Binding::Queued) else { continue };
            let (ticket, only_in) = (waiter.ticket, waiter.only_in);
            if only_in.is_some() && only_in != leading {
                self.end_of_term(sequence, answers);
            } else {
                items.push(Queued { ticket, item: Item::Own(sequence) });
                self.release(sequence, &mut items);
            }
        }
        self.stats.resubmitted += items.len() as u64;
        self.requeue(items);
    }

    fn unbind(&mut self, sequence: u64, to: Binding) -> Option<&mut Waiter> {
        let waiter = self.waiters.get_mut(sequence)?;
        let Binding::Bound { term, position } = waiter.binding else { return None };
        waiter.binding = to;
        if let Some(position) = position.filter(|_| term == self.sent_term) {
            self.sent.remove(&position);
        }
        Some(waiter)
    }

    /// A call came before the one that it follows. If that one waits here, it is queued behind it,
    /// or held until it is; whether so.
    fn put_off(&mut self, sequence: u64) -> bool {
        let Some(predecessor) = self.waiters.predecessor(sequence) else { return false };
        if self.waiters.get(predecessor).is_some_and(|waiter| waiter.binding == Binding::Queued) {
            self.requeue_own(vec![sequence], &mut Answers::default());
        } else if self.unbind(sequence, Binding::Held).is_some() {
            self.held.entry(predecessor).or_default().push(sequence);
        }
        true
    }

    /// Takes what is held behind `sequence`, and behind that, into `items` for the queue.
    fn release(&mut self, sequence: u64, items: &mut Vec<Queued>) {
        let mut released = self.held.remove(&sequence).unwrap_or_default();
        while let Some(next) = released.pop() {
            released.extend(self.held.remove(&next).unwrap_or_default());
            if let Some(waiter) = self.waiters.get_mut(next).filter(|waiter| waiter.binding == Binding::Held)
            {
                waiter.binding = Binding::Queued;
                items.push(Queued { ticket: waiter.ticket, item: Item::Own(next) });
            }
        }
    }

    fn end_of_term(&mut self, sequence: u64, answers: &mut Answers) {
        if let Some(waiter) = self.take_waiter(sequence) {
            let error = not_leading(waiter.only_in.unwrap_or_default());
            answers.push(waiter, Err(error));
        }
    }

    // Leadership and the log.

    pub(crate) fn leadership(&self) -> Leadership {
        self.leadership
    }

    /// The term that this member leads.
    pub(crate) fn leading_term(&self) -> Option<u64> {
        (self.leadership.role == Role::Leader).then_some(self.leadership.term)
    }

    pub(crate) fn observe(&mut self, leadership: Leadership) -> Answers {
        let mut answers = Answers::default();
        if leadership == self.leadership {
            return answers;
        }
        self.leadership = leadership;
        self.last_refusal = None;
        let leading = self.leading_term();
        let mut lost = Vec::new();
        self.queue.retain(|queued| match &queued.item {
            Item::Forwarded(forwarded) if Some(forwarded.term) != leading => {
                lost.push(forwarded.clone());
                false
            }
            _ => true,
        });
        for forwarded in lost {
            self.leave_queue(&forwarded);
            self.drop_forwarded(&forwarded, DropReason::NotLeading);
        }
        self.room.clear();
        let of_ended = |waiter: &Waiter| {
            waiter.binding == Binding::Queued && waiter.only_in.is_some_and(|only| Some(only) != leading)
        };
        for sequence in self.waiters.select(of_ended) {
            self.end_of_term(sequence, &mut answers);
        }
        answers
    }

    /// The next entry to propose, if this member leads, has applied its term's first entry, and has
    /// not enough in flight. `stamp` is the time of an entry of a term; none if it has ended.
    pub(crate) fn next_entry(&mut self, stamp: impl FnOnce(u64) -> Option<Time>) -> Option<ReadyEntry> {
        let term = self.leading_term()?;
        if self.applied_term < term
            || self.in_flight.len() >= self.limits.entries_in_flight
            || self.queue.is_empty()
        {
            return None;
        }
        let stamp = stamp(term)?;
        let mut packer = Packer::default();
        let mut items: Vec<(Queued, Option<FuelKey>)> = Vec::new();
        let mut first = Origin::default();
        while let Some(queued) = self.queue.pop_front() {
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
            let (fuel, key) = (self.estimates.estimate(packed.fuel_key), packed.fuel_key);
            if !packer.fits(packed, fuel) {
                self.queue.push_front(queued);
                break;
            }
            packer.add(packed, fuel);
            if items.is_empty() {
                first = packed.origin;
            }
            match &queued.item {
                Item::Own(sequence) => {
                    if let Some(waiter) = self.waiters.get_mut(*sequence) {
                        waiter.binding = Binding::Bound { term, position: None };
                    }
                }
                Item::Forwarded(forwarded) => {
                    let forwarded = forwarded.clone();
                    self.leave_queue(&forwarded);
                }
            }
            items.push((queued, key));
        }
        if packer.is_empty() {
            return None;
        }
        self.next_entry += 1;
        self.stats.entries += 1;
        self.stats.commands += items.len() as u64;
        self.in_flight.push(InFlight { id: self.next_entry, term, first, items });
        Some(ReadyEntry { id: self.next_entry, term, bytes: packer.entry(stamp) })
    }

    /// The answer to the proposal of an entry. True if it was refused, so that it is better to wait
    /// a little.
    pub(crate) fn proposed(
        &mut self,
        id: u64,
        result: Result<(), ProposeError>,
        answers: &mut Answers,
    ) -> bool {
        let Some(at) = self.in_flight.iter().position(|entry| entry.id == id) else { return false };
        match result {
            Ok(()) => {
                self.last_refusal = None;
                false
            }
            Err(ProposeError::Unknown(_)) => {
                self.in_flight.swap_remove(at);
                false
            }
            Err(ProposeError::Refused(reason)) => {
                let entry = self.in_flight.swap_remove(at);
                self.last_refusal = Some(reason);
                let (mut own, mut forwarded) = (Vec::new(), Vec::new());
                for (queued, _) in entry.items {
                    match queued.item {
                        Item::Own(sequence) => own.push(sequence),
                        Item::Forwarded(ref item) if self.leading_term() == Some(item.term) => {
                            self.forwarded_commands += 1;
                            self.forwarded_bytes += item.packed.bytes.len();
                            self.note_deadline(item.deadline);
                            forwarded.push(queued);
                        }
                        Item::Forwarded(item) => self.drop_forwarded(&item, DropReason::NotLeading),
                    }
                }
                self.requeue_own(own, answers);
                self.requeue(forwarded);
                true
            }
        }
    }

    /// An entry of `term` has been applied; `outcomes` is empty for one without commands.
    pub(crate) fn applied(&mut self, term: u64, outcomes: Vec<CommandOutcome>) -> Answers {
        let mut answers = Answers::default();
        if term > self.applied_term {
            self.applied_term = term;
            let surely_not = self.waiters.select(
                |waiter| matches!(waiter.binding, Binding::Bound { term: bound, .. } if bound < term),
            );
            self.requeue_own(surely_not, &mut answers);
            self.in_flight.retain(|entry| entry.term >= term);
        }
        let Some(first) = outcomes.first().map(|outcome| outcome.origin) else { return answers };
        if let Some(at) = self.in_flight.iter().position(|entry| entry.term == term && entry.first == first) {
            let entry = self.in_flight.swap_remove(at);
            for ((_, key), outcome) in entry.items.iter().zip(&outcomes) {
                if let Some(key) = *key
                    && outcome.outcome.result != Err(Rejection::Deferred)
                {
                    self.estimates.learn(key, outcome.fuel);
                }
            }
        }
        let mut deferred = Vec::new();
        for CommandOutcome { origin, outcome, .. } in outcomes {
            let Some(sequence) = self.waiters.waiting(origin) else { continue };
            match &outcome.result {
                Err(Rejection::Deferred) => deferred.push(sequence),
                Err(Rejection::OutOfOrder) if self.put_off(sequence) => {}
                _ => {
                    if let Some(waiter) = self.take_waiter(sequence) {
                        answers.push(waiter, Ok(outcome));
                    }
                }
            }
        }
        self.requeue_own(deferred, &mut answers);
        answers
    }

    /// A snapshot was installed that ends in `term`; entries of this term and before may have been
    /// jumped over.
    pub(crate) fn restored(&mut self, term: u64) -> Answers {
        self.applied_term = self.applied_term.max(term);
        self.in_flight.retain(|entry| entry.term > term);
        let skipped =
            |waiter: &Waiter| matches!(waiter.binding, Binding::Bound { term: bound, .. } if bound <= term);
        let repeat =
            self.waiters.select(|waiter| skipped(waiter) && waiter.packed.repeat == Repeat::Harmless);
        let unknown =
            self.waiters.select(|waiter| skipped(waiter) && waiter.packed.repeat == Repeat::Unknown);
        let mut answers = Answers::default();
        for sequence in unknown {
            if let Some(waiter) = self.take_waiter(sequence) {
                let message = "this member installed a snapshot that may have jumped over the command; it \
                    may have been applied";
                answers.push(waiter, Err(ProposalError::OutcomeUnknown(message.to_owned())));
            }
        }
        self.requeue_own(repeat, &mut answers);
        answers
    }
}

fn not_leading(term: u64) -> ProposalError {
    ProposalError::unavailable(
        UnavailableReason::NoLeader,
        format!("this member does not lead term {term} any more, which decided this"),
    )
}

#[cfg(test)]
mod tests;
