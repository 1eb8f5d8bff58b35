//! Addresses at which no member is: a client that is given them says what is there, in its time,
//! and is served by the member that is in its list, too.
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use synod_client::core::Policy;
use synod_client::{Client, Error, Follow, Options};
use synod_tests::binary::synod;
use synod_tests::cluster::{Cluster, free_addresses};
use synod_tests::stranger::{Manner, NOWHERE, Stranger};

/// How long a client tries.
const PATIENCE_MS: u64 = 1_000;
/// What a busy machine adds.
const BUSY: Duration = Duration::from_secs(3);
/// Within what a member that is in the list serves: two seconds, and what a busy machine adds.
const IN_TIME: Duration = Duration::from_secs(5);
/// Exit code of a command that found no member.
const UNAVAILABLE: i32 = 3;
const ADD: &str = r#"{"key": "n", "by": 1}"#;

/// Addresses without a member, each with words that tell what is there.
struct Strangers {
    listed: Vec<(String, &'static str)>,
    _listening: Vec<Stranger>,
}

impl Strangers {
    async fn beside(cluster: &Cluster) -> Self {
        let closed = free_addresses(1).remove(0);
        let mut listed = vec![
            (cluster.members[0].peer_address.clone(), "the port for other members"),
            (NOWHERE.to_owned(), "failed to lookup address"),
            (closed, "Connection refused"),
        ];
        let mut listening = Vec::new();
        for manner in Manner::ALL {
            let stranger = manner.start().await;
            let words = match manner {
                Manner::Web => "an HTTP/1 server",
                Manner::Ssh => "an SSH server",
                Manner::Silent => "no answer within",
                Manner::Resets => "Connection reset",
            };
            listed.push((stranger.address.clone(), words));
            listening.push(stranger);
        }
        Self { listed, _listening: listening }
    }

    /// All of them, and the member after them.
    fn before_member(&self, cluster: &Cluster) -> String {
        let strangers = self.listed.iter().map(|(address, _)| address.as_str());
        strangers.chain([cluster.members[0].client_address.as_str()]).collect::<Vec<_>>().join(",")
    }
}

fn options(learn_members: bool) -> Options {
    let policy = Policy { give_up_ms: PATIENCE_MS, ..Policy::default() };
    Options { learn_members, follow: Follow::Nearest, policy, ..Options::default() }
}

/// Runs a command, and how long it took.
async fn command(endpoints: &str, arguments: &[&str]) -> (Output, Duration) {
    let mut command = Command::new(synod());
    command.args(["--endpoint", endpoints, "--timeout-ms", &PATIENCE_MS.to_string()]).args(arguments);
    let began = Instant::now();
    let run = tokio::task::spawn_blocking(move || command.output().expect("the binary can be started"));
    (run.await.expect("it ends"), began.elapsed())
}

/// An error that names the address and what is there, in time.
fn assert_told(what: &str, error: &str, took: Duration, (address, words): &(String, &str)) {
    eprintln!("{what} of {address}: {} ms, {error}", took.as_millis());
    assert!(took < Duration::from_millis(PATIENCE_MS) + BUSY, "{what} of {address} took {took:?}");
    assert!(error.contains(address.as_str()), "{what} does not name {address}: {error}");
    assert!(error.contains(words), "{what} does not say `{words}` of {address}: {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_an_address_without_a_member_says_in_time_what_is_there() {
    let cluster = Cluster::started(1, &[]).await;
    let strangers = Strangers::beside(&cluster).await;
    for stranger in &strangers.listed {
        let began = Instant::now();
        let connected = Client::connect_with(&stranger.0, options(true)).await.map(drop);
        let Err(Error::Unavailable(error)) = connected else { panic!("{stranger:?}: {connected:?}") };
        assert_told("connecting", &error, began.elapsed(), stranger);

        let client = Client::connect_with(&stranger.0, options(false)).await.expect("nobody is asked yet");
        let began = Instant::now();
        let called = client.call_json("counter", "add", ADD).await.map(drop);
        let Err(Error::Unavailable(error)) = called else { panic!("{stranger:?}: {called:?}") };
        assert_told("a call", &error, began.elapsed(), stranger);

        let (output, took) =
            command(&stranger.0, &["call", "counter", "add", "--key", "n", "--by", "1"]).await;
        assert_told("a command", &String::from_utf8_lossy(&output.stderr), took, stranger);
        assert_eq!(output.status.code(), Some(UNAVAILABLE), "{output:?}");
    }
    let (output, took) = command(NOWHERE, &["status"]).await;
    assert_told("`status`", &String::from_utf8_lossy(&output.stderr), took, &(NOWHERE.to_owned(), "lookup"));
    assert_eq!(output.status.code(), Some(UNAVAILABLE), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_named_after_strangers_serves_soon() {
    let cluster = Cluster::started(1, &[]).await;
    let strangers = Strangers::beside(&cluster).await;
    let endpoints = strangers.before_member(&cluster);
    for learn_members in [true, false] {
        let options = Options { policy: Policy::default(), ..options(learn_members) };
        let began = Instant::now();
        let client = Client::connect_with(&endpoints, options).await.expect("a member answers");
        client.call_json("counter", "add", ADD).await.expect("it is called");
        let took = began.elapsed();
        eprintln!("the library, learning: {learn_members}: {} ms", took.as_millis());
        assert!(took < IN_TIME, "{took:?}");
        let began = Instant::now();
        client.call_json("counter", "add", ADD).await.expect("it is called again");
        let session = client.session().open().await.expect("a session is opened");
        session.close().await.expect("it is closed");
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    }
    let commands: [&[&str]; 4] = [
        &["--timeout-ms", "5000", "call", "counter", "add", "--key", "n", "--by", "1"],
        &["--timeout-ms", "5000", "query", "counter", "get", "--key", "n"],
        &["--timeout-ms", "5000", "status"],
        &["--timeout-ms", "5000", "lock", "named-last", "--", "true"],
    ];
    for arguments in commands {
        let began = Instant::now();
        let mut command = Command::new(synod());
        command.args(["--endpoint", &endpoints]).args(arguments);
        let run = tokio::task::spawn_blocking(move || command.output().expect("the binary can be started"));
        let output = run.await.expect("it ends");
        eprintln!("{arguments:?}: {} ms", began.elapsed().as_millis());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert!(began.elapsed() < IN_TIME, "{arguments:?} took {:?}", began.elapsed());
    }
}
