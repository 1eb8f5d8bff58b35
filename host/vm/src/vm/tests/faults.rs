//! Every way in which a call ends in a fault.
use synod_abi::testing::MapHost;
use synod_abi::{Fault, ModuleHash, limits};
use synod_machine::Completion;

use super::{counting, fault, outcome};
use crate::fixtures::{Bench, DONE, operation, recipe};

#[test]
fn traps_of_the_guest_are_faults() {
    let table =
        "(table 2 2 funcref) (elem (i32.const 0) $other) (type $none (func)) (func $other (param i64))";
    for (entry, rest) in [
        ("unreachable", ""),
        ("(drop (i32.load (i32.const -4)))", ""),
        ("(i32.store (i32.const 8388605) (i32.const 1))", ""),
        ("(memory.fill (i32.const 8388600) (i32.const 0) (i32.const 9))", ""),
        ("(drop (i32.div_s (i32.const 1) (local.get $id)))", ""),
        ("(drop (i32.div_s (i32.const 0x80000000) (i32.sub (local.get $id) (i32.const 1))))", ""),
        ("(drop (i32.trunc_f32_s (f32.const nan)))", ""),
        ("(call_indirect (type $none) (i32.const 1))", table),
        ("(call_indirect (type $none) (i32.const 0))", table),
        ("(call_indirect (type $none) (i32.const 7))", table),
    ] {
        assert_eq!(fault(&format!("{entry} {DONE}"), rest), Fault::Trap, "{entry}");
    }
}

#[test]
fn people_are_told_which_trap_it_was() {
    let mut bench = Bench::of(&recipe("(drop (i32.div_s (i32.const 1) (local.get $id))) unreachable", ""));
    let (host, _) =
        bench.call_with(1, operation(0), &[], MapHost::default()).expect("this host runs recipes");
    assert_eq!(host.record.lines, ["1 wasm trap: integer divide by zero"]);
}

#[test]
fn an_element_segment_outside_of_the_table_is_the_modules_fault() {
    let element = "(table 1 1 funcref) (elem (i32.const 1) $nothing) (func $nothing)";
    assert_eq!(fault(DONE, element), Fault::Trap);
}

#[test]
fn loops_without_end_run_out_of_fuel() {
    assert_eq!(fault("(loop (br 0)) unreachable", ""), Fault::OutOfFuel);
    assert_eq!(
        fault("(loop (memory.fill (i32.const 2048) (i32.const 1) (i32.const 60000)) (br 0)) unreachable", ""),
        Fault::OutOfFuel
    );
    assert_eq!(fault("(loop (call $nothing) (br 0)) unreachable", "(func $nothing)"), Fault::OutOfFuel);
}

#[test]
fn recursion_without_end_is_too_deep() {
    assert_eq!(fault("(call $entry (local.get $id) (local.get $len))", ""), Fault::TooDeep);
    let table = "(table 1 1 funcref) (elem (i32.const 0) $again) (type $t (func (result i64))) (func $again \
        (type $t) (call_indirect (type $t) (i32.const 0)))";
    assert_eq!(fault("(call $again)", table), Fault::TooDeep);
}

#[test]
fn recursion_up_to_the_limit_is_not_too_deep() {
    let down = "(func $down (param $n i32) (if (local.get $n) (then (call $down (i32.sub (local.get $n) \
        (i32.const 1))))))";
    // Each counts the least, and so does the entry.
    let below = limits::CALL_STACK_BYTES / 4_096 - 2;
    assert_eq!(outcome(&format!("(call $down (i32.const {below})) {DONE}"), down), Completion::Done(vec![]));
    assert_eq!(fault(&format!("(call $down (i32.const {})) {DONE}", below + 1), down), Fault::TooDeep);
}

