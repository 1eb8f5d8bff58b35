//! The order in which the members' parts learn of an applied entry.
use synod_machine::directory::Head;
use synod_machine::{Applied, DigestRecord, Fatal, StateView};

use super::logs::LogRing;
use crate::agreement::Agreement;
use crate::availability::Standing;
use crate::lead::{Checkpoints, Observer, Retention};
use crate::parked::ParkedCalls;
use crate::propose::Proposer;
use crate::read::{AppliedState, DirectoryCache};
use crate::sessions::Sessions;
use crate::watch::Hub;

/// The parts of a member that follow its applied state.
#[derive(Clone, Debug)]
pub(crate) struct Listeners {
    pub(crate) standing: Standing,
    pub(crate) observer: Observer,
    pub(crate) proposer: Proposer,
    pub(crate) directory: DirectoryCache,
    pub(crate) applied: AppliedState,
    pub(crate) logs: LogRing,
    pub(crate) sessions: Sessions,
    pub(crate) parked: ParkedCalls,
    pub(crate) retention: Retention,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) agreement: Agreement,
    pub(crate) watches: Hub,
}

impl Listeners {
    /// These, and the ones that follow only the applied state.
    pub(crate) fn new(
        standing: Standing,
        observer: Observer,
        proposer: Proposer,
        sessions: Sessions,
        watches: Hub,
    ) -> Self {
        let applied = AppliedState::default();
        let agreement = Agreement::new(applied.clone(), standing.clone());
        Self {
            standing,
            observer,
            proposer,
            directory: DirectoryCache::default(),
            applied,
            logs: LogRing::default(),
            sessions,
            parked: ParkedCalls::default(),
            retention: Retention::default(),
            checkpoints: Checkpoints::default(),
            agreement,
            watches,
        }
    }

    /// Publishes an entry of `term`. Called once per entry, in log order, on the apply thread,
    /// after the entry's rows are visible to readers. `effects` is absent for an entry without
    /// commands; `digest` and `head` are those after it.
    ///
    /// 1. A read that waited for the entry's index finds everything else of it in place: the
    ///    directory forgets changed spaces, and the digests, the log lines, the sessions, the next
    ///    timer and the event logs are those after it, before the index is published.
    ///    Digests are compared before that, too: a member that differs answers nothing.
    /// 2. A leader decides nothing in its term before 1. holds for that term's first entry.
    /// 3. Its events are handed to the watches before the index is published: a watch that begins
    ///    at a state gets every later event.
    /// 4. Calls that it completed are answered after the index is published, so a client that has
    ///    its answer reads its own write here.
    /// 5. The outcomes of its own commands are answered last, after the completions that they
    ///    caused. Only then is anything proposed in a term whose first entry this is.
    pub(crate) fn publish(&self, term: u64, digest: DigestRecord, head: &Head, effects: Option<Applied>) {
        self.applied.record(digest, head);
        let mut completions = Vec::new();
        let mut outcomes = Vec::new();
        if let Some(effects) = effects {
            if effects.directory_changed {
                self.directory.invalidate();
            }
            self.applied.count(effects.outcomes.len());
            self.checkpoints.applied(digest, effects.checkpoints.len() == effects.outcomes.len());
            effects.checkpoints.iter().for_each(|theirs| self.agreement.compare(*theirs));
            self.logs.extend(head.time, effects.logs);
            self.sessions.applied(&effects.sessions, effects.next_timer);
            self.retention.applied(&effects.event_logs);
            self.watches.applied(head.revision, head.time, effects.events, &effects.event_logs);
            completions = effects.completions;
            outcomes = effects.outcomes;
        }
        self.observer.applied(term, head.time);
        self.applied.publish(digest.index, head.revision);
        self.parked.complete(completions);
        self.proposer.applied(term, outcomes);
    }

    /// Reads everything that is kept in memory of the state in `view`, which ends with an entry of
    /// `term`: at the start, and after a snapshot was installed. The index is published last, as
    /// for an entry.
    pub(super) fn load(
        &self,
        term: u64,
        digest: DigestRecord,
        head: &Head,
        view: &impl StateView,
    ) -> Result<(), Fatal> {
        self.directory.invalidate();
        self.sessions.reload(view)?;
        self.retention.reload(view)?;
        self.watches.restored(head.revision, head.time);
        self.applied.record(digest, head);
        self.observer.applied(term, head.time);
        self.applied.publish(digest.index, head.revision);
        Ok(())
    }

    /// A snapshot that ends with an entry of `term` was installed and [loaded](Self::load): waiting
    /// calls and proposals whose entries it may have jumped over are settled.
    pub(super) fn restored(&self, term: u64, view: &impl StateView) -> Result<(), Fatal> {
        self.agreement.restored();
        self.parked.restored(view)?;
        self.proposer.restored(term);
        Ok(())
    }
}
