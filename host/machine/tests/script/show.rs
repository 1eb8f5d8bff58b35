//! What a script shows of an entry and of the rows: short lines that change only with behaviour.
use std::error::Error;
use std::fmt::Write as _;

use synod_abi::{EntryPoint, SessionId, SpaceId, limits};
use synod_machine::directory::Head;
use synod_machine::events::{self, EventPosition};
use synod_machine::owed::{self, OwedCall, OwedHook};
use synod_machine::{Applied, Outcome, RangeLimit, Reply, SessionChange, Table, directory};

use super::Runner;

const ALL: RangeLimit = RangeLimit { rows: 1_000, bytes: 1_024 * 1_024 };

/// A line of output; writing to a string does not fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {
        writeln!($out, $($arg)*).expect("a string takes every line")
    };
}

impl Runner {
    /// What an entry of one command did.
    pub(super) fn show(&mut self, applied: &Applied) -> String {
        let mut out = String::new();
        for change in &applied.sessions {
            match change {
                SessionChange::Opened { session, .. } => line!(out, "session {} opened", short(*session)),
                SessionChange::Ended { session } => line!(out, "session {} ended", short(*session)),
            }
        }
        for ((space, entry_point, _seed), fuel) in self.vm.invoked.iter().zip(&self.vm.fuelled) {
            let budget = if *fuel == limits::CALL_FUEL { "" } else { ", on the fuel that is left" };
            line!(out, "ran {} in {}{budget}", entered(*entry_point), self.name(*space));
        }
        for space in &self.vm.discarded {
            line!(out, "dropped the instance of {}", self.name(*space));
        }
        for event in &applied.events {
            let payload = String::from_utf8_lossy(&event.event.payload);
            let at = format!("{}.{}", event.revision, event.number);
            line!(out, "event {at} of {}: {} {payload}", self.name(event.space), event.event.topic);
        }
        for completed in &applied.completions {
            let outcome = outcome(&completed.outcome);
            line!(out, "request {} of {} completed: {outcome}", completed.request, short(completed.session));
        }
        if applied.next_timer != self.next_timer {
            self.next_timer = applied.next_timer;
            match self.next_timer {
                Some(at) => line!(out, "next timer at {at}"),
                None => line!(out, "no timer is left"),
            }
        }
        for command in &applied.outcomes {
            line!(out, "{}", outcome(&command.outcome));
        }
        out
    }

    /// The revision, and the counts that are not zero.
    pub(super) fn head(&self) -> String {
        let Head { revision, counts, .. } = *self.machine.head();
        let numbers = [
            ("revision", revision.0),
            ("spaces", u64::from(counts.spaces)),
            ("sessions", u64::from(counts.sessions)),
            ("requests", counts.requests),
            ("waiting", counts.waiting),
            ("timers", counts.timers),
            ("events", counts.events),
            ("bindings", u64::from(counts.bindings)),
            ("owed", counts.owed),
        ];
        let shown = numbers.iter().filter(|(_, count)| *count > 0);
        shown.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    }

    /// The rows of a space.
    pub(super) fn rows(&self, space: &str) -> Result<String, Box<dyn Error>> {
        let prefix = self.space(space)?.0.to_be_bytes();
        let mut out = String::new();
        for (key, value) in self.state.rows(Table::State) {
            let Some(key) = key.strip_prefix(&prefix) else { continue };
            for value in printable(value).lines() {
                line!(out, "{} = {value}", printable(key));
            }
        }
        Ok(out)
    }

    /// The events that a space keeps, and how it failed.
    pub(super) fn events(&self, space: &str) -> Result<String, Box<dyn Error>> {
        let space = self.space(space)?;
        let log = events::event_log(&self.state, space)?;
        let mut out = String::new();
        line!(out, "events {}, forgotten up to revision {}", log.events, log.compacted);
        for (at, event) in events::events(&self.state, space, EventPosition::default(), ALL)?.events {
            let payload = String::from_utf8_lossy(&event.payload);
            line!(out, "{}.{} {} {payload}", at.revision, at.number, event.topic);
        }
        if let Some(failures) = directory::hook_failures(&self.state, space)? {
            line!(out, "{} failed, last: {:?}", failures.count, failures.why);
        }
        Ok(out)
    }

