//! Preparing modules: what is refused, what is shared, and that a restart finds its work done.
use std::fs;

use synod_abi::{AdmissionError, Context, EntryPoint, OperationId};
use synod_machine::{Completion, Invocation, QueryVm, Vm, module_hash};

use synod_abi::testing::MapHost;

use super::*;
use crate::fixtures::{DONE, modules, operation, recipe, wasm};
use crate::{QueryEngine, Wanted, WasmVm};

#[test]
fn bytes_of_another_hash_are_refused() {
    let module = recipe(DONE, "");
    let wrong = PrepareError::WrongHash { expected: ModuleHash([1; 32]), actual: module_hash(&module) };
    assert_eq!(modules().prepare(ModuleHash([1; 32]), &module), Err(wrong));
    assert!(!modules().is_prepared(ModuleHash([1; 32])));
}

#[test]
fn what_is_not_admitted_is_not_compiled() {
    let module = wasm("(module)");
    let missing = AdmissionError::MissingExport { name: "memory".to_string() };
    assert_eq!(modules().prepare(module_hash(&module), &module), Err(PrepareError::NotAdmitted(missing)));
}

#[test]
fn many_may_prepare_one_module_at_once() {
    let modules = Modules::in_memory().expect("the engines start");
    let module = recipe(DONE, "(func (nop))");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(modules.prepare(module_hash(&module), &module), Ok(())));
        }
    });
    assert_eq!(modules.registry.read().expect("nobody panicked").kept.len(), 1);
}

#[test]
fn a_module_that_compiles_too_long_is_given_up_and_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let modules = Modules::with_cache(directory.path()).expect("the engines start");
    let slow = recipe(
        "(drop (call $slow)) (i64.const 0)",
        &format!("(func $slow (result f64) f64.const 0 {})", "call $slow f64.add ".repeat(4_000)),
    );
    let deadline = Instant::now() + Duration::from_millis(1);
    let given_up = modules.prepare_until(module_hash(&slow), &slow, Some(deadline));
    assert!(matches!(given_up, Err(PrepareError::TooSlow { .. })));
    let busy = modules.prepare_until(module_hash(&recipe(DONE, "")), &recipe(DONE, ""), Some(Instant::now()));
    assert!(matches!(busy, Err(PrepareError::Busy)));
    works(&modules, &recipe(DONE, ""));
    assert!(!modules.is_prepared(module_hash(&slow)));
    assert_eq!(
        fs::read_dir(directory.path()).expect("it is there").count(),
        3,
        "the key, and the other module twice"
    );
}

/// Runs an operation and a query of `module`.
fn works(modules: &Arc<Modules>, module: &[u8]) {
    let context = Context::default();
    let mut vm = WasmVm::new(modules.clone()).expect("the host calls link");
    Vm::<MapHost>::load(&mut vm, module_hash(module), module).expect("it is admitted");
    let invocation = Invocation {
        space: synod_abi::SpaceId(1),
        module: module_hash(module),
        entry_point: operation(1),
        context: &context,
        args: &[],
        fuel: synod_abi::limits::CALL_FUEL,
    };
    assert_eq!(
        vm.invoke(invocation, MapHost::default()).expect("this host runs recipes").1,
        Completion::Done(vec![])
    );
    let engine = QueryEngine::new(modules.clone(), Duration::from_secs(60)).expect("a clock starts");
    let query = Invocation { entry_point: EntryPoint::Query(OperationId(1)), ..invocation };
    let answer = engine
        .asked(&Wanted::always())
        .query(query, MapHost::default(), |_| unreachable!("the module is loaded"));
    assert_eq!(answer.expect("this host runs queries").1, Completion::Done(vec![]));
}

#[test]
fn a_restart_runs_what_was_compiled_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let module = recipe(DONE, "");
    let compiled = || {
        let mut files: Vec<_> = fs::read_dir(directory.path())
            .expect("it is there")
            .map(|entry| entry.expect("it is readable"))
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".compiled"))
            .map(|entry| {
                (
                    entry.file_name(),
                    entry.metadata().expect("it is readable").modified().expect("files have times"),
                )
            })
            .collect();
        files.sort();
        files
    };
    works(&Modules::with_cache(directory.path()).expect("the engines start"), &module);
    let first = compiled();
    assert_eq!(first.len(), 2);
    let again = Modules::with_cache(directory.path()).expect("the engines start");
    works(&again, &module);
    assert_eq!(compiled(), first);
    let unused = Modules::with_cache(directory.path()).expect("the engines start");
    unused.retain(&BTreeSet::from([module_hash(&module)]));
    assert_eq!(compiled(), first);
    unused.retain(&BTreeSet::new());
    assert!(compiled().is_empty());
}

