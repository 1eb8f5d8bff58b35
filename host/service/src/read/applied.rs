//! What is known of the applied state without reading the store: how far it is, its time and its
//! digests.
//!
//! Apply writes it, reads wait for it. The rows themselves are the store's.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use synod_abi::{Revision, Time};
use synod_machine::DigestRecord;
use synod_machine::directory::Head;

use crate::progress::{Progress, lock};

/// Entries whose digests are remembered.
pub const DIGESTS: usize = 4_096;

/// What is known of the applied state. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct AppliedState {
    /// Index of the last applied entry.
    pub index: Progress,
    /// Revision of the state.
    pub revision: Progress,
    recent: Arc<Mutex<Recent>>,
}

#[derive(Debug)]
struct Recent {
    head: Head,
    entries: u64,
    commands: u64,
    digests: VecDeque<DigestRecord>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { head: Head::EMPTY, entries: 0, commands: 0, digests: VecDeque::new() }
    }
}

impl AppliedState {
    /// The machine's head after the last applied entry.
    pub fn head(&self) -> Head {
        lock(&self.recent).head
    }

    /// Cluster time of the state.
    pub fn time(&self) -> Time {
        lock(&self.recent).head.time
    }

    /// Entries with commands that were applied since the start, and the commands in them.
    pub fn counts(&self) -> (u64, u64) {
        let recent = lock(&self.recent);
        (recent.entries, recent.commands)
    }

    pub(crate) fn count(&self, commands: usize) {
        let mut recent = lock(&self.recent);
        recent.entries += 1;
        recent.commands += commands as u64;
    }

    /// The last digests.
    pub fn digest(&self) -> DigestRecord {
        lock(&self.recent).digests.back().copied().unwrap_or_default()
    }

    /// The digests after the entry at `index`, if it is one of the last [`DIGESTS`] that were
    /// applied.
    pub fn digest_at(&self, index: u64) -> Option<DigestRecord> {
        let recent = lock(&self.recent);
        let at = recent.digests.binary_search_by_key(&index, |digest| digest.index).ok()?;
        recent.digests.get(at).copied()
    }

    pub(crate) fn record(&self, digest: DigestRecord, head: &Head) {
        let mut recent = lock(&self.recent);
        recent.head = *head;
        if recent.digests.back().is_some_and(|last| last.index >= digest.index) {
            recent.digests.clear();
        }
        if recent.digests.len() == DIGESTS {
            recent.digests.pop_front();
        }
        recent.digests.push_back(digest);
    }

    pub(crate) fn publish(&self, index: u64, revision: Revision) {
        self.revision.advance(revision.0);
        self.index.advance(index);
    }
}
