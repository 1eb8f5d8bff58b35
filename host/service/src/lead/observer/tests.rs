//! When a member leads as far as it knows, and how it stamps.
use std::time::Duration;

use synod_abi::MemberId;

use super::*;
use crate::testing::sim::{Sim, WALL_MS};

const NOW: Monotonic = Monotonic(Duration::ZERO);

fn leader_of(term: u64) -> Leadership {
    Leadership { me: MemberId(1), term, leader: Some(MemberId(1)), role: Role::Leader }
}

/// A member that votes alone.
fn seeing(sim: &Sim, leadership: Leadership, applied_term: u64, applied_time: Time) -> Observer {
    let clocks = Clocks::new((MemberId(1), 1), sim.clone(), Arc::new(sim.clone()));
    clocks.set_voters([MemberId(1)].into());
    Observer::seeing(leadership, clocks, applied_term, applied_time)
}

fn stamp(observer: &Observer, term: u64, ms: u64) -> Option<Time> {
    observer.stamp(term, NOW.after(Duration::from_millis(ms)))
}

#[test]
fn a_member_leads_once_it_has_applied_the_first_entry_of_its_term_until_it_closes() {
    let observer = seeing(&Sim::default(), leader_of(3), 2, Time(0));
    assert_eq!(observer.leading(), None);
    observer.applied(3, Time(0));
    assert_eq!(observer.leading(), Some(3));
    observer.see(Leadership { role: Role::Follower, leader: None, ..leader_of(3) });
    assert_eq!(observer.leading(), None);
    observer.see(leader_of(4));
    assert_eq!(observer.leading(), None);
    observer.applied(4, Time(0));
    assert_eq!(observer.leading(), Some(4));
    observer.close();
    assert_eq!((observer.leading(), observer.is_closed()), (None, true));
}

#[test]
fn a_term_begins_at_the_clocks_but_not_before_the_last_stamp_that_was_applied() {
    let later = Time(WALL_MS + 5_000);
    let observer = seeing(&Sim::default(), leader_of(1), 1, Time(5_000));
    assert_eq!(stamp(&observer, 1, 0), Some(Time(WALL_MS)));
    observer.see(leader_of(2));
    observer.applied(2, later);
    assert_eq!(stamp(&observer, 2, 0), Some(later));
}

#[test]
fn only_a_leader_stamps_and_only_in_its_own_term() {
    let observer = seeing(&Sim::default(), leader_of(1), 0, Time(5_000));
    assert_eq!(stamp(&observer, 1, 0), None);
    observer.applied(1, Time(0));
    assert_eq!(stamp(&observer, 2, 0), None);
    assert_eq!(stamp(&observer, 1, 0), Some(Time(WALL_MS)));
}

#[test]
fn followers_are_woken_by_every_change_and_by_the_first_entry_of_a_term() {
    let observer = seeing(&Sim::default(), Leadership::default(), 0, Time(0));
    let signal = Signal::default();
    observer.follow(signal.clone());
    let woken = || signal.poll_raised(&mut Context::from_waker(std::task::Waker::noop())).is_ready();
    assert!(!woken());
    observer.see(leader_of(1));
    assert!(woken());
    observer.applied(1, Time(1));
    assert!(woken());
    observer.applied(1, Time(2));
    assert!(!woken());
    observer.clocks_changed();
    assert!(woken());
    observer.close();
    assert!(woken());
}
