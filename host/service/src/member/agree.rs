//! Whether this member's state is the cluster's: checkpoints while it leads, questions to the
//! others when digests differ, and scrubs.
//!
//! A scrub reads all rows on one view, at a bounded rate, and compares them with the digests that
//! are stored with them, those with what this member had when it applied the entry, and that with
//! what the others had. So a changed row is found, and so is a changed digest.
use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{self, Either};
use synod_abi::MemberId;
use synod_machine::directory::head;
use synod_machine::{Damage, DigestRecord, Fatal, Scrub, Scrubbed};

use super::{Inner, Member, View};
use crate::agreement::scrubs::{ScrubPace, ScrubReport, ScrubStatus};
use crate::agreement::{Dispute, Divergence, Verdict, verdict};
use crate::lead::{CheckpointDuty, LeaderTask};
use crate::ports::{Ports, Replication, Runtime, Store, blocking};

/// How soon the others are asked again for their digests.
const DIGESTS_AGAIN: Duration = Duration::from_millis(500);
/// How long a member may take to answer what its digests were.
const DIGESTS_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of rows that a scrub reads before it pauses.
const SCRUB_STEP_BYTES: u64 = 256 * 1_024;
/// What reading a row costs beside its bytes, in bytes.
const SCRUB_ROW_BYTES: u64 = 256;

impl<P: Ports> Member<P> {
    /// Has the members compare their digests while this one leads, until it ends.
    pub fn keep_checkpoints(&self) {
        let Inner { runtime, checkpoints, observer, proposer, .. } = &*self.0;
        LeaderTask::start(
            CheckpointDuty::new(checkpoints.clone()),
            observer.clone(),
            proposer.clone(),
            runtime,
        );
    }

    /// Settles disputes about this member's state. Resolves if it is wrong.
    pub async fn diverged(&self) -> Divergence {
        let Inner { runtime, agreement, observer, .. } = &*self.0;
        let me = observer.leadership().me;
        loop {
            let dispute = agreement.disputed().await;
            let own = agreement.question(&dispute);
            let (voters, answers) = self.ask_all_digests(own).await;
            let counts = matches!(dispute, Dispute::Digests(_)).then_some(own);
            match (verdict((me, counts), &voters, &answers), dispute) {
                (Verdict::Right, _) => agreement.settle(own),
                (Verdict::Wrong, dispute) if !agreement.stands(&dispute) => {}
                (Verdict::Wrong, Dispute::Digests(own)) => return Divergence::Digests { index: own.index },
                (Verdict::Wrong, Dispute::Damage(damage)) => return Divergence::Damage(damage),
                (Verdict::Open, dispute) => {
                    agreement.stop_serving(&dispute);
                    runtime.sleep(DIGESTS_AGAIN).await;
                }
            }
        }
    }

    /// Asks all other members with a vote for their digests after an entry after which this one had
    /// `own`: who has a vote, and the answers.
    pub(super) async fn ask_all_digests(
        &self,
        own: DigestRecord,
    ) -> (BTreeSet<MemberId>, Vec<(MemberId, DigestRecord)>) {
        let me = self.0.observer.leadership().me;
        let voters = self.0.touch_server.replication.voters();
        let others = voters.iter().copied().filter(|voter| *voter != me);
        let asked = future::join_all(others.map(|other| self.ask_digests(other, own))).await;
        (voters, asked.into_iter().flatten().collect())
    }

    async fn ask_digests(&self, other: MemberId, own: DigestRecord) -> Option<(MemberId, DigestRecord)> {
        let asked = self.0.touch_server.replication.digests(other, own);
        let limit = self.0.runtime.sleep(DIGESTS_TIMEOUT);
        match future::select(asked, limit).await {
            Either::Left((Ok(Some(theirs)), _)) if theirs.index == own.index => Some((other, theirs)),
            Either::Left(_) | Either::Right(_) => None,
        }
    }

    /// Has this member scrub its state at once; the number of the scrub, which begins after this.
    pub fn ask_for_scrub(&self) -> u64 {
        self.0.scrubs.ask()
    }

