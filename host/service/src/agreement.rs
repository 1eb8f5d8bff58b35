//! Whether this member's digests are those of the others.
//!
//! A leader's checkpoint says what its digests were after an entry. A member that had others stops
//! serving and asks every member with a vote what it had: if a majority had the same as this one,
//! it goes on; if a majority had something else, this member's state is wrong, and it must stop for
//! good. A member that is asked and had something else asks the others as well, so that a leader
//! whose own state is wrong finds out; but it goes on serving meanwhile, as it is right if it
//! belongs to the majority.
//!
//! A member that does not know what it had at an entry, because it has jumped over it or was
//! started later, does not take part.
//!
//! A member whose rows are not those that its own digests stand for, as a [scrub](scrubs) finds,
//! knows that its state is wrong. It stops serving, too; but it stops for good only when a majority
//! without it agrees, so that the cluster goes on.
pub(crate) mod scrubs;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use synod_abi::MemberId;
use synod_machine::{Damage, DigestRecord};

use crate::availability::Standing;
use crate::progress::{Progress, lock};
use crate::read::AppliedState;

/// Checkpoints whose digests are remembered: a quarter of an hour at one a second.
pub(crate) const KEPT: usize = 1_024;

#[derive(Debug, Default)]
struct State {
    /// What this member had at the last checkpoints, ascending.
    kept: VecDeque<DigestRecord>,
    /// The last entry at which it had what the leader had.
    agreed_at: u64,
    /// Why its state may be wrong, until it is known who is right.
    dispute: Option<Dispute>,
    /// Counts the states that took the place of others.
    replaced: u64,
}

impl State {
    fn keep(&mut self, own: DigestRecord) {
        if self.kept.back().is_some_and(|last| last.index >= own.index) {
            return;
        }
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(own);
    }

    fn at(&self, index: u64) -> Option<DigestRecord> {
        let at = self.kept.binary_search_by_key(&index, |own| own.index).ok()?;
        self.kept.get(at).copied()
    }
}

/// Why the state of a member may be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dispute {
    /// It had these digests, and another member had others.
    Digests(DigestRecord),
    /// Its rows are not those that its digests stand for.
    Damage(Damage),
}

/// Why the state of a member is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// A majority had others than its digests after the entry with this index.
    Digests {
        /// The index.
        index: u64,
    },
    /// Its rows are not those that its digests stand for, and a majority agrees without it.
    Damage(Damage),
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digests { index } => {
                write!(f, "the state of this member differs from that of a majority after entry {index}")
            }
            Self::Damage(damage) => write!(f, "the state of this member is damaged: {damage}"),
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    applied: AppliedState,
    standing: Standing,
    /// Counts the disputes.
    disputes: Progress,
}

/// See the module. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Agreement(Arc<Shared>);

