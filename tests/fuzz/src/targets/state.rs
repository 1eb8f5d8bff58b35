//! Entries of the log, and rows of a state.
use std::sync::OnceLock;

use synod_abi::{
    Direction, RecipeName, RecipeRef, RequestId, Revision, SpaceId, TopicFilter, decode, encode,
};
use synod_machine::{
    Action, Applied, Binding, Command, DigestRecord, EndCause, Entry, Environment, EventRetention, Fatal,
    MemoryState, OnFailure, RangeLimit, SessionBounds, Settling, StateView, Table, Write, directory, events,
    owed, sessions, verify,
};

use crate::machine::{
    ANSWER, Formed, Runner, SCRATCH, STORE, binding, call, command, entry, formed, forming, modules, name_of,
    of_session, open, request, session, step,
};

/// What a [`Fatal`] may say of an entry that decodes: its leader must not have packed it, or this
/// binary is too old for it. Anything else would stop every member.
const EXPECTED: [&str; 3] =
    ["the limit is", "this binary supports", "no engine for the execution environment"];

/// More rows than the states here have.
const ROWS: usize = 10_000;

/// An entry, decoded; and applied, twice, by members of a cluster that has a bit of everything.
pub(super) fn entry_target(bytes: &[u8]) {
    let Ok(entry) = decode::<Entry>(bytes) else { return };
    assert_eq!(decode(&encode(&entry)), Ok(entry.clone()), "an entry is what it was");
    for command in &entry.commands {
        assert_eq!(decode(&encode(command)), Ok(command.clone()), "a command is what it was");
    }
    let (first, second) = (applied(bytes), applied(bytes));
    match (first, second) {
        (Ok((first, state)), Ok((second, twin))) => {
            assert_eq!(first.chain, second.chain, "two members differ");
            assert_eq!(first.outcomes.len(), entry.commands.len());
            assert!(state == twin, "two members have different rows");
            verify(&state).expect("digests and rows agree");
            go_on(state);
        }
        (Err(Fatal(first)), Err(Fatal(second))) => {
            assert_eq!(first, second);
            let is_expected = EXPECTED.iter().any(|expected| first.contains(expected));
            assert!(is_expected, "an entry that decodes stops every member: {first}");
        }
        _ => panic!("one member stops and the other goes on"),
    }
}

fn applied(bytes: &[u8]) -> Result<(Applied, MemoryState), Fatal> {
    let Formed { mut state, index } = formed().clone();
    let mut runner = Runner::load(&state, modules())?;
    let applied = runner.apply(state.clone(), index + 1, bytes)?;
    state.commit(&applied.writes);
    Ok((applied, state))
}

/// What may have become due is carried out by a member that has just started.
fn go_on(mut state: MemoryState) {
    let mut runner = Runner::load(&state, modules()).expect("the rows are whole");
    let index = formed().index + 2;
    for (index, stamp) in (index..).zip([20_000, 10_000_000]) {
        let tick = encode(&entry(stamp, vec![command(Action::Tick)]));
        let applied =
            runner.apply(state.clone(), index, &tick).unwrap_or_else(|why| panic!("no tick: {why}"));
        state.commit(&applied.writes);
    }
    verify(&state).expect("digests and rows agree");
}

/// A program that reads, writes, emits, sends, sets a timer and then waits.
fn program() -> Vec<u8> {
    let at = SCRATCH;
    let text = |offset: u32, word: &[u8; 4]| step(STORE, [at + offset, u32::from_le_bytes(*word), 0, 0, 0]);
    [
        text(0, b"bkey"),
        text(4, b"\x01\0\0\0"),
        step(4, [at, 4, at + 4, 4, 0]),
        step(0, [at, 4, at + 64, 32, 0]),
        step(10, [at + 1, 3, at + 4, 1, 0]),
        step(7, [5_000, 0, at + 4, 1, 0]),
        step(6, [0; 5]),
        step(11, [at, 1, 7, at + 4, 2]),
        text(8, b"\x03\0\0\0"),
        step(ANSWER, [at + 8, 1, 0, 0, 0]),
    ]
    .concat()
}

/// An entry of every kind of action.
pub(super) fn entries() -> Vec<Vec<u8>> {
    let recipe = RecipeName::new("program").expect("a name");
    let other = Environment { semantics: Environment::SEMANTICS + 1, engine: [1; 32] };
    let unbound = Binding { filter: TopicFilter::Exact("key".to_owned()), ..binding() };
    let retention = EventRetention { events: 10, bytes: 10_000, age_ms: 60_000 };
    let plain = [
        Action::Call(call(1, &program()[..8 * 21])),
        Action::Tick,
        Action::EndSession { session: session(), cause: EndCause::Expired },
        Action::EndSession { session: session(), cause: EndCause::Closed },
        Action::OpenSession(open(2)),
        Action::SetSessionBounds { bounds: SessionBounds { min_ttl_ms: 2_000, max_ttl_ms: 60_000 } },
        Action::UpgradeSpace { name: name_of("a"), to: 1 },
        Action::DeleteSpace { name: name_of("a") },
        Action::RemoveRecipe { recipe: RecipeRef { name: recipe, version: 1 } },
        Action::UnbindSpace { binding: binding() },
        Action::BindSpace { binding: unbound, on_failure: OnFailure::Reject },
        Action::SetEventRetention { name: name_of("a"), retention },
        Action::CompactEvents { space: SpaceId(1), through: Revision(5) },
        Action::SettleHook { name: name_of("a"), number: 1, how: Settling::Run },
        Action::Checkpoint(DigestRecord { index: 3, chain: [1; 32], state: [2; 32] }),
        Action::ChangeEnvironment { from: crate::machine::environment(), to: other },
    ];
    let in_session = [
        request(1, 1, &program()),
        Action::CancelRequest { request: RequestId(1) },
        request(2, 2, &program()),
        Action::UserCall { user: 5, call: as_call(request(1, 3, &program())) },
    ];
    let in_session: Vec<Command> =
        in_session.into_iter().map(|action| of_session(session(), action)).collect();
    let mut entries: Vec<Entry> = vec![
        entry(2_000, in_session.clone()),
        entry(2_000, plain.iter().take(3).cloned().map(command).chain(in_session).collect()),
        entry(2_000, Vec::new()),
    ];
    entries.extend(plain.into_iter().map(|action| entry(2_000, vec![command(action)])));
    entries.extend(forming().into_iter().map(|action| entry(2_000, vec![command(action)])));
    entries.iter().map(encode).collect()
}

