//! A lock that goes from hand to hand costs the same after any number of hand-overs.
use std::collections::VecDeque;

use synod_lock::Lock;
use synod_test::{Reads, TestHost, TestSession};

/// As many as a busy lock sees in a minute.
const HAND_OVERS: usize = 10_000;
/// Sessions that want the lock all the time.
const CONTENDERS: usize = 4;

/// Every session acquires the lock, and again after it released it; returns what each release read.
fn hand_overs(host: &TestHost<Lock>, sessions: &[TestSession<'_, Lock>], count: usize) -> Vec<Reads> {
    let clients: Vec<_> = sessions.iter().map(|session| session.async_client()).collect();
    let mut line: VecDeque<_> = clients.iter().map(|lock| host.start(lock.acquire("db", None))).collect();
    let mut reads = Vec::new();
    for holder in (0..sessions.len()).cycle().take(count) {
        line.pop_front().expect("one per session").take().expect("it is its turn");
        sessions[holder].client().release("db", None).expect("it holds the lock");
        reads.push(host.reads());
        line.push_back(host.start(clients[holder].acquire("db", None)));
    }
    reads
}

#[test]
fn a_hand_over_reads_as_much_after_ten_thousand_as_the_first() {
    let host = TestHost::of::<Lock>();
    let sessions: Vec<_> = (0..CONTENDERS).map(|_| host.open_session()).collect();
    let reads = hand_overs(&host, &sessions, HAND_OVERS);
    assert_eq!(reads.last(), reads.first());
    assert_eq!(reads.last().map(|reads| reads.passed), Some(0));
}

#[test]
fn the_end_of_a_session_reads_what_it_holds_and_not_what_it_held() {
    let host = TestHost::of::<Lock>();
    let (busy, idle) = (host.open_session(), host.open_session());
    for session in [&busy, &idle] {
        session.client().acquire(session.id().to_string(), None).unwrap();
    }
    for _ in 0..1_000 {
        busy.client().acquire("db", None).unwrap();
        busy.client().release("db", None).unwrap();
    }
    idle.close();
    let reads = host.reads();
    busy.close();
    assert_eq!(host.reads(), reads);
    assert_eq!((reads.passed, host.rows("lock")), (0, 0));
}
