//! What the proposer knows, without doing anything: the proposals of this member that wait, and the
//! queue; beside them, what a leader keeps (entries in flight, its followers' links) and what a
//! follower keeps (what it has sent).
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
//! What does not fit into the next entry is shared out between the spaces that wait, so that none
//! waits behind all that another one has queued: a space's commands, and a session's, are not
//! overtaken by one another, others may be.
//!
//! It is one value behind a mutex, with no futures in it, so that every step can be tested by
//! itself. The [`proposer`](super::proposer) drives it.
mod ends;
mod follower;
mod leader;
mod links;
mod outcomes;
mod queue;
mod shares;

use std::collections::HashSet;

use futures::channel::oneshot;
use synod_abi::SessionId;
use synod_machine::Origin;

use super::delivery::{DeliveryResult, Room};
use super::forward::DropReason;
use super::limits::{ProposerLimits, ProposerStats};
use super::packing::Packed;
use super::waiters::{Answers, Placement, Waiter, Waiters};
use crate::availability::{Availability, Problem};
use crate::failure::{ProposalError, UnavailableReason};
use crate::ports::{Leadership, Monotonic, Role};
use follower::Follower;
use leader::Leader;
use queue::{Item, Queue, Queued};

pub(crate) use links::{Link, Taken};

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    limits: ProposerLimits,
    waiters: Waiters,
    queue: Queue,
    leader: Leader,
    follower: Follower,
    leadership: Leadership,
    applied_term: u64,
    earliest: Option<Monotonic>,
    availability: Availability,
    last_refusal: Option<String>,
    /// Why it has ended, if it has.
    closed: Option<String>,
    stats: ProposerStats,
}

impl Ledger {
    /// The ledger of the member and incarnation that `template` names.
    pub(crate) fn new(template: Origin, limits: ProposerLimits, applied_term: u64) -> Self {
        Self {
            limits,
            waiters: Waiters::new(template),
            queue: Queue::default(),
            leader: Leader::default(),
            follower: Follower::default(),
            leadership: Leadership::default(),
            applied_term,
            earliest: None,
            availability: Availability::default(),
            last_refusal: None,
            closed: None,
            stats: ProposerStats::default(),
        }
    }

    pub(crate) fn stats(&self) -> ProposerStats {
        ProposerStats { waiting: self.waiters.len() as u64, ..self.stats }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    // Own proposals.

    pub(crate) fn submit(
        &mut self,
        packed: Packed,
        room: Room,
        deadline: Monotonic,
        now: Monotonic,
    ) -> Result<oneshot::Receiver<DeliveryResult>, ProposalError> {
        self.check_open()?;
        if let Some(problem) = self.availability.refuses_commands() {
            return Err(problem.into());
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
                "{own_commands} commands wait on this member, which is its limit; \
                    try again later or on another member"
            );
            return Err(ProposalError::unavailable(UnavailableReason::QueueFull, message));
        }
        if self.waiters.len() > 0 && self.waiters.bytes() + packed.bytes.len() > own_bytes {
            let message = format!(
                "commands of {own_bytes} bytes wait on this member, which is its limit; \
                    try again later or on another member"
            );
            return Err(ProposalError::unavailable(UnavailableReason::QueueFull, message));
        }
        Ok(self.enqueue(packed, room, deadline, None))
    }

    /// The same for what the leader of `term` decided: it is proposed in that term or never. The
    /// limits are for clients.
    pub(crate) fn submit_as_leader(
        &mut self,
        term: u64,
        packed: Packed,
        deadline: Monotonic,
    ) -> Result<oneshot::Receiver<DeliveryResult>, ProposalError> {
        self.check_open()?;
        if let Some(problem) = self.availability.refuses_commands()
            && problem != Problem::NoMajority
        {
            return Err(problem.into());
        }
        if self.leading_term() != Some(term) {
            return Err(not_leading(term));
        }
        Ok(self.enqueue(packed, None, deadline, Some(term)))
    }

