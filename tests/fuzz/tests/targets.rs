//! Every target on its corpus and on inputs from a seed; and that the corpus and the targets are
//! complete.
//!
//! `SYNOD_FUZZ_SEED` draws other inputs, `SYNOD_FUZZ_INPUTS` more of them. With `SYNOD_FUZZ_TARGET`
//! and `SYNOD_FUZZ_INPUT` (hexadecimal) or `SYNOD_FUZZ_FILE` the test `replay` runs one input.
use std::collections::BTreeSet;
use std::{env, fs};

use prost::Message;
use prost_types::FileDescriptorSet;
use synod_abi::{decode, decode_from, encode};
use synod_fuzz::drive::{self, Finding, corpus, corpus_folder, from_hex};
use synod_fuzz::heap::Counting;
use synod_fuzz::targets::{self, MESSAGES, TARGETS};
use synod_machine::{Action, Caller, Command, Entry, Origin};

#[global_allocator]
static HEAP: Counting = Counting;

/// The seed of every test run; another one with `SYNOD_FUZZ_SEED`.
const SEED: u64 = 13;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Runs on a thread like those that run recipes, and fails with what was found.
fn on_recipe_thread(run: impl FnOnce() -> Result<(), Finding> + Send + 'static) {
    let thread = synod_vm::spawn("synod-fuzz", run).expect("a thread starts");
    match thread.join() {
        Ok(Ok(())) => {}
        Ok(Err(Finding(finding))) => panic!("{finding}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn run(name: &str) {
    let target = targets::find(name).unwrap_or_else(|why| panic!("{why}"));
    let seed = number("SYNOD_FUZZ_SEED").unwrap_or(SEED);
    let inputs = number("SYNOD_FUZZ_INPUTS").map_or(target.inputs, |inputs| inputs as usize);
    on_recipe_thread(move || drive::run(target, seed, inputs));
}

macro_rules! tests {
    ($($test:ident: $target:literal,)*) => {
        const TESTED: &[&str] = &[$($target),*];
        $(
            #[test]
            fn $test() {
                run($target);
            }
        )*
    };
}

tests! {
    peer_frames: "peer-frames",
    log_records: "log-records",
    small_records: "small-records",
    data_files: "data-files",
    manifests: "manifests",
    forward_frames: "forward-frames",
    entries: "entries",
    damaged_rows: "damaged-rows",
    schemas: "schemas",
    json_arguments: "json-arguments",
    json_results: "json-results",
    boundary: "boundary",
    client_messages: "client-messages",
    peer_messages: "peer-messages",
    statuses: "statuses",
    compiler_pipe: "compiler-pipe",
    config_files: "config-files",
    command_lines: "command-lines",
    modules: "modules",
    valid_modules: "valid-modules",
    host_calls: "host-calls",
    stores: "stores",
}

#[test]
fn every_target_has_a_test() {
    let mut known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let mut tested = TESTED.to_vec();
    known.sort_unstable();
    tested.sort_unstable();
    assert_eq!(known, tested);
}

/// With `SYNOD_FUZZ_WRITE` what is missing is written: the code has a new encoding.
#[test]
fn the_corpus_has_what_the_code_encodes() {
    let write = env::var_os("SYNOD_FUZZ_WRITE").is_some();
    for target in TARGETS {
        let folder = corpus_folder(target.name);
        if write {
            fs::create_dir_all(&folder).expect("the folder can be made");
        }
        let known = corpus(target.name);
        let mut free = (0..).map(|number| folder.join(format!("seed-{number:02}")));
        for (number, seed) in (target.seeds)().iter().enumerate() {
            if known.iter().any(|(_, bytes)| bytes == seed) {
                continue;
            }
            assert!(write, "seed {number} of {} is not in the corpus: set SYNOD_FUZZ_WRITE=1", target.name);
            let path = free.find(|path| !path.exists()).expect("numbers have no end");
            fs::write(path, seed).expect("the corpus can be written");
        }
    }
}

#[test]
fn every_message_of_every_service_is_decoded() {
    let files = FileDescriptorSet::decode(synod_api::FILE_DESCRIPTOR_SET).expect("it is our own");
    for (package, tried) in MESSAGES {
        let files = files.file.iter().filter(|file| file.package() == package);
        let mut messages: Vec<&str> =
            files.flat_map(|file| &file.message_type).map(|message| message.name()).collect();
        let mut tried = tried.to_vec();
        messages.sort_unstable();
        tried.sort_unstable();
        assert!(!messages.is_empty());
        assert_eq!(tried, messages, "package {package}");
    }
}

#[test]
fn entries_of_every_kind_of_action_are_applied() {
    let entries = (targets::find("entries").expect("it is there").seeds)();
    let entries = entries.iter().map(|bytes| decode::<Entry>(bytes).expect("it is our own"));
    let kind = |command: &Command| {
        let (_, _, kind) =
            decode_from::<(Origin, Caller, u32)>(&mut &encode(command)[..]).expect("it is our own");
        kind
    };
    let kinds: BTreeSet<u32> =
        entries.flat_map(|entry| entry.commands).map(|command| kind(&command)).collect();
    assert_eq!(kinds, (0..Action::KINDS).collect());
}

#[test]
fn an_unknown_target_is_told_which_there_are() {
    let why = targets::find("entrys").expect_err("there is no such target");
    assert!(why.contains("entrys") && TARGETS.iter().all(|target| why.contains(target.name)), "{why}");
}

/// One input again, of the target `SYNOD_FUZZ_TARGET`.
#[test]
fn replay() {
    let Ok(name) = env::var("SYNOD_FUZZ_TARGET") else { return };
    let target = targets::find(&name).unwrap_or_else(|why| panic!("{why}"));
    let input = match (env::var("SYNOD_FUZZ_INPUT"), env::var("SYNOD_FUZZ_FILE")) {
        (Ok(hex), _) => from_hex(&hex).expect("SYNOD_FUZZ_INPUT is hexadecimal"),
        (_, Ok(path)) => std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")),
        _ => panic!("set SYNOD_FUZZ_INPUT or SYNOD_FUZZ_FILE"),
    };
    on_recipe_thread(move || drive::check(target, &input, "the given input"));
}
