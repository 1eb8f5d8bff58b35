//! `make chaos` in short: one round holds, wrong arguments are refused with the right ones, and an
//! interrupted run leaves no process and no mount.
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use synod_tests::cluster::{PATIENCE, signal};
use synod_tests::wait::until;

/// A whole run, building the binary among it.
const RUN_WITHIN: Duration = Duration::from_secs(600);
const INTERRUPTED: i32 = 130;
/// One of each group, but for disks, which not everybody may mount.
const FAULTS: &str = "kill-leader,late,client-flaky,clock-offset,scrub";

fn chaos(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[test]
fn a_round_of_mixed_faults_holds() {
    let arguments = ["--rounds", "1", "--seconds", "5", "--seed", "2", "--faults", FAULTS];
    let output = chaos(&arguments).output().expect("it can be started");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("operations checked, no violation"), "{}", text(&output));
}

#[test]
fn an_unknown_fault_is_refused_with_those_that_there_are() {
    let output = chaos(&["--faults", "kill,earthquake"]).output().expect("it can be started");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    for part in ["earthquake", "kill-leader", "client-half-close"] {
        assert!(text(&output).contains(part), "`{part}` is missing: {}", text(&output));
    }
    let output = chaos(&["--rounds", "0"]).output().expect("it can be started");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}

/// The processes that a process has started, and that run.
fn children(of: u32) -> BTreeSet<u32> {
    let folders = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    processes.filter(|process| parent(*process) == Some(of)).collect()
}

/// The parent of a process that runs.
fn parent(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let runs = fields.next() != Some("Z");
    fields.next()?.parse().ok().filter(|_| runs)
}

/// The data folder of a member, by its command line.
fn data(member: u32) -> Option<PathBuf> {
    let line = std::fs::read_to_string(format!("/proc/{member}/cmdline")).ok()?;
    let mut words = line.split('\0').skip_while(|word| *word != "--data");
    words.nth(1).map(PathBuf::from)
}

async fn exited(child: &mut Child, within: Duration) -> ExitStatus {
    until("the run to end", within, || {
        std::future::ready(child.try_wait().expect("a child can be waited for"))
    })
    .await
}

#[tokio::test]
async fn an_interrupted_run_leaves_no_process_and_no_mount() {
    let arguments = ["--seconds", "600", "--faults", "kill,fill,pause", "--seed", "1"];
    let mut run = chaos(&arguments).spawn().expect("it can be started");
    let id = run.id();
    let members = until("three members to run", RUN_WITHIN, || async {
        let members: Vec<u32> = children(id).into_iter().filter(|child| data(*child).is_some()).collect();
        (members.len() >= 3).then_some(members)
    })
    .await;
    let folders: Vec<PathBuf> = members.iter().filter_map(|member| data(*member)).collect();
    assert_eq!(folders.len(), members.len());
    signal(id, libc::SIGINT);
    assert_eq!(exited(&mut run, PATIENCE).await.code(), Some(INTERRUPTED));
    until("all members to have ended", PATIENCE, || async {
        members.iter().all(|member| parent(*member).is_none()).then_some(())
    })
    .await;
    let mounts = std::fs::read_to_string("/proc/mounts").expect("the mounts can be read");
    for folder in folders {
        assert!(!mounts.contains(&*folder.to_string_lossy()), "{} is mounted", folder.display());
        assert!(!folder.exists(), "{} is left", folder.display());
    }
}
