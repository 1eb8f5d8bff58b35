//! The leader's ends of its followers' links: how far each got, and what it is to be told.
use futures::channel::oneshot;
use synod_abi::MemberId;
use synod_machine::Origin;

use super::super::forward::DropReason;
use super::super::packing::Packed;
use super::{Forwarded, Item, LINKS_PER_TERM, Ledger, LinkKey, Queued};
use crate::ports::Monotonic;
use crate::progress::Signal;

/// A follower's link, as the task that serves it holds it.
#[derive(Debug)]
pub(crate) struct Link {
    key: LinkKey,
    term: u64,
    generation: u64,
    pub(crate) signal: Signal,
}

impl Link {
    /// Whether a command with this origin may come over it.
    pub(crate) fn is_of(&self, origin: Origin) -> bool {
        (origin.member, origin.incarnation) == self.key
    }
}

#[derive(Debug, Default)]
pub(super) struct LinkState {
    generation: u64,
    received: u64,
    dropped: Vec<(u64, DropReason)>,
    pub(super) signal: Signal,
}

/// What became of a forwarded command.
#[derive(Debug)]
pub(crate) enum Taken {
    Queued,
    Duplicate,
    /// It isn't the next one.
    Gap,
    /// A newer link, or the end of the term, ended this one.
    Ended,
    /// Try again when this resolves.
    Full(oneshot::Receiver<()>),
}

impl Ledger {
    /// Opens a link for a follower's commands of `term`, ending its former one; how far it had got.
    /// The error is the term that this member knows.
    pub(crate) fn open_link(
        &mut self,
        member: MemberId,
        incarnation: u64,
        term: u64,
    ) -> Result<(Link, u64), u64> {
        if self.leading_term() != Some(term) || self.closed {
            return Err(self.leadership.term);
        }
        if self.links_term != term {
            self.links_term = term;
            self.links.drain().for_each(|(_, link)| link.signal.raise());
        }
        let key = (member, incarnation);
        if self.links.len() >= LINKS_PER_TERM && !self.links.contains_key(&key) {
            return Err(term);
        }
        let state = self.links.entry(key).or_default();
        state.generation += 1;
        std::mem::take(&mut state.signal).raise();
        if !state.dropped.is_empty() {
            state.signal.raise();
        }
        Ok((Link { key, term, generation: state.generation, signal: state.signal.clone() }, state.received))
    }

    /// Takes the command at `position` of a link; `None` stands for one that cannot be read.
    pub(crate) fn take_forwarded(
        &mut self,
        link: &Link,
        position: u64,
        packed: Option<&Packed>,
        deadline: Monotonic,
    ) -> Taken {
        let leading = self.leading_term() == Some(link.term);
        let Some(state) = self
            .links
            .get_mut(&link.key)
            .filter(|state| self.links_term == link.term && state.generation == link.generation)
        else {
            return Taken::Ended;
        };
        if position <= state.received {
            return Taken::Duplicate;
        }
        if position != state.received + 1 {
            return Taken::Gap;
        }
        let refusal = if packed.is_none() {
            Some(DropReason::Unreadable)
        } else {
            (!leading).then_some(DropReason::NotLeading)
        };
        let Some(packed) = packed.filter(|_| refusal.is_none()) else {
            state.received = position;
            state.dropped.push((position, refusal.unwrap_or(DropReason::Unreadable)));
            state.signal.raise();
            return Taken::Queued;
        };
        let bytes = packed.bytes.len();
        if self.forwarded_commands >= self.limits.forwarded_commands
            || (self.forwarded_commands > 0 && self.forwarded_bytes + bytes > self.limits.forwarded_bytes)
        {
            let (room, resolved) = oneshot::channel();
            self.room.push(room);
            return Taken::Full(resolved);
        }
        state.received = position;
        self.forwarded_commands += 1;
        self.forwarded_bytes += bytes;
        self.note_deadline(deadline);
        let ticket = self.ticket();
        let forwarded =
            Forwarded { link: link.key, term: link.term, position, deadline, packed: packed.clone() };
        self.queue.push_back(Queued { ticket, item: Item::Forwarded(forwarded) });
        Taken::Queued
    }

    /// What the follower is to be told; `None` if its link has ended.
    pub(crate) fn take_dropped(&mut self, link: &Link) -> Option<Vec<(u64, DropReason)>> {
        let state = self.links.get_mut(&link.key)?;
        (self.links_term == link.term && state.generation == link.generation)
            .then(|| std::mem::take(&mut state.dropped))
    }

    pub(super) fn leave_queue(&mut self, forwarded: &Forwarded) {
        self.forwarded_commands -= 1;
        self.forwarded_bytes -= forwarded.packed.bytes.len();
        self.room.clear();
    }

    pub(super) fn drop_forwarded(&mut self, forwarded: &Forwarded, reason: DropReason) {
        if self.links_term == forwarded.term
            && let Some(state) = self.links.get_mut(&forwarded.link)
        {
            state.dropped.push((forwarded.position, reason));
            state.signal.raise();
        }
    }
}
