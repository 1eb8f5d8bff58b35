//! The leader's ends of its followers' links: how far each got, and which of its commands will
//! surely not be proposed.
use std::collections::BTreeMap;

use futures::channel::oneshot;
use synod_abi::MemberId;
use synod_machine::Origin;
use synod_planted::{Bug, is_planted};

use super::Ledger;
use super::queue::{Forwarded, Item};
use crate::ports::Monotonic;
use crate::progress::Signal;
use crate::propose::forward::DropReason;
use crate::propose::packing::Packed;

/// Followers, by incarnation, that a leader takes commands from in one term.
pub(super) const LINKS_PER_TERM: usize = 1_024;

/// A follower and its incarnation.
pub(super) type LinkKey = (MemberId, u64);

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
struct LinkState {
    generation: u64,
    received: u64,
    dropped: Vec<(u64, DropReason)>,
    signal: Signal,
}

impl LinkState {
    fn drop_at(&mut self, position: u64, reason: DropReason) {
        self.dropped.push((position, reason));
        self.signal.raise();
    }
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

/// The links of one term.
#[derive(Debug, Default)]
pub(super) struct Links {
    term: u64,
    by_follower: BTreeMap<LinkKey, LinkState>,
}

impl Links {
    /// Opens a link, ending the follower's former one and those of other terms; how far it had got.
    /// Nothing if there are too many.
    fn open(&mut self, key: LinkKey, term: u64) -> Option<(Link, u64)> {
        if self.term != term {
            self.term = term;
            self.end_all();
        }
        if self.by_follower.len() >= LINKS_PER_TERM && !self.by_follower.contains_key(&key) {
            return None;
        }
        let state = self.by_follower.entry(key).or_default();
        state.received -= u64::from(is_planted(Bug::ForwardedTwice)).min(state.received);
        state.generation += 1;
        std::mem::take(&mut state.signal).raise();
        if !state.dropped.is_empty() {
            state.signal.raise();
        }
        let link = Link { key, term, generation: state.generation, signal: state.signal.clone() };
        Some((link, state.received))
    }

    /// The state of a link that has not ended.
    fn present(&mut self, link: &Link) -> Option<&mut LinkState> {
        let same_term = self.term == link.term;
        let state = self.by_follower.get_mut(&link.key)?;
        (same_term && state.generation == link.generation).then_some(state)
    }

    /// The follower is to learn that a command of this term is surely not proposed.
    pub(super) fn drop_forwarded(&mut self, forwarded: &Forwarded, reason: DropReason) {
        if self.term == forwarded.term
            && let Some(state) = self.by_follower.get_mut(&forwarded.link)
        {
            state.drop_at(forwarded.position, reason);
        }
    }

    fn end_all(&mut self) {
        let links = std::mem::take(&mut self.by_follower);
        links.into_values().for_each(|link| link.signal.raise());
    }

    pub(super) fn close(&mut self) {
        self.term = u64::MAX;
        self.end_all();
    }
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
        if self.leading_term() != Some(term) || self.is_closed() {
            return Err(self.leadership.term);
        }
        self.leader.links.open((member, incarnation), term).ok_or(term)
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
        let Some(state) = self.leader.links.present(link) else { return Taken::Ended };
        if position <= state.received {
            return Taken::Duplicate;
        }
        if position != state.received + 1 {
            return Taken::Gap;
        }
        let packed = match packed {
            Some(packed) if leading => packed,
            Some(_) | None => {
                let reason = if packed.is_none() { DropReason::Unreadable } else { DropReason::NotLeading };
                state.received = position;
                state.drop_at(position, reason);
                return Taken::Queued;
            }
        };
        let bytes = packed.bytes.len();
        let backlog = &mut self.leader.backlog;
        if backlog.commands >= self.limits.forwarded_commands
            || (backlog.commands > 0 && backlog.bytes + bytes > self.limits.forwarded_bytes)
        {
            return Taken::Full(backlog.wait_for_room());
        }
        state.received = position;
        backlog.enter(bytes);
        self.note_deadline(deadline);
        let (key, term) = (link.key, link.term);
        let forwarded = Forwarded { link: key, term, position, deadline, packed: packed.clone() };
        self.queue.push(Item::Forwarded(forwarded));
        Taken::Queued
    }

    /// The drops to report to the follower; `None` if its link has ended.
    pub(crate) fn take_dropped(&mut self, link: &Link) -> Option<Vec<(u64, DropReason)>> {
        self.leader.links.present(link).map(|state| std::mem::take(&mut state.dropped))
    }
}
