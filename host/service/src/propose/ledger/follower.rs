//! What a follower keeps: which commands have gone to the leader of a term, and at which position.
use std::collections::BTreeMap;

use bytes::Bytes;
use synod_abi::{encode, limits};

use super::Ledger;
use super::queue::Item;
use crate::failure::{ProposalError, UnavailableReason};
use crate::ports::{Monotonic, Role};
use crate::propose::forward::{DropReason, ForwardedCommand, ToLeader};
use crate::propose::packing::Sharing;
use crate::propose::waiters::{Answers, Placement};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Follower {
    term: u64,
    /// Sequences by position.
    sent: BTreeMap<u64, u64>,
    next_position: u64,
}

impl Follower {
    /// The leader of `term` has taken every position up to `received`: the sequences that it has
    /// not.
    fn welcomed(&mut self, term: u64, received: u64) -> Vec<u64> {
        if self.term != term {
            self.term = term;
            self.sent.clear();
        }
        self.next_position = received.saturating_add(1);
        match received.checked_add(1) {
            Some(next) => self.sent.range(next..).map(|(_, sequence)| *sequence).collect(),
            None => Vec::new(),
        }
    }

    /// A command goes at the next position; where it is from now on.
    fn send(&mut self, sequence: u64) -> Placement {
        let position = self.next_position;
        self.sent.insert(position, sequence);
        self.next_position += 1;
        Placement::Bound { term: self.term, position: Some(position) }
    }

    /// Forgets that a command was sent, if it was.
    pub(super) fn forget(&mut self, placement: Placement) {
        if let Placement::Bound { term, position: Some(position) } = placement
            && term == self.term
        {
            self.sent.remove(&position);
        }
    }

    pub(super) fn close(&mut self) {
        self.sent.clear();
    }
}

impl Ledger {
    /// The leader of `term` has taken every position up to `received`, and none after it.
    pub(crate) fn welcomed(&mut self, term: u64, received: u64) -> Answers {
        let mut answers = Answers::default();
        let lost = self.follower.welcomed(term, received);
        self.requeue_own(lost, &mut answers);
        answers
    }

    /// The next frame of commands for the leader of `term`, once its first entry is applied here.
    pub(crate) fn next_frame(&mut self, term: u64, now: Monotonic) -> Option<Bytes> {
        if term != self.follower.term
            || self.applied_term < term
            || term != self.leadership.term
            || self.leadership.role == Role::Leader
        {
            return None;
        }
        let mut commands = Vec::new();
        let mut bytes = 0;
        let first_position = self.follower.next_position;
        while let Some(queued) = self.queue.pop() {
            let Item::Own(sequence) = queued.item else { continue };
            let Some(waiter) = self.waiters.get_mut(sequence) else { continue };
            if waiter.reply.is_canceled() {
                let _ = self.take_waiter(sequence);
                continue;
            }
            let len = waiter.packed.bytes.len();
            let full = commands.len() >= limits::ENTRY_COMMANDS || bytes + len > limits::ENTRY_BYTES;
            if !commands.is_empty() && (full || waiter.packed.sharing == Sharing::Alone) {
                self.queue.unpop(queued);
                break;
            }
            let wait_ms = u64::try_from(waiter.deadline.since(now).as_millis()).unwrap_or(u64::MAX);
            commands.push(ForwardedCommand { wait_ms, packed: waiter.packed.clone() });
            bytes += len;
            waiter.placement = self.follower.send(sequence);
        }
        (!commands.is_empty()).then(|| encode(&ToLeader::Commands { first_position, commands }).into())
    }

    /// The leader of `term` will surely not propose these: they are queued again, or fail if the
    /// leader cannot read them.
    pub(crate) fn dropped_by_leader(&mut self, term: u64, commands: Vec<(u64, DropReason)>) -> Answers {
        let mut answers = Answers::default();
        if term != self.follower.term {
            return answers;
        }
        let mut again = Vec::new();
        for (position, reason) in commands {
            let Some(sequence) = self.follower.sent.remove(&position) else { continue };
            match reason {
                DropReason::NotLeading | DropReason::Expired => again.push(sequence),
                DropReason::Unreadable => {
                    if let Some(waiter) = self.take_waiter(sequence) {
                        let message = "the leader's version does not know this command; finish the upgrade \
                            of the cluster first";
                        let error = ProposalError::unavailable(UnavailableReason::Refused, message);
                        answers.push(waiter, Err(error));
                    }
                }
            }
        }
        self.requeue_own(again, &mut answers);
        answers
    }
}
