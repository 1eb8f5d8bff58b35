//! Queries: read-only, stopped in time, many at once.
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use synod_abi::testing::{MapHost, Record};
use synod_abi::{Context, EntryPoint, Fault, ModuleHash, OperationId, SpaceId, limits};
use synod_machine::{Completion, module_hash};

use super::*;
use crate::fixtures::{DONE, modules, recipe};

fn prepared(entry: &str) -> ModuleHash {
    let module = recipe(entry, "");
    modules().prepare_committed(module_hash(&module), &module).expect("the fixture is admitted and compiles");
    module_hash(&module)
}

/// An engine whose queries may take a minute.
fn engine() -> QueryEngine {
    QueryEngine::new(modules(), Duration::from_secs(60)).expect("a clock starts")
}

fn invocation(module: ModuleHash, entry_point: EntryPoint, context: &Context) -> Invocation<'_> {
    Invocation { space: SpaceId(1), module, entry_point, context, args: &[], fuel: limits::CALL_FUEL }
}

/// Runs a query of a module that is prepared.
fn query(engine: &QueryEngine, module: ModuleHash, host: MapHost) -> (MapHost, Completion) {
    let context = Context::default();
    let query = invocation(module, EntryPoint::Query(OperationId(1)), &context);
    let always = Wanted::always();
    let ran =
        engine.asked(&always).query(query, host, |_| panic!("the bytes of a prepared module are not read"));
    ran.expect("this host runs queries")
}

#[test]
fn a_query_reads_and_gives_its_host_back() {
    let read = format!(
        "(if (i32.ne (call $get (i32.const 1024) (i32.const 1) (i32.const 8) (i32.const 8)) (i32.const 3)) \
            (then unreachable)) {DONE}"
    );
    let engine = engine();
    let record = Record { tokens: 5, ..Record::default() };
    let rows = [(vec![0], vec![1, 2, 3])].into();
    let host = MapHost { rows, record: record.into(), ..MapHost::default() };
    let (host, completion) = query(&engine, prepared(&read), host);
    assert_eq!((host.record.tokens, completion), (5, Completion::Done(vec![])));
}

#[test]
fn time_and_not_fuel_ends_a_query() {
    let read =
        format!("(drop (call $get (i32.const 1024) (i32.const 1) (i32.const 8) (i32.const 8))) {DONE}");
    let host = MapHost { price: limits::CALL_FUEL + 1, ..MapHost::default() };
    assert_eq!(query(&engine(), prepared(&read), host).1, Completion::Done(vec![]));
}

#[test]
fn a_query_cannot_write() {
    let engine = engine();
    for write in [
        "(call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))",
        "(call $delete (i32.const 0) (i32.const 1))",
        "(drop (call $next_token))",
        "(drop (call $set_timer (i64.const 1) (i32.const 0) (i32.const 1)))",
        "(drop (call $cancel_timer (i64.const 1)))",
        "(drop (call $complete (i64.const 1) (i32.const 1024) (i32.const 1)))",
        "(call $emit (i32.const 1024) (i32.const 1) (i32.const 1024) (i32.const 1))",
        "(call $send (i32.const 1024) (i32.const 1) (i32.const 7) (i32.const 1024) (i32.const 1))",
    ] {
        let (host, completion) = query(&engine, prepared(&format!("{write} {DONE}")), MapHost::default());
        assert_eq!(completion, Completion::Faulted(Fault::BadHostCall), "{write}");
        let Record { tokens, timers, completed, late, emitted, sent, .. } = *host.record;
        assert_eq!((host.rows.len(), tokens, timers.len()), (0, 0, 0));
        assert_eq!((completed.len(), late.len(), emitted.len(), sent.len()), (0, 0, 0, 0));
    }
}