impl Agreement {
    pub(crate) fn new(applied: AppliedState, standing: Standing) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), applied, standing, disputes: Progress::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// The last entry at which this member had the digests that the leader had; 0: none yet.
    pub(crate) fn agreed_at(&self) -> u64 {
        self.state().agreed_at
    }

    /// A checkpoint was applied: the leader had `theirs`.
    pub(crate) fn compare(&self, theirs: DigestRecord) {
        let Some(own) = self.0.applied.digest_at(theirs.index) else { return };
        {
            let mut state = self.state();
            state.keep(own);
            if own == theirs {
                state.agreed_at = own.index;
                return;
            }
        }
        tracing::error!(
            index = own.index,
            "this member's digests differ from the leader's: it serves nobody until a majority has said what \
                it has"
        );
        self.dispute(Dispute::Digests(own), true);
    }

    /// A scrub has found `damage` in the state that was there after so many
    /// [replacements](Self::replaced); whether that is still the state.
    pub(crate) fn damaged(&self, damage: Damage, replaced: u64) -> bool {
        if self.replaced() != replaced {
            return false;
        }
        tracing::error!(%damage, "the state of this member is damaged: it serves nobody");
        self.dispute(Dispute::Damage(damage), true);
        true
    }

    /// Another member had other digests than these, which this one has in its rows.
    pub(crate) fn differs(&self, own: DigestRecord) {
        tracing::error!(index = own.index, "a scrub has found other digests on another member");
        self.dispute(Dispute::Digests(own), true);
    }

    /// Whether it is still disputed.
    pub(crate) fn stands(&self, dispute: &Dispute) -> bool {
        self.state().dispute.as_ref() == Some(dispute)
    }

    /// That a state is damaged is certain: nothing else is disputed then.
    fn dispute(&self, dispute: Dispute, stops_serving: bool) {
        {
            let mut state = self.state();
            if !matches!(state.dispute, Some(Dispute::Damage(_))) {
                state.dispute = Some(dispute);
            }
            if stops_serving {
                self.0.standing.note(|observed| observed.diverges = true);
            }
        }
        self.0.disputes.advance(self.0.disputes.get() + 1);
    }

    /// How often another state has taken the place of the one before.
    pub(crate) fn replaced(&self) -> u64 {
        self.state().replaced
    }

    /// Another state, which was verified, is in the place of the one before: what was wrong with
    /// that one is over.
    pub(crate) fn restored(&self) {
        let mut state = self.state();
        state.replaced += 1;
        state.dispute = None;
        self.0.standing.note(|observed| observed.diverges = false);
    }

    /// What the others are asked about: digests that are disputed, or the last that this member
    /// compared; those know them who have got as far.
    pub(crate) fn question(&self, dispute: &Dispute) -> DigestRecord {
        match dispute {
            Dispute::Digests(own) => *own,
            Dispute::Damage(_) => {
                self.state().kept.back().copied().unwrap_or_else(|| self.0.applied.digest())
            }
        }
    }

    /// What may be wrong with the state, for people.
    pub(crate) fn problem(&self) -> Option<String> {
        match &self.state().dispute {
            Some(Dispute::Damage(damage)) => {
                Some(format!("its state is damaged, and it serves no clients: {damage}"))
            }
            Some(Dispute::Digests(_)) | None => None,
        }
    }

    /// What this member had at the entry at which another one, that asks, had `theirs`.
    pub(crate) fn asked(&self, theirs: DigestRecord) -> Option<DigestRecord> {
        let state = self.state();
        let own = state.at(theirs.index).or_else(|| self.0.applied.digest_at(theirs.index))?;
        let is_new = own != theirs && state.dispute.is_none();
        drop(state);
        if is_new {
            tracing::warn!(index = own.index, "another member's digests differ from this one's");
            self.dispute(Dispute::Digests(own), false);
        }
        Some(own)
    }

    /// Resolves when there is a dispute.
    pub(crate) async fn disputed(&self) -> Dispute {
        loop {
            let next = self.0.disputes.get() + 1;
            if let Some(dispute) = self.state().dispute.clone() {
                return dispute;
            }
            self.0.disputes.reach(next).await;
        }
    }

    /// It serves nobody until it is known who is right.
    pub(crate) fn stop_serving(&self, until_settled: &Dispute) {
        let state = self.state();
        if state.dispute.as_ref() == Some(until_settled) {
            self.0.standing.note(|observed| observed.diverges = true);
        }
    }

    /// A majority had `own`, too: the dispute is over, unless another one has begun.
    pub(crate) fn settle(&self, own: DigestRecord) {
        let mut state = self.state();
        if state.dispute != Some(Dispute::Digests(own)) {
            return;
        }
        state.dispute = None;
        self.0.standing.note(|observed| observed.diverges = false);
        drop(state);
        tracing::warn!(
            index = own.index,
            "a majority has this member's digests: another member's state is wrong"
        );
    }
}

/// Who is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This member, with a majority.
    Right,
    /// A majority that had the same, but not what this member had.
    Wrong,
    /// Too few have answered, or they do not agree.
    Open,
}

/// Who is right, by what the others answered to `me`, which had `own`; `None` if its rows are
/// damaged, so that it has no say.
pub(crate) fn verdict(
    (me, own): (MemberId, Option<DigestRecord>),
    voters: &BTreeSet<MemberId>,
    answers: &[(MemberId, DigestRecord)],
) -> Verdict {
    let votes = answers.iter().filter(|(member, _)| *member != me && voters.contains(member));
    let mut counts: BTreeMap<DigestRecord, usize> = BTreeMap::new();
    votes.for_each(|(_, theirs)| *counts.entry(*theirs).or_default() += 1);
    if let Some(own) = own.filter(|_| voters.contains(&me)) {
        *counts.entry(own).or_default() += 1;
    }
    let majority = voters.len() / 2 + 1;
    match counts.into_iter().find(|(_, votes)| *votes >= majority) {
        Some((digests, _)) if Some(digests) == own => Verdict::Right,
        Some(_) => Verdict::Wrong,
        None => Verdict::Open,
    }
}

#[cfg(test)]
mod tests;
