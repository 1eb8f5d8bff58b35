//! How much of the log stays: what members need that are a little behind, and what a receiver of a
//! snapshot will need after it, but never more than a limit.
//!
//! openraft by itself purges by a number of entries, and not at all while a slow peer still reads
//! them. Here the one rule is: everything goes that the state on disk covers, but
//! for so many entries and bytes, for what peers that are heard of lack, and for what follows a
//! snapshot that is being sent. Beyond the limit it goes all the same: then streams that would need
//! it end, and a newer snapshot follows. Nobody's slowness stops purging for good.
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::metrics::RaftMetrics;
use openraft::type_config::TypeConfigExt;
use openraft::type_config::alias::InstantOf;
use synod_storage::{LogRecord, StateStore};

use crate::runtime::AsyncRuntime;
use crate::snapshot::SnapshotSource;
use crate::state_machine::StateMachine;
use crate::types::Types;
use crate::{Applier, Settings};

/// How often the log's length is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the log stays for a receiver after it was heard of: it may be starting again, and keeps
/// what it has.
pub(crate) const HOLD: Duration = Duration::from_secs(300);
/// Marks for each [`Settings::compaction_bytes`] of the log.
const MARKS: u64 = 16;

/// Counts appended bytes, because entries differ a thousandfold in length: a count of entries alone
/// bounds no disk. After a start it counts anew.
pub(crate) struct Meter {
    step_bytes: u64,
    limit_marks: usize,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    /// Since the last mark.
    bytes: u64,
    /// The last index at each step, the newest last.
    marks: VecDeque<u64>,
    /// All marks that there were.
    total: u64,
}

impl Meter {
    /// A meter that knows where the newest `limit_bytes` begin, to a part of `compaction_bytes`.
    pub(crate) fn new(settings: &Settings) -> Self {
        let step_bytes = (settings.compaction_bytes / MARKS).max(1);
        let limit_marks = settings.log_limit_bytes.div_ceil(step_bytes) as usize + 1;
        Self { step_bytes, limit_marks, counted: Mutex::default() }
    }

    pub(crate) fn count(&self, records: &[LogRecord]) {
        let mut counted = self.counted();
        for record in records {
            counted.bytes += record.bytes.len() as u64;
            if counted.bytes >= self.step_bytes {
                counted.bytes = 0;
                counted.total += 1;
                counted.marks.push_back(record.index);
                if counted.marks.len() > self.limit_marks {
                    counted.marks.pop_front();
                }
            }
        }
    }

    /// The newest index behind which so many bytes were appended.
    fn before(&self, bytes: u64) -> Option<u64> {
        let counted = self.counted();
        let steps = bytes.div_ceil(self.step_bytes) as usize;
        counted.marks.len().checked_sub(steps + 1).and_then(|place| counted.marks.get(place).copied())
    }

