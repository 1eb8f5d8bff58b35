//! What a call uses of its fuel, to the unit, however it ends.
use synod_abi::testing::MapHost;
use synod_abi::{CONTEXT_BYTES, EntryPoint, Fault, limits};
use synod_machine::{Completion, Vm};

use super::counting;
use crate::fixtures::{Bench, DONE, INPUT, operation, recipe};

/// Counts to its first argument byte times 256, and then ends as `end` has it.
fn counting_then(end: &str) -> Vec<u8> {
    let first = INPUT as usize + CONTEXT_BYTES;
    let entry = format!(
        "(local $i i32) (local.set $i (i32.shl (i32.load8_u (i32.const {first})) (i32.const 8)))
        (loop (local.set $i (i32.sub (local.get $i) (i32.const 1)))
            (br_if 0 (i32.gt_s (local.get $i) (i32.const 0)))) {end}"
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
fn host_calls_take_from_the_fuel_of_the_call_and_the_recipe_goes_on_with_the_rest() {
    let tokens = "(drop (call $next_token))".repeat(3);
    let mut bench = Bench::of(&counting_then(&format!("{tokens} {DONE}")));
    let mut priced = |price, fuel| {
        let host = MapHost { price, ..MapHost::default() };
        let (host, completion) =
            bench.call_fuelled(1, operation(0), &[1], host, fuel).expect("this host runs recipes");
        (completion, bench.vm.fuel_used(), host.record.tokens)
    };
    let (done, out) = (Completion::Done(vec![]), Completion::Faulted(Fault::OutOfFuel));
    let (_, free, _) = priced(0, limits::CALL_FUEL);
    assert_eq!(priced(100_000, limits::CALL_FUEL), (done.clone(), free + 300_000, 3));
    assert_eq!(priced(100_000, free + 300_001), (done, free + 300_000, 3), "what is left does for the rest");
    assert_eq!(priced(100_000, free + 150_000), (out.clone(), free + 150_000, 1));
    assert_eq!(priced(u64::MAX, limits::CALL_FUEL), (out, limits::CALL_FUEL, 0));
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
    let known = "(local.set $i (i32.const 3000000)) (loop (local.set $i (i32.sub (local.get $i) (i32.const \
        1))) (br_if 0 (local.get $i))) (call $nothing) (drop (i32.load (i32.const -4)))";
    let (_, spent) = used(&mut Bench::of(&counting_then(&format!("{known} {DONE}"))), 1, limits::CALL_FUEL);
    assert!(spent > limits::TRAP_FUEL, "what was counted at the last call stands: {spent}");
}
