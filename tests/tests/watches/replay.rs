//! The log of a member that has stopped, executed again by a machine of its own: what must have
//! happened, to be held against what clients saw.
//!
//! It reads the member's folder with the member's own crates, and shares nothing else with it: rows
//! are in memory, modules are compiled anew. It needs a log from its first entry on, so a member
//! that never compacts its log.
use std::path::Path;

use synod_abi::SpaceName;
use synod_consensus::{CommittedPayload, payload_of_record};
use synod_machine::directory;
use synod_machine::{Draft, Environment, Machine, MemoryState};
use synod_storage::{LogStore, RocksOptions, RocksStore, StateStore};
use synod_tests::watching::Logged;
use synod_vm::{Modules, WasmVm};

/// Bytes of the log that are read at once.
const READ_BYTES: usize = 4 * 1_024 * 1_024;

/// Every event that `space` emitted up to the last applied entry of the member whose folder is
/// `data`, compacted ones too.
///
/// # Panics
/// When the folder is not that of a member that stopped in order, or its log does not begin with
/// its first entry.
pub(crate) fn events_of(data: &Path, space: &str) -> Vec<Logged> {
    let (data, space) = (data.to_path_buf(), SpaceName::new(space).expect("it is a name"));
    let replay = synod_vm::spawn("replay", move || replay(&data, &space)).expect("a thread can be started");
    replay.join().expect("the log can be executed again")
}

fn replay(data: &Path, space: &SpaceName) -> Vec<Logged> {
    let store = RocksStore::open(data, &RocksOptions::default()).expect("the folder opens");
    let applied = store.applied().expect("the mark can be read").index.expect("something was applied");
    assert!(
        store.bounds().expect("the log can be read").purged.is_none(),
        "the log was compacted, so it is not the whole log"
    );
    let modules = Modules::in_memory().expect("the engines start");
    let environment = Environment { semantics: Environment::SEMANTICS, engine: modules.engine_fingerprint() };
    let mut vm = WasmVm::<Draft<MemoryState>>::new(modules).expect("the host calls link");
    let mut state = MemoryState::default();
    let mut machine = Machine::load(&state, &[environment]).expect("an empty state loads");
    let (mut events, mut next) = (Vec::new(), 0);
    while next <= applied {
        let records = store.read(next..applied + 1, READ_BYTES).expect("the log can be read");
        assert_eq!(records.first().map(|record| record.index), Some(next), "the log has no gap");
        for record in records {
            next = record.index + 1;
            let index = record.index;
            let CommittedPayload::Command(entry) = payload_of_record(record).expect("the record decodes")
            else {
                continue;
            };
            let applied = machine
                .apply(state.clone(), &mut vm, index, &entry)
                .expect("what a member applied can be applied");
            state.commit(&applied.writes);
            if applied.events.is_empty() {
                continue;
            }
            let id = directory::space(&state, space).expect("memory can be read").map(|record| record.id);
            let of_space = applied.events.into_iter().filter(|emitted| Some(emitted.space) == id);
            events.extend(of_space.map(|emitted| Logged {
                revision: emitted.revision,
                number: emitted.number,
                topic: emitted.event.topic,
                payload: emitted.event.payload.0,
            }));
        }
    }
    let digest = machine.head().state_digest();
    let view = store.view().expect("the rows can be read");
    let stored =
        directory::head(&view).expect("the head can be read").expect("the member has a state").state_digest();
    assert_eq!(digest, stored, "executed again, the log leads to another state than the member's");
    store.close();
    events
}
