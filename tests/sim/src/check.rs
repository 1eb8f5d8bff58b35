//! Judges a run that has ended.
mod answers;

use std::collections::BTreeMap;
use std::time::Duration;

use synod_abi::{MemberId, SessionId, Time};
use synod_checker::Property;
use synod_checker::linear::{Steps, Verdict, check_by_key};
use synod_checker::models::counter::Counter;
use synod_checker::models::kv::Kv;
use synod_checker::sessions::{Cause, End, Life, LockChange, LockEvent};
use synod_checker::watch::{Claims, Event, Truth};
use synod_kv::Change;
use synod_machine::{self as machine, Action, EndCause, Entry, Machine, SessionChange};
use synod_storage::{AppliedMark, MemoryStore, StateStore};
use synod_world::WALL_MS;

use crate::engines::Engines;
use crate::events;
use crate::finding::Check;
use crate::observe::{Applied, Observer};
use crate::record::{Holding, Records, Watched};
use crate::workload::Extra;

/// The space of locks.
const LOCKS: &str = "lock";
/// What clients do at least once in so many seconds, on average.
const LEAST: [(&str, u64); 6] = [
    ("kv operation", 1),
    ("read of one member", 4),
    ("counter operation", 1),
    ("lock acquired", 60),
    ("election won", 60),
    ("event delivered", 2),
];
/// A run of so long has every fault, and every task of operators.
const LONG: Duration = Duration::from_secs(60);
/// What operators do.
const OPERATED: [(&str, u64); 4] = [
    ("space upgraded", 60),
    ("space deleted", 60),
    ("call of a fresh instance", 60),
    ("call that failed", 60),
];
/// How far the cluster's time may be ahead of the right one, in milliseconds, while at most one
/// member's clock is wrong.
const MOST_AHEAD_MS: u64 = 2_000;
/// How long a wall clock that jumped may be wrong, and what it showed is believed by others.
const JUMP_LASTS: Duration = Duration::from_secs(20);
/// What a session's time to live is worth, at least, when a leader's clock runs too fast.
const TTL_PERCENT: u64 = 90;

/// Judges what was seen and recorded.
pub fn judge(observer: &Observer, records: &Records, engines: &Engines) {
    linearizable(observer, records);
    fenced(observer, &records.holdings);
    let Some(replayed) = replay(observer, engines) else { return };
    on_time(observer, &replayed.stamps);
    sessions(observer, records, &replayed);
    answers::judge(observer, records, replayed.effects);
    watches(observer, &records.watches, &replayed.truth);
    handled(observer, &records.trail, &replayed.truth.events);
}

fn linearizable(observer: &Observer, records: &Records) {
    let kv: Vec<_> = records.kv.iter().flatten().cloned().collect();
    conclude(observer, "kv", check_by_key(&Kv::default(), &kv, Steps::default()));
    let counter: Vec<_> = records.counter.iter().flatten().cloned().collect();
    conclude(observer, "counter", check_by_key(&Counter, &counter, Steps::default()));
}

fn conclude(observer: &Observer, what: &str, verdict: Verdict) {
    match verdict {
        Verdict::Linearizable => {}
        Verdict::Violation(violation) => observer.found(Check::Linearizable, format!("{what}: {violation}")),
        Verdict::Undecided => observer.found(Check::Coverage, format!("{what}: the search took too long")),
    }
}

/// Tokens of a lock grow, and no two clients rely on it at a time.
fn fenced(observer: &Observer, holdings: &[Holding]) {
    let mut by_name: BTreeMap<&str, Vec<&Holding>> = BTreeMap::new();
    for holding in holdings {
        by_name.entry(&holding.name).or_default().push(holding);
    }
    for (name, mut held) in by_name {
        held.sort_by_key(|holding| holding.token);
        for pair in held.windows(2) {
            let (earlier, later) = (pair[0], pair[1]);
            if earlier.token == later.token && earlier.client != later.client {
                observer.found(Check::Fencing, format!("two clients have one token of {name}: {pair:?}"));
            } else if earlier.until > later.from && earlier.client != later.client {
                observer.found(Check::Fencing, format!("two clients hold {name} at a time: {pair:?}"));
            }
        }
    }
}

