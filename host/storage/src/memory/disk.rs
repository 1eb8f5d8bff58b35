//! What a disk holds, the changes that it takes, and those that are not durable yet.
//!
//! The same [`Change`] is applied to what readers see and, when it is synced, to what survives a
//! crash. Commits only readers see; what survives of the state is what was flushed.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use synod_machine::{Table, Write};

use crate::{AppliedMark, Flushed, LogRecord, StorageError};

/// Keys are shared, so that a copy of the map costs little.
pub(super) type Rows = BTreeMap<Arc<[u8]>, Arc<[u8]>>;
pub(super) type Tables = [Arc<Rows>; Table::ALL.len()];

/// What a disk holds.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) log: BTreeMap<u64, Arc<[u8]>>,
    purged: Option<(u64, Arc<[u8]>)>,
    /// What will be purged when the state is as far, in order; forgotten by a crash.
    purging: VecDeque<(u64, Arc<[u8]>)>,
    pub(super) vote: Option<Arc<[u8]>>,
    pub(super) committed: Option<Arc<[u8]>>,
    pub(super) tables: Tables,
    pub(super) mark: AppliedMark,
}

/// Where a row is: its table's position, and its key.
pub(super) type Place = (usize, Arc<[u8]>);

pub(super) enum Change {
    Append(Vec<LogRecord>),
    Truncate(u64),
    Purge(u64, Arc<[u8]>),
    Vote(Arc<[u8]>),
    Committed(Option<Arc<[u8]>>),
    /// The state as it was when this was queued.
    Flush(Box<Tables>, AppliedMark),
    /// A state from elsewhere, behind whose entry the log begins.
    Install(Box<Tables>, AppliedMark),
}

pub(super) struct Core {
    pub(super) now: Disk,
    pub(super) durable: Option<Disk>,
    pub(super) pending: VecDeque<(Change, Option<Flushed>)>,
    /// Who waits for something to be pending.
    pub(super) waiting: Option<Waker>,
    pub(super) full: bool,
    pub(super) failed: Option<StorageError>,
    /// The row with a flipped bit.
    pub(super) flipped: Option<Place>,
}

impl Core {
    pub(super) fn take_in(&mut self, change: &Change) -> Result<(), StorageError> {
        match change {
            Change::Append(records) => {
                let mut end = self.end();
                for record in records {
                    if end.is_some_and(|end| end != record.index) {
                        let end = end.unwrap_or_default();
                        return Err(StorageError::Fatal(format!(
                            "record {} was appended where {end} is due",
                            record.index
                        )));
                    }
                    end = Some(record.index + 1);
                }
                self.now.apply(change);
            }
            Change::Truncate(index) => self.now.apply(&Change::Truncate((*index).max(self.first()))),
            Change::Flush(..) => {}
            change => self.now.apply(change),
        }
        Ok(())
    }

    pub(super) fn first(&self) -> u64 {
        self.now.purged().map_or(0, |(index, _)| index + 1)
    }

    fn end(&self) -> Option<u64> {
        self.now.log.range(self.first()..).next_back().map(|(index, _)| index + 1)
    }
}

impl Disk {
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Append(records) => {
                self.log.extend(records.iter().map(|record| (record.index, record.bytes.clone())))
            }
            Change::Truncate(index) => drop(self.log.split_off(index)),
            Change::Purge(index, id) => {
                if self.purged().is_none_or(|(purged, _)| index > purged) {
                    self.purging.push_back((*index, id.clone()));
                }
            }
            Change::Vote(vote) => self.vote = Some(vote.clone()),
            Change::Committed(committed) => self.committed = committed.clone(),
            Change::Flush(tables, mark) => {
                self.tables = (**tables).clone();
                self.mark = mark.clone();
            }
            Change::Install(tables, mark) => {
                self.tables = (**tables).clone();
                self.mark = mark.clone();
                self.begin_behind(mark);
            }
        }
        self.purge();
    }

    /// The row number `chance` of all rows, counted round.
    pub(super) fn pick(&self, chance: u64) -> Option<Place> {
        let count: usize = self.tables.iter().map(|rows| rows.len()).sum();
        let mut at = usize::try_from(chance.checked_rem(count as u64)?).ok()?;
        for (table, rows) in self.tables.iter().enumerate() {
            if at < rows.len() {
                return rows.keys().nth(at).map(|key| (table, key.clone()));
            }
            at -= rows.len();
        }
        None
    }

    /// Whether there is a row at `place`.
    pub(super) fn has(&self, (table, key): &Place) -> bool {
        self.tables[*table].contains_key(key)
    }

    pub(super) fn commit(&mut self, writes: &[Write], mark: &AppliedMark) {
        writes.iter().for_each(|write| self.write(write));
        self.mark = mark.clone();
        self.purge();
    }

    /// The log goes on behind the entry of `mark`; what it holds behind that stays if it is of the
    /// same log.
    fn begin_behind(&mut self, mark: &AppliedMark) {
        let Some(index) = mark.index else { return };
        let follows = self.log.get(&index).is_some_and(|bytes| bytes.starts_with(&mark.id));
        self.log = if follows { self.log.split_off(&(index + 1)) } else { BTreeMap::new() };
        self.purging.clear();
        self.purged = Some((index, mark.id.clone()));
    }

    fn purge(&mut self) {
        while let Some((index, id)) =
            self.purging.pop_front_if(|(index, _)| self.mark.index.is_some_and(|applied| applied >= *index))
        {
            self.log = self.log.split_off(&(index + 1));
            self.purged = Some((index, id));
        }
    }

    pub(super) fn purged(&self) -> Option<&(u64, Arc<[u8]>)> {
        self.purging.back().or(self.purged.as_ref())
    }

    /// Purges that are due later are in memory only: a crash forgets them.
    pub(super) fn forget_purges(&mut self) {
        self.purging.clear();
    }

    fn write(&mut self, write: &Write) {
        match write {
            Write::Put { table, key, value } => {
                Arc::make_mut(&mut self.tables[position(*table)])
                    .insert(key.as_slice().into(), value.as_slice().into());
            }
            Write::Delete { table, key } => {
                Arc::make_mut(&mut self.tables[position(*table)]).remove(key.as_slice());
            }
            Write::DeletePrefix { table, prefix } => {
                let rows = Arc::make_mut(&mut self.tables[position(*table)]);
                let mut from = rows.split_off(prefix.as_slice());
                from.retain(|key, _| !key.starts_with(prefix));
                rows.append(&mut from);
            }
        }
    }
}

/// Whether one of `writes` is of the row at `place`.
pub(super) fn is_written(writes: &[Write], (table, key): &Place) -> bool {
    writes.iter().any(|write| match write {
        Write::Put { table: of, key: written, .. } | Write::Delete { table: of, key: written } => {
            position(*of) == *table && **written == **key
        }
        Write::DeletePrefix { table: of, prefix } => position(*of) == *table && key.starts_with(prefix),
    })
}

pub(super) fn position(table: Table) -> usize {
    Table::ALL.iter().position(|each| *each == table).expect("ALL has every table")
}
