//! Modules that are uploaded, and what a running one passes to the host.
use synod_abi::{Blob, encode};
use synod_machine::{Action, Fatal, MemoryState};
use synod_vm::{admit, explain};

use super::generate;
use crate::machine::{
    ANSWER, ARGS, Formed, Runner, SCRATCH, STEP_BYTES, STORE, call, command, entry, formed,
    modules as engines, name_of, of_session, program_module, request, session, step,
};
use crate::mutate::Dice;

/// One of so many admitted modules is compiled and run: that takes some milliseconds.
const RUN_SHARE: u8 = 16;

/// An uploaded module: refused with a reason, or admitted, and then it compiles and runs.
pub(super) fn module(bytes: &[u8]) {
    let verdict = admit(bytes);
    assert!(!explain(bytes).is_empty());
    let Ok(admitted) = verdict else { return };
    assert_eq!(admit(bytes), Ok(admitted.clone()), "admission depends on the bytes alone");
    if admitted.hash.0[0] % RUN_SHARE == 0 || bytes == program_module() {
        install_and_call(bytes, &admitted.schema.recipe.name.to_string());
    }
}

pub(super) fn modules() -> Vec<Vec<u8>> {
    vec![program_module().to_vec()]
}

/// Installs an admitted module beside what is there, and calls it by two members.
fn install_and_call(module: &[u8], recipe: &str) {
    let recipe = synod_abi::RecipeName::new(recipe).expect("admission checked it");
    let space = Action::CreateSpace { name: name_of("new"), recipe, version: None };
    let actions = [
        Action::InstallRecipe { module: Blob(module.to_vec()), replace: true },
        space,
        Action::Call(call(3, &[])),
        Action::Call(call(3, &[7; 64])),
        Action::Tick,
    ];
    let run = || {
        let Formed { mut state, index } = formed().clone();
        let mut runner = Runner::load(&state, engines()).expect("the rows are whole");
        let commands = actions.iter().cloned().map(command).collect();
        let applied = runner.apply(state.clone(), index + 1, &encode(&entry(3_000, commands)));
        let applied = applied.unwrap_or_else(|Fatal(why)| panic!("an admitted module stops a member: {why}"));
        state.commit(&applied.writes);
        (applied.chain, state)
    };
    let ((first, state), (second, twin)) = (run(), run());
    assert_eq!(first, second, "two members differ");
    assert!(state == twin, "two members have different rows");
}

/// A valid module whose code is made of the input: all of them are admitted.
pub(super) fn valid_module(bytes: &[u8]) {
    let module = generate::module(bytes);
    let admitted = admit(&module).unwrap_or_else(|why| panic!("a valid module is refused: {why}"));
    if admitted.hash.0[0].is_multiple_of(RUN_SHARE) {
        install_and_call(&module, &admitted.schema.recipe.name.to_string());
    }
}

/// Bytes to make modules of: chance, and nothing that means anything.
pub(super) fn entropies() -> Vec<Vec<u8>> {
    let entropy = |seed: u64| {
        let mut dice = Dice::new(seed);
        (0..256).map(|_| dice.number() as u8).collect()
    };
    (1..=6).map(entropy).collect()
}

/// A program of host calls: run by an operation in a session, by one outside, and by a handler.
///
/// A host function that panics is caught and stops the member, as a [`Fatal`]; nothing that a guest
/// passes may do that.
pub(super) fn host_calls(bytes: &[u8]) {
    if bytes.len() > 64 * STEP_BYTES {
        return;
    }
    let (first, rows) = run_program(bytes, true);
    let (second, twin) = run_program(bytes, true);
    assert_eq!(first, second, "two members differ");
    assert!(rows == twin, "two members have different rows");
    let (_, apart) = run_program(bytes, false);
    let state = |state: &MemoryState| {
        state
            .rows(synod_machine::Table::State)
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect::<Vec<_>>()
    };
    assert_eq!(state(&rows), state(&apart), "neighbours in an entry matter");
}

/// Runs a program three times, in one entry or in three.
fn run_program(program: &[u8], together: bool) -> ([u8; 32], MemoryState) {
    let Formed { mut state, index } = formed().clone();
    let mut runner = Runner::load(&state, engines()).expect("the rows are whole");
    let commands = vec![
        command(Action::Call(call(1, program))),
        of_session(session(), request(1, 1, program)),
        command(Action::Call(call(2, program))),
        command(Action::Tick),
    ];
    let entries: Vec<Vec<_>> =
        if together { vec![commands] } else { commands.into_iter().map(|command| vec![command]).collect() };
    let mut chain = [0; 32];
    for (index, commands) in (index + 1..).zip(entries) {
        let applied = runner.apply(state.clone(), index, &encode(&entry(3_000, commands)));
        let applied = applied.unwrap_or_else(|Fatal(why)| panic!("a host call stops a member: {why}"));
        chain = applied.chain;
        state.commit(&applied.writes);
    }
    (chain, state)
}

pub(super) fn programs() -> Vec<Vec<u8>> {
    let at = SCRATCH;
    let word = |offset: u32, word: &[u8; 4]| step(STORE, [at + offset, u32::from_le_bytes(*word), 0, 0, 0]);
    let range = [word(128, b"\0\x10\0\0"), word(132, b"\0\x01\0\0"), word(136, b"\0a\xff\0")];
    let writes = [word(0, b"akey"), step(4, [at, 4, at, 4, 0]), step(0, [at, 4, at + 64, 4, 0])];
    let programs = [
        [writes.concat(), range.concat(), step(1, [at + 128, 11, at + 8_192, 40_000, 0])].concat(),
        [writes.concat(), step(5, [at, 4, 0, 0, 0]), step(2, [3, at, 4, 0, 0])].concat(),
        [word(0, b"b\0\0\0"), step(10, [at, 1, at, 4, 0]), step(11, [at, 1, 7, ARGS, 21])].concat(),
        [step(7, [4_000, 0, at, 8, 0]), step(8, [1, 0, 0, 0, 0]), step(6, [0; 5])].concat(),
        [step(9, [9, 0, at, 4, 0]), step(3, [2, at, 4, 0, 0])].concat(),
        [word(0, b"\x03\x02\0\0"), step(ANSWER, [at, 3, 0, 0, 0])].concat(),
        step(4, [u32::MAX, 2, 0, u32::MAX, 0]),
        step(0, [0, 4, at, u32::MAX, 0]),
    ];
    programs.to_vec()
}
