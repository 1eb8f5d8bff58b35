//! What an entry has changed so far, over the committed rows: reads see both, a savepoint can be
//! returned to.
//!
//! Rows live in slots that are found through one sorted index per table; the first range makes a
//! second one, of those that changed. An undo log restores them, so a savepoint is a few numbers
//! and a rejected command costs what it wrote. A slot also keeps the committed value that was read
//! into it, up to a budget: it saves later reads of the entry, and the digest needs it at the end.
//! It does not outlive the entry.
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell, RefCell};
use core::ops::Bound;

use synod_abi::{costs, limits};

pub(crate) use self::committed::Range;
use self::gaps::Gaps;
use crate::ports::{Fatal, StateView, Table, Write};

mod committed;
mod gaps;
mod walk;

/// Most bytes of committed rows that an entry keeps in memory.
const CACHE_BYTES: usize = 8 * 1_024 * 1_024;
/// What a kept row counts beside its key and value.
const SLOT_BYTES: usize = 128;

/// The entry's own idea of a row.
#[derive(Debug)]
enum Now {
    Unchanged,
    Put(Vec<u8>),
    Deleted,
}

/// What is known about the committed row.
#[derive(Clone, Debug)]
enum Committed {
    Unknown,
    Is(Option<Arc<[u8]>>),
}

#[derive(Debug)]
struct Slot {
    table: Table,
    key: Arc<[u8]>,
    committed: Committed,
    now: Now,
}

#[derive(Debug)]
enum Undo {
    Row { slot: usize, before: Now },
    Prefix { rows: Vec<(usize, Committed)> },
}

/// A point to return to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Savepoint {
    undo: usize,
    slots: usize,
    gaps: usize,
    written_bytes: usize,
    cached_bytes: usize,
}

/// A row that the entry changed, with what it replaces.
pub(crate) struct Changed<'a> {
    pub(crate) table: Table,
    pub(crate) key: &'a [u8],
    pub(crate) before: Option<&'a [u8]>,
    pub(crate) after: Option<&'a [u8]>,
}

/// Changes over committed rows.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    slots: Vec<Slot>,
    /// Every slot.
    index: [Index; Table::ALL.len()],
    /// Those that were put or deleted, of tables that ranges were asked for.
    changed: OnceCell<Box<Changes>>,
    prefixes: Vec<(Table, Vec<u8>)>,
    /// What ranges have learnt.
    gaps: RefCell<Gaps>,
    /// Deleted rows that ranges passed.
    hidden: Cell<u64>,
    /// Rows that were put or deleted, those that were rolled back too.
    touched: u64,
    undo: Vec<Undo>,
    written_bytes: usize,
    cached_bytes: usize,
}

/// Slots by key.
type Index = BTreeMap<Arc<[u8]>, usize>;
/// Indexes by table, each made when it is first asked for.
type Changes = [OnceCell<Index>; Table::ALL.len()];

impl Overlay {
    /// What was written and not undone, each write counted: `limits::ROW_BYTES` and the bytes of
    /// keys and values.
    pub(crate) fn written_bytes(&self) -> usize {
        self.written_bytes
    }

    /// The cost of what was done so far.
    pub(crate) fn work(&self) -> u64 {
        self.touched * costs::TOUCHED_ROW + self.hidden.get() * costs::HIDDEN_ROW
    }

    /// The row of `key`; a committed one is kept if the budget allows.
    pub(crate) fn get<S: StateView>(
        &mut self,
        view: &S,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Cow<'_, [u8]>>, Fatal> {
        let slot = match self.find(table, key) {
            Some(slot) => slot,
            None if self.covered(table, key) => return Ok(None),
            None => {
                let value = view.get(table, key)?;
                let cost = SLOT_BYTES + key.len() + value.as_ref().map_or(0, Vec::len);
                if self.cached_bytes + cost > CACHE_BYTES {
                    return Ok(value.map(Cow::Owned));
                }
                self.cached_bytes += cost;
                self.add_slot(table, key, Committed::Is(value.map(Arc::from)))
            }
        };
        let slot = &self.slots[slot];
        match (&slot.now, &slot.committed) {
            (Now::Put(value), _) => Ok(Some(Cow::Borrowed(value))),
            (Now::Deleted, _) => Ok(None),
            (Now::Unchanged, Committed::Is(value)) => Ok(value.as_deref().map(Cow::Borrowed)),
            (Now::Unchanged, Committed::Unknown) => Ok(view.get(table, key)?.map(Cow::Owned)),
        }
    }

