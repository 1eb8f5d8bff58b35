//! The comparison itself, as short as it can be: every workload of every service that is built on
//! this machine gives operations, nothing fails, and no process is left. It says nothing of speed.
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use synod_peers::comparison::{News, Plan, Sample, Scenario, compare};
use synod_peers::drive::{Answer, Order, drive, leader};
use synod_peers::driver::{Driver, DriverError};
use synod_peers::install::{Installed, Missing, Own, install, usual_cache};
use synod_peers::kind::Kind;
use synod_peers::servers::{MEMBERS, ServerError, Servers};
use synod_peers::workload::Workload;
use synod_tests::binary::synod;
use synod_tests::cluster::PATIENCE;
use synod_tests::wait::until;
use tempfile::TempDir;

const CLIENTS: usize = 4;
const FEW_KEYS: u64 = 200;

fn own(server: impl AsRef<Path>) -> Own {
    Own { server: server.as_ref().to_path_buf(), driver: env!("CARGO_BIN_EXE_peers").into() }
}

fn place() -> TempDir {
    tempfile::tempdir().expect("the temporary folder can be written")
}

/// Processes that were started with a folder in their arguments.
fn processes_in(place: &Path) -> Vec<String> {
    let mark = place.display().to_string();
    let listed = std::fs::read_dir("/proc").expect("Linux lists its processes").flatten();
    let commands = listed.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let texts = commands.map(|command| String::from_utf8_lossy(&command).replace('\0', " "));
    texts.filter(|command| command.contains(&mark)).collect()
}

/// One comparison at a time: a member that gets no processor has no operations.
static ALONE: Mutex<()> = Mutex::new(());

fn measure(services: &[(Kind, Installed)], scenarios: Vec<Scenario>) -> Vec<Sample> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = place();
    let plan = Plan {
        scenarios,
        rounds: 1,
        warmup: Duration::from_millis(100),
        measure: Duration::from_millis(600),
        failover: Duration::from_secs(6),
        place: place.path().to_path_buf(),
    };
    let samples = compare(&plan, services, |news| {
        if let News::Failed { kind, scenario, error } = news {
            panic!("{}, {}: {error}", kind.name(), scenario.name());
        }
    });
    assert_eq!(processes_in(place.path()), Vec::<String>::new());
    assert_eq!(samples.len(), plan.scenarios.len() * services.len());
    samples
}

fn loads() -> Vec<Scenario> {
    Workload::LOADS.map(|workload| Scenario::Load { workload, clients: CLIENTS }).to_vec()
}

fn check(samples: &[Sample]) {
    for Sample { kind, scenario, figures, .. } in samples {
        let what = format!("{}, {}: {figures:?}", kind.name(), scenario.name());
        assert!(figures.operations_per_s > 0.0 && figures.p50_us > 0.0, "{what}");
        assert!(figures.p50_us <= figures.p99_us && figures.p99_us <= figures.p999_us, "{what}");
        assert!(figures.memory_mib > 1.0, "{what}");
    }
}

#[test]
fn every_workload_of_synod_has_operations_and_none_fails() {
    let services = [(Kind::Synod, Installed::Synod(own(synod())))];
    let samples = measure(&services, [loads(), vec![Scenario::ManyKeys { keys: FEW_KEYS }]].concat());
    check(&samples);
    assert!(samples.iter().all(|sample| sample.figures.failed == 0.0), "{samples:?}");
    assert!(samples.iter().any(|sample| sample.figures.start_ms > 0.0), "{samples:?}");
}

#[test]
fn every_workload_has_operations_with_every_peer_that_is_built() {
    let mut services = Vec::new();
    for kind in [Kind::ZooKeeper, Kind::Etcd] {
        match install(kind, &own(synod()), &usual_cache(), false) {
            Ok(installed) => services.push((kind, installed)),
            Err(missing) => eprintln!("{} is left out: {missing}", kind.name()),
        }
    }
    check(&measure(&services, loads()));
}

