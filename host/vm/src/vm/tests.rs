//! Every way in which a call ends, and what an instance may and may not remember.
use synod_abi::{CONTEXT_BYTES, EntryPoint, Fault, OperationId, SpaceId, limits};
use synod_machine::{Completion, Vm, module_hash};

use crate::fixtures::{Bench, DONE, INPUT, MapHost, hooked, operation, recipe};

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
    assert_eq!(host.lines, ["wasm trap: integer divide by zero"]);
}

#[test]
fn a_data_segment_outside_of_memory_is_the_modules_fault() {
    let data = r#"(data (i32.add (i32.const 8388607) (i32.const 1)) "x")"#;
    assert_eq!(fault(DONE, data), Fault::Trap);
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
    let below = limits::CALL_DEPTH - 2;
    assert_eq!(outcome(&format!("(call $down (i32.const {below})) {DONE}"), down), Completion::Done(vec![]));
    assert_eq!(fault(&format!("(call $down (i32.const {})) {DONE}", below + 1), down), Fault::TooDeep);
}

#[test]
fn every_way_out_of_a_function_counts_down() {
    let rest = r#"
        (func $falls (result i32) (i32.const 1))
        (func $returns (result i32) (block (loop (return (i32.const 1)))) (i32.const 2))
        (func $branches (result i32) (block (br 1 (i32.const 1))) (i32.const 2))
        (func $branches_if (param i32) (result i32) (br_if 0 (i32.const 1) (local.get 0)) (drop) (i32.const 1))
        (func $table (param i32) (result i32) (block (result i32) (br_table 0 1 1 (i32.const 1) (local.get 0))) (return))
        (func $else (param i32) (if (local.get 0) (then (return)) (else (br 1))))
    "#;
    let each = "(drop (call $falls)) (drop (call $returns)) (drop (call $branches)) (drop (call \
        $branches_if (i32.const 0)))
        (drop (call $branches_if (i32.const 1))) (drop (call $table (i32.const 0))) (drop (call $table (i32.const 1))) (call $else (i32.const 0)) (call $else (i32.const 1))";
    let entry = format!(
        "(local $i i32) (loop {each} (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if 0 \
            (i32.lt_u (local.get $i) (i32.const 5000)))) {DONE}"
    );
    let mut bench = Bench::of(&recipe(&entry, rest));
    for _ in 0..2 {
        assert_eq!(bench.call(1), Completion::Done(vec![]));
    }
}

