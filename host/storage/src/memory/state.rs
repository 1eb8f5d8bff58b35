//! The state in memory, its views and snapshots, and what a member knows of itself.
use std::ops::Bound;
use std::sync::Arc;

use synod_abi::Direction;
use synod_machine::{Fatal, RangeLimit, Row, StateView, Table, Write};

use super::disk::{Change, Place, Rows, Tables, is_written, position};
use super::{MemoryIncoming, MemoryStore, Shared};
use crate::mark::{decode_mark, encode_mark};
use crate::snapshot::OwnedFolder;
use crate::{AppliedMark, Checkpoint, Manifest, Receiving, StateStore, StorageError, Verify};

/// The file of a snapshot.
const ROWS: &str = "rows";
/// How it is laid out.
const LAYOUT: &str = "memory, rows 2";

/// Rows of a [`MemoryStore`].
pub struct MemoryView(Source);

enum Source {
    /// The rows at one moment, and their store.
    Moment(Tables, Arc<Shared>),
    Latest(Arc<Shared>),
    /// Rows of a received snapshot, to be verified.
    Received(Tables),
}

impl MemoryView {
    fn table<T>(&self, table: Table, read: impl FnOnce(&Rows) -> T) -> T {
        match &self.0 {
            Source::Moment(tables, _) | Source::Received(tables) => read(&tables[position(table)]),
            Source::Latest(shared) => read(&shared.core().now.tables[position(table)]),
        }
    }

    /// Fails if the row with a flipped bit was read.
    fn check(&self, table: Table, is_read: impl Fn(&[u8]) -> bool) -> Result<(), Fatal> {
        let flipped = match &self.0 {
            Source::Moment(_, shared) | Source::Latest(shared) => shared.core().flipped.clone(),
            Source::Received(_) => None,
        };
        match flipped {
            Some((of, key)) if of == position(table) && is_read(&key) => {
                Err(Fatal(format!("a row of {} does not match its checksum", table.name())))
            }
            _ => Ok(()),
        }
    }
}

impl StateView for MemoryView {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        self.check(table, |flipped| flipped == key)?;
        Ok(self.table(table, |rows| rows.get(key).map(|value| value.to_vec())))
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: RangeLimit,
    ) -> Result<(Vec<Row>, bool), Fatal> {
        if !to.is_empty() && from >= to {
            return Ok((Vec::new(), false));
        }
        let upper = if to.is_empty() { Bound::Unbounded } else { Bound::Excluded(to) };
        let (rows, more) = self.table(table, |rows| {
            let range = rows.range::<[u8], _>((Bound::Included(from), upper));
            match direction {
                Direction::Forward => chunk(range, limit),
                Direction::Backward => chunk(range.rev(), limit),
            }
        });
        self.check(table, |flipped| rows.iter().any(|(key, _)| key == flipped))?;
        Ok((rows, more))
    }
}

fn chunk<'a>(
    rows: impl Iterator<Item = (&'a Arc<[u8]>, &'a Arc<[u8]>)>,
    limit: RangeLimit,
) -> (Vec<Row>, bool) {
    let mut chunk = Vec::new();
    let mut bytes = 0usize;
    for (key, value) in rows {
        bytes += key.len() + value.len();
        if !chunk.is_empty() && (chunk.len() >= limit.rows || bytes > limit.bytes) {
            return (chunk, true);
        }
        chunk.push((key.to_vec(), value.to_vec()));
    }
    (chunk, false)
}

impl StateStore for MemoryStore {
    type View = MemoryView;
    type Incoming = MemoryIncoming;

    fn applied(&self) -> Result<AppliedMark, StorageError> {
        Ok(self.usable()?.now.mark.clone())
    }

    fn view(&self) -> Result<MemoryView, StorageError> {
        let tables = self.usable()?.now.tables.clone();
        Ok(MemoryView(Source::Moment(tables, self.shared.clone())))
    }

    fn latest(&self) -> Result<MemoryView, StorageError> {
        drop(self.usable()?);
        Ok(MemoryView(Source::Latest(self.shared.clone())))
    }

    fn commit(&self, writes: &[Write], mark: &AppliedMark) -> Result<(), StorageError> {
        let mut core = self.usable()?;
        core.now.commit(writes, mark);
        core.flipped.take_if(|place| is_written(writes, place));
        Ok(())
    }