fn as_call(action: Action) -> synod_machine::SessionCall {
    match action {
        Action::SessionCall(call) => call,
        other => panic!("not a call: {other:?}"),
    }
}

/// A state with a bit of everything in it, of which rows were changed outside of apply.
///
/// The input is a list of changes: which row, where in it (beyond its end: the row is removed), and
/// the byte that stands there instead.
pub(super) fn damaged_rows(bytes: &[u8]) {
    let mut state = lived().state.clone();
    let rows: Vec<(Table, Vec<u8>, Vec<u8>)> = all_rows(&state);
    for change in bytes.chunks_exact(4) {
        let (table, key, value) = &rows[usize::from(change[0]) * 7 % rows.len()];
        let mut value = value.clone();
        let at = usize::from(u16::from_le_bytes([change[1], change[2]])) % (value.len() + 1);
        let write = match value.get_mut(at) {
            Some(byte) => {
                *byte = change[3];
                Write::Put { table: *table, key: key.clone(), value }
            }
            None if change[3] % 2 == 0 => Write::Delete { table: *table, key: key.clone() },
            None => {
                value.push(change[3]);
                Write::Put { table: *table, key: key.clone(), value }
            }
        };
        state.commit(&[write]);
    }
    let _verdict = verify(&state);
    read_everything(&state);
    let Ok(mut runner) = Runner::load(&state, modules()) else { return };
    let commands = vec![
        of_session(session(), request(1, 9, &program())),
        command(Action::EndSession { session: session(), cause: EndCause::Expired }),
        command(Action::DeleteSpace { name: name_of("a") }),
    ];
    for (index, last) in (lived().index + 1..).zip(commands) {
        let entry = encode(&entry(20_000_000, vec![command(Action::Tick), last]));
        match runner.apply(state.clone(), index, &entry) {
            Ok(applied) => state.commit(&applied.writes),
            Err(_) => return,
        }
    }
}

fn lived() -> &'static Formed {
    static LIVED: OnceLock<Formed> = OnceLock::new();
    LIVED.get_or_init(|| {
        let Formed { mut state, mut index } = formed().clone();
        let mut runner = Runner::load(&state, modules()).expect("the rows are whole");
        let calls = (1..=3).map(|id| of_session(session(), request(1 + (id % 2) as u32, id, &program())));
        for command in calls {
            index += 1;
            let applied = runner.apply(state.clone(), index, &encode(&entry(2_000, vec![command])));
            state.commit(&applied.expect("it is applied").writes);
        }
        Formed { state, index }
    })
}

fn all_rows(state: &MemoryState) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let rows = |table: &Table| {
        let table = *table;
        state.rows(table).map(move |(key, value)| (table, key.to_vec(), value.to_vec())).collect::<Vec<_>>()
    };
    Table::ALL.iter().flat_map(rows).collect()
}

/// Every reader of rows: damage is an error, and never a panic.
fn read_everything(state: &MemoryState) {
    let everything = RangeLimit { rows: usize::MAX, bytes: usize::MAX };
    for table in Table::ALL {
        state.range(table, &[], &[], Direction::Forward, everything).expect("memory is readable");
    }
    let _ = directory::spaces(state, None, ROWS);
    let _ = directory::recipes(state, None, ROWS);
    let _ = directory::installed(state);
    let _ = sessions::sessions(state, None, ROWS);
    let _ = sessions::bounds(state);
    let _ = events::event_logs(state, None, ROWS);
    for space in [SpaceId(1), SpaceId(2)] {
        let _ = directory::space_by_id(state, space);
        let _ = directory::hook_failures(state, space);
        let _ = events::event_log(state, space);
        let _ = events::bindings_of_source(state, space);
        let _ = owed::owed_count(state, space);
        let _ = owed::owed_hooks(state, space, None, ROWS);
    }
    for name in ["a", "b"] {
        let _ = directory::space(state, &name_of(name));
    }
}

/// Changes of a few rows.
pub(super) fn damages() -> Vec<Vec<u8>> {
    let rows = all_rows(&lived().state).len();
    (0..rows.min(64)).map(|row| vec![row as u8, 0, 0, 0xff, row as u8, 3, 0, 0x80]).collect()
}