    /// The hooks that a space is owed.
    pub(super) fn owed(&self, space: &str) -> Result<String, Box<dyn Error>> {
        let mut out = String::new();
        for owed in owed::owed_hooks(&self.state, self.space(space)?, None, 100)?.items {
            let call = match owed.hook.call {
                OwedCall::SessionEnd { session } => format!("on_session_end of {}", short(session)),
                OwedCall::Timer { timer, .. } => format!("on_timer of timer {timer}"),
                OwedCall::Cancel { ticket, granted, .. } => {
                    format!("on_cancel of ticket {ticket}, granted {granted}")
                }
            };
            let OwedHook { since, fault, tries, .. } = owed.hook;
            let fault = fault.map_or_else(|| "has more to do".to_owned(), |fault| format!("{fault:?}"));
            line!(
                out,
                "{}: {call}, since {since}; {fault}, tries {tries}, next at {}",
                owed.number,
                owed.next_try
            );
        }
        Ok(out)
    }

    fn name(&self, space: SpaceId) -> String {
        let record = directory::space_by_id(&self.state, space).expect("the rows can be read");
        record.map_or_else(|| format!("space {space}"), |record| record.name.as_str().to_owned())
    }
}

fn outcome(outcome: &Outcome) -> String {
    let shown = match &outcome.result {
        Ok(reply) => reply_text(reply),
        Err(rejection) => format!("rejected, {rejection:?}"),
    };
    format!("{} at {}: {shown}", outcome.revision, outcome.time)
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Reply::Done => "done".to_owned(),
        Reply::Result(bytes) => {
            let seen: Vec<Vec<u8>> = synod_abi::decode(bytes).expect("the recipe answers what it saw");
            let seen: Vec<_> = seen.iter().map(|value| printable(value)).collect();
            format!("result [{}]", seen.join(", "))
        }
        Reply::Parked { ticket } => format!("parked with ticket {ticket}"),
        Reply::Cancelled { was } => format!("cancelled, was {was:?}"),
        Reply::Session { session, already, .. } => {
            format!("session {}{}", short(*session), before(*already))
        }
        Reply::Installed { recipe, already, .. } => format!("installed {recipe}{}", before(*already)),
        Reply::Space { space, recipe, already } => {
            format!("space {space} runs {recipe}{}", before(*already))
        }
        Reply::Bound { already } => format!("bound{}", before(*already)),
        Reply::Settled(settled) => format!("settled, {settled:?}"),
        Reply::Compacted { through, events, more } => {
            let more = if *more { ", more are left" } else { "" };
            format!("forgot {events} events, up to revision {through}{more}")
        }
    }
}

fn before(already: bool) -> &'static str {
    if already { ", as before" } else { "" }
}

/// The revision that opened a session is its name.
fn short(session: SessionId) -> String {
    format!("s{}", session.0[7])
}

fn entered(entry_point: EntryPoint) -> &'static str {
    match entry_point {
        EntryPoint::Operation(_) => "the operation",
        EntryPoint::Query(_) => "the query",
        EntryPoint::SessionEnd => "on_session_end",
        EntryPoint::Timer => "on_timer",
        EntryPoint::Cancel => "on_cancel",
        EntryPoint::Event => "on_event",
    }
}

/// Text as it is, other bytes in hex.
fn printable(bytes: &[u8]) -> String {
    let text = core::str::from_utf8(bytes).ok();
    let text = text.filter(|text| text.chars().all(|c| c == '\n' || !c.is_control()));
    text.map_or_else(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect(), str::to_owned)
}
