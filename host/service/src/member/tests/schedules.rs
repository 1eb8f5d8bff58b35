//! Random schedules of calls, changes of leaders, broken links and lost answers: whatever happens,
//! a call that was answered was run once, one that was unavailable was not run, and one that is
//! unknown was run at most once; a session's calls, sent again until they are answered, run once
//! and in their order.
use std::time::Duration;

use proptest::prelude::*;

use crate::failure::CallFailure;
use crate::failure::Value;
use crate::testing::client::next_request;
use crate::testing::cluster::{Cluster, Mood, look};

const MEMBERS: u64 = 3;

#[derive(Clone, Debug)]
enum Happening {
    Call(u64),
    Run,
    Elect(u64),
    Depose,
    HoldCommits(bool),
    HoldApply(u64, bool),
    Deafen(bool),
    Cut,
    Mood(Mood),
    Wait(u64),
    Snapshot(u64, u64),
}

fn moods() -> impl Strategy<Value = Mood> {
    prop_oneof![Just(Mood::Accept), Just(Mood::Refuse), Just(Mood::UnknownKept), Just(Mood::UnknownLost)]
}

fn happening() -> impl Strategy<Value = Happening> {
    let member = || 1..=MEMBERS;
    prop_oneof![
        12 => member().prop_map(Happening::Call),
        6 => Just(Happening::Run),
        2 => member().prop_map(Happening::Elect),
        1 => Just(Happening::Depose),
        2 => any::<bool>().prop_map(Happening::HoldCommits),
        2 => (member(), any::<bool>()).prop_map(|(member, held)| Happening::HoldApply(member, held)),
        2 => any::<bool>().prop_map(Happening::Deafen),
        2 => Just(Happening::Cut),
        2 => moods().prop_map(Happening::Mood),
        3 => (1_u64..2_000).prop_map(Happening::Wait),
        1 => (member(), member()).prop_map(|(from, to)| Happening::Snapshot(from, to)),
    ]
}

fn happen(cluster: &mut Cluster, happening: &Happening) {
    match *happening {
        Happening::Call(_) => {}
        Happening::Run => cluster.run(),
        Happening::Elect(member) => cluster.elect(member),
        Happening::Depose => cluster.depose(),
        Happening::HoldCommits(hold) => cluster.hold_commits(hold),
        Happening::HoldApply(member, held) => cluster.hold_apply(member, held),
        Happening::Deafen(deaf) => cluster.deafen_links(deaf),
        Happening::Cut => cluster.cut_links(),
        Happening::Mood(mood) => cluster.mood(mood),
        Happening::Wait(ms) => cluster.advance(Duration::from_millis(ms)),
        Happening::Snapshot(from, to) => cluster.try_install_snapshot(from, to),
    }
}

fn calm(cluster: &mut Cluster) {
    cluster.mood(Mood::Accept);
    cluster.hold_commits(false);
    cluster.deafen_links(false);
    (1..=MEMBERS).for_each(|member| cluster.hold_apply(member, false));
    cluster.elect(1);
    cluster.advance(Duration::from_secs(20));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_call_is_lost_or_run_twice(happenings in proptest::collection::vec(happening(), 1..60)) {
        let mut cluster = Cluster::ready(MEMBERS);
        let mut calls = Vec::new();
        for happening in &happenings {
            if let Happening::Call(member) = *happening {
                let key = format!("call-{}", calls.len());
                calls.push((key.clone(), cluster.start_add_for(member, &key, 1, Duration::from_secs(4))));
            }
            happen(&mut cluster, happening);
        }
        calm(&mut cluster);
        let committed = cluster.committed_adds();
        for (key, mut pending) in calls {
            let times = committed.iter().filter(|(committed, _)| *committed == key).count();
            match look(&mut pending) {
                Some(Ok(_)) => prop_assert_eq!(times, 1, "{} was answered", key),
                Some(Err(CallFailure::Unavailable { .. })) => {
                    prop_assert_eq!(times, 0, "{} was unavailable", key);
                }
                Some(Err(CallFailure::OutcomeUnknown(_))) => prop_assert!(times <= 1, "{} is unknown", key),
                Some(Err(CallFailure::Rejected(rejected))) => {
                    prop_assert!(false, "{} was rejected: {}", key, rejected);
                }
                None => prop_assert!(false, "{} has no answer", key),
            }
        }
        cluster.assert_members_agree();
        prop_assert_eq!(cluster.member(1).proposer().stats().waiting, 0);
    }

    #[test]
    fn a_sessions_calls_run_once_and_in_order(happenings in proptest::collection::vec(happening(), 1..60)) {
        let mut cluster = Cluster::ready(MEMBERS);
        let key = cluster.open(1, 1, 3_600_000);
        let mut calls = Vec::new();
        for happening in &happenings {
            if let Happening::Call(member) = *happening {
                let id = calls.len() as u64 + 1;
                calls.push(cluster.start_request(member, key, next_request(id), ("add", "k", 1)));
            }
            happen(&mut cluster, happening);
        }
        calm(&mut cluster);
        let mut last = None;
        for (id, mut pending) in (1..).zip(calls) {
            let answer = match look(&mut pending) {
                Some(Ok(answer)) => answer,
                Some(Err(CallFailure::Unavailable { .. } | CallFailure::OutcomeUnknown(_))) => {
                    let (member, request) = (1 + id % MEMBERS, next_request(id));
                    let mut again = cluster.start_request(member, key, request, ("add", "k", 1));
                    cluster.advance(Duration::from_secs(1));
                    let answer = look(&mut again);
                    prop_assert!(matches!(answer, Some(Ok(_))), "request {} again: {:?}", id, answer);
                    answer.expect("an answer").expect("a result")
                }
                other => return Err(TestCaseError::fail(format!("request {id}: {other:?}"))),
            };
            prop_assert_eq!(answer.value, Value::Json(format!("\"{id}\"")));
            prop_assert!(Some(answer.revision) > last);
            last = Some(answer.revision);
        }
        cluster.assert_members_agree();
        prop_assert_eq!(cluster.member(1).proposer().stats().waiting, 0);
    }
}
