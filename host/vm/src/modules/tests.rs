//! Preparing modules: what is refused, what is shared, and that a restart finds its work done.
use std::fs;

use synod_abi::{AdmissionError, Context, EntryPoint, OperationId};
use synod_machine::{Completion, Invocation, QueryVm, Vm, module_hash};

use synod_abi::testing::MapHost;

use super::*;
use crate::compile::InProcess;
use crate::fixtures::{DONE, modules, operation, recipe, wasm};
use crate::{QueryEngine, Wanted, WasmVm};

mod compiling;

fn on_disk(directory: &Path) -> Arc<Modules> {
    Modules::new(Edition::NEWEST, Some(directory), Arc::new(InProcess), CODE_MEMORY_BYTES)
        .expect("the engines start")
}

fn prepare(modules: &Modules, module: &[u8]) -> Result<(), PrepareError> {
    modules.prepare(module_hash(module), module, &Wanted::always())
}

#[test]
fn bytes_of_another_hash_are_refused() {
    let module = recipe(DONE, "");
    let wrong = PrepareError::WrongHash { expected: ModuleHash([1; 32]), actual: module_hash(&module) };
    assert_eq!(modules().prepare(ModuleHash([1; 32]), &module, &Wanted::always()), Err(wrong));
    assert!(!modules().is_prepared(ModuleHash([1; 32])));
}

#[test]
fn what_is_not_admitted_is_not_compiled() {
    let module = wasm("(module)");
    let missing = AdmissionError::MissingExport { name: "memory".to_string() };
    assert_eq!(prepare(&modules(), &module), Err(PrepareError::NotAdmitted(missing)));
}

#[test]
fn many_may_prepare_one_module_at_once() {
    let modules = Modules::in_memory().expect("the engines start");
    let module = recipe(DONE, "(func (nop))");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(prepare(&modules, &module), Ok(())));
        }
    });
    assert_eq!(modules.registry.read().expect("nobody panicked").len(), 1);
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
    works(&on_disk(directory.path()), &module);
    let first = compiled();
    assert_eq!(first.len(), 2);
    let again = on_disk(directory.path());
    works(&again, &module);
    assert_eq!(compiled(), first);
    let unused = on_disk(directory.path());
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
    let modules = on_disk(directory.path());
    let mut vm = WasmVm::<MapHost>::new(modules.clone()).expect("the host calls link");
    let [stays, goes] = [numbered(1), numbered(2)];
    for module in [&stays, &goes] {
        prepare(&modules, module).expect("it compiles");
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
    prepare(&modules, &module).expect("it compiles");
    vm.retain(&BTreeSet::new());
    vm.retain(&BTreeSet::new());
    assert!(modules.is_prepared(module_hash(&module)));
}

#[test]
fn modules_that_are_prepared_and_never_installed_push_each_other_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let modules = on_disk(directory.path());
    let installed = numbered(PREPARED_MODULES + 1);
    modules.prepare_committed(module_hash(&installed), &installed).expect("it compiles");
    let prepared: Vec<_> = (0..=PREPARED_MODULES).map(numbered).collect();
    for module in &prepared {
        prepare(&modules, module).expect("it compiles");
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
    vm.begin_entry(None).expect("the engine is there");
    assert!(!vm.is_loaded(module_hash(&module)));
    vm.load(module_hash(&module), &module).expect("it compiles again");
    assert!(vm.is_loaded(module_hash(&module)));
}

#[test]
fn a_directory_that_cannot_be_used_is_done_without() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    works(&on_disk(file.path()), &recipe(DONE, ""));
}