    /// The row of `key`, without keeping it.
    pub(crate) fn peek<S: StateView>(
        &self,
        view: &S,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, Fatal> {
        let Some(slot) = self.find(table, key) else {
            return if self.covered(table, key) { Ok(None) } else { view.get(table, key) };
        };
        let slot = &self.slots[slot];
        match (&slot.now, &slot.committed) {
            (Now::Put(value), _) => Ok(Some(value.clone())),
            (Now::Deleted, _) => Ok(None),
            (Now::Unchanged, Committed::Is(value)) => Ok(value.as_deref().map(<[u8]>::to_vec)),
            (Now::Unchanged, Committed::Unknown) => view.get(table, key),
        }
    }

    /// Sets a row.
    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.written_bytes += limits::ROW_BYTES + key.len() + value.len();
        self.change(table, key, Now::Put(value));
    }

    /// Sets a row that is not there, as the caller knows by its key: it is not read to find out
    /// what it replaces.
    pub(crate) fn put_new(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        if self.find(table, key).is_none() {
            self.add_slot(table, key, Committed::Is(None));
        }
        self.put(table, key, value);
    }

    /// Deletes a row, if it is there.
    pub(crate) fn delete(&mut self, table: Table, key: &[u8]) {
        self.written_bytes += limits::ROW_BYTES + key.len();
        self.change(table, key, Now::Deleted);
    }

    /// Deletes a row that was just read: what it was is kept if the budget allows, and counts as
    /// written.
    pub(crate) fn delete_known(&mut self, table: Table, key: &[u8], value: &[u8]) {
        let cost = SLOT_BYTES + key.len() + value.len();
        if self.find(table, key).is_none() && self.cached_bytes + cost <= CACHE_BYTES {
            self.cached_bytes += cost;
            self.add_slot(table, key, Committed::Is(Some(Arc::from(value))));
        }
        self.written_bytes += value.len();
        self.delete(table, key);
    }

    /// Deletes every row whose key begins with `prefix`.
    pub(crate) fn delete_prefix(&mut self, table: Table, prefix: &[u8]) {
        self.written_bytes += limits::ROW_BYTES + prefix.len();
        let slots: Vec<usize> =
            prefixed(&self.index[table as usize], prefix).map(|(_, slot)| *slot).collect();
        let mut rows = Vec::with_capacity(slots.len());
        for slot in slots {
            let before = self.set(slot, Now::Unchanged);
            if !matches!(before, Now::Unchanged) {
                self.undo.push(Undo::Row { slot, before });
            }
            rows.push((slot, core::mem::replace(&mut self.slots[slot].committed, Committed::Is(None))));
        }
        self.undo.push(Undo::Prefix { rows });
        self.prefixes.push((table, prefix.to_vec()));
    }

    /// A point to return to, by [`Overlay::rollback`].
    pub(crate) fn savepoint(&self) -> Savepoint {
        Savepoint {
            undo: self.undo.len(),
            slots: self.slots.len(),
            gaps: self.gaps.borrow().savepoint(),
            written_bytes: self.written_bytes,
            cached_bytes: self.cached_bytes,
        }
    }

    /// Whether something was written since `savepoint`.
    pub(crate) fn wrote_since(&self, savepoint: Savepoint) -> bool {
        self.undo.len() > savepoint.undo
    }