    fn enqueue(
        &mut self,
        packed: Packed,
        room: Room,
        deadline: Monotonic,
        only_in: Option<u64>,
    ) -> oneshot::Receiver<DeliveryResult> {
        let (reply, outcome) = oneshot::channel();
        let sequence = packed.origin.sequence;
        self.note_deadline(deadline);
        let place = self.queue.push(Item::Own(sequence));
        let placement = Placement::Queued;
        self.waiters.insert(Waiter { packed, deadline, placement, place, only_in, reply, room });
        outcome
    }

    fn check_open(&self) -> Result<(), ProposalError> {
        match &self.closed {
            Some(message) => {
                Err(ProposalError::unavailable(UnavailableReason::ShuttingDown, message.clone()))
            }
            None => Ok(()),
        }
    }

    /// Takes note of what this member can do. Gives back what is queued, and so in no log, if it
    /// will not get there soon.
    pub(crate) fn set_availability(&mut self, availability: Availability) -> Answers {
        let mut answers = Answers::default();
        self.availability = availability;
        let Some(problem) = availability.gives_back() else { return answers };
        let is_queued = |waiter: &Waiter| {
            waiter.only_in.is_none() && matches!(waiter.placement, Placement::Queued | Placement::Held)
        };
        for sequence in self.waiters.select(is_queued) {
            if let Some(waiter) = self.take_waiter(sequence) {
                answers.push(waiter, Err(problem.into()));
            }
        }
        answers
    }

    /// Resolves when no own proposal waits.
    pub(crate) fn when_idle(&mut self) -> oneshot::Receiver<()> {
        self.waiters.when_idle()
    }

    /// Ends everything.
    pub(crate) fn close(&mut self, message: &str) -> Answers {
        self.closed = Some(message.to_owned());
        self.queue.clear();
        self.leader.close();
        self.follower.close();
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
        let waiters = &self.waiters;
        self.queue.retain_own(|sequence| waiters.get(sequence).is_some());
        for forwarded in self.queue.take_forwarded(|forwarded| forwarded.deadline <= now) {
            self.leader.drop_queued(&forwarded, DropReason::Expired);
        }
        let deadlines = [self.waiters.earliest(), self.queue.earliest_forwarded()];
        self.earliest = deadlines.into_iter().flatten().min();
        answers
    }

    /// When [`expire`](Self::expire) has something to do next, at the earliest.
    pub(crate) fn next_expiry(&self) -> Option<Monotonic> {
        self.earliest
    }

    fn resolve_expired(&mut self, sequence: u64, answers: &mut Answers) {
        let Some(waiter) = self.take_waiter(sequence) else { return };
        let error = match waiter.placement {
            Placement::Bound { .. } => ProposalError::OutcomeUnknown(
                "the deadline passed while the command may have been in the log; it may still be applied"
                    .to_owned(),
            ),
            Placement::Held => ProposalError::unavailable(
                UnavailableReason::OutOfOrder,
                "the deadline passed before the request that this one follows had run; send both again",
            ),
            Placement::Queued => match (self.leadership.leader, &self.last_refusal) {
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
        self.follower.forget(waiter.placement);
        let released = self.waiters.release(sequence).into_iter().map(Queued::own).collect();
        self.queue.put_back(released);
        Some(waiter)
    }

    fn note_deadline(&mut self, deadline: Monotonic) {
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
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

    /// Those of `sessions` whose end this leader has packed, and which is not settled.
    pub(crate) fn unsettled_ends(&self, sessions: &[SessionId]) -> HashSet<SessionId> {
        self.leader.ends.among(sessions)
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
        for forwarded in self.queue.take_forwarded(|forwarded| Some(forwarded.term) != leading) {
            self.leader.drop_queued(&forwarded, DropReason::NotLeading);
        }
        self.leader.backlog.make_room();
        let of_ended = |waiter: &Waiter| {
            waiter.placement == Placement::Queued && waiter.only_in.is_some_and(|only| Some(only) != leading)
        };
        for sequence in self.waiters.select(of_ended) {
            self.end_of_term(sequence, &mut answers);
        }
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
