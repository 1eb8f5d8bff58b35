//! A follower's end of the link to its leader: which commands have gone to it, and at which
//! position.
use synod_abi::{Blob, encode, limits};

use super::super::forward::{DropReason, ForwardedCommand, ToLeader};
use super::super::packing::Sharing;
use super::super::waiters::{Answers, Binding};
use super::{Item, Ledger};
use crate::failure::{ProposalError, UnavailableReason};
use crate::ports::{Monotonic, Role};

impl Ledger {
    /// The leader of `term` has taken every position up to `received`, and none after it.
    pub(crate) fn welcomed(&mut self, term: u64, received: u64) -> Answers {
        let mut answers = Answers::default();
        if self.sent_term != term {
            self.sent_term = term;
            self.sent.clear();
        }
        let lost: Vec<u64> = match received.checked_add(1) {
            Some(next) => self.sent.range(next..).map(|(_, sequence)| *sequence).collect(),
            None => Vec::new(),
        };
        self.requeue_own(lost, &mut answers);
        self.next_position = received.saturating_add(1);
        answers
    }

    /// The next frame of commands for the leader of `term`, once its first entry is applied here.
    pub(crate) fn next_frame(&mut self, term: u64, now: Monotonic) -> Option<Vec<u8>> {
        if term != self.sent_term
            || self.applied_term < term
            || term != self.leadership.term
            || self.leadership.role == Role::Leader
        {
            return None;
        }
        let (mut commands, mut bytes) = (Vec::new(), 0);
        let first_position = self.next_position;
        while let Some(queued) = self.queue.pop_front() {
            let Item::Own(sequence) = queued.item else { continue };
            let Some(waiter) = self.waiters.get_mut(sequence) else { continue };
            if waiter.reply.is_canceled() {
                let _ = self.take_waiter(sequence);
                continue;
            }
            let len = waiter.packed.bytes.len();
            let full = commands.len() >= limits::ENTRY_COMMANDS || bytes + len > limits::ENTRY_BYTES;
            if !commands.is_empty() && (full || waiter.packed.sharing == Sharing::Alone) {
                self.queue.push_front(queued);
                break;
            }
            let wait_ms = u64::try_from(waiter.deadline.since(now).as_millis()).unwrap_or(u64::MAX);
            commands.push(ForwardedCommand { wait_ms, command: Blob(waiter.packed.bytes.to_vec()) });
            bytes += len;
            waiter.binding = Binding::Bound { term, position: Some(self.next_position) };
            self.sent.insert(self.next_position, sequence);
            self.next_position += 1;
        }
        (!commands.is_empty()).then(|| encode(&ToLeader::Commands { first_position, commands }))
    }

    /// The leader of `term` will surely not propose these; whether some were queued again.
    pub(crate) fn dropped_by_leader(&mut self, term: u64, commands: Vec<(u64, DropReason)>) -> Answers {
        let mut answers = Answers::default();
        if term != self.sent_term {
            return answers;
        }
        let mut again = Vec::new();
        for (position, reason) in commands {
            let Some(sequence) = self.sent.remove(&position) else { continue };
            match reason {
                DropReason::NotLeading | DropReason::Expired => again.push(sequence),
                DropReason::Unreadable => {
                    if let Some(waiter) = self.take_waiter(sequence) {
                        let message = "the leader's version does not know this command; finish the upgrade \
                            of the cluster first";
                        answers.push(
                            waiter,
                            Err(ProposalError::unavailable(UnavailableReason::Refused, message)),
                        );
                    }
                }
            }
        }
        self.requeue_own(again, &mut answers);
        answers
    }
}