#[test]
fn the_writes_go_on_after_the_leader_was_killed() {
    let services = [(Kind::Synod, Installed::Synod(own(synod())))];
    let samples = measure(&services, vec![Scenario::Failover]);
    let [sample] = &samples[..] else { panic!("one scenario has one sample: {samples:?}") };
    // What the leader had taken in fails, and a gap to the window's end would be 5 s.
    assert!(sample.figures.failed > 0.0 && sample.figures.gap_ms < 4_500.0, "{:?}", sample.figures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_that_is_killed_leaves_no_process() {
    let place = place();
    let mut command = Command::new(env!("CARGO_BIN_EXE_peers"));
    command.args([
        "--services",
        "synod",
        "--workloads",
        "write",
        "--clients",
        "1",
        "--no-failover",
        "--synod",
    ]);
    command.arg(synod()).arg("--place").arg(place.path());
    let mut running = command.stdout(Stdio::null()).spawn().expect("it can be started");
    let members = || processes_in(place.path()).into_iter().filter(|command| command.contains(" start "));
    until("its members to run", PATIENCE, || {
        std::future::ready((members().count() == MEMBERS).then_some(()))
    })
    .await;
    running.kill().expect("a child can be killed");
    running.wait().expect("a killed child ends");
    until("its members to end", PATIENCE, || std::future::ready((members().count() == 0).then_some(())))
        .await;
}

#[test]
fn what_a_killed_member_used_still_counts() {
    let place = place();
    let installed = Installed::Synod(own(synod()));
    let mut servers = Servers::start(&installed, place.path()).expect("it starts");
    let leader = Driver::of(&installed).leader(&mut servers).expect("a member leads");
    let before = servers.usage();
    servers.kill(leader).expect("a child can be killed");
    let after = servers.usage();
    assert!(after.cpu >= before.cpu && after.written_bytes >= before.written_bytes, "{before:?} {after:?}");
    assert!(after.resident_bytes < before.resident_bytes, "{before:?} {after:?}");
}

#[test]
fn a_member_that_cannot_start_is_named_with_its_last_words() {
    let place = place();
    let installed = Installed::Synod(own("/bin/false"));
    let mut servers = Servers::start(&installed, place.path()).expect("the program is there");
    let error = Driver::of(&installed).leader(&mut servers).expect_err("nobody leads");
    assert!(matches!(error, DriverError::Server(ServerError::Ended { .. })), "{error}");
}

#[test]
fn a_peer_that_is_not_built_is_left_out_with_what_to_do() {
    let cache = place();
    for kind in [Kind::Etcd, Kind::ZooKeeper] {
        let missing = install(kind, &own("synod"), cache.path(), false).expect_err("nothing is built");
        assert!(matches!(missing, Missing::NotBuilt) && missing.to_string().contains("make peers"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_driver_gives_back_what_its_clients_held() {
    let place = place();
    let installed = Installed::Synod(own(synod()));
    let servers = Servers::start(&installed, place.path()).expect("it starts");
    let endpoints = servers.endpoints();
    leader(&endpoints).await.expect("a member leads");
    let order = |workload| Order {
        endpoints: endpoints.clone(),
        workload,
        clients: CLIENTS,
        warmup: Duration::ZERO,
        measure: Duration::from_millis(200),
        keys: FEW_KEYS,
        value_bytes: 100,
    };
    let mut answers: BTreeMap<Workload, Vec<Answer>> = BTreeMap::new();
    for workload in [Workload::Lock, Workload::Election, Workload::Lock, Workload::Election] {
        let answer = drive(&order(workload)).await.expect("it runs");
        assert!(answer.operations > 0, "{workload:?} after {answers:?}: {answer:?}");
        answers.entry(workload).or_default().push(answer);
    }
}

#[test]
fn wrong_usage_and_unknown_workloads_have_exit_codes_of_their_own() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peers"));
        let output = command.args(arguments).output().expect("it can be started");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (arguments, code, words) in [
        (
            &["drive", "--endpoints", "127.0.0.1:9", "--workload", "juggle"][..],
            3,
            "knows no workload `juggle`",
        ),
        (&["drive", "--workload", "write"], 2, "--endpoints"),
        (&["--services", "raft"], 2, "synod, zookeeper, etcd"),
        (&["--workloads", "juggle"], 2, "write"),
        (&["--rounds", "0"], 2, "at least one round"),
    ] {
        let (status, stderr) = run(arguments);
        assert_eq!(status, Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}
