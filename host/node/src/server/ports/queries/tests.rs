//! Unit tests of `queries`: the real pool, with jobs that block instead of queries that loop.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use synod_vm::WantedBy;

use super::*;

const LOOPING: &str = "looping";
const OTHER: &str = "other";
const PATIENCE: Duration = Duration::from_secs(30);

fn pool() -> QueryThreads {
    let modules = Modules::in_memory().expect("the engines start");
    QueryThreads::start(modules, 1).expect("the threads start")
}

fn named(space: &str) -> SpaceName {
    SpaceName::new(space).expect("a good name")
}

fn submit(pool: &QueryThreads, space: &str, work: impl FnOnce() + Send + 'static) -> WantedBy {
    let (wanted, wanted_by) = Wanted::new();
    let job = Job { wanted, work: Box::new(move |_| work()) };
    pool.submit(named(space), job).expect("there is room");
    wanted_by
}

/// Jobs of one space that run until the sender is dropped: as many as the pool has threads, and
/// some that wait.
fn looping(pool: &QueryThreads) -> (Sender<()>, Vec<WantedBy>) {
    let (release, blocked) = channel::<()>();
    let blocked = Arc::new(Mutex::new(blocked));
    let callers = (0..LEAST_THREADS + 4).map(|_| {
        let blocked = blocked.clone();
        submit(pool, LOOPING, move || wait(&blocked))
    });
    let callers = callers.collect();
    (release, callers)
}

fn wait(blocked: &Mutex<Receiver<()>>) {
    let released = blocked.lock().unwrap_or_else(PoisonError::into_inner).recv();
    assert!(released.is_err(), "nothing is sent");
}

#[test]
fn a_space_whose_queries_do_not_end_leaves_threads_to_others() {
    let pool = pool();
    let (_release, _callers) = looping(&pool);
    let (answer, answered) = channel();
    let _caller = submit(&pool, OTHER, move || answer.send(()).expect("the test waits"));
    answered.recv_timeout(PATIENCE).expect("a query of another space runs");
}

#[test]
fn a_query_whose_caller_has_gone_is_not_run() {
    let pool = pool();
    let (release, callers) = looping(&pool);
    let ran = Arc::new(AtomicBool::new(false));
    let seen = ran.clone();
    drop(submit(&pool, LOOPING, move || seen.store(true, Ordering::Relaxed)));
    let (answer, answered) = channel();
    let _caller = submit(&pool, LOOPING, move || answer.send(()).expect("the test waits"));
    drop(release);
    answered.recv_timeout(PATIENCE).expect("the last query of the space runs");
    assert!(!ran.load(Ordering::Relaxed), "it came before the last one");
    drop(callers);
}

#[test]
fn too_many_queries_of_a_space_are_refused_with_the_limit() {
    let pool = pool();
    let (_release, _callers) = looping(&pool);
    let mut callers = Vec::new();
    let busy = loop {
        let (wanted, wanted_by) = Wanted::new();
        callers.push(wanted_by);
        assert!(callers.len() <= SPACE_QUERIES, "the space is never full");
        if let Err(busy) = pool.submit(named(LOOPING), Job { wanted, work: Box::new(|_| ()) }) {
            break busy;
        }
    };
    assert!(matches!(&busy, QueryError::Busy(message) if message.contains("256 queries of this space")));
    let _caller = submit(&pool, OTHER, || ());
}