    fn flush(&self) -> Result<AppliedMark, StorageError> {
        self.flush_behind();
        let core = self.usable()?;
        Ok(core.durable.as_ref().unwrap_or(&core.now).mark.clone())
    }

    fn checkpoint(&self) -> Result<Checkpoint, StorageError> {
        let core = self.usable()?;
        if core.full {
            return Err(StorageError::Full { path: self.shared.folder.clone() });
        }
        let (mut tables, mark) = (core.now.tables.clone(), core.now.mark.clone());
        core.flipped.iter().for_each(|place| flip(&mut tables, place));
        drop(core);
        let folder = OwnedFolder::new(self.new_folder()?, None);
        let path = folder.path().join(ROWS);
        std::fs::write(&path, encode(&tables, &mark))
            .map_err(|error| StorageError::from_io("cannot write", &path, &error))?;
        Checkpoint::of_folder(folder, None, mark, LAYOUT, vec![ROWS.to_owned()])
    }

    fn receive(&self, manifest: Manifest) -> Result<Receiving, StorageError> {
        drop(self.usable()?);
        self.inbox.begin(manifest, LAYOUT, None)
    }

    fn is_short(&self) -> bool {
        self.core().full
    }

    fn prepare(
        &self,
        received: Receiving,
        verify: &Verify<MemoryView>,
    ) -> Result<MemoryIncoming, StorageError> {
        drop(self.usable()?);
        let prepared = self.adopt(&received, verify);
        if matches!(prepared, Err(StorageError::BadSnapshot(_))) {
            self.inbox.clear()?;
        }
        prepared
    }

    fn install(&self, incoming: MemoryIncoming) -> Result<(), StorageError> {
        drop(self.usable()?);
        self.change(Change::Install(incoming.tables, incoming.mark), None);
        self.usable()?.flipped = None;
        self.sync();
        self.inbox.clear()
    }
}

impl MemoryStore {
    fn adopt(
        &self,
        received: &Receiving,
        verify: &Verify<MemoryView>,
    ) -> Result<MemoryIncoming, StorageError> {
        let bad = |what: &str| StorageError::BadSnapshot(format!("the snapshot is bad: {what}"));
        let folder = OwnedFolder::new(self.new_folder()?, None);
        received.place(folder.path())?;
        let path = folder.path().join(ROWS);
        let bytes =
            std::fs::read(&path).map_err(|error| StorageError::from_io("cannot read", &path, &error))?;
        let (tables, mark) = decode(&bytes).ok_or_else(|| bad("its rows are malformed"))?;
        if mark != received.manifest().mark {
            return Err(bad("it is of another entry than announced"));
        }
        verify(&MemoryView(Source::Received(tables.clone()))).map_err(|what| bad(&what))?;
        Ok(MemoryIncoming { tables: Box::new(tables), mark })
    }
}

/// A row of a snapshot: the place of its table, key and value.
type SentRow = (usize, Vec<u8>, Vec<u8>);

/// Puts the flipped bit into a copy of the rows: snapshots copy files as they are. A row with an
/// empty value is left out.
fn flip(tables: &mut Tables, (table, key): &Place) {
    let rows = Arc::make_mut(&mut tables[*table]);
    let value = rows.remove(key).map(|value| value.to_vec());
    if let Some(mut value) = value
        && let Some(last) = value.last_mut()
    {
        *last ^= 1;
        rows.insert(key.clone(), value.into());
    }
}

fn encode(tables: &Tables, mark: &AppliedMark) -> Vec<u8> {
    let numbered = tables.iter().enumerate();
    let rows: Vec<SentRow> = numbered
        .flat_map(|(table, rows)| rows.iter().map(move |(key, value)| (table, key.to_vec(), value.to_vec())))
        .collect();
    postcard::to_allocvec(&(encode_mark(mark), rows)).expect("bytes and numbers can be encoded")
}

fn decode(bytes: &[u8]) -> Option<(Tables, AppliedMark)> {
    let (mark, rows): (Vec<u8>, Vec<SentRow>) = postcard::from_bytes(bytes).ok()?;
    let mut tables: [Rows; Table::ALL.len()] = Default::default();
    for (table, key, value) in rows {
        tables.get_mut(table)?.insert(key.into(), value.into());
    }
    Some((tables.map(Arc::new), decode_mark(&mark)?))
}