#[test]
fn every_way_out_of_a_function_counts_down() {
    let rest = r#"
        (func $falls (result i32) (i32.const 1))
        (func $returns (result i32) (block (loop (return (i32.const 1)))) (i32.const 2))
        (func $branches (result i32) (block (br 1 (i32.const 1))) (i32.const 2))
        (func $branches_if (param i32) (result i32)
            (br_if 0 (i32.const 1) (local.get 0)) (drop) (i32.const 1))
        (func $table (param i32) (result i32)
            (block (result i32) (br_table 0 1 1 (i32.const 1) (local.get 0))) (return))
        (func $else (param i32) (if (local.get 0) (then (return)) (else (br 1))))
    "#;
    let each = "
        (drop (call $falls)) (drop (call $returns)) (drop (call $branches))
        (drop (call $branches_if (i32.const 0))) (drop (call $branches_if (i32.const 1)))
        (drop (call $table (i32.const 0))) (drop (call $table (i32.const 1)))
        (call $else (i32.const 0)) (call $else (i32.const 1))";
    let entry = format!(
        "(local $i i32) (loop {each} (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if 0 \
            (i32.lt_u (local.get $i) (i32.const 30000)))) {DONE}"
    );
    let mut bench = Bench::of(&recipe(&entry, rest));
    for _ in 0..2 {
        assert_eq!(bench.call(1), Completion::Done(vec![]));
    }
}

#[test]
fn the_guest_aborts_with_a_code() {
    for (code, expected) in [
        (0, Fault::Panic),
        (1, Fault::CorruptState),
        (2, Fault::OutOfMemory),
        (3, Fault::TooDeep),
        (9, Fault::BadHostCall),
    ] {
        assert_eq!(
            fault(&format!("(call $abort (i32.const {code}) (i32.const 0) (i32.const 0)) unreachable"), ""),
            expected
        );
    }
}

#[test]
fn pointers_outside_of_memory_are_bad_host_calls() {
    for entry in [
        "(drop (call $get (i32.const -1) (i32.const 4) (i32.const 0) (i32.const 0)))",
        "(drop (call $get (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 0)))",
        "(drop (call $get (i32.const 0) (i32.const 4) (i32.const 8388600) (i32.const 9)))",
        "(drop (call $get (i32.const 0) (i32.const 4) (i32.const 3) (i32.const 9)))",
        "(drop (call $range (i32.const 8388608) (i32.const 1) (i32.const 0) (i32.const 9)))",
        "(call $put (i32.const 8388608) (i32.const 1) (i32.const 0) (i32.const 0))",
        "(call $put (i32.const 0) (i32.const 0) (i32.const -2) (i32.const -2))",
        "(call $delete (i32.const -1) (i32.const -1))",
        "(call $log (i32.const 1) (i32.const -1) (i32.const 2))",
        "(drop (call $set_timer (i64.const 1) (i32.const -1) (i32.const 2)))",
        "(drop (call $complete (i64.const 1) (i32.const 8388607) (i32.const 2)))",
        "(call $abort (i32.const 0) (i32.const -1) (i32.const 2))",
        "(call $emit (i32.const -1) (i32.const 2) (i32.const 0) (i32.const 0))",
        "(call $emit (i32.const 0) (i32.const 1) (i32.const 8388607) (i32.const 2))",
        "(call $send (i32.const 8388608) (i32.const 1) (i32.const 7) (i32.const 0) (i32.const 0))",
        "(call $send (i32.const 0) (i32.const 1) (i32.const 7) (i32.const 0) (i32.const -1))",
    ] {
        assert_eq!(fault(&format!("{entry} {DONE}"), ""), Fault::BadHostCall, "{entry}");
    }
}

#[test]
fn faults_of_the_host_end_the_call() {
    assert_eq!(
        fault(&format!("(call $put (i32.const 0) (i32.const 2000) (i32.const 0) (i32.const 0)) {DONE}"), ""),
        Fault::KeyTooLong
    );
}

#[test]
fn a_panic_of_the_host_is_fatal_and_does_not_unwind() {
    let mut bench = Bench::of(&recipe(
        &format!("(drop (call $get (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 8))) {DONE}"),
        "",
    ));
    let host = MapHost { broken: true, ..MapHost::default() };
    let fatal = bench.call_with(1, operation(0), &[], host).expect_err("the host broke");
    assert!(fatal.0.contains("the host broke"), "{fatal}");
}

#[test]
fn calling_a_module_that_was_not_loaded_is_fatal() {
    let mut bench = Bench::of(&counting());
    bench.module = ModuleHash([7; 32]);
    assert!(bench.call_with(1, operation(0), &[], MapHost::default()).is_err());
}
