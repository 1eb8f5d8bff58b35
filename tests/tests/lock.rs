//! `synod lock` as a shell script uses it: real processes that hold, wait, die and are stopped.
use std::time::{Duration, Instant};

use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::command::Running;
use synod_tests::wait::until;

const TTL: Duration = Duration::from_secs(3);

/// Starts `synod lock` with `script` as its command.
fn holder(cluster: &Cluster, flags: &[&str], script: &str) -> Running {
    let ttl = TTL.as_secs().to_string();
    let arguments =
        [&["lock", "db", "--ttl", &ttl, "--grace", "1"], flags, &["--", "sh", "-c", script]].concat();
    Running::start(cluster, &arguments)
}

const HOLD: &str = "echo $SYNOD_TOKEN; exec sleep 1000";
const PASS: &str = "echo $SYNOD_TOKEN";

/// What `synod who` says of a name: who holds with which token, and who waits.
async fn who(cluster: &Cluster, name: &str) -> Vec<(String, String)> {
    let mut asked = Running::start(cluster, &["who", name]);
    let mut told = Vec::new();
    while let Some(line) = asked.next_line().await {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, _, does @ ("holds" | "waits"), token, ..] = words[..] {
            told.push((does.to_owned(), token.to_owned()));
        }
    }
    assert!(asked.ended().await.success());
    told
}

async fn sessions(cluster: &Cluster) -> u64 {
    cluster.status(0).await.expect("the member serves").counts.expect("its counts").sessions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_of_a_killed_holder_passes_on_with_a_larger_token_once_its_session_has_ended() {
    let cluster = Cluster::started(3, &[]).await;
    let mut first = holder(&cluster, &[], HOLD);
    let token = first.token().await;
    let mut second = holder(&cluster, &[], PASS);
    until("the second to wait", PATIENCE, || async {
        (cluster.status(0).await?.counts?.waiting == 1).then_some(())
    })
    .await;
    let told = [("holds".to_owned(), token.to_string()), ("waits".to_owned(), "-".to_owned())];
    assert_eq!(who(&cluster, "db").await, told);
    assert!(who(&cluster, "another").await.is_empty());
    let killed = Instant::now();
    first.kill();
    let next = second.token().await;
    let took = killed.elapsed();
    assert!(next > token, "token {next} after {token}");
    assert!(
        took >= TTL / 2,
        "the lock moved {took:?} after its holder was killed, which had a session of {TTL:?}"
    );
    assert!(second.ended().await.success());
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_ends_passes_its_exit_code_on_and_the_lock_moves_at_once() {
    let cluster = Cluster::started(1, &[]).await;
    let mut first = holder(&cluster, &[], "echo $SYNOD_TOKEN; exit 42");
    let token = first.token().await;
    assert_eq!(first.ended().await.code(), Some(42));
    let mut second = holder(&cluster, &["--wait", "0"], PASS);
    assert!(second.token().await > token, "the lock was released");
    assert!(second.ended().await.success());
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_wait_that_long_is_told_so_and_nothing_runs() {
    let cluster = Cluster::started(1, &[]).await;
    let mut first = holder(&cluster, &[], HOLD);
    first.token().await;
    for wait in ["0", "1"] {
        let mut late = holder(&cluster, &["--wait", wait], PASS);
        assert_eq!(late.ended().await.code(), Some(6));
        assert_eq!(late.next_line().await, None);
    }
    first.terminate();
    assert_eq!(first.ended().await.code(), Some(128 + libc::SIGTERM));
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_stopped_before_its_session_can_be_lost() {
    let cluster = Cluster::started(3, &[]).await;
    let mut first =
        holder(&cluster, &[], "trap 'echo 0; exit 3' TERM; echo $SYNOD_TOKEN; while :; do sleep 0.05; done");
    first.token().await;
    let mut deaf = holder(&cluster, &["--owner", "other"], HOLD);
    until("the second to wait", PATIENCE, || async {
        (cluster.status(0).await?.counts?.waiting == 1).then_some(())
    })
    .await;
    let cut = Instant::now();
    (0..3).for_each(|n| cluster.pause(n));
    assert_eq!(first.token().await, 0, "the command was asked to stop");
    assert!(
        cut.elapsed() < TTL,
        "it was asked {:?} after the cluster was gone, the session lives {TTL:?}",
        cut.elapsed()
    );
    assert_eq!(first.ended().await.code(), Some(7));
    (0..3).for_each(|n| cluster.resume(n));
    cluster.ready().await;
    let _moved_or_lost = deaf.next_line().await;
    drop(deaf);
    for n in 0..3 {
        assert!(cluster.runs(n), "member {n} has ended: {}", cluster.log(n));
    }
    cluster.nothing_left().await;
    assert_eq!(sessions(&cluster).await, 0);
}