#[test]
fn memory_has_a_fixed_size() {
    assert_eq!(number(outcome(&answering("(memory.size)"), "")), limits::MEMORY_PAGES as i32);
    assert_eq!(number(outcome(&answering("(memory.grow (i32.const 1))"), "")), -1);
    assert_eq!(number(outcome(&answering("(memory.grow (i32.const 65535))"), "")), -1);
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
fn replies_that_are_none_are_bad() {
    for place in ["0", "-1", "0x40000000000", "0x7fffff00000002", "0x80000000001"] {
        let nine = r#"(data (i32.const 2048) "\09")"#;
        assert_eq!(fault(&format!("(i64.const {place})"), nine), Fault::BadReply, "{place}");
    }
    assert_eq!(fault("(i64.const 0x80000000001)", r#"(data (i32.const 2048) "\02")"#), Fault::BadArguments);
}

#[test]
fn a_business_error_comes_with_its_code() {
    let error = r#"(data (i32.const 2048) "\01\07\00\00\00\2a")"#;
    assert_eq!(outcome("(i64.const 0x80000000006)", error), Completion::Refused { code: 7, error: vec![42] });
}

#[test]
fn context_and_arguments_lie_in_the_input_buffer() {
    let first_argument = answering(&format!(
        "(i32.add (local.get $len) (i32.load8_u (i32.const {})))",
        INPUT as usize + CONTEXT_BYTES
    ));
    let mut bench = Bench::of(&recipe(&first_argument, ""));
    let (_, completion) =
        bench.call_with(1, operation(0), &[100, 1, 1], MapHost::default()).expect("this host runs recipes");
    assert_eq!(number(completion), 100 + 3 + CONTEXT_BYTES as i32);
    let longest = vec![7; limits::ARGS_BYTES];
    assert!(matches!(
        bench.call_with(1, operation(0), &longest, MapHost::default()),
        Ok((_, Completion::Done(_)))
    ));
    let longer = vec![7; limits::ARGS_BYTES + 1];
    let (_, refused) =
        bench.call_with(1, operation(0), &longer, MapHost::default()).expect("this host runs recipes");
    assert_eq!(refused, Completion::Faulted(Fault::BadArguments));
}

#[test]
fn rows_reach_the_host_and_come_back() {
    let entry = format!(
        "(call $put (i32.const 1030) (i32.const 3) (i32.const 1040) (i32.const 4)) {}",
        answering(
            "(i32.add (call $get (i32.const 1030) (i32.const 3) (i32.const 4096) (i32.const 64)) \
            (i32.load (i32.const 4096)))"
        )
    )
    .replacen("(local $n i32)", "", 1);
    let rest = r#"(data (i32.const 1030) "key") (data (i32.const 1040) "\07\00\00\00")"#;
    let mut bench = Bench::of(&recipe(&format!("(local $n i32) {entry}"), rest));
    let (host, completion) =
        bench.call_with(1, operation(0), &[], MapHost::default()).expect("this host runs recipes");
    assert_eq!(number(completion), 4 + 7);
    assert_eq!(host.rows.get(&b"key"[..]), Some(&vec![7, 0, 0, 0]));
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

#[test]
fn an_instance_serves_its_space_until_the_entry_ends() {
    let mut bench = Bench::of(&counting());
    assert_eq!(
        [number(bench.call(1)), number(bench.call(1)), number(bench.call(2)), number(bench.call(1))],
        [1, 2, 1, 3]
    );
    bench.vm.begin_entry();
    assert_eq!(number(bench.call(1)), 1);
}

#[test]
fn an_instance_is_dropped_after_a_trap_and_when_discarded() {
    let mut bench = Bench::of(&counting());
    assert_eq!([number(bench.call(1)), number(bench.call(1))], [1, 2]);
    let (_, trapped) =
        bench.call_with(1, operation(9), &[], MapHost::default()).expect("this host runs recipes");
    assert_eq!(trapped, Completion::Faulted(Fault::Trap));
    assert_eq!(number(bench.call(1)), 1);
    bench.vm.discard(SpaceId(1));
    assert_eq!(number(bench.call(1)), 1);
}

#[test]
fn the_least_recently_used_instance_makes_room() {
    let mut bench = Bench::of(&counting());
    let spaces = limits::ENTRY_INSTANCES as u32;
    for space in 0..spaces {
        assert_eq!(number(bench.call(space)), 1);
    }
    assert_eq!(number(bench.call(0)), 2);
    assert_eq!(number(bench.call(spaces)), 1);
    assert_eq!(bench.vm.live_instances(), limits::ENTRY_INSTANCES);
    assert_eq!([number(bench.call(0)), number(bench.call(2)), number(bench.call(1))], [3, 2, 1]);
}

#[test]
fn hundreds_of_spaces_in_an_entry_do_not_exhaust_the_pool() {
    let mut bench = Bench::of(&counting());
    for space in 0..300 {
        assert_eq!(number(bench.call(space)), 1);
    }
}

#[test]
fn another_module_in_a_space_gets_its_own_instance() {
    let mut bench = Bench::of(&counting());
    assert_eq!([number(bench.call(1)), number(bench.call(1))], [1, 2]);
    let other = recipe(&answering("(i32.const 77)"), "");
    bench.module = module_hash(&other);
    bench.vm.load(bench.module, &other).expect("it compiles");
    assert_eq!(number(bench.call(1)), 77);
}

#[test]
fn the_same_call_uses_the_same_fuel_in_a_fresh_and_in_a_used_instance() {
    let mut bench = Bench::of(&counting());
    let mut used = Vec::new();
    for space in [1, 1, 2, 1] {
        bench.call(space);
        used.push(bench.vm.fuel_used());
    }
    assert!(used[0] > 0);
    assert_eq!(used, vec![used[0]; 4]);
    let mut again = Bench::of(&counting());
    again.call(1);
    assert_eq!(again.vm.fuel_used(), used[0]);
}

#[test]
fn a_query_on_the_apply_engine_cannot_write() {
    let write = format!("(call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)) {DONE}");
    let mut bench = Bench::of(&recipe(&write, ""));
    let query = EntryPoint::Query(OperationId(0));
    let (host, completion) =
        bench.call_with(1, query, &[], MapHost::default()).expect("this host runs recipes");
    assert_eq!(completion, Completion::Faulted(Fault::BadHostCall));
    assert!(host.rows.is_empty());
    assert_eq!(bench.call(1), Completion::Done(vec![]));
}

#[test]
fn operations_answer_later_or_now() {
    let replies = r#"(data (i32.const 2048) "\03\04\2a")"#;
    assert_eq!(outcome("(i64.const 0x80000000001)", replies), Completion::Later);
    assert_eq!(
        fault("(i64.const 0x80000000002)", replies),
        Fault::BadReply,
        "an answer for later has no payload"
    );
    assert_eq!(outcome("(i64.const 0x80100000002)", replies), Completion::Now(vec![42]));
    let mut bench = Bench::of(&recipe("(i64.const 0x80000000001)", replies));
    let (_, completion) = bench
        .call_with(1, EntryPoint::Query(OperationId(0)), &[], MapHost::default())
        .expect("this host runs recipes");
    assert_eq!(completion, Completion::Faulted(Fault::BadReply));
}

#[test]
fn timers_and_completions_reach_the_host() {
    let entry = format!(
        "(local $n i32) (local $t i64)
        (local.set $t (call $set_timer (i64.const 0x100000001) (i32.const 1030) (i32.const 3)))
        (drop (call $set_timer (i64.const 7) (i32.const 0) (i32.const 0)))
        (local.set $n (i32.mul (call $cancel_timer (i64.const 2)) (i32.const 100)))
        (local.set $n (i32.add (local.get $n) (i32.mul (call $complete (i64.const 5) (i32.const 1024) (i32.const 1)) (i32.const 10))))
        (local.set $n (i32.add (local.get $n) (call $complete (i64.const 500) (i32.const 1030) (i32.const 3))))
        {}",
        answering("(i32.add (local.get $n) (i32.mul (i32.wrap_i64 (local.get $t)) (i32.const 1000)))").replace("(local $n i32)", "")
    );
    let mut bench = Bench::of(&recipe(&entry, r#"(data (i32.const 1030) "key")"#));
    let (host, completion) =
        bench.call_with(1, operation(0), &[], MapHost::default()).expect("this host runs recipes");
    assert_eq!(
        number(completion),
        1_110,
        "the first timer's id, one cancelled, the first completed, the second not"
    );
    assert_eq!(host.timers, [(1, (0x1_0000_0001, b"key".to_vec()))].into());
    assert_eq!(host.completed, [(5, vec![0]), (500, b"key".to_vec())]);
}

#[test]
fn events_and_sends_reach_the_host_in_order() {
    let entry = format!(
        "(call $emit (i32.const 1030) (i32.const 3) (i32.const 1033) (i32.const 2))
        (call $send (i32.const 1033) (i32.const 2) (i32.const -7) (i32.const 1030) (i32.const 1))
        (call $send (i32.const 1030) (i32.const 3) (i32.const 7) (i32.const 0) (i32.const 0))
        (call $emit (i32.const 1030) (i32.const 1) (i32.const 0) (i32.const 0))
        (if (i32.eq (local.get $id) (i32.const 9)) (then (call $emit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))) {DONE}"
    );
    let mut bench = Bench::of(&recipe(&entry, r#"(data (i32.const 1030) "topic")"#));
    let (host, completion) =
        bench.call_with(1, operation(0), &[], MapHost::default()).expect("this host runs recipes");
    assert_eq!(completion, Completion::Done(vec![]));
    assert_eq!(host.emitted, [(b"top".to_vec(), b"ic".to_vec()), (b"t".to_vec(), vec![])]);
    assert_eq!(host.sent, [(b"ic".to_vec(), -7_i32 as u32, b"t".to_vec()), (b"top".to_vec(), 7, vec![])]);
    let (_, completion) =
        bench.call_with(1, operation(9), &[], MapHost::default()).expect("this host runs recipes");
    assert_eq!(completion, Completion::Faulted(Fault::BadTopic));
}

/// Counts to its first argument byte times 256, and then ends as `end` has it.
fn counting_then(end: &str) -> Vec<u8> {
    let first = INPUT as usize + CONTEXT_BYTES;
    let entry = format!(
        "(local $i i32) (local.set $i (i32.shl (i32.load8_u (i32.const {first})) (i32.const 8)))
        (loop (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if 0 (i32.gt_s (local.get $i) (i32.const 0)))) {end}"
    );
    recipe(&entry, "(func $nothing)")
}

/// How a call with `fuel` ended, and what it used of it.
fn used(bench: &mut Bench, rounds: u8, fuel: u64) -> (Completion, u64) {
    let (_, completion) = bench
        .call_fuelled(1, operation(0), &[rounds], MapHost::default(), fuel)
        .expect("this host runs recipes");
    (completion, bench.vm.fuel_used())
}

#[test]
fn what_a_call_used_is_known_to_the_unit_however_it_ends() {
    let ends = [
        (DONE, Completion::Done(vec![])),
        ("(i64.const 0x7fffff00000002)", Completion::Faulted(Fault::BadReply)),
        ("unreachable", Completion::Faulted(Fault::Trap)),
        (
            "(call $abort (i32.const 0) (i32.const 0) (i32.const 0)) unreachable",
            Completion::Faulted(Fault::Panic),
        ),
        (
            "(call $emit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)) unreachable",
            Completion::Faulted(Fault::BadTopic),
        ),
        (
            "(call $put (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 0)) unreachable",
            Completion::Faulted(Fault::BadHostCall),
        ),
    ];
    for (end, expected) in ends {
        let mut bench = Bench::of(&counting_then(end));
        let few = used(&mut bench, 1, limits::CALL_FUEL);
        let more = used(&mut bench, 2, limits::CALL_FUEL);
        let most = used(&mut bench, 4, limits::CALL_FUEL);
        assert_eq!((&few.0, &more.0), (&expected, &expected), "{end}");
        assert!(more.1 > few.1 + 256, "{end}: {few:?} {more:?}");
        assert_eq!(most.1 - more.1, 2 * (more.1 - few.1), "{end}: a round costs the same");
        assert_eq!(used(&mut bench, 4, most.1 + 1), most, "{end}: the budget does not change what is used");
        let scarce = used(&mut bench, 4, most.1 / 2);
        assert_eq!(
            scarce,
            (Completion::Faulted(Fault::OutOfFuel), most.1 / 2),
            "{end}: who runs out has used all"
        );
    }
}

#[test]
fn a_call_without_fuel_is_out_of_it() {
    let mut bench = Bench::of(&counting_then(DONE));
    for fuel in [0, 1] {
        assert_eq!(used(&mut bench, 1, fuel), (Completion::Faulted(Fault::OutOfFuel), fuel));
    }
    let (_, completion) =
        bench.call_fuelled(1, EntryPoint::Event, &[], MapHost::default(), 5).expect("this host runs recipes");
    assert_eq!(
        (completion, bench.vm.fuel_used()),
        (Completion::Faulted(Fault::BadArguments), 0),
        "nothing of it ran"
    );
}

#[test]
fn where_the_processor_traps_a_call_used_a_share_at_least() {
    for end in [
        "(drop (i32.load (i32.const -4)))",
        "(memory.fill (i32.const 8388600) (i32.const 0) (i32.const 9))",
        "(drop (i32.div_s (i32.const 1) (local.get $id)))",
        "(drop (i32.trunc_f32_s (f32.const nan)))",
    ] {
        let mut bench = Bench::of(&counting_then(&format!("{end} {DONE}")));
        let trapped = |used| (Completion::Faulted(Fault::Trap), used);
        assert_eq!(used(&mut bench, 255, limits::CALL_FUEL), trapped(limits::TRAP_FUEL), "{end}");
        assert_eq!(used(&mut bench, 1, 10_000), trapped(10_000), "{end}: no more than it had");
    }
    let known = "(local.set $i (i32.const 600000)) (loop (local.set $i (i32.sub (local.get $i) (i32.const \
        1))) (br_if 0 (local.get $i))) (call $nothing) (drop (i32.load (i32.const -4)))";
    let (_, spent) = used(&mut Bench::of(&counting_then(&format!("{known} {DONE}"))), 1, limits::CALL_FUEL);
    assert!(spent > limits::TRAP_FUEL, "what was counted at the last call stands: {spent}");
}

#[test]
fn hooks_are_called_by_their_numbers_and_write() {
    let entry = format!(
        "(i32.store (i32.const 2048) (local.get $id)) (call $put (i32.const 2048) (i32.const 1) (i32.const \
            {INPUT}) (local.get $len)) {DONE}"
    );
    let mut bench = Bench::of(&hooked(&entry, ""));
    for (hook, number) in
        [(EntryPoint::SessionEnd, 1), (EntryPoint::Timer, 2), (EntryPoint::Cancel, 3), (EntryPoint::Event, 4)]
    {
        let (host, completion) =
            bench.call_with(1, hook, &[9, 8], MapHost::default()).expect("this host runs recipes");
        assert_eq!(completion, Completion::Done(vec![]));
        let (key, input) = host.rows.first_key_value().expect("the hook wrote a row");
        assert_eq!(
            (key.as_slice(), input.len(), &input[CONTEXT_BYTES..]),
            (&[number][..], CONTEXT_BYTES + 2, &[9, 8][..])
        );
    }
}

#[test]
fn a_hook_answers_nothing() {
    for (place, expected) in [
        ("0x80000000002", Fault::BadReply),
        ("0x80100000001", Fault::BadReply),
        ("0x80200000001", Fault::BadArguments),
    ] {
        let replies = r#"(data (i32.const 2048) "\00\03\02")"#;
        let mut bench = Bench::of(&hooked(&format!("(i64.const {place})"), replies));
        for hook in [EntryPoint::Timer, EntryPoint::Event] {
            let (_, completion) =
                bench.call_with(1, hook, &[], MapHost::default()).expect("this host runs recipes");
            assert_eq!(completion, Completion::Faulted(expected), "{place}");
        }
    }
}

#[test]
fn a_recipe_without_hooks_does_not_know_them() {
    let mut bench = Bench::of(&counting());
    for hook in [EntryPoint::SessionEnd, EntryPoint::Event] {
        let (_, completion) =
            bench.call_with(1, hook, &[], MapHost::default()).expect("this host runs recipes");
        assert_eq!(completion, Completion::Faulted(Fault::BadArguments));
    }
    assert_eq!(number(bench.call(1)), 1);
}

#[test]
fn a_hook_and_an_operation_share_the_instance() {
    let count = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))";
    let entry = format!(
        "(local $n i32) {count} (if (i32.and (i32.gt_u (local.get $id) (i32.const 0)) (i32.lt_u (local.get \
            $id) (i32.const 4))) (then (return {DONE}))) {}",
        answering("(global.get $calls)").replace("(local $n i32)", "")
    );
    let mut bench = Bench::of(&hooked(&entry, "(global $calls (mut i32) (i32.const 0))"));
    assert_eq!(number(bench.call(1)), 1);
    let (_, completion) =
        bench.call_with(1, EntryPoint::Cancel, &[], MapHost::default()).expect("this host runs recipes");
    assert_eq!((completion, number(bench.call(1))), (Completion::Done(vec![]), 3));
}

#[test]
fn a_panic_of_the_host_is_fatal_and_does_not_unwind() {
    let mut bench = Bench::of(&recipe(
        &format!("(drop (call $get (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 8))) {DONE}"),
        "",
    ));
    let host = MapHost { panics: true, ..MapHost::default() };
    let fatal = bench.call_with(1, operation(0), &[], host).expect_err("the host broke");
    assert!(fatal.0.contains("the host broke"), "{fatal}");
}

#[test]
fn calling_a_module_that_was_not_loaded_is_fatal() {
    let mut bench = Bench::of(&counting());
    bench.module = synod_abi::ModuleHash([7; 32]);
    assert!(bench.call_with(1, operation(0), &[], MapHost::default()).is_err());
}
