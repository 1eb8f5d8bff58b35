//! Which instances live, and when they are dropped. What they remember is nothing, see `forgets`.
use std::collections::BTreeSet;

use synod_abi::testing::MapHost;
use synod_abi::{Fault, SpaceId, limits};
use synod_machine::{Completion, Vm, module_hash};

use super::{answering, counting, number};
use crate::fixtures::{Bench, operation, recipe};

/// Spaces that have an instance.
fn live(bench: &Bench) -> BTreeSet<u32> {
    bench.vm.slots.keys().map(|space| space.0).collect()
}

#[test]
fn an_instance_serves_its_space_until_the_entry_ends() {
    let mut bench = Bench::of(&counting());
    for space in [1, 1, 2, 1] {
        assert_eq!(number(bench.call(space)), 1, "each call begins afresh");
    }
    assert_eq!(live(&bench), [1, 2].into());
    bench.vm.begin_entry(None).expect("the engine is there");
    assert_eq!(live(&bench), [].into());
    assert_eq!(number(bench.call(1)), 1);
}

#[test]
fn an_instance_is_dropped_after_a_trap_and_when_discarded() {
    let mut bench = Bench::of(&counting());
    assert_eq!([number(bench.call(1)), number(bench.call(2))], [1, 1]);
    let (_, trapped) =
        bench.call_with(1, operation(9), &[], MapHost::default()).expect("this host runs recipes");
    assert_eq!(trapped, Completion::Faulted(Fault::Trap));
    assert_eq!(live(&bench), [2].into());
    assert_eq!(number(bench.call(1)), 1);
    bench.vm.discard(SpaceId(1));
    assert_eq!(live(&bench), [2].into());
    assert_eq!(number(bench.call(1)), 1);
}

#[test]
fn the_least_recently_used_instance_makes_room() {
    let mut bench = Bench::of(&counting());
    let spaces = limits::ENTRY_INSTANCES as u32;
    for space in (0..spaces).chain([0, spaces]) {
        assert_eq!(number(bench.call(space)), 1);
    }
    assert_eq!(bench.vm.live_instances(), limits::ENTRY_INSTANCES);
    assert_eq!(live(&bench), (0..=spaces).filter(|space| *space != 1).collect());
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
    assert_eq!([number(bench.call(1)), number(bench.call(1))], [1, 1]);
    let other = recipe(&answering("(i32.const 77)"), "");
    bench.module = module_hash(&other);
    bench.vm.load(bench.module, &other).expect("it compiles");
    assert_eq!(number(bench.call(1)), 77);
}
