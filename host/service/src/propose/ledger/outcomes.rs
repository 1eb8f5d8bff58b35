//! What a ledger learns from the log: outcomes, a later term, a snapshot. Proposals that are surely
//! in no log are queued again.
use synod_machine::{CommandOutcome, Rejection};

use super::Ledger;
use super::queue::Queued;
use crate::failure::ProposalError;
use crate::propose::packing::Repeat;
use crate::propose::waiters::{Answers, Placement, Waiter};

impl Ledger {
    /// An entry of `term` has been applied; `outcomes` is empty for one without commands.
    pub(crate) fn applied(&mut self, term: u64, outcomes: Vec<CommandOutcome>) -> Answers {
        let mut answers = Answers::default();
        if term > self.applied_term {
            self.applied_term = term;
            let surely_not = self.waiters.select(
                |waiter| matches!(waiter.placement, Placement::Bound { term: bound, .. } if bound < term),
            );
            self.requeue_own(surely_not, &mut answers);
            self.leader.forget_through(term - 1);
        }
        self.leader.applied(term, &outcomes);
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
        self.leader.forget_through(term);
        let skipped = |waiter: &Waiter| match waiter.placement {
            Placement::Bound { term: bound, .. } => bound <= term,
            Placement::Queued | Placement::Held => false,
        };
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

    /// Queues proposals again that are surely in no log; what a leader decided only in its own
    /// term.
    pub(super) fn requeue_own(&mut self, sequences: Vec<u64>, answers: &mut Answers) {
        let leading = self.leading_term();
        let mut items = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            let Some(waiter) = self.unbind(sequence, Placement::Queued) else { continue };
            let (place, only_in) = (waiter.place, waiter.only_in);
            if only_in.is_some() && only_in != leading {
                self.end_of_term(sequence, answers);
            } else {
                items.push(Queued::own((place, sequence)));
                items.extend(self.waiters.release(sequence).into_iter().map(Queued::own));
            }
        }
        self.stats.resubmitted += items.len() as u64;
        self.queue.put_back(items);
    }

    /// Places a bound proposal elsewhere; nothing if it is not bound.
    fn unbind(&mut self, sequence: u64, to: Placement) -> Option<&mut Waiter> {
        let waiter = self.waiters.get_mut(sequence)?;
        let Placement::Bound { .. } = waiter.placement else { return None };
        self.follower.forget(std::mem::replace(&mut waiter.placement, to));
        Some(waiter)
    }

    /// Handles a call that was applied before the one that it follows. If that one waits here, the
    /// call is queued after it, or held until it is queued, and this returns true.
    fn put_off(&mut self, sequence: u64) -> bool {
        let Some(predecessor) = self.waiters.predecessor(sequence) else { return false };
        if self.waiters.get(predecessor).is_some_and(|waiter| waiter.placement == Placement::Queued) {
            self.requeue_own(vec![sequence], &mut Answers::default());
        } else if self.unbind(sequence, Placement::Held).is_some() {
            self.waiters.hold(predecessor, sequence);
        }
        true
    }
}