#[test]
fn a_query_without_end_is_stopped() {
    let engine = QueryEngine::new(modules(), Duration::from_millis(20)).expect("a clock starts");
    let endless = prepared("(loop (br 0)) unreachable");
    let (_, completion) = query(&engine, endless, MapHost::default());
    assert_eq!(completion, Completion::Faulted(Fault::QueryTimeout));
    let (_, completion) = query(&self::engine(), prepared(DONE), MapHost::default());
    assert_eq!(completion, Completion::Done(vec![]));
}

#[test]
fn a_query_that_nobody_waits_for_is_stopped() {
    let engine = engine();
    let endless = prepared("(loop (br 0)) unreachable");
    let context = Context::default();
    let query = invocation(endless, EntryPoint::Query(OperationId(1)), &context);
    let (wanted, wanted_by) = Wanted::new();
    let started = Instant::now();
    let completion = std::thread::scope(|scope| {
        let running =
            scope.spawn(|| engine.asked(&wanted).query(query, MapHost::default(), |_| unreachable!()));
        while engine.clock.state.lock().running == 0 {
            std::thread::yield_now();
        }
        drop(wanted_by);
        running.join().expect("it does not panic").expect("this host runs queries").1
    });
    assert_eq!(completion, Completion::Faulted(Fault::QueryTimeout));
    assert!(started.elapsed() < engine.timeout);
}

#[test]
fn recursion_without_end_is_too_deep_for_queries_too() {
    let engine = engine();
    let module = prepared("(call $entry (local.get $id) (local.get $len))");
    let (_, completion) = query(&engine, module, MapHost::default());
    assert_eq!(completion, Completion::Faulted(Fault::TooDeep));
}

#[test]
fn a_module_that_is_not_prepared_is_compiled_from_its_bytes() {
    let engine = QueryEngine::new(Modules::in_memory().expect("the engines start"), Duration::from_secs(60))
        .expect("a clock starts");
    let module = recipe(DONE, "");
    let context = Context::default();
    let asked = invocation(module_hash(&module), EntryPoint::Query(OperationId(1)), &context);
    let missing = Fatal("it is not in the state".to_string());
    let always = Wanted::always();
    let query_it = engine.asked(&always);
    let refused = query_it.query(asked, MapHost::default(), |_| Err(missing.clone()));
    assert_eq!(refused.map(|(_, completion)| completion), Err(missing));
    let wrong = query_it.query(asked, MapHost::default(), |_| Ok(Vec::new()));
    assert!(wrong.is_err(), "bytes with another hash stop the member");
    let ran = query_it.query(asked, MapHost::default(), |_| Ok(module.clone()));
    assert_eq!(ran.map(|(_, completion)| completion), Ok(Completion::Done(vec![])));
    let (_, again) = query(&engine, asked.module, MapHost::default());
    assert_eq!(again, Completion::Done(vec![]), "it stays prepared");
}

#[test]
fn an_operation_is_no_query() {
    let context = Context::default();
    let operation = invocation(prepared(DONE), EntryPoint::Operation(OperationId(1)), &context);
    let refused = engine().asked(&Wanted::always()).query(operation, MapHost::default(), |_| Ok(Vec::new()));
    assert!(refused.is_err());
}

#[test]
fn more_queries_than_slots_wait_for_one() {
    let engine = engine();
    let module = prepared(DONE);
    let done = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..QUERY_SLOTS + 16 {
            scope.spawn(|| {
                let (_, completion) = query(&engine, module, MapHost::default());
                assert_eq!(completion, Completion::Done(vec![]));
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(done.into_inner(), QUERY_SLOTS + 16);
    assert_eq!(engine.clock.state.lock().running, 0);
}

#[test]
fn a_query_that_gets_no_slot_times_out() {
    let state = State::default();
    let held: Vec<_> = (0..QUERY_SLOTS).map(|_| state.take_slot(Instant::now())).collect();
    assert!(held.iter().all(Option::is_some));
    assert!(state.take_slot(Instant::now() + Duration::from_millis(5)).is_none());
    drop(held);
    assert!(state.take_slot(Instant::now()).is_some());
}
