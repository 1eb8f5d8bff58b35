//! The proposals of this member that have no outcome yet, by sequence.
//!
//! Each is either queued, so surely in no log, or bound to a term, so possibly in the log of that
//! term. The difference decides how it fails when its deadline passes. This module keeps them and
//! answers them; the [`ledger`](super::ledger) moves them from one placement to the other.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::channel::oneshot;
use synod_abi::{RequestId, SessionId};
use synod_machine::Origin;

use super::delivery::{DeliveryResult, Room, deliver};
use super::packing::{Packed, Step};
use crate::failure::{ProposalError, ProposalResult};
use crate::ports::Monotonic;

/// Where a proposal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// In no log.
    Queued,
    /// In no log, and in no queue until the request that it follows is.
    Held,
    /// Possibly in the log of `term`; forwarded at `position`, or proposed by this member.
    Bound { term: u64, position: Option<u64> },
}

/// A proposal without outcome.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) packed: Packed,
    pub(crate) deadline: Monotonic,
    pub(crate) placement: Placement,
    /// Its place in the queue, kept when it is queued again.
    pub(crate) place: u64,
    /// The one term in which it may be proposed, if it was decided by its leader.
    pub(crate) only_in: Option<u64>,
    pub(crate) reply: oneshot::Sender<DeliveryResult>,
    /// Where its outcome takes room.
    pub(crate) room: Room,
}

/// Answers to send when no lock is held.
#[derive(Debug, Default)]
#[must_use = "clients wait for these"]
pub(crate) struct Answers(Vec<(Waiter, ProposalResult)>);

impl Answers {
    pub(crate) fn push(&mut self, waiter: Waiter, result: ProposalResult) {
        self.0.push((waiter, result));
    }

    pub(crate) fn send(self) {
        for (Waiter { reply, room, .. }, result) in self.0 {
            let _ = reply.send(deliver(result, &room));
        }
    }
}

/// The proposals without outcome of one incarnation of one member.
#[derive(Debug)]
pub(crate) struct Waiters {
    template: Origin,
    by_sequence: BTreeMap<u64, Waiter>,
    by_request: BTreeSet<(SessionId, RequestId, u64)>,
    /// Those that are held, by the one that they follow.
    held: HashMap<u64, Vec<u64>>,
    bytes: usize,
    /// To be resolved when none waits.
    idle: Vec<oneshot::Sender<()>>,
}

impl Waiters {
    /// `template` names the member and its incarnation.
    pub(crate) fn new(template: Origin) -> Self {
        Self {
            template,
            by_sequence: BTreeMap::new(),
            by_request: BTreeSet::new(),
            held: HashMap::new(),
            bytes: 0,
            idle: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_sequence.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn insert(&mut self, waiter: Waiter) {
        let sequence = waiter.packed.origin.sequence;
        self.bytes += waiter.packed.bytes.len();
        if let Some(Step { session, request, .. }) = waiter.packed.step {
            self.by_request.insert((session, request, sequence));
        }
        self.by_sequence.insert(sequence, waiter);
    }

    pub(crate) fn get(&self, sequence: u64) -> Option<&Waiter> {
        self.by_sequence.get(&sequence)
    }

    pub(crate) fn get_mut(&mut self, sequence: u64) -> Option<&mut Waiter> {
        self.by_sequence.get_mut(&sequence)
    }

    /// The sequence of `origin`, if this incarnation of this member proposed it and waits for it.
    pub(crate) fn waiting(&self, origin: Origin) -> Option<u64> {
        let ours = origin.member == self.template.member && origin.incarnation == self.template.incarnation;
        (ours && self.by_sequence.contains_key(&origin.sequence)).then_some(origin.sequence)
    }

    pub(crate) fn remove(&mut self, sequence: u64) -> Option<Waiter> {
        let waiter = self.by_sequence.remove(&sequence)?;
        self.bytes -= waiter.packed.bytes.len();
        if let Some(Step { session, request, .. }) = waiter.packed.step {
            self.by_request.remove(&(session, request, sequence));
        }
        if self.by_sequence.is_empty() {
            for idle in self.idle.drain(..) {
                let _ = idle.send(());
            }
        }
        Some(waiter)
    }

    /// Resolves when no proposal waits.
    pub(crate) fn when_idle(&mut self) -> oneshot::Receiver<()> {
        let (idle, resolved) = oneshot::channel();
        if self.by_sequence.is_empty() {
            let _ = idle.send(());
        } else {
            self.idle.push(idle);
        }
        resolved
    }

    /// Holds `sequence` until [`release`](Self::release) of `predecessor`.
    pub(crate) fn hold(&mut self, predecessor: u64, sequence: u64) {
        self.held.entry(predecessor).or_default().push(sequence);
    }

    /// Marks everything that is held for `sequence`, directly or not, as queued; place and sequence
    /// of each.
    pub(crate) fn release(&mut self, sequence: u64) -> Vec<(u64, u64)> {
        let mut released = Vec::new();
        let mut held = self.held.remove(&sequence).unwrap_or_default();
        while let Some(next) = held.pop() {
            held.extend(self.held.remove(&next).unwrap_or_default());
            let waiter = self.by_sequence.get_mut(&next);
            if let Some(waiter) = waiter.filter(|waiter| waiter.placement == Placement::Held) {
                waiter.placement = Placement::Queued;
                released.push((waiter.place, next));
            }
        }
        released
    }

    /// The sequence of a waiting call that is the request which `sequence` follows.
    pub(crate) fn predecessor(&self, sequence: u64) -> Option<u64> {
        let Step { session, after, .. } = self.get(sequence)?.packed.step?;
        let after = after?;
        let mut found = self
            .by_request
            .range((session, after, 0)..=(session, after, u64::MAX))
            .map(|(_, _, found)| *found);
        found.find(|found| *found != sequence)
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Sequences whose waiter `wanted` accepts, in order.
    pub(crate) fn select(&self, mut wanted: impl FnMut(&Waiter) -> bool) -> Vec<u64> {
        self.by_sequence.iter().filter(|(_, waiter)| wanted(waiter)).map(|(sequence, _)| *sequence).collect()
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<Monotonic> {
        self.by_sequence.values().map(|waiter| waiter.deadline).min()
    }

    /// Answers everyone: what is in no log with `queued`, the rest as unknown with `unknown`.
    pub(crate) fn end(&mut self, queued: &ProposalError, unknown: &str) -> Answers {
        self.bytes = 0;
        self.by_request.clear();
        self.held.clear();
        self.idle.clear();
        let mut answers = Answers::default();
        for (_, waiter) in std::mem::take(&mut self.by_sequence) {
            let error = match waiter.placement {
                Placement::Queued | Placement::Held => queued.clone(),
                Placement::Bound { .. } => ProposalError::OutcomeUnknown(unknown.to_owned()),
            };
            answers.push(waiter, Err(error));
        }
        answers
    }
}

#[cfg(test)]
mod tests;
