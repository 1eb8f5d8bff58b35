//! Tests of tasks, time, stopping and killing.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;

use super::{Order, World};
use crate::{Dice, Process, lock};

const SECOND: Duration = Duration::from_secs(1);

/// Counts up every second, for ever.
fn ticking(process: &Process) -> Arc<AtomicU64> {
    let ticks = Arc::new(AtomicU64::new(0));
    let (counted, clock) = (ticks.clone(), process.clone());
    let tick = async move {
        loop {
            clock.sleep(SECOND).await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    };
    process.spawn(tick.boxed());
    ticks
}

fn pass(world: &World, duration: Duration) {
    let end = world.elapsed() + duration;
    loop {
        world.settle();
        if !world.jump(end) {
            return world.settle();
        }
    }
}

#[test]
fn a_stopped_process_does_nothing_and_goes_on_later() {
    let world = World::default();
    let (one, other) = (world.process(), world.process());
    let (ticks, others) = (ticking(&one), ticking(&other));
    one.stop(true);
    pass(&world, 10 * SECOND + Duration::from_millis(1));
    assert_eq!((ticks.load(Ordering::Relaxed), others.load(Ordering::Relaxed)), (0, 10));
    one.stop(false);
    pass(&world, 2 * SECOND);
    assert_eq!(ticks.load(Ordering::Relaxed), 2, "what it missed does not come again");
}

#[test]
fn a_killed_process_drops_what_it_waits_for_and_takes_nothing_more() {
    let world = World::default();
    let process = world.process();
    let ticks = ticking(&process);
    let held = Arc::new(());
    let weak = Arc::downgrade(&held);
    process.spawn(async move { futures::future::pending::<()>().map(|()| drop(held)).await }.boxed());
    pass(&world, SECOND + Duration::from_millis(1));
    let killer = process.clone();
    process.spawn(async move { killer.kill() }.boxed());
    pass(&world, 5 * SECOND);
    assert_eq!(ticks.load(Ordering::Relaxed), 1);
    assert!(weak.upgrade().is_none(), "what a task held is dropped");
    process.spawn(async { panic!("it runs") }.boxed());
    world.settle();
}

#[test]
fn clocks_of_processes_run_at_their_own_rates() {
    let world = World::default();
    let (right, fast) = (world.process(), world.process());
    let (ticks, fast_ticks) = (ticking(&right), ticking(&fast));
    world.settle();
    fast.set_speed(200);
    fast.set_wall_clock(5);
    pass(&world, 10 * SECOND + Duration::from_millis(1));
    assert_eq!((ticks.load(Ordering::Relaxed), fast_ticks.load(Ordering::Relaxed)), (10, 20));
    assert_eq!(fast.wall_ms(), right.wall_ms() + 5);
    fast.set_speed(50);
    pass(&world, 10 * SECOND);
    assert_eq!((ticks.load(Ordering::Relaxed), fast_ticks.load(Ordering::Relaxed)), (20, 25));
}

#[test]
fn the_order_comes_from_the_seed() {
    let run = |order: Order| {
        let world = World::new(order);
        let process = world.process();
        let seen = Arc::new(Mutex::new(Vec::new()));
        for n in 0..20 {
            let seen = seen.clone();
            process.spawn(async move { lock(&seen).push(n) }.boxed());
        }
        world.settle();
        (lock(&seen).clone(), world.fingerprint())
    };
    assert_eq!(run(Order::Woken).0, (0..20).collect::<Vec<_>>());
    let drawn = |seed| run(Order::Drawn(Dice::new(seed)));
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
}
