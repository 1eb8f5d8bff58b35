//! The same commands over both stores, with kills: RocksDB and its twin in memory must hold the
//! same, because what the simulator finds out on one is said of the other.
//!
//! A history is a list of turns, two bytes each. A kill leaves of RocksDB what its files hold at
//! that moment, and of memory what was synced; each member then starts from there, and runs the log
//! again. A power cut, which also takes what was written and not synced, only memory suffers.
use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use synod_abi::{Direction, RequestId, encode};
use synod_machine::{Action, Command, EndCause, RangeLimit, StateView, Table, directory, verify};
use synod_storage::{
    AppliedMark, Flushed, LogRecord, LogStore, MemoryStore, RocksOptions, RocksStore, StateStore,
};
use tempfile::TempDir;

use super::modules::programs;
use crate::machine::{
    Runner, call, command, entry, forming, modules, name_of, of_session, open, request, session,
};

/// How long a disk may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most turns of a history.
const TURNS: usize = 48;

/// A member over one of the stores.
struct Member<S: LogStore + StateStore> {
    store: S,
    runner: Runner<S::View>,
    /// Makes what was appended durable, if the store does not by itself.
    settle: fn(&S),
    folder: Option<TempDir>,
}

/// What a store holds.
#[derive(PartialEq, Eq)]
struct Seen {
    mark: AppliedMark,
    chain: [u8; 32],
    rows: Vec<(Table, Vec<u8>, Vec<u8>)>,
}

fn id(index: u64) -> Vec<u8> {
    index.to_be_bytes().to_vec()
}

fn mark(index: u64) -> AppliedMark {
    AppliedMark { index: Some(index), id: id(index).into(), membership: b"a,b,c"[..].into() }
}

fn record(index: u64, entry: &[u8]) -> LogRecord {
    LogRecord { index, bytes: [id(index).as_slice(), entry].concat().into() }
}

impl<S: LogStore + StateStore> Member<S> {
    /// Starts from what the store holds: the log runs what the state lacks.
    fn start(store: S, settle: fn(&S), folder: Option<TempDir>) -> Self {
        let view = store.latest().expect("the rows are readable");
        let runner = Runner::load(&view, modules()).expect("the rows are whole");
        let mut member = Self { store, runner, settle, folder };
        let applied = member.store.applied().expect("the mark is readable").index;
        let next = applied.map_or(0, |applied| applied + 1);
        for record in member.store.read(next..u64::MAX, usize::MAX).expect("the log is readable") {
            member.run(&record);
        }
        member
    }

    fn changed(&self, change: impl FnOnce(&S, Flushed)) {
        let (sender, receiver) = mpsc::channel();
        change(&self.store, Box::new(move |result| drop(sender.send(result))));
        (self.settle)(&self.store);
        let result = receiver.recv_timeout(PATIENCE).expect("the callback is called");
        result.expect("the disk works");
    }

    fn append(&mut self, record: &LogRecord) {
        self.changed(|store, flushed| store.append(vec![record.clone()], flushed));
        self.run(record);
    }

    /// Applies a record that is durable. The first one is of no command.
    fn run(&mut self, record: &LogRecord) {
        let writes = if record.index == 0 {
            Vec::new()
        } else {
            let view = self.store.latest().expect("the rows are readable");
            let applied = self.runner.apply(view, record.index, &record.bytes[id(0).len()..]);
            applied.expect("the entry is applied").writes
        };
        self.store.commit(&writes, &mark(record.index)).expect("the rows are written");
    }

    fn last(&self) -> u64 {
        let bounds = self.store.bounds().expect("the log is readable");
        let purged = bounds.purged.map(|id| u64::from_be_bytes(id[..].try_into().expect("an index")));
        bounds.last.map(|last| last.index).or(purged).expect("the log has begun")
    }

    /// Every row, and what is known about them.
    fn seen(&self) -> Seen {
        let view = self.store.view().expect("the rows are readable");
        verify(&view).expect("digests and rows agree");
        let head = directory::head(&view).expect("the head is readable").map_or([0; 32], |head| head.chain);
        let everything = RangeLimit { rows: usize::MAX, bytes: usize::MAX };
        let mut rows = Vec::new();
        for table in Table::ALL {
            let read = view.range(table, &[], &[], Direction::Forward, everything).expect("readable");
            rows.extend(read.0.into_iter().map(|(key, value)| (table, key, value)));
        }
        Seen { mark: self.store.applied().expect("the mark is readable"), chain: head, rows }
    }
}

impl Member<MemoryStore> {
    fn kill(self, kept: usize) -> Self {
        Self::start(self.store.crash(kept), |store| store.sync(), None)
    }
}

impl Member<RocksStore> {
    fn begin() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::start(open_rocks(folder.path()), |_| (), Some(folder))
    }

    /// What the files hold now is what a killed process leaves.
    fn kill(self) -> Self {
        let left = tempfile::tempdir().expect("a folder");
        let folder = self.folder.as_ref().expect("it has a folder");
        copy_steady(folder.path(), left.path());
        drop(self.runner);
        self.store.close();
        Self::start(open_rocks(left.path()), |_| (), Some(left))
    }
}

fn open_rocks(root: &Path) -> RocksStore {
    let options = RocksOptions {
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 4 << 20,
        wal_bytes: 12 << 20,
        log_tail_bytes: 600,
        reserve_bytes: 0,
        ..RocksOptions::default()
    };
    RocksStore::open(root, &options).expect("the store opens after a kill")
}

