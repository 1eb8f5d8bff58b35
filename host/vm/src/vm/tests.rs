//! Recipes written as text, run on an engine with a host on a map.
use synod_abi::Fault;
use synod_machine::Completion;

use crate::fixtures::{Bench, recipe};

mod boundary;
mod faults;
mod forgets;
mod fuel;
mod hooks;
mod instances;

fn outcome(entry: &str, rest: &str) -> Completion {
    Bench::of(&recipe(entry, rest)).call(1)
}

fn fault(entry: &str, rest: &str) -> Fault {
    match outcome(entry, rest) {
        Completion::Faulted(fault) => fault,
        other => panic!("{entry} ended with {other:?}"),
    }
}

/// Answers the i32 on the stack, as four bytes.
const ANSWER: &str = "(local $n i32) (local.set $n) (i32.store8 (i32.const 2048) (i32.const 0)) (i32.store \
    (i32.const 2049) (local.get $n)) (i64.const 0x80000000005)";

fn number(completion: Completion) -> i32 {
    match completion {
        Completion::Done(bytes) => i32::from_le_bytes(bytes.try_into().expect("four bytes")),
        other => panic!("no number but {other:?}"),
    }
}

/// An entry that answers `value`.
fn answering(value: &str) -> String {
    ANSWER.replace("(local.set $n)", &format!("(local.set $n {value})"))
}

/// Counts its calls in a global.
fn counting() -> Vec<u8> {
    let count = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))";
    let entry = format!(
        "(local $n i32) {count} (if (i32.eq (local.get $id) (i32.const 9)) (then unreachable)) {}",
        answering("(global.get $calls)").replace("(local $n i32)", "")
    );
    recipe(&entry, "(global $calls (mut i32) (i32.const 0))")
}
