//! Members whose clocks are wrong, in real processes: the cluster's time goes on, never back and
//! never far ahead, the cluster serves, the wrong member is named, and does not lead if it is the
//! rate that is wrong.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use synod_client::{Client, Error};
use synod_tests::clock::TestClock;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::wait::until;

const YEAR_MS: i64 = 365 * 86_400_000;
/// How far the cluster's time may be from the right one: nobody's wrong clock moves it by an hour.
const NEAR_MS: u64 = 3_600_000;
/// Twice as fast.
const DOUBLE_PERMILLE: i64 = 1_000;
const WRONG_WALL: &str = "its wall clock";
const WRONG_RATE: &str = "monotonic clock runs at another rate";
/// Calls in each round.
const CALLS: usize = 20;

/// Three members, each with a clock of its own.
struct Clocked {
    cluster: Cluster,
    clocks: Vec<TestClock>,
    client: Client,
    /// The latest time of a call.
    time_ms: u64,
}

impl Clocked {
    async fn start() -> Self {
        let mut cluster = Cluster::new(3, &[]);
        let clocks: Vec<_> = (0..3).map(|_| TestClock::right()).collect();
        for (n, clock) in clocks.iter().enumerate() {
            cluster.wrap(n, &clock.wrapper().each_ref().map(String::as_str));
            cluster.start(n);
        }
        cluster.ready().await;
        let client = cluster.client().await;
        Self { cluster, clocks, client, time_ms: 0 }
    }

    /// Calls succeed, in the cluster's time, which goes on and is nearly the right one.
    async fn serves(&mut self, when: &str) {
        for _ in 0..CALLS {
            let answer = until(&format!("a call {when}"), PATIENCE, || async {
                match self.client.call_json("counter", "add", r#"{"key": "n", "by": 1}"#).await {
                    Ok(answer) => Some(answer),
                    Err(Error::OutcomeUnknown(_) | Error::Unavailable(_)) => None,
                    Err(error) => panic!("{when}: {error}"),
                }
            })
            .await;
            assert!(
                answer.time_ms >= self.time_ms,
                "{when}: time went back from {}: {answer:?}",
                self.time_ms
            );
            self.time_ms = answer.time_ms;
        }
        let right_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
        let off_ms = self.time_ms.abs_diff(right_ms);
        eprintln!("{when}: the cluster's time is {off_ms} ms off");
        assert!(off_ms < NEAR_MS, "{when}: the cluster's time is {off_ms} ms off");
    }

    async fn problem(&self, n: usize) -> Option<String> {
        self.cluster.status(n).await.map(|status| status.problem)
    }

    /// Waits until this member says what is wrong with its clock, and asserts that no other one
    /// does.
    async fn is_named(&self, wrong: usize, words: &str) {
        until(&format!("member {wrong} to be named"), PATIENCE, || async {
            self.problem(wrong).await?.contains(words).then_some(())
        })
        .await;
        let members = self.client.status(false).await.expect("it is told").members;
        for (n, member) in members.iter().enumerate() {
            assert_eq!(member.problem.contains("clock"), n == wrong, "{members:?}");
        }
    }

    async fn is_named_no_more(&self, n: usize) {
        until(&format!("member {n} to be right again"), PATIENCE, || async {
            self.problem(n).await?.is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_jumps_by_years_moves_nothing_and_is_named_whoever_has_it() {
    let mut clocked = Clocked::start().await;
    let session = clocked.client.session().ttl(Duration::from_secs(10)).open().await.expect("it is opened");
    clocked.serves("before").await;
    let leader = clocked.cluster.leader().await;
    for wrong in [(leader + 1) % 3, leader] {
        for years in [2, -3] {
            clocked.clocks[wrong].set_ahead_ms(years * YEAR_MS);
            clocked.serves(&format!("right after member {wrong} jumped by {years} years")).await;
            clocked.is_named(wrong, WRONG_WALL).await;
            clocked.serves(&format!("while member {wrong} is {years} years ahead")).await;
        }
        clocked.clocks[wrong].set_ahead_ms(0);
        clocked.is_named_no_more(wrong).await;
        clocked.serves(&format!("after member {wrong} was set right")).await;
    }
    assert_eq!(clocked.cluster.leader().await, leader, "a wrong wall clock costs nobody the leadership");
    assert!(!session.is_lost());
    session.close().await.expect("it is closed");
    clocked.cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_starts_years_ahead_and_leads_moves_nothing() {
    let mut clocked = Clocked::start().await;
    clocked.serves("before").await;
    let wrong = (clocked.cluster.leader().await + 1) % 3;
    clocked.cluster.stop(wrong).await;
    clocked.clocks[wrong].set_ahead_ms(2 * YEAR_MS);
    clocked.cluster.start(wrong);
    clocked.cluster.ready().await;
    until("the wrong member to lead", PATIENCE, || async {
        let leader = clocked.cluster.leader().await;
        if leader != wrong {
            clocked.cluster.pause(leader);
            let next = clocked.cluster.leader_except(leader).await;
            clocked.cluster.resume(leader);
            clocked.cluster.ready().await;
            return (next == wrong).then_some(());
        }
        Some(())
    })
    .await;
    clocked.serves("while the wrong one leads").await;
    clocked.is_named(wrong, WRONG_WALL).await;
    clocked.serves("when the wrong one has led for a while").await;
    clocked.cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_clocks_run_at_double_speed_is_named_and_hands_over() {
    let mut clocked = Clocked::start().await;
    let session = clocked.client.session().ttl(Duration::from_secs(20)).open().await.expect("it is opened");
    clocked.serves("before").await;
    let wrong = clocked.cluster.leader().await;
    clocked.clocks[wrong].run_faster_by_permille(DOUBLE_PERMILLE);
    clocked.serves("right after the leader's clocks became faster").await;
    until("another member to lead", PATIENCE, || async {
        let leader = clocked.cluster.leader().await;
        (leader != wrong).then_some(())
    })
    .await;
    clocked.serves("after it handed over").await;
    clocked.is_named(wrong, WRONG_RATE).await;
    assert_ne!(clocked.cluster.leader().await, wrong, "it does not lead again");
    assert!(!session.is_lost());
    session.close().await.expect("it is closed");
    clocked.cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_whose_clocks_run_at_double_speed_is_named_and_disturbs_nobody() {
    let mut clocked = Clocked::start().await;
    clocked.serves("before").await;
    let leader = clocked.cluster.leader().await;
    let wrong = (leader + 1) % 3;
    clocked.clocks[wrong].run_faster_by_permille(DOUBLE_PERMILLE);
    clocked.is_named(wrong, WRONG_RATE).await;
    clocked.serves("while a follower's clocks run at double speed").await;
    assert_eq!(clocked.cluster.leader().await, leader, "nobody else leads");
    clocked.cluster.assert_equal_digests().await;
}