/// A recipe of its own for every `n`.
fn numbered(n: usize) -> Vec<u8> {
    recipe(DONE, &format!("(func (drop (i32.const {n})))"))
}

/// The files of compiled code in `directory`.
fn files(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).expect("it is there");
    entries
        .filter(|entry| {
            entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "compiled"))
        })
        .count()
}

#[test]
fn a_module_that_is_no_longer_installed_leaves_memory_disk_and_links_and_can_come_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let modules = Modules::with_cache(directory.path()).expect("the engines start");
    let mut vm = WasmVm::<MapHost>::new(modules.clone()).expect("the host calls link");
    let [stays, goes] = [numbered(1), numbered(2)];
    for module in [&stays, &goes] {
        modules.prepare(module_hash(module), module).expect("it compiles");
        vm.load(module_hash(module), module).expect("it is prepared");
    }
    vm.retain(&BTreeSet::from([module_hash(&stays), module_hash(&goes)]));
    assert!(vm.is_loaded(module_hash(&stays)) && vm.is_loaded(module_hash(&goes)));
    assert_eq!(files(directory.path()), 4);

    let held = Arc::downgrade(&modules.get(module_hash(&goes)).expect("it is prepared"));
    vm.retain(&BTreeSet::from([module_hash(&stays)]));
    assert!(vm.is_loaded(module_hash(&stays)) && !vm.is_loaded(module_hash(&goes)));
    assert!(modules.is_prepared(module_hash(&stays)) && !modules.is_prepared(module_hash(&goes)));
    assert_eq!((files(directory.path()), held.strong_count()), (2, 0));

    works(&modules, &goes);
    assert_eq!(files(directory.path()), 4);
}

#[test]
fn what_is_prepared_outlives_changes_of_other_modules() {
    let modules = Modules::in_memory().expect("the engines start");
    let mut vm = WasmVm::<MapHost>::new(modules.clone()).expect("the host calls link");
    let module = numbered(1);
    modules.prepare(module_hash(&module), &module).expect("it compiles");
    vm.retain(&BTreeSet::new());
    vm.retain(&BTreeSet::new());
    assert!(modules.is_prepared(module_hash(&module)));
}

#[test]
fn modules_that_are_prepared_and_never_installed_push_each_other_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let modules = Modules::with_cache(directory.path()).expect("the engines start");
    let installed = numbered(PREPARED_MODULES + 1);
    modules.prepare_committed(module_hash(&installed), &installed).expect("it compiles");
    let prepared: Vec<_> = (0..=PREPARED_MODULES).map(numbered).collect();
    for module in &prepared {
        modules.prepare(module_hash(module), module).expect("it compiles");
    }
    assert!(!modules.is_prepared(module_hash(&prepared[0])));
    assert!(prepared[1..].iter().chain([&installed]).all(|module| modules.is_prepared(module_hash(module))));
    assert_eq!(files(directory.path()), 2 * (PREPARED_MODULES + 1));
}

#[test]
fn a_module_that_is_forgotten_under_a_runner_is_loaded_again() {
    let modules = Modules::in_memory().expect("the engines start");
    let mut vm = WasmVm::<MapHost>::new(modules.clone()).expect("the host calls link");
    let module = numbered(1);
    vm.load(module_hash(&module), &module).expect("it compiles");
    modules.retain(&BTreeSet::new());
    assert!(vm.is_loaded(module_hash(&module)), "the entry that began with it ends with it");
    vm.begin_entry();
    assert!(!vm.is_loaded(module_hash(&module)));
    vm.load(module_hash(&module), &module).expect("it compiles again");
    assert!(vm.is_loaded(module_hash(&module)));
}

#[test]
fn a_directory_that_cannot_be_used_is_done_without() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    works(&Modules::with_cache(file.path()).expect("the engines start"), &recipe(DONE, ""));
}
