//! What a run is seen to do, whatever its members say: entries as they are applied, leaders,
//! faults, operations; and a readable trace of it.
//!
//! Two things are checked at once, entry by entry: all members apply the same entries, and have the
//! same digests after each of them. The rest is checked when the run has ended, in `check`.
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use synod_abi::MemberId;
use synod_machine::DigestRecord;
use synod_world::World;

use crate::finding::{Check, Finding};

/// An entry as a member applied it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its position.
    pub index: u64,
    /// The term of its leader.
    pub term: u64,
    /// What the machine saw; none: nothing.
    pub entry: Option<Vec<u8>>,
    /// The digests after it.
    pub digest: DigestRecord,
    /// When, in the world's time.
    pub at: Duration,
}

#[derive(Default)]
struct Seen {
    applied: BTreeMap<u64, Applied>,
    leaders: BTreeMap<u64, MemberId>,
    jumps: Vec<(MemberId, Duration)>,
    counts: BTreeMap<&'static str, u64>,
    findings: Vec<Finding>,
    trace: bool,
}

/// Collects what is seen. Clones are the same collection.
#[derive(Clone)]
pub struct Observer {
    seen: Arc<Mutex<Seen>>,
    world: World,
}

impl Observer {
    /// One that prints a trace, or not.
    pub fn new(world: World, trace: bool) -> Self {
        Self { seen: Arc::new(Mutex::new(Seen { trace, ..Seen::default() })), world }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line to the trace.
    pub fn tell(&self, who: impl fmt::Display, what: fmt::Arguments<'_>) {
        let at = self.world.elapsed();
        let line = format!("{:>12.6} {who:<4} {what}", at.as_secs_f64());
        self.world.note(line.as_bytes());
        if self.seen().trace {
            // A reader that has seen enough closes the pipe.
            let _closed = writeln!(std::io::stdout(), "{line}");
        }
    }

    /// Counts something: a fault that happened, an operation that ended.
    pub fn count(&self, what: &'static str) {
        *self.seen().counts.entry(what).or_default() += 1;
    }

    /// How often each was counted.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.seen().counts.clone()
    }

    /// Something is wrong.
    pub fn found(&self, check: Check, what: impl Into<String>) {
        let finding = Finding { check, what: what.into(), at: self.world.elapsed() };
        self.tell("!!", format_args!("{finding}"));
        self.seen().findings.push(finding);
    }

    /// What was found so far.
    pub fn findings(&self) -> Vec<Finding> {
        self.seen().findings.clone()
    }

    /// A member applied an entry.
    pub fn applied(&self, who: MemberId, applied: Applied) {
        let index = applied.index;
        let is_first = !self.seen().applied.contains_key(&index);
        if is_first {
            self.tell(format!("m{who}"), format_args!("is the first to apply {}.{index}", applied.term));
            self.seen().applied.insert(index, applied);
            return;
        }
        let known = self.seen().applied[&index].clone();
        if (known.term, &known.entry) != (applied.term, &applied.entry) {
            let what = format!(
                "m{who} applied entry {}.{index} where another member had applied {}.{index}",
                applied.term, known.term
            );
            self.found(Check::StateMachineSafety, what);
        } else if known.digest != applied.digest {
            self.found(Check::Digests, format!("m{who} has other digests after entry {index}"));
        }
    }

    /// A member's state is that after the entry at `index`, from a snapshot.
    pub fn restored(&self, who: MemberId, index: u64, digest: DigestRecord) {
        self.count("snapshot installed");
        self.tell(format!("m{who}"), format_args!("has a snapshot of entry {index}"));
        let known = self.seen().applied.get(&index).map(|applied| applied.digest);
        if known.is_some_and(|known| (known.chain, known.state) != (digest.chain, digest.state)) {
            self.found(Check::Digests, format!("m{who} got a snapshot with other digests at entry {index}"));
        }
    }

    /// A member believes that it leads `term`.
    pub fn leads(&self, who: MemberId, term: u64) {
        let before = *self.seen().leaders.entry(term).or_insert(who);
        self.tell(format!("m{who}"), format_args!("leads term {term}"));
        if before != who {
            self.found(Check::ElectionSafety, format!("m{who} and m{before} lead term {term}"));
        }
    }

    /// The wall clock of a member jumps.
    pub fn jumped(&self, who: MemberId) {
        self.seen().jumps.push((who, self.world.elapsed()));
    }

    /// Whose wall clock jumped when, in the order of time.
    pub fn jumps(&self) -> Vec<(MemberId, Duration)> {
        self.seen().jumps.clone()
    }

    /// The entries that any member applied, by index.
    pub fn log(&self) -> Vec<Applied> {
        self.seen().applied.values().cloned().collect()
    }

    /// The index of the last of them.
    pub fn last_applied(&self) -> u64 {
        self.seen().applied.last_key_value().map_or(0, |(index, _)| *index)
    }

    /// How many terms had a leader.
    pub fn terms(&self) -> usize {
        self.seen().leaders.len()
    }
}