    /// How this member's scrubs are.
    pub fn scrubs(&self) -> ScrubStatus {
        self.0.scrubs.status()
    }

    /// Scrubs the state when that is due or asked for, until the member ends.
    pub async fn keep_scrubs(&self, pace: ScrubPace) {
        let Inner { runtime, scrubs, observer, .. } = &*self.0;
        let me = observer.leadership().me;
        let mut due = pace.first(me).map(|pause| runtime.now().after(pause));
        while !observer.is_closed() {
            let pause = match due {
                Some(due) => runtime.sleep(due.since(runtime.now())),
                None => Box::pin(future::pending()),
            };
            future::select(scrubs.asked(), pause).await;
            scrubs.begin();
            match self.scrub(pace.bytes_per_second).await {
                Ok(report) => scrubs.end(report),
                Err(fatal) => return self.fail(fatal),
            }
            due = pace.every.map(|every| runtime.now().after(every));
        }
    }

    /// Scrubs the state; again, if another one took its place meanwhile.
    async fn scrub(&self, bytes_per_second: u64) -> Result<ScrubReport, Fatal> {
        let Inner { runtime, store, agreement, applied, .. } = &*self.0;
        loop {
            let replaced = agreement.replaced();
            let store = store.clone();
            let taken = blocking(runtime, move || {
                let view = store.scan_view()?;
                let index = head(&view)?.map_or(0, |head| head.index);
                Ok((view, index))
            });
            let (view, index) = taken.await?;
            applied.index.reach(index).await;
            let recorded = applied.digest_at(index);
            let Scrubbed { stored, damage } = self.read_rows(view, bytes_per_second).await?;
            let of_head = || Damage { spaces: Vec::new(), others: true };
            let is_recorded = recorded.is_none_or(|recorded| recorded == stored);
            match damage.or_else(|| (!is_recorded).then(of_head)) {
                None => return Ok(self.confirm(stored).await),
                Some(damage) => {
                    let finding = damage.to_string();
                    if agreement.damaged(damage, replaced) {
                        return Ok(self.report(stored, 0, Some(finding)));
                    }
                }
            }
        }
    }

    /// Reads all rows of `view`.
    async fn read_rows(&self, view: View<P>, bytes_per_second: u64) -> Result<Scrubbed, Fatal> {
        let Inner { runtime, scrubs, .. } = &*self.0;
        let (mut scrub, mut view) = (Scrub::new(), view);
        let mut due = runtime.now();
        loop {
            let before = scrub.read();
            let step = blocking(runtime, move || {
                let mut more = true;
                while more && scrub.read().bytes < before.bytes + SCRUB_STEP_BYTES {
                    more = scrub.read_page(&view)?;
                }
                Ok((scrub, view, more))
            });
            let more;
            (scrub, view, more) = step.await?;
            let read = scrub.read();
            scrubs.progress(read);
            if !more {
                return blocking(runtime, move || scrub.finish(&view)).await;
            }
            let cost = read.bytes - before.bytes + (read.rows - before.rows) * SCRUB_ROW_BYTES;
            let pause = Duration::from_secs_f64(cost as f64 / bytes_per_second.max(1) as f64);
            due = due.max(runtime.now().before(pause)).after(pause);
            runtime.sleep(due.since(runtime.now())).await;
        }
    }

    /// Compares the digests of rows that are sound with those of the others.
    async fn confirm(&self, stored: DigestRecord) -> ScrubReport {
        let (_, answers) = self.ask_all_digests(stored).await;
        let equal = answers.iter().filter(|(_, theirs)| *theirs == stored).count();
        let different = answers.len() - equal;
        let finding = (different > 0).then(|| {
            self.0.agreement.differs(stored);
            format!("digests after entry {} differ from those of {different} of the others", stored.index)
        });
        self.report(stored, equal, finding)
    }

    fn report(&self, stored: DigestRecord, confirmed_by: usize, finding: Option<String>) -> ScrubReport {
        let ended_ms = self.0.clocks.read().wall_ms;
        ScrubReport { index: stored.index, ended_ms, confirmed_by: confirmed_by as u64, finding }
    }
}
