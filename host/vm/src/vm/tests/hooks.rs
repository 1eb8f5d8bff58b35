//! Hooks: called by their numbers, with the rights of an operation and without a result.
use synod_abi::testing::MapHost;
use synod_abi::{CONTEXT_BYTES, EntryPoint, Fault};
use synod_machine::Completion;

use super::{answering, counting, number};
use crate::fixtures::{Bench, DONE, INPUT, hooked};

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
fn a_hook_and_an_operation_share_the_instance_and_nothing_in_it() {
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
    assert_eq!((completion, number(bench.call(1))), (Completion::Done(vec![]), 1));
    assert_eq!(bench.vm.live_instances(), 1);
}
