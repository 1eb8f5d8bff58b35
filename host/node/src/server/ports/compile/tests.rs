//! Unit tests of `compile`: children that misbehave. They are shell scripts; that the real child
//! compiles is what every test of a cluster shows.
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use synod_vm::Wanted;
use tempfile::TempDir;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const FINGERPRINT: [u8; 32] = [7; 32];

/// A compiler whose child runs `script`, and the folder that it lies in.
fn compiler(script: &str) -> (ChildCompiler, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("child");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("the folder is ours");
    fs::set_permissions(&program, Permissions::from_mode(0o700)).expect("the file is ours");
    (ChildCompiler { program }, folder)
}

fn module() -> Arc<[u8]> {
    Arc::from(vec![0; 300_000])
}

fn proposed(script: &str) -> Result<Code, CompileError> {
    compiler(script).0.compile(&FINGERPRINT, &module(), &Terms::Proposed(Wanted::always()))
}

/// Whether a process whose id is in `file` still runs.
fn runs(file: &Path) -> bool {
    let id = fs::read_to_string(file).expect("the child wrote its id");
    // A zombie has been killed, and is only not waited for yet.
    let stat = fs::read_to_string(format!("/proc/{}/stat", id.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_child_that_is_ended_from_outside_is_no_verdict_on_the_module() {
    for script in ["kill -KILL $$", "exit 3", "echo garbage", "exec 0<&-"] {
        let died = proposed(script);
        assert!(matches!(died, Err(CompileError::Died(_))), "{script}: {died:?}");
    }
    let missing = ChildCompiler { program: "/nowhere".into() };
    let died = missing.compile(&FINGERPRINT, &module(), &Terms::Committed);
    assert!(matches!(died, Err(CompileError::Died(_))), "{died:?}");
}

#[test]
fn a_child_that_met_its_bounds_is_a_limit_only_before_proposal() {
    let memory = Err(CompileError::Limit(compile::limit_of_memory()));
    assert_eq!(proposed("kill -ABRT $$"), memory);
    assert_eq!(proposed("kill -XCPU $$"), Err(CompileError::Limit(compile::limit_of_time())));
    let (committed, _folder) = compiler("kill -ABRT $$");
    let died = committed.compile(&FINGERPRINT, &module(), &Terms::Committed);
    assert!(matches!(died, Err(CompileError::Died(_))), "{died:?}");
}

#[test]
fn a_child_whose_result_nobody_wants_is_killed() {
    let (compiler, folder) = compiler("echo $$ > \"$0.id\"; exec sleep 600");
    let id = folder.path().join("child.id");
    let (wanted, wanted_by) = Wanted::new();
    let compiled = std::thread::scope(|scope| {
        let compiled = scope.spawn(|| compiler.compile(&FINGERPRINT, &module(), &Terms::Proposed(wanted)));
        until("the child has started", || fs::read_to_string(&id).is_ok_and(|id| id.ends_with('\n')));
        assert!(runs(&id));
        drop(wanted_by);
        compiled.join().expect("it does not panic")
    });
    assert_eq!(compiled, Err(CompileError::Abandoned));
    assert!(!runs(&id));
}

#[test]
fn a_child_that_answers_without_end_is_stopped_before_proposal() {
    let order = Order { fingerprint: [7; 32], bounds: Bounds::default(), module: module().to_vec() }.encode();
    let script = format!("head -c {} >/dev/null; exec cat /dev/zero", order.len());
    assert_eq!(proposed(&script), Err(CompileError::Limit(compile::limit_of_code())));
}

#[test]
fn a_child_inherits_no_environment() {
    let (compiler, folder) = compiler("env > \"$0.env\"; pwd > \"$0.pwd\"");
    let died = compiler.compile(&FINGERPRINT, &module(), &Terms::Committed);
    assert!(matches!(died, Err(CompileError::Died(_))), "{died:?}");
    let environment = fs::read_to_string(folder.path().join("child.env")).expect("the child wrote it");
    let names: Vec<_> = environment.lines().filter_map(|line| line.split('=').next()).collect();
    assert!(names.iter().all(|name| ["PWD", "_", "SHLVL", "OLDPWD"].contains(name)), "{names:?}");
    assert_eq!(fs::read_to_string(folder.path().join("child.pwd")).expect("the child wrote it"), "/\n");
}

#[test]
fn code_of_another_build_is_not_taken() {
    let code = Code { apply: vec![1; 3], query: Vec::new() };
    let answer = |fingerprint| Answer::Code { fingerprint, code: code.clone() }.encode();
    let ended = ExitStatus::from_raw(0);
    assert_eq!(read(&answer([7; 32]), ended, [7; 32], &Terms::Committed), Ok(code.clone()));
    let other = read(&answer([8; 32]), ended, [7; 32], &Terms::Committed);
    assert!(matches!(other, Err(CompileError::Died(_))), "{other:?}");
}

#[test]
fn orders_and_answers_are_read_as_they_were_written() {
    let bounds = Bounds { memory_bytes: 1, cpu_seconds: 2, niceness: 3 };
    let order = Order { fingerprint: [9; 32], bounds, module: vec![4; 70_000] };
    let bytes = order.encode();
    let read_back = Order::read(&mut &bytes[..]).expect("it is complete");
    assert_eq!(read_back, order);
    assert!(Order::read(&mut &bytes[..bytes.len() - 1]).is_err());
    let code = Code { apply: vec![1, 2], query: vec![3] };
    for answer in [
        Answer::Code { fingerprint: [1; 32], code },
        Answer::Refused("why".to_owned()),
        Answer::Unable("why not".to_owned()),
    ] {
        let bytes = answer.encode();
        assert!((bytes.len() as u64) < wire::OVERHEAD_BYTES + 3);
        assert_eq!(Answer::decode(&bytes), Some(answer));
        assert!((0..bytes.len()).all(|length| Answer::decode(&bytes[..length]).is_none()));
        assert_eq!(Answer::decode(&[&bytes[..], &[0]].concat()), None);
    }
}