    /// The rows of `table` from `from` on that were written or deleted, in order, and whether they
    /// are there now.
    pub(crate) fn changed<'a>(
        &'a self,
        table: Table,
        from: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], bool)> {
        self.index[table as usize].range::<[u8], _>((Bound::Included(from), Bound::Unbounded)).filter_map(
            |(key, slot)| match self.slots[*slot].now {
                Now::Unchanged => None,
                Now::Put(_) => Some((&**key, true)),
                Now::Deleted => Some((&**key, false)),
            },
        )
    }

    /// Returns to `savepoint`. Rows that were only read since then stay known.
    pub(crate) fn rollback(&mut self, savepoint: Savepoint) {
        if self.undo.len() == savepoint.undo {
            return;
        }
        while self.undo.len() > savepoint.undo {
            match self.undo.pop() {
                Some(Undo::Row { slot, before }) => drop(self.set(slot, before)),
                Some(Undo::Prefix { rows }) => {
                    self.prefixes.pop();
                    rows.into_iter().for_each(|(slot, committed)| self.slots[slot].committed = committed);
                }
                None => break,
            }
        }
        self.gaps.get_mut().rollback(savepoint.gaps);
        for slot in self.slots.drain(savepoint.slots..) {
            self.index[slot.table as usize].remove(&slot.key);
        }
        self.written_bytes = savepoint.written_bytes;
        self.cached_bytes = savepoint.cached_bytes;
    }

    /// Appends what was written since `savepoint` to a transcript, and gives up returning there.
    pub(crate) fn release(&mut self, savepoint: Savepoint, transcript: &mut Vec<u8>) {
        self.gaps.get_mut().release(savepoint.gaps);
        let mut prefix = self.prefixes.len()
            - self.undo[savepoint.undo..].iter().filter(|undo| matches!(undo, Undo::Prefix { .. })).count();
        for undo in self.undo.drain(savepoint.undo..) {
            match undo {
                Undo::Row { slot, .. } => {
                    let slot = &self.slots[slot];
                    let (tag, value) = match &slot.now {
                        Now::Put(value) => (1, value.as_slice()),
                        Now::Deleted => (2, [].as_slice()),
                        Now::Unchanged => (3, [].as_slice()),
                    };
                    write_transcript(transcript, slot.table, tag, &slot.key, value);
                }
                Undo::Prefix { .. } => {
                    let (table, key) = &self.prefixes[prefix];
                    write_transcript(transcript, *table, 4, key, &[]);
                    prefix += 1;
                }
            }
        }
    }

    /// Hands every row that differs from its committed value to `each`, in the order of tables and
    /// keys, and returns the writes that bring the store there.
    pub(crate) fn finish<S: StateView>(
        mut self,
        view: &S,
        mut each: impl FnMut(Changed<'_>) -> Result<(), Fatal>,
    ) -> Result<Vec<Write>, Fatal> {
        let prefixes = self.prefixes.into_iter().map(|(table, prefix)| Write::DeletePrefix { table, prefix });
        let mut writes: Vec<Write> = prefixes.collect();
        for index in self.index {
            for (key, slot) in index {
                let Slot { table, committed, now, .. } = &mut self.slots[slot];
                let table = *table;
                let value = match core::mem::replace(now, Now::Unchanged) {
                    Now::Unchanged => continue,
                    Now::Put(value) => Some(value),
                    Now::Deleted => None,
                };
                let read;
                let before = match committed {
                    Committed::Is(value) => value.as_deref(),
                    Committed::Unknown => {
                        read = view.get(table, &key)?;
                        read.as_deref()
                    }
                };
                if before == value.as_deref() {
                    continue;
                }
                each(Changed { table, key: &key, before, after: value.as_deref() })?;
                writes.push(match value {
                    Some(value) => Write::Put { table, key: key.to_vec(), value },
                    None => Write::Delete { table, key: key.to_vec() },
                });
            }
        }
        Ok(writes)
    }

    /// The slots of `table` that were put or deleted.
    fn changed_in(&self, table: Table) -> &Index {
        self.changed.get_or_init(Box::default)[table as usize].get_or_init(|| {
            let slots = self.index[table as usize].iter();
            let changed = slots.filter(|(_, slot)| !matches!(self.slots[**slot].now, Now::Unchanged));
            changed.map(|(key, slot)| (key.clone(), *slot)).collect()
        })
    }

    fn find(&self, table: Table, key: &[u8]) -> Option<usize> {
        self.index[table as usize].get(key).copied()
    }

    fn covered(&self, table: Table, key: &[u8]) -> bool {
        self.prefixes.iter().any(|(of, prefix)| *of == table && key.starts_with(prefix))
    }

    fn add_slot(&mut self, table: Table, key: &[u8], committed: Committed) -> usize {
        let key: Arc<[u8]> = Arc::from(key);
        let slot = self.slots.len();
        self.slots.push(Slot { table, key: key.clone(), committed, now: Now::Unchanged });
        self.index[table as usize].insert(key, slot);
        slot
    }

    fn change(&mut self, table: Table, key: &[u8], now: Now) {
        let slot = match self.find(table, key) {
            Some(slot) => slot,
            None => {
                let committed =
                    if self.covered(table, key) { Committed::Is(None) } else { Committed::Unknown };
                self.add_slot(table, key, committed)
            }
        };
        if matches!(now, Now::Put(_)) {
            self.gaps.get_mut().cut(table, key);
        }
        self.touched += 1;
        let before = self.set(slot, now);
        self.undo.push(Undo::Row { slot, before });
    }

    /// What the slot was before.
    fn set(&mut self, slot: usize, now: Now) -> Now {
        let Slot { table, key, now: present, .. } = &mut self.slots[slot];
        let changes = self.changed.get_mut();
        if let Some(index) = changes.and_then(|changes| changes[*table as usize].get_mut()) {
            match (&*present, &now) {
                (Now::Unchanged, Now::Put(_) | Now::Deleted) => {
                    index.insert(key.clone(), slot);
                }
                (Now::Put(_) | Now::Deleted, Now::Unchanged) => {
                    index.remove(key);
                }
                (Now::Unchanged, Now::Unchanged) | (Now::Put(_) | Now::Deleted, _) => {}
            }
        }
        core::mem::replace(present, now)
    }
}

fn write_transcript(transcript: &mut Vec<u8>, table: Table, tag: u8, key: &[u8], value: &[u8]) {
    transcript.extend_from_slice(&[tag, table as u8]);
    transcript.extend_from_slice(&(key.len() as u32).to_le_bytes());
    transcript.extend_from_slice(&(value.len() as u32).to_le_bytes());
    transcript.extend_from_slice(key);
    transcript.extend_from_slice(value);
}

fn prefixed<'a>(index: &'a Index, prefix: &'a [u8]) -> impl Iterator<Item = (&'a Arc<[u8]>, &'a usize)> {
    index
        .range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(prefix))
}

#[cfg(test)]
mod tests;
