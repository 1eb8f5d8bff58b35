//! The queue of commands, this member's own and, at a leader, those of its followers.
//!
//! A command keeps its place for life: when it is queued again it goes back to it. So the commands
//! of a space, and those of a session, are proposed in the order in which they were taken in,
//! whatever became of earlier attempts.
use std::collections::VecDeque;

use super::links::LinkKey;
use crate::ports::Monotonic;
use crate::propose::packing::Packed;

/// A command of a follower.
#[derive(Clone, Debug)]
pub(super) struct Forwarded {
    pub(super) link: LinkKey,
    pub(super) term: u64,
    pub(super) position: u64,
    pub(super) deadline: Monotonic,
    pub(super) packed: Packed,
}

#[derive(Clone, Debug)]
pub(super) enum Item {
    /// The waiter with this sequence.
    Own(u64),
    Forwarded(Forwarded),
}

#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) place: u64,
    pub(super) item: Item,
}

impl Queued {
    /// This member's proposal with a place and a sequence.
    pub(super) fn own((place, sequence): (u64, u64)) -> Self {
        Self { place, item: Item::Own(sequence) }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<Queued>,
    last_place: u64,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Appends a command; its place.
    pub(super) fn push(&mut self, item: Item) -> u64 {
        self.last_place += 1;
        self.items.push_back(Queued { place: self.last_place, item });
        self.last_place
    }

    pub(super) fn pop(&mut self) -> Option<Queued> {
        self.items.pop_front()
    }

    /// Undoes [`pop`](Self::pop).
    pub(super) fn unpop(&mut self, queued: Queued) {
        self.items.push_front(queued);
    }

    /// Puts commands back in their places.
    pub(super) fn put_back(&mut self, items: Vec<Queued>) {
        if !items.is_empty() {
            self.items.extend(items);
            self.items.make_contiguous().sort_by_key(|queued| queued.place);
        }
    }

    /// Drops own commands for which nobody waits.
    pub(super) fn retain_own(&mut self, waits: impl Fn(u64) -> bool) {
        self.items.retain(|queued| match &queued.item {
            Item::Own(sequence) => waits(*sequence),
            Item::Forwarded(_) => true,
        });
    }

    /// Takes the forwarded commands that `wanted` accepts.
    pub(super) fn take_forwarded(&mut self, wanted: impl Fn(&Forwarded) -> bool) -> Vec<Forwarded> {
        let mut taken = Vec::new();
        self.items.retain(|queued| match &queued.item {
            Item::Forwarded(forwarded) if wanted(forwarded) => {
                taken.push(forwarded.clone());
                false
            }
            _ => true,
        });
        taken
    }

    /// The earliest deadline of a forwarded command.
    pub(super) fn earliest_forwarded(&self) -> Option<Monotonic> {
        let deadline = |queued: &Queued| match &queued.item {
            Item::Own(_) => None,
            Item::Forwarded(forwarded) => Some(forwarded.deadline),
        };
        self.items.iter().filter_map(deadline).min()
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
    }
}
