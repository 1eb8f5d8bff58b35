//! Random schedules of touches, changes of leaders, stopped and cut-off members: a client that
//! counts its time from when it sent a touch that was answered never believes in a session that the
//! cluster has ended.
use std::time::Duration;

use proptest::prelude::*;
use synod_machine::{Action, EndCause};

use crate::Lease;
use crate::testing::cluster::{Cluster, Mood, look};
use crate::testing::sim::WALL_MS;

const MEMBERS: u64 = 3;
const TTL_MS: u64 = 2_000;

#[derive(Clone, Debug)]
enum Happening {
    Touch(u64),
    Wait(u64),
    Elect(u64),
    Depose,
    Isolate(u64),
    Reconnect(u64),
    Stop(u64, bool),
    HoldApply(u64, bool),
    Mood(Mood),
}

fn moods() -> impl Strategy<Value = Mood> {
    prop_oneof![Just(Mood::Accept), Just(Mood::Refuse), Just(Mood::UnknownKept)]
}

fn happening() -> impl Strategy<Value = Happening> {
    let member = || 1..=MEMBERS;
    prop_oneof![
        8 => member().prop_map(Happening::Touch),
        8 => (1_u64..900).prop_map(Happening::Wait),
        3 => member().prop_map(Happening::Elect),
        1 => Just(Happening::Depose),
        2 => member().prop_map(Happening::Isolate),
        2 => member().prop_map(Happening::Reconnect),
        2 => (member(), any::<bool>()).prop_map(|(member, stopped)| Happening::Stop(member, stopped)),
        1 => (member(), any::<bool>()).prop_map(|(member, held)| Happening::HoldApply(member, held)),
        1 => moods().prop_map(Happening::Mood),
    ]
}

/// When the session was ended, in milliseconds since the start: the stamp of the entry that did.
fn ended_at(cluster: &Cluster) -> Option<u64> {
    let is_end = |action: &Action| matches!(action, Action::EndSession { cause: EndCause::Expired, .. });
    let entries = cluster.committed();
    let entry = entries.iter().find(|entry| entry.commands.iter().any(|command| is_end(&command.action)))?;
    Some(entry.stamp.0 - WALL_MS)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_client_believes_in_a_session_that_has_ended(
        happenings in proptest::collection::vec(happening(), 1..80),
    ) {
        let mut cluster = Cluster::ready(MEMBERS);
        let key = cluster.open(1, 1, TTL_MS);
        let (mut stopped, mut touches) = ([false; MEMBERS as usize], Vec::new());
        for happening in &happenings {
            match *happening {
                Happening::Touch(member) => {
                    let touch = cluster.start_touch_for(member, key, Duration::from_secs(5));
                    touches.push((cluster.sim.elapsed(), touch));
                }
                Happening::Wait(ms) => cluster.advance(Duration::from_millis(ms)),
                Happening::Elect(member) if cluster.is_isolated(member) || stopped[member as usize - 1] => {}
                Happening::Elect(member) => cluster.elect(member),
                Happening::Depose => cluster.depose(),
                Happening::Isolate(member) => cluster.isolate(member),
                Happening::Reconnect(member) => cluster.reconnect(member),
                Happening::Stop(member, stop) => {
                    stopped[member as usize - 1] = stop;
                    cluster.stop(member, stop);
                }
                Happening::HoldApply(member, _) if stopped[member as usize - 1] => {}
                Happening::HoldApply(member, held) => cluster.hold_apply(member, held),
                Happening::Mood(mood) => cluster.mood(mood),
            }
        }
        cluster.mood(Mood::Accept);
        for member in 1..=MEMBERS {
            cluster.reconnect(member);
            cluster.stop(member, false);
        }
        cluster.elect(1);
        cluster.advance(Duration::from_millis(10 * TTL_MS));
        let ended = ended_at(&cluster);
        prop_assert!(ended.is_some(), "a session that nobody touches ends");
        for (sent, mut touch) in touches {
            let answer = look(&mut touch);
            prop_assert!(answer.is_some(), "every touch is answered or given up");
            let believed = sent.as_millis() as u64 + TTL_MS * 9 / 10;
            if answer == Some(Ok(Lease::Alive { ttl_ms: TTL_MS })) {
                prop_assert!(Some(believed) <= ended, "believed until {believed}, ended at {ended:?}");
            }
        }
        for member in 1..=MEMBERS {
            prop_assert_eq!(cluster.member(member).0.touches.waiting(), 0);
            prop_assert_eq!(cluster.member(member).proposer().stats().waiting, 0);
        }
        cluster.assert_members_agree();
    }
}
