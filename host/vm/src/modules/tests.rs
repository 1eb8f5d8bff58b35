//! Preparing modules: what is refused, what is shared, and that a restart finds its work done.
use std::fs;

use synod_abi::{AdmissionError, Context, OperationId};
use synod_machine::{Completion, Vm};

use super::*;
use crate::WasmVm;
use crate::fixtures::{DONE, MapHost, modules, operation, recipe, wasm};
use crate::{Query, QueryEngine, hash};

#[test]
fn bytes_of_another_hash_are_refused() {
    let module = recipe(DONE, "");
    let wrong = PrepareError::WrongHash { expected: ModuleHash([1; 32]), actual: hash(&module) };
    assert_eq!(modules().prepare(ModuleHash([1; 32]), &module), Err(wrong));
    assert!(!modules().is_prepared(ModuleHash([1; 32])));
}

#[test]
fn what_is_not_admitted_is_not_compiled() {
    let module = wasm("(module)");
    let missing = AdmissionError::MissingExport { name: "memory".to_string() };
    assert_eq!(modules().prepare(hash(&module), &module), Err(PrepareError::NotAdmitted(missing)));
}

#[test]
fn many_may_prepare_one_module_at_once() {
    let modules = Modules::in_memory().expect("the engines start");
    let module = recipe(DONE, "(func (nop))");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(modules.prepare(hash(&module), &module), Ok(())));
        }
    });
    assert_eq!(modules.len(), 1);
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
    let given_up = modules.prepare_until(hash(&slow), &slow, Some(deadline));
    assert!(matches!(given_up, Err(PrepareError::TooSlow { .. })), "{given_up:?}");
    let busy = modules.prepare_until(hash(&recipe(DONE, "")), &recipe(DONE, ""), Some(Instant::now()));
    assert_eq!(busy, Err(PrepareError::Busy));
    works(&modules, &recipe(DONE, ""));
    assert!(!modules.is_prepared(hash(&slow)));
    assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 3, "the key, and the other module twice");
}

/// Runs an operation and a query of `module`.
fn works(modules: &Arc<Modules>, module: &[u8]) {
    let context = Context::default();
    let mut vm = WasmVm::new(modules.clone()).expect("the host calls link");
    Vm::<MapHost>::load(&mut vm, hash(module), module).expect("it is admitted");
    let invocation = synod_machine::Invocation {
        space: synod_abi::SpaceId(1),
        module: hash(module),
        entry_point: operation(1),
        context: &context,
        args: &[],
        fuel: synod_abi::limits::CALL_FUEL,
    };
    assert_eq!(vm.invoke(invocation, MapHost::default()).expect("this host runs recipes").1, Completion::Done(vec![]));
    let engine = QueryEngine::new(modules.clone()).expect("a clock starts");
    let timeout = std::time::Duration::from_secs(60);
    let query = Query { module: hash(module), query: OperationId(1), context: &context, args: &[], timeout };
    assert_eq!(engine.query(query, MapHost::default()).expect("this host runs queries").1, Completion::Done(vec![]));
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
            .map(|entry| (entry.file_name(), entry.metadata().expect("it is readable").modified().expect("files have times")))
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
    again.forget(hash(&module));
    assert!(compiled().is_empty());
    assert!(!again.is_prepared(hash(&module)));
}

#[test]
fn a_directory_that_cannot_be_used_is_done_without() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    works(&Modules::with_cache(file.path()).expect("the engines start"), &recipe(DONE, ""));
}