/// Copies a folder whose files may change meanwhile, as of one moment: until no file was made,
/// removed or written between the beginning of a copy and its end.
fn copy_steady(from: &Path, to: &Path) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = listing(from);
        let copied = copy(from, to);
        if copied.is_ok() && before == listing(from) {
            return;
        }
        assert!(Instant::now() < deadline, "the folder does not come to rest: {copied:?}");
        fs::remove_dir_all(to).expect("it can be removed");
    }
}

/// Names, lengths and times of all files.
fn listing(folder: &Path) -> Vec<(std::path::PathBuf, u64, Option<std::time::SystemTime>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.metadata() {
            Ok(data) if data.is_dir() => found.extend(listing(&path)),
            Ok(data) => found.push((path, data.len(), data.modified().ok())),
            Err(_) => {}
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The command of a turn.
fn chosen(number: u8, turn: u64) -> Command {
    let programs = programs();
    let program = &programs[usize::from(number) % programs.len()];
    let space = 1 + u32::from(number % 2);
    match number % 11 {
        0..=2 => command(Action::Call(call(space, program))),
        3..=5 => of_session(session(), request(space, turn, program)),
        6 => command(Action::OpenSession(open(number))),
        7 => command(Action::Tick),
        8 => of_session(session(), Action::CancelRequest { request: RequestId(turn.saturating_sub(1)) }),
        9 => command(Action::DeleteSpace { name: name_of(if space == 1 { "a" } else { "b" }) }),
        _ => command(Action::EndSession { session: session(), cause: EndCause::Expired }),
    }
}

/// A history over both stores.
pub(super) fn both(bytes: &[u8]) {
    let mut rocks = Member::begin();
    let mut memory = Member::start(MemoryStore::manual(), |store: &MemoryStore| store.sync(), None);
    let take = |rocks: &mut Member<RocksStore>, memory: &mut Member<MemoryStore>, index, commands| {
        let record = record(index, &encode(&entry(1_000 * index, commands)));
        rocks.append(&record);
        memory.append(&record);
        index
    };
    let mut last = take(&mut rocks, &mut memory, 0, Vec::new());
    for action in forming() {
        last = take(&mut rocks, &mut memory, last + 1, vec![command(action)]);
    }
    for turn in bytes.chunks_exact(2).take(TURNS) {
        match turn[0] % 12 {
            0..=7 => {
                let count = 1 + u64::from(turn[0] / 128);
                let commands = (0..count).map(|nth| chosen(turn[1].wrapping_add(nth as u8), last * 2 + nth));
                last = take(&mut rocks, &mut memory, last + 1, commands.collect());
            }
            8 => {
                rocks.store.flush().expect("flushed");
                memory.store.flush().expect("queued");
                memory.store.sync();
            }
            9 => {
                let index = last.saturating_sub(u64::from(turn[1] % 8));
                rocks.changed(|store, flushed| store.purge(index, id(index).into(), flushed));
                memory.changed(|store, flushed| store.purge(index, id(index).into(), flushed));
            }
            10 => {
                rocks = rocks.kill();
                memory = memory.kill(0);
            }
            _ => {
                let record = unwaited(last + 1);
                rocks.store.append(vec![record.clone()], Box::new(drop));
                memory.store.append(vec![record], Box::new(drop));
                rocks = rocks.kill();
                memory = memory.kill(usize::from(turn[1] % 2));
                last = agree(&mut rocks, &mut memory, last);
            }
        }
        assert_eq!(rocks.runner.machine.head().chain, memory.runner.machine.head().chain, "digests differ");
    }
    assert!(rocks.seen() == memory.seen(), "the stores hold different rows");
    let (rocks, memory) = (rocks.kill(), memory.kill(0));
    assert!(rocks.seen() == memory.seen(), "the stores hold different rows after a kill");
}

/// A record that was written and not waited for may have survived a kill. If only one member has
/// it, the other gets it. Returns the last index.
fn agree(rocks: &mut Member<RocksStore>, memory: &mut Member<MemoryStore>, durable: u64) -> u64 {
    let (on_disk, in_memory) = (rocks.last(), memory.last());
    let least = on_disk.min(in_memory);
    assert!(least >= durable, "a durable record is lost: the log ends with {least}, not with {durable}");
    let last = on_disk.max(in_memory);
    assert!(last <= durable + 1, "a record that nobody wrote: {last}");
    let unwaited = unwaited(durable + 1);
    if on_disk < last {
        rocks.append(&unwaited);
    }
    if in_memory < last {
        memory.append(&unwaited);
    }
    last
}

/// The entry that is written before a kill and not waited for.
fn unwaited(index: u64) -> LogRecord {
    record(index, &encode(&entry(1_000, vec![command(Action::Tick)])))
}

/// Histories of all kinds of turns.
pub(super) fn histories() -> Vec<Vec<u8>> {
    let plain: Vec<u8> = (0..24).flat_map(|turn: u8| [turn % 8, turn.wrapping_mul(5)]).collect();
    let killed = (0..24)
        .flat_map(|turn: u8| [if turn % 5 == 4 { 10 } else { turn % 8 }, turn.wrapping_mul(3)])
        .collect();
    let mixed = (0..40).flat_map(|turn: u8| [turn % 12, turn.wrapping_mul(7)]).collect();
    vec![plain, killed, mixed]
}