    /// How often so many bytes were appended.
    fn times(&self, bytes: u64) -> u64 {
        self.counted().total / bytes.div_ceil(self.step_bytes).max(1)
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By receiver: the entry of its snapshot, and until when the log stays for it.
type Holds<RT> = BTreeMap<u64, (u64, InstantOf<Types<RT>>)>;

/// What is kept for whom. One per member.
pub(crate) struct Retention<RT: AsyncRuntime> {
    holds: Mutex<Holds<RT>>,
    /// The highest index that nobody may count on any more, + 1.
    gone: AtomicU64,
}

impl<RT: AsyncRuntime> Retention<RT> {
    pub(crate) fn new() -> Self {
        Self { holds: Mutex::default(), gone: AtomicU64::new(0) }
    }

    /// `peer` is about to receive a snapshot of the entry `index`, and will need what follows it.
    pub(crate) fn hold(&self, peer: u64, index: u64, time: Duration) {
        self.holds().insert(peer, (index, Types::<RT>::now() + time));
    }

    /// Holds the log until it is known whether `peer` is there at all; does nothing if it is held
    /// for it already. Gives back whether it was not.
    pub(crate) fn hold_first(&self, peer: u64, index: u64, time: Duration) -> bool {
        let mut holds = self.holds();
        let is_first = !holds.contains_key(&peer);
        holds.entry(peer).or_insert_with(|| (index, Types::<RT>::now() + time));
        is_first
    }

    /// `peer` is not there.
    pub(crate) fn release(&self, peer: u64) {
        self.holds().remove(&peer);
    }

    /// Whether the entry at `index` is beyond the limit of the log: who still needs it gets a
    /// snapshot.
    pub(crate) fn is_gone(&self, index: u64) -> bool {
        index < self.gone.load(Ordering::Acquire)
    }

    fn holds(&self) -> MutexGuard<'_, Holds<RT>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lowest entry that a receiver has, or a peer that was heard of within `lately` and can go
    /// on from a log that begins with `first`.
    fn needed(&self, metrics: &RaftMetrics<Types<RT>>, first: u64, lately: Duration) -> Option<u64> {
        let now = Types::<RT>::now();
        let matched = |peer: &u64| {
            let matched = metrics.replication.as_ref().and_then(|peers| peers.get(peer)?.as_ref());
            matched.map(|id| id.index)
        };
        let mut holds = self.holds();
        if metrics.replication.is_none() {
            holds.clear();
        }
        holds.retain(|peer, (index, until)| *until > now && matched(peer) < Some(*index));
        let heard = metrics.heartbeat.iter().flatten();
        let heard = heard
            .filter(|(peer, at)| **peer != metrics.id && at.as_ref().is_some_and(|at| **at + lately > now));
        let behind = heard.filter_map(|(peer, _)| matched(peer)).filter(|index| *index + 1 >= first);
        holds.values().map(|(index, _)| *index).chain(behind).min()
    }
}

/// Where the log is to begin, by the rules of the module: the last index that goes.
fn purge_up_to(
    settings: &Settings,
    covered: u64,
    by_bytes: Option<u64>,
    needed: Option<u64>,
    limit: Option<u64>,
) -> u64 {
    let by_entries = covered.saturating_sub(settings.log_entries_to_keep);
    let may_go = by_entries.max(by_bytes.unwrap_or(0)).min(covered);
    may_go.min(needed.unwrap_or(may_go).max(limit.unwrap_or(0)))
}

/// Purges the log for as long as the member runs.
pub(crate) async fn retain<RT: AsyncRuntime, S: StateStore, A: Applier>(
    raft: openraft::Raft<Types<RT>, StateMachine<RT, S, A>>,
    settings: Settings,
    meter: Arc<Meter>,
    retention: Arc<Retention<RT>>,
    source: Arc<SnapshotSource<RT, S>>,
) {
    let metrics = raft.metrics();
    let mut compacted = 0;
    let mut by_bytes = None;
    let lately = Duration::from_millis(settings.replication_idle_timeout_ms);
    loop {
        Types::<RT>::sleep(LOOK_EVERY).await;
        let times = meter.times(settings.compaction_bytes);
        if times > compacted {
            compacted = times;
            by_bytes = meter.before(settings.compaction_bytes);
            if raft.trigger().snapshot().await.is_err() {
                return;
            }
        }
        let (first, target) = {
            let metrics = metrics.borrow_watched();
            if metrics.running_state.is_err() {
                return;
            }
            let purged = metrics.purged.as_ref().map(|id| id.index);
            let limit = meter.before(settings.log_limit_bytes);
            retention.gone.fetch_max(limit.map_or(0, |index| index + 1), Ordering::AcqRel);
            let covered = metrics.snapshot.as_ref().map_or(0, |id| id.index);
            let first = purged.map_or(0, |index| index + 1);
            let needed = retention.needed(&metrics, first, lately);
            (first, purge_up_to(&settings, covered, by_bytes, needed, limit))
        };
        let is_much = target + 1 >= first + settings.purge_batch_entries;
        let is_due = is_much || (by_bytes.is_some_and(|index| index >= first) && target >= first);
        if is_due && target > 0 && raft.trigger().purge_log(target).await.is_err() {
            return;
        }
        source.let_go(if is_due { target + 1 } else { first }).await;
    }
}

#[cfg(test)]
mod tests;
