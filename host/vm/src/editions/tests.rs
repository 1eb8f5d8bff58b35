//! A cluster's move from one edition to the next, as a member's engine sees it.
use synod_abi::testing::MapHost;
use synod_abi::{Context, SpaceId, limits};
use synod_machine::{Completion, Environment, Invocation, Vm, module_hash};

use super::*;
use crate::WasmVm;
use crate::compile::InProcess;
use crate::fixtures::{DONE, operation, recipe};

/// Divides a hundred times, then answers.
const DIVIDING: &str = "(local $n i32) (local.set $n (i32.const 100)) (loop $again
    (drop (i32.div_u (i32.const 7) (local.get $n)))
    (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))";
const DIVISIONS: u64 = 100;

fn editions() -> Editions {
    let made = [Edition::First, Edition::Next]
        .map(|edition| Modules::new(edition, None, Arc::new(InProcess), CODE_MEMORY_BYTES));
    made.into_iter().map(|modules| modules.expect("the engines start")).collect()
}

fn environment(modules: &Modules) -> Environment {
    Environment { semantics: 1, engine: modules.engine_fingerprint() }
}

/// Calls `module` in an entry of `environment`, and returns what it cost.
fn cost(vm: &mut WasmVm<MapHost>, environment: Environment, module: &[u8]) -> u64 {
    vm.begin_entry(Some(environment)).expect("the edition is there");
    let hash = module_hash(module);
    if !vm.is_loaded(hash) {
        vm.load(hash, module).expect("it is admitted");
    }
    let context = Context::default();
    let invocation = Invocation {
        space: SpaceId(1),
        module: hash,
        entry_point: operation(1),
        context: &context,
        args: &[],
        fuel: limits::CALL_FUEL,
    };
    let (_, completion) = vm.invoke(invocation, MapHost::default()).expect("this host runs recipes");
    assert!(matches!(completion, Completion::Done(_)), "{completion:?}");
    vm.fuel_used()
}

#[test]
fn entries_run_in_the_edition_that_they_say_and_nothing_of_another_serves_them() {
    let editions = editions();
    let [first, next] = [0, 1].map(|n: usize| environment(&editions.all[n]));
    let module = recipe(&format!("{DIVIDING} {DONE}"), "");
    let mut vm = WasmVm::new(editions).expect("the host calls link");
    let before = cost(&mut vm, first, &module);
    let after = cost(&mut vm, next, &module);
    assert_eq!(after - before, DIVISIONS, "a division costs one more");
    assert_eq!(cost(&mut vm, next, &module), after);
    assert_eq!(cost(&mut vm, first, &module), before, "as when entries are applied again after a crash");
}

#[test]
fn an_entry_of_an_edition_that_this_build_does_not_have_stops_the_member() {
    let mut vm = WasmVm::<MapHost>::new(editions()).expect("the host calls link");
    let unknown = Environment { semantics: 1, engine: [9; 32] };
    let stopped = vm.begin_entry(Some(unknown)).expect_err("there is no engine for it");
    assert!(stopped.0.contains("no engine for the execution environment"), "{stopped}");
}

#[test]
fn modules_are_prepared_for_the_present_edition_and_newer_ones() {
    let editions = editions();
    let module = recipe(DONE, "");
    let hash = module_hash(&module);
    let next = environment(&editions.all[1]);
    let mut vm = WasmVm::<MapHost>::new(editions.clone()).expect("the host calls link");
    let is_prepared = || [0, 1].map(|n: usize| editions.all[n].is_prepared(hash));
    editions.prepare(hash, &module, &Wanted::always()).expect("it compiles");
    assert_eq!(is_prepared(), [true, true]);
    vm.begin_entry(Some(next)).expect("the edition is there");
    assert_eq!(is_prepared(), [false, true], "the code of the edition that was left leaves memory");
    let other = recipe(DONE, "(func (nop))");
    editions.prepare(module_hash(&other), &other, &Wanted::always()).expect("it compiles");
    assert!(!editions.all[0].is_prepared(module_hash(&other)));
}

#[test]
fn both_editions_keep_their_code_in_one_directory_and_what_is_not_installed_goes_from_both() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = || std::fs::read_dir(directory.path()).expect("the directory is ours").count() - 1;
    let [one, two] = [recipe(DONE, ""), recipe(DONE, "(func (nop))")];
    let open = || Editions::with_cache(directory.path(), Arc::new(InProcess)).expect("the engines start");
    let editions = open();
    for (module, modules) in
        [&one, &two].into_iter().flat_map(|one| editions.all.iter().map(move |m| (one, m)))
    {
        modules.prepare_committed(module_hash(module), module).expect("it compiles");
    }
    assert_eq!(files(), 8);
    assert_eq!((open().all.len(), files()), (2, 8), "nothing is lost at the next start");
    editions.retain(&BTreeSet::from([module_hash(&two)]));
    assert_eq!(files(), 4);
}
