//! What fits, who waits, and who is woken.
use futures::FutureExt;

use super::*;

const BOUNDS: Bounds = Bounds { taken_bytes: 100, owed_bytes: 40, share_bytes: 10 };

fn meter_of(pool: Arc<Pool>) -> Arc<Meter> {
    Meter::new(pool, Total::new(1_000), BOUNDS)
}

#[test]
fn a_connection_holds_no_more_than_its_bound_and_gives_everything_back() {
    let pool = Pool::new(1_000);
    let meter = meter_of(pool.clone());
    let mut all = meter.try_take(100).expect("it fits");
    assert!(meter.try_take(1).is_none());
    let part = all.split(30);
    assert_eq!((all.bytes(), part.bytes()), (70, 30));
    drop(part);
    all.merge(meter.try_take(30).expect("it fits again"));
    drop(all);
    assert_eq!((meter.used.load(Ordering::Acquire), pool.used.load(Ordering::Acquire)), (0, 0));
}

#[test]
fn greedy_connections_leave_as_much_as_each_of_them_has() {
    let pool = Pool::new(1_000);
    let hold = |bytes| {
        let meter = meter_of(pool.clone());
        meter.try_take(bytes)
    };
    let greedy: Vec<_> = std::iter::from_fn(|| hold(100)).take(100).collect();
    assert_eq!(greedy.len(), 9, "the tenth would leave nothing");
    let smaller: Vec<_> = std::iter::from_fn(|| hold(40)).take(100).collect();
    assert_eq!(smaller.len(), 1);
    let small: Vec<_> = (0..20).map(|_| hold(10).expect("a small share always fits")).collect();
    assert!(hold(11).is_none());
    drop((greedy, smaller, small));
    assert!(hold(100).is_some());
}

#[test]
fn a_connection_that_owes_too_much_has_no_room() {
    let meter = meter_of(Pool::new(1_000));
    let first = meter.owe(39);
    assert!(meter.has_room());
    let second = meter.owe(39);
    assert!(!meter.has_room());
    let mut room = meter.clone().room().boxed();
    assert!((&mut room).now_or_never().is_none());
    drop(first);
    assert!((&mut room).now_or_never().is_some());
    drop(second);
}

#[test]
fn without_a_pool_only_small_shares_are_read() {
    let pool = Pool::new(30);
    let other = meter_of(pool.clone());
    let held = other.owe(30);
    let meter = meter_of(pool);
    assert!(meter.has_room());
    let share = meter.owe(10);
    assert!(!meter.has_room());
    let mut room = meter.clone().room().boxed();
    assert!((&mut room).now_or_never().is_none());
    drop(held);
    assert!((&mut room).now_or_never().is_some());
    drop(share);
}

#[test]
fn those_that_wait_are_served_when_others_give_back() {
    let meter = meter_of(Pool::new(1_000));
    let held = meter.try_take(90).expect("it fits");
    let mut waiting: Vec<_> = (0..3).map(|_| meter.clone().take(30).boxed()).collect();
    assert!(waiting.iter_mut().all(|taking| taking.now_or_never().is_none()));
    drop(held);
    let taken: Vec<_> = waiting.iter_mut().filter_map(FutureExt::now_or_never).collect();
    assert_eq!(taken.len(), 3);
}

#[tokio::test]
async fn one_release_serves_as_many_as_it_has_room_for() {
    let meter = meter_of(Pool::new(1_000));
    let held = meter.try_take(100).expect("it fits");
    let waiting: Vec<_> = (0..10).map(|_| tokio::spawn(meter.clone().take(10))).collect();
    tokio::task::yield_now().await;
    drop(held);
    let mut taken = Vec::new();
    for taking in waiting {
        let limit = std::time::Duration::from_secs(20);
        taken.push(tokio::time::timeout(limit, taking).await.expect("it is woken").expect("no panic"));
    }
    assert!(meter.try_take(1).is_none());
}

#[test]
fn where_others_leave_too_little_the_least_is_taken() {
    let pool = Pool::new(100);
    let held = meter_of(pool.clone()).try_take(50).expect("it leaves as much");
    let meter = meter_of(pool);
    let short = meter.clone().take_between(10, 60).now_or_never().expect("the least fits");
    assert_eq!(short.bytes(), 10);
    drop((held, short));
    let long = meter.take_between(10, 50).now_or_never().expect("the most fits");
    assert_eq!(long.bytes(), 50);
}

#[test]
fn what_a_connection_holds_of_one_pool_leaves_less_of_another() {
    let (pools, total) = ([Pool::new(1_000), Pool::new(1_000)], Total::new(120));
    let [first, second] = pools.clone().map(|pool| Meter::new(pool, total.clone(), BOUNDS));
    let held = first.try_take(90).expect("it fits");
    assert!(second.try_take(31).is_none());
    let mut waiting = second.clone().take(40).boxed();
    assert!((&mut waiting).now_or_never().is_none());
    let owed = second.owe(30);
    drop(held);
    let taken = waiting.now_or_never().expect("it is woken, and fits");
    drop((taken, owed));
    assert!(pools.iter().all(|pool| pool.used.load(Ordering::Acquire) == 0));
    assert_eq!(total.used.load(Ordering::Acquire), 0);
}

#[tokio::test]
async fn one_that_waits_for_its_own_connection_keeps_no_wake_up_from_another() {
    let pool = Pool::new(100);
    let held = meter_of(pool.clone()).try_take(50).expect("it leaves as much");
    let full = meter_of(pool.clone());
    let owed = full.owe(100);
    let stuck = tokio::spawn(full.clone().room());
    tokio::task::yield_now().await;
    let waiting = tokio::spawn(meter_of(pool).take(20));
    tokio::task::yield_now().await;
    drop(held);
    let more = full.owe(1);
    drop(owed);
    let limit = std::time::Duration::from_secs(20);
    let taken = tokio::time::timeout(limit, waiting).await.expect("it is woken");
    assert_eq!(taken.expect("no panic").bytes(), 20);
    drop(more);
    tokio::time::timeout(limit, stuck).await.expect("it is woken").expect("no panic");
}
