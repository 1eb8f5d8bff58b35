//! Unit tests of `turns`: who is next, and who is refused.
use synod_abi::SpaceId;

use super::*;

#[derive(Debug, PartialEq, Eq)]
struct Job {
    name: &'static str,
    abandoned: bool,
}

impl Abandon for Job {
    fn is_abandoned(&self) -> bool {
        self.abandoned
    }
}

fn job(name: &'static str) -> Job {
    Job { name, abandoned: false }
}

const BUSY: SpaceId = SpaceId(1);
const OTHER: SpaceId = SpaceId(2);

fn turns() -> Turns<SpaceId, Job> {
    Turns::new(Bounds { waiting: 6, space_waiting: 4, space_running: 2 })
}

fn next(turns: &mut Turns<SpaceId, Job>) -> Option<&'static str> {
    turns.next().map(|(_, job)| job.name)
}

#[test]
fn a_space_that_came_later_is_served_in_turn() {
    let mut turns = turns();
    for name in ["1", "2", "3"] {
        turns.push(BUSY, job(name)).expect("there is room");
    }
    turns.push(OTHER, job("other")).expect("there is room");
    assert_eq!([next(&mut turns), next(&mut turns)], [Some("1"), Some("other")]);
}

#[test]
fn a_space_never_runs_more_than_its_share() {
    let mut turns = turns();
    for name in ["1", "2", "3", "4"] {
        turns.push(BUSY, job(name)).expect("there is room");
    }
    assert_eq!([next(&mut turns), next(&mut turns), next(&mut turns)], [Some("1"), Some("2"), None]);
    turns.push(OTHER, job("other")).expect("there is room");
    assert_eq!([next(&mut turns), next(&mut turns)], [Some("other"), None]);
    turns.done(BUSY);
    assert_eq!([next(&mut turns), next(&mut turns)], [Some("3"), None]);
    turns.done(BUSY);
    turns.done(BUSY);
    assert_eq!([next(&mut turns), next(&mut turns)], [Some("4"), None]);
    turns.done(BUSY);
    turns.done(OTHER);
    assert!(turns.spaces.is_empty() && turns.turns.is_empty());
    assert_eq!(turns.waiting, 0);
}

#[test]
fn a_full_space_is_refused_while_another_has_room() {
    let mut turns = turns();
    for name in ["1", "2", "3", "4"] {
        turns.push(BUSY, job(name)).expect("there is room");
    }
    assert_eq!(turns.push(BUSY, job("5")), Err(Full::Space));
    turns.push(OTHER, job("5")).expect("another space has room");
    turns.push(OTHER, job("6")).expect("another space has room");
    assert_eq!(turns.push(OTHER, job("7")), Err(Full::Member));
}

#[test]
fn what_is_abandoned_makes_room() {
    let mut turns = turns();
    for name in ["1", "2", "3", "4"] {
        turns.push(BUSY, Job { name, abandoned: name != "3" }).expect("there is room");
    }
    turns.push(BUSY, job("5")).expect("three were abandoned");
    assert_eq!(turns.waiting, 2);
    assert_eq!([next(&mut turns), next(&mut turns), next(&mut turns)], [Some("3"), Some("5"), None]);
}
