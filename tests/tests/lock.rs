//! `synod lock` as a shell script uses it: real processes that hold, wait, die and are stopped.
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use synod_tests::binary::synod;
use synod_tests::cluster::{Cluster, PATIENCE, signal};
use synod_tests::wait::until;

const TTL: Duration = Duration::from_secs(3);

/// A running `synod lock`, whose command writes lines.
struct Holder {
    child: Child,
    lines: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Holder {
    /// Starts `synod lock` with `script` as its command.
    fn start(cluster: &Cluster, flags: &[&str], script: &str) -> Self {
        let mut command = Command::new(synod());
        command.args(["--endpoint", &cluster.endpoints(), "lock", "db", "--ttl", &TTL.as_secs().to_string(), "--grace", "1"]);
        command.args(flags).args(["--", "sh", "-c", script]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the binary can be started");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// The next line of its command: the token.
    async fn token(&mut self) -> u64 {
        let line = tokio::time::timeout(PATIENCE, self.lines.recv()).await.expect("a line in time").expect("a line");
        line.parse().unwrap_or_else(|_| panic!("{line:?} is no token"))
    }

    async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("synod lock to end", PATIENCE, || std::future::ready(child.try_wait().expect("a child can be waited for"))).await
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

const HOLD: &str = "echo $SYNOD_TOKEN; exec sleep 1000";
const PASS: &str = "echo $SYNOD_TOKEN";

async fn sessions(cluster: &Cluster) -> u64 {
    cluster.status(0).await.expect("the member serves").sessions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_of_a_killed_holder_goes_to_the_next_with_a_larger_token_after_its_session_ended_and_not_before() {
    let cluster = Cluster::started(3, &[]).await;
    let mut first = Holder::start(&cluster, &[], HOLD);
    let token = first.token().await;
    let mut second = Holder::start(&cluster, &[], PASS);
    until("the second to wait", PATIENCE, || async { (cluster.status(0).await?.waiting == 1).then_some(()) }).await;
    let killed = Instant::now();
    first.child.kill().expect("a child can be killed");
    let next = second.token().await;
    let took = killed.elapsed();
    assert!(next > token, "token {next} after {token}");
    assert!(took >= TTL / 2, "the lock moved {took:?} after its holder was killed, which had a session of {TTL:?}");
    assert!(second.ended().await.success());
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_ends_passes_its_exit_code_on_and_the_lock_moves_at_once() {
    let cluster = Cluster::started(1, &[]).await;
    let mut first = Holder::start(&cluster, &[], "echo $SYNOD_TOKEN; exit 42");
    let token = first.token().await;
    assert_eq!(first.ended().await.code(), Some(42));
    let mut second = Holder::start(&cluster, &["--wait", "0"], PASS);
    assert!(second.token().await > token, "the lock was released");
    assert!(second.ended().await.success());
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_wait_that_long_is_told_so_and_nothing_runs() {
    let cluster = Cluster::started(1, &[]).await;
    let mut first = Holder::start(&cluster, &[], HOLD);
    first.token().await;
    for wait in ["0", "1"] {
        let mut late = Holder::start(&cluster, &["--wait", wait], PASS);
        assert_eq!(late.ended().await.code(), Some(6));
        assert_eq!(late.lines.recv().await, None);
    }
    signal(first.child.id(), libc::SIGTERM);
    assert_eq!(first.ended().await.code(), Some(128 + libc::SIGTERM));
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_stopped_before_its_session_can_be_lost() {
    let mut cluster = Cluster::started(3, &[]).await;
    let mut first = Holder::start(&cluster, &[], "trap 'echo 0; exit 3' TERM; echo $SYNOD_TOKEN; while :; do sleep 0.05; done");
    first.token().await;
    let mut deaf = Holder::start(&cluster, &["--owner", "other"], HOLD);
    until("the second to wait", PATIENCE, || async { (cluster.status(0).await?.waiting == 1).then_some(()) }).await;
    let cut = Instant::now();
    (0..3).for_each(|n| cluster.pause(n));
    assert_eq!(first.token().await, 0, "the command was asked to stop");
    assert!(cut.elapsed() < TTL, "it was asked {:?} after the cluster was gone, the session lives {TTL:?}", cut.elapsed());
    assert_eq!(first.ended().await.code(), Some(7));
    (0..3).for_each(|n| cluster.resume(n));
    cluster.ready().await;
    let _moved_or_lost = deaf.ended_or_token().await;
    drop(deaf);
    for n in 0..3 {
        assert!(cluster.runs(n), "member {n} has ended: {}", cluster.log(n));
    }
    cluster.nothing_left().await;
    assert_eq!(sessions(&cluster).await, 0);
}

impl Holder {
    /// Waits until it was granted the lock, or gave up because its own session was lost.
    async fn ended_or_token(&mut self) -> Option<u64> {
        tokio::time::timeout(PATIENCE, self.lines.recv()).await.expect("in time").and_then(|line| line.parse().ok())
    }
}
