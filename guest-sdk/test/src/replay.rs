//! Does again what a host did, in entries of another size, and compares.
//!
//! The seeds, revisions, times and tokens of a command do not depend on the entry that it came in,
//! so nothing that a recipe is given differs. What still comes out differently was kept in memory,
//! or is not a function of state and arguments.
use std::collections::BTreeMap;

use synod_abi::{SpaceId, Time, encode};
use synod_machine::events::EventLog;
use synod_machine::{
    Applied, Command, CommandOutcome, Completed, Emitted, Entry, Environment, Fatal, Machine, MemoryState,
    Outcome, Rejection, SessionChange,
};

use crate::vm::Runners;

/// A command, when it was given, what became of it, and the fuel that it used.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) at: Time,
    pub(crate) command: Command,
    pub(crate) outcome: Outcome,
    pub(crate) fuel: u64,
}

/// Everything that was done, and what came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Commands, in order.
    pub(crate) done: Vec<Done>,
    /// Parked calls that got their outcomes, in order.
    pub(crate) completions: Vec<Completed>,
    /// Sessions that came and went, in order.
    pub(crate) sessions: Vec<SessionChange>,
    /// Events, in order.
    events: Vec<Emitted>,
    /// What spaces kept of them in the end; `None`: of one that was deleted.
    logs: BTreeMap<SpaceId, Option<EventLog>>,
}

impl History {
    /// Takes note of what an entry emitted.
    pub(crate) fn emitted(&mut self, applied: &mut Applied) {
        self.events.append(&mut applied.events);
        self.logs.extend(applied.event_logs.iter().map(|change| (change.space, change.log)));
    }
}

/// Applies one entry and commits it.
pub(crate) fn apply(
    machine: &mut Machine,
    state: &mut MemoryState,
    vm: &mut crate::vm::TestVm,
    at: Time,
    commands: Vec<Command>,
) -> Result<Applied, Fatal> {
    let index = machine.head().index + 1;
    let applied = machine.apply(state.clone(), vm, index, &encode(&Entry { stamp: at, commands }))?;
    state.commit(&applied.writes);
    Ok(applied)
}

/// Does everything again with up to `batch` commands an entry; an error says what came out
/// differently.
pub(crate) fn compare(
    runners: &Runners,
    environment: Environment,
    history: &History,
    digest: [u8; 32],
    batch: usize,
) -> Result<(), String> {
    let fatal = |fatal: Fatal| format!("the replay stopped: {fatal}");
    let mut state = MemoryState::default();
    let mut machine = Machine::load(&state, &[environment]).map_err(fatal)?;
    let mut vm = runners.vm();
    let mut again = History::default();
    let mut rest = history.done.as_slice();
    while let Some(first) = rest.first() {
        let together = rest.iter().take(batch).take_while(|next| next.at == first.at).count();
        let commands = rest[..together].iter().map(|done| done.command.clone()).collect();
        let mut applied = apply(&mut machine, &mut state, &mut vm, first.at, commands).map_err(fatal)?;
        let executed =
            applied.outcomes.iter().take_while(|outcome| outcome.outcome.result != Err(Rejection::Deferred));
        let executed: Vec<&CommandOutcome> = executed.collect();
        for (before, again) in rest.iter().zip(&executed) {
            if (&before.outcome, before.fuel) != (&again.outcome, again.fuel) {
                return Err(format!(
                    "the recipe is not deterministic: {:?} had the outcome {:?} and used {} fuel, and had \
                        {:?} and used {} when done again with {batch} commands an entry",
                    before.command.action, before.outcome, before.fuel, again.outcome, again.fuel
                ));
            }
        }
        rest = &rest[executed.len()..];
        again.emitted(&mut applied);
        again.completions.extend(applied.completions);
        again.sessions.extend(applied.sessions);
    }
    let different = |what: &str, before: String, again: String| {
        format!(
            "the recipe is not deterministic: {what} {before}, and {again} when done again with {batch} \
                commands an entry"
        )
    };
    if let Some((before, again)) = first_difference(&history.completions, &again.completions) {
        return Err(different("among the calls that waited, one was answered", before, again));
    }
    if let Some((before, again)) = first_difference(&history.sessions, &again.sessions) {
        return Err(different("among the sessions, one was", before, again));
    }
    if let Some((before, again)) = first_difference(&history.events, &again.events) {
        return Err(different("among the events, one was", before, again));
    }
    if history.logs != again.logs {
        return Err(different("spaces kept", format!("{:?}", history.logs), format!("{:?}", again.logs)));
    }
    if machine.head().state_digest() == digest {
        return Ok(());
    }
    Err(format!(
        "the recipe is not deterministic: all outcomes are the same, but the state differs with {batch} \
            commands an entry"
    ))
}

fn first_difference<T: PartialEq + std::fmt::Debug>(before: &[T], again: &[T]) -> Option<(String, String)> {
    let at = (0..before.len().max(again.len())).find(|at| before.get(*at) != again.get(*at))?;
    Some((format!("{:?}", before.get(at)), format!("{:?}", again.get(at))))
}