/// One wrong clock does not move the cluster's time forth: judged until two members have wrong ones
/// at a time, which may be a majority of those that are heard of.
fn on_time(observer: &Observer, stamps: &[(u64, Duration, Time)]) {
    let jumps = observer.jumps();
    let together =
        |pair: &[(MemberId, Duration)]| pair[0].0 != pair[1].0 && pair[0].1 + JUMP_LASTS > pair[1].1;
    let end = jumps.windows(2).find(|pair| together(pair)).map_or(Duration::MAX, |pair| pair[1].1);
    for (index, at, stamp) in stamps.iter().take_while(|(_, at, _)| *at < end) {
        let ahead_ms = stamp.since_ms(Time(WALL_MS + at.as_millis() as u64));
        if ahead_ms > MOST_AHEAD_MS {
            let what = format!("entry {index} is stamped {ahead_ms} ms ahead of the right time");
            return observer.found(Check::Time, what);
        }
    }
}

/// What the log did, as a machine of our own finds by applying it again.
struct Replayed {
    /// Entries, when they were first applied, and when they say that they were packed.
    stamps: Vec<(u64, Duration, Time)>,
    /// Events of the space that watches follow, and those that it forgot.
    truth: Truth<Vec<u8>>,
    /// What calls of `kv` did.
    effects: Vec<answers::Effect>,
    /// Events of locks.
    locks: Vec<LockEvent>,
    /// When and why sessions ended, and at which revision.
    ends: BTreeMap<SessionId, (End, u64)>,
}

/// Applies the log again; none: it cannot.
fn replay(observer: &Observer, engines: &Engines) -> Option<Replayed> {
    let store = MemoryStore::new();
    let view = || store.latest().expect("a store in memory can be read");
    let space = |name: &str| {
        let name = name.parse().expect("a name");
        synod_machine::directory::space(&view(), &name).expect("it can be read").map(|space| space.id)
    };
    let mut machine = Machine::load(&view(), &[engines.environment()]).expect("an empty state");
    let mut vm = engines.vm();
    let truth = Truth { events: Vec::new(), compacted: BTreeMap::new() };
    let mut replayed =
        Replayed { stamps: Vec::new(), truth, effects: Vec::new(), locks: Vec::new(), ends: BTreeMap::new() };
    for (due, applied) in (0..).zip(observer.log()) {
        if applied.index != due {
            observer.found(Check::Witness, format!("nobody applied entry {due}, but {}", applied.index));
            return None;
        }
        let Some(entry) = &applied.entry else { continue };
        let again = match machine.apply(view(), &mut vm, due, entry) {
            Ok(again) => again,
            Err(fatal) => {
                observer.found(Check::Digests, format!("entry {due} cannot be applied again: {fatal}"));
                return None;
            }
        };
        store.commit(&again.writes, &AppliedMark::default()).expect("a store in memory takes it");
        if (again.chain, again.state) != (applied.digest.chain, applied.digest.state) {
            observer.found(Check::Digests, format!("applied again, entry {due} leads to other digests"));
            return None;
        }
        let (watched, locks) = (space(events::SPACE), space(LOCKS));
        let decoded: Entry = synod_abi::decode(entry).expect("an entry that was applied can be read");
        replayed.stamps.push((due, applied.at, decoded.stamp));
        replayed.take_ends(&applied, &decoded, &again);
        if let Some(kv) = watched {
            replayed.effects.extend(answers::effects(kv, &decoded, &again.outcomes));
        }
        for event in again.events {
            if Some(event.space) == locks {
                replayed.locks.push(lock_event(&event));
            } else if Some(event.space) == watched {
                replayed.truth.events.push(Event {
                    revision: event.revision.0,
                    number: event.number,
                    space: events::SPACE.to_owned(),
                    topic: event.event.topic,
                    payload: event.event.payload.0,
                });
            }
        }
    }
    if let Some(space) = space(events::SPACE) {
        let log = machine::events::event_log(&view(), space).expect("a store in memory can be read");
        replayed.truth.compacted.insert(events::SPACE.to_owned(), log.compacted.0);
    }
    Some(replayed)
}

impl Replayed {
    fn take_ends(&mut self, applied: &Applied, entry: &Entry, again: &machine::Applied) {
        for (command, outcome) in entry.commands.iter().zip(&again.outcomes) {
            let Action::EndSession { session, cause } = &command.action else { continue };
            let cause = match cause {
                EndCause::Expired => Cause::Expired,
                EndCause::Closed => Cause::Closed,
            };
            if again.sessions.contains(&SessionChange::Ended { session: *session }) {
                let end = End { at: applied.at.as_nanos() as u64, cause };
                self.ends.insert(*session, (end, outcome.outcome.revision.0));
            }
        }
    }
}

