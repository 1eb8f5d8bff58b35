//! What crosses the boundary: replies, arguments, memory and host calls.
use synod_abi::testing::{MapHost, Record};
use synod_abi::{CONTEXT_BYTES, EntryPoint, Fault, OperationId, limits};
use synod_machine::Completion;

use super::{answering, fault, number, outcome};
use crate::fixtures::{Bench, DONE, INPUT, operation, recipe};

#[test]
fn memory_has_a_fixed_size() {
    assert_eq!(number(outcome(&answering("(memory.size)"), "")), limits::MEMORY_PAGES as i32);
    assert_eq!(number(outcome(&answering("(memory.grow (i32.const 1))"), "")), -1);
    assert_eq!(number(outcome(&answering("(memory.grow (i32.const 65535))"), "")), -1);
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
    assert_eq!(outcome("(i64.const 0x80000000001)", replies), Completion::Later { tickets: 1 });
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
        (local.set $n (i32.add (local.get $n) (i32.mul (i32.const 10)
            (call $complete (i64.const 5) (i32.const 1024) (i32.const 1)))))
        (local.set $n (i32.add (local.get $n)
            (call $complete (i64.const 500) (i32.const 1030) (i32.const 3))))
        {}",
        answering("(i32.add (local.get $n) (i32.mul (i32.wrap_i64 (local.get $t)) (i32.const 1000)))")
            .replace("(local $n i32)", "")
    );
    let record = Record { waiting: vec![5], ..Record::default() };
    let host = MapHost { record: record.into(), ..MapHost::default() };
    let mut bench = Bench::of(&recipe(&entry, r#"(data (i32.const 1030) "key")"#));
    let (host, completion) = bench.call_with(1, operation(0), &[], host).expect("this host runs recipes");
    assert_eq!(
        number(completion),
        1_110,
        "the first timer's id, one cancelled, the first completed, the second not"
    );
    assert_eq!(host.record.timers, [(1, (0x1_0000_0001, b"key".to_vec()))].into());
    assert_eq!(host.record.completed, [(5, vec![0])]);
    assert_eq!(host.record.late, [(500, b"key".to_vec())]);
}

#[test]
fn events_and_sends_reach_the_host_in_order() {
    let entry = format!(
        "(call $emit (i32.const 1030) (i32.const 3) (i32.const 1033) (i32.const 2))
        (call $send (i32.const 1033) (i32.const 2) (i32.const -7) (i32.const 1030) (i32.const 1))
        (call $send (i32.const 1030) (i32.const 3) (i32.const 7) (i32.const 0) (i32.const 0))
        (call $emit (i32.const 1030) (i32.const 1) (i32.const 0) (i32.const 0))
        (if (i32.eq (local.get $id) (i32.const 9))
            (then (call $emit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))) {DONE}"
    );
    let mut bench = Bench::of(&recipe(&entry, r#"(data (i32.const 1030) "topic")"#));
    let (host, completion) =
        bench.call_with(1, operation(0), &[], MapHost::default()).expect("this host runs recipes");
    assert_eq!(completion, Completion::Done(vec![]));
    assert_eq!(host.record.emitted, [("top".to_string(), b"ic".to_vec()), ("t".to_string(), vec![])]);
    let first = ("ic".to_string(), OperationId(-7_i32 as u32), b"t".to_vec());
    assert_eq!(host.record.sent, [first, ("top".to_string(), OperationId(7), vec![])]);
    let (_, completion) =
        bench.call_with(1, operation(9), &[], MapHost::default()).expect("this host runs recipes");
    assert_eq!(completion, Completion::Faulted(Fault::BadTopic));
}
