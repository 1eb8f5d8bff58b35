//! Does again what a host did, in entries of another size, and compares.
//!
//! The seeds, revisions, times and tokens of a command do not depend on the entry that it came in, so nothing that a
//! recipe is given differs. What still comes out differently was kept in memory, or is not a function of state and
//! arguments.
use synod_abi::{Time, encode};
use synod_machine::{Applied, Command, Entry, Environment, Fatal, Machine, MemoryState, Outcome, Rejection};

use crate::vm::Runners;

/// A command, when it was given, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) at: Time,
    pub(crate) command: Command,
    pub(crate) outcome: Outcome,
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

/// Does `done` again with up to `batch` commands an entry; an error says what came out differently.
pub(crate) fn compare(runners: &Runners, environment: Environment, done: &[Done], digest: [u8; 32], batch: usize) -> Result<(), String> {
    let fatal = |fatal: Fatal| format!("the replay stopped: {fatal}");
    let mut state = MemoryState::default();
    let mut machine = Machine::load(&state, environment).map_err(fatal)?;
    let mut vm = runners.vm();
    let mut rest = done;
    while let Some(first) = rest.first() {
        let together = rest.iter().take(batch).take_while(|next| next.at == first.at).count();
        let commands = rest[..together].iter().map(|done| done.command.clone()).collect();
        let applied = apply(&mut machine, &mut state, &mut vm, first.at, commands).map_err(fatal)?;
        let executed = applied.outcomes.iter().take_while(|outcome| outcome.outcome.result != Err(Rejection::Deferred));
        let executed: Vec<&Outcome> = executed.map(|outcome| &outcome.outcome).collect();
        for (before, again) in rest.iter().zip(&executed) {
            if before.outcome != **again {
                return Err(format!(
                    "the recipe is not deterministic: {:?} had the outcome {:?}, and {:?} when done again with {batch} commands an entry",
                    before.command.action, before.outcome, again
                ));
            }
        }
        rest = &rest[executed.len()..];
    }
    if machine.head().state_digest() == digest {
        return Ok(());
    }
    Err(format!("the recipe is not deterministic: all outcomes are the same, but the state differs with {batch} commands an entry"))
}