fn lock_event(event: &machine::Emitted) -> LockEvent {
    let change: synod_lock::LockEvent =
        synod_abi::decode(&event.event.payload.0).expect("an event of a lock");
    let (owner, token, change) = match change {
        synod_lock::LockEvent::Granted { owner, token } => (owner, token, LockChange::Granted),
        synod_lock::LockEvent::Released { owner, token } => (owner, token, LockChange::Released),
    };
    LockEvent {
        revision: event.revision.0,
        lock: event.event.topic.clone(),
        session: number_of(owner.session),
        token: token.0,
        change,
    }
}

/// The checkers know sessions by numbers.
fn number_of(session: SessionId) -> u64 {
    let (first, second) = session.0.split_at(8);
    let half = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    half(first) ^ half(second).rotate_left(1)
}

/// Sessions live as long as they are to, and locks follow them.
fn sessions(observer: &Observer, records: &Records, replayed: &Replayed) {
    let lives: Vec<Life> = records
        .lives
        .iter()
        .map(|(session, touched)| Life {
            session: number_of(*session),
            ttl: touched.ttl_ms * 1_000_000 / 100 * TTL_PERCENT,
            opened: touched.sent.first().copied().unwrap_or(0),
            touches: touched.sent.clone(),
            end: replayed.ends.get(session).map(|(end, _)| *end),
        })
        .collect();
    if let Err(violation) = synod_checker::sessions::lives(&lives) {
        observer.found(Check::Sessions, violation.to_string());
    }
    let ended =
        replayed.ends.iter().map(|(session, (_, revision))| (number_of(*session), *revision)).collect();
    if let Err(violation) = synod_checker::sessions::locks(&replayed.locks, &ended) {
        let check = match violation.property {
            Property::NothingLeft => Check::Sessions,
            _ => Check::Fencing,
        };
        observer.found(check, violation.to_string());
    }
}

/// Watches were told what happened, each event once, in order, and where they can go on.
fn watches(observer: &Observer, watches: &[Watched], truth: &Truth<Vec<u8>>) {
    for watched in watches {
        let one = std::slice::from_ref(&watched.watch);
        if let Err(violation) = synod_checker::watch::check(truth, one, |payload: &Vec<u8>| claims(payload)) {
            observer.found(Check::Watch, violation.to_string());
        }
    }
}

/// From its first record on, the trail has every event, as it was, at the place of its number.
fn handled(observer: &Observer, trail: &[(u64, Event<Vec<u8>>)], events: &[Event<Vec<u8>>]) {
    let Some((first, begin)) = trail.first() else { return };
    let skipped = events.partition_point(|event| event.revision < begin.revision);
    for (number, record) in trail {
        let due = usize::try_from(number - first).ok().and_then(|at| events.get(skipped + at));
        if due != Some(record) {
            let what = format!("record {number} of the trail is {record:?}, and not {due:?}");
            return observer.found(Check::Handlers, what);
        }
    }
}

/// What an event of `kv` says of its key: value and version.
fn claims(payload: &[u8]) -> Claims<(Vec<u8>, u64)> {
    match synod_abi::decode(payload).expect("an event of kv") {
        Change::Put { value, version, .. } => {
            Claims { value: Some((value.0, version)), is_create: Some(version == 1), previous: None }
        }
        Change::Deleted => Claims { value: None, is_create: Some(false), previous: None },
    }
}

/// A run did enough: so many operations of each kind, and every fault that it was to have.
pub fn covered(observer: &Observer, seconds: Duration, faults: &[&'static str], extra: Extra) {
    let counts = observer.counts();
    let count = |what: &str| counts.get(what).copied().unwrap_or(0);
    let handled = extra.handler.then_some(("event handled", 2));
    let is_long = seconds >= LONG;
    let operated = if extra.operator && is_long { &OPERATED[..] } else { &[] };
    for (what, every_seconds) in LEAST.into_iter().chain(handled).chain(operated.iter().copied()) {
        let least = seconds.as_secs().div_ceil(every_seconds);
        if count(what) < least {
            let found = count(what);
            observer.found(Check::Coverage, format!("only {found} times in {seconds:?}, of {least}: {what}"));
        }
    }
    if is_long {
        for fault in faults.iter().filter(|fault| count(fault) == 0) {
            observer.found(Check::Coverage, format!("the fault {fault} did not happen"));
        }
    }
}
