//! The thread that compacts what ranges had to step over: stretches of deleted rows that RocksDB
//! would keep until much more is written there.
//!
//! One stretch at a time, and at most a small share of the time; nobody waits for it. What it needs
//! of the disk it asks for first: while there is no room, the stretch waits. RocksDB does not
//! report whether a compaction failed; the [`keeper`] sees that as it does for all others.
use std::sync::Arc;
use std::time::{Duration, Instant};

use rocksdb::{BottommostLevelCompaction, CompactOptions};

use super::generation::Generation;
use super::keeper::{self, EndOfThread};
use super::shared::Shared;
use super::tables;
use super::worn::Stretch;
use crate::StorageError;

/// How often it looks whether a stretch waits.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long it rests after a stretch, at least.
const REST: Duration = Duration::from_secs(10);
/// How often as long as a compaction took it rests after it.
const REST_OF_WORK: u32 = 10;

/// See the module.
pub(crate) struct Compactor {
    shared: Arc<Shared>,
    present: Box<dyn Fn() -> Option<Arc<Generation>> + Send>,
}

impl Compactor {
    /// `present` is the generation of the moment; none when the store has ended.
    pub(crate) fn new(
        shared: Arc<Shared>,
        present: impl Fn() -> Option<Arc<Generation>> + Send + 'static,
    ) -> Self {
        Self { shared, present: Box::new(present) }
    }

    /// Works until the store is closed or fails.
    pub(crate) fn run(self) {
        let _end = EndOfThread::new(&self.shared, "compacts");
        let mut rest = LOOK_EVERY;
        while self.shared.rest(rest) {
            rest = LOOK_EVERY;
            let Some(generation) = (self.present)() else { continue };
            let Some(stretch) = generation.gaps.worn.take() else { continue };
            let begun = Instant::now();
            match compact(&self.shared, &generation, &stretch) {
                Ok(()) => {
                    let took = begun.elapsed();
                    self.shared.compacted(&stretch, took);
                    rest = REST.max(took * REST_OF_WORK);
                }
                Err(StorageError::Full { .. }) => {
                    generation.gaps.worn.add(stretch);
                    rest = REST;
                }
                Err(error) => {
                    self.shared.fail(error);
                }
            }
        }
    }
}

/// Brings the stretch's deletions to disk, and merges them with all that they delete. The lowest
/// level is compacted, too: a file that overlaps no other is only moved there, deletions and all.
fn compact(shared: &Arc<Shared>, generation: &Generation, stretch: &Stretch) -> Result<(), StorageError> {
    let full = || StorageError::Full { path: shared.directory.root.clone() };
    let (begin, end) = tables::bounds(stretch.table, &stretch.from, &stretch.to);
    drop(shared.take_room(generation.bytes_to_compact(&begin, &end)?)?);
    keeper::flush(shared, generation)?;
    if shared.is_state_full() {
        return Err(full());
    }
    let _room = shared.take_room(generation.bytes_to_compact(&begin, &end)?)?;
    let mut options = CompactOptions::default();
    options.set_exclusive_manual_compaction(false);
    options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
    generation.database.compact_range_opt(Some(begin), Some(end), &options);
    Ok(())
}
