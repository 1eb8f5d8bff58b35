//! What one space or one module takes for itself does not keep the others from being served.
use std::time::Duration;

use synod_abi::Shape;
use synod_abi::schema::{EntryPointDef, HooksDef, SchemaDef};
use synod_api::v1::{Consistency, InstallRequest};
use synod_client::{Client, Error};
use synod_tests::cluster::{Cluster, PATIENCE, signal};
use synod_tests::recipes;
use synod_tests::wait::until;

/// Looping queries at once: each runs for two seconds, so one after the other on two threads they
/// would take half a minute.
const LOOPING: usize = 32;
/// How long another space's query may take on a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// How much a member may grow while a module is compiled beside it.
const GROWTH_BYTES: u64 = 256 * 1_024 * 1_024;
/// The argument of a process that compiles a module.
const COMPILER: &[u8] = b"compile-module-of-stdin";

const RUN: EntryPointDef =
    EntryPointDef { name: "run", docs: "", args: &[], result: &Shape::Unit, errors: None, waits: false };
const DEF: SchemaDef = SchemaDef {
    name: "bomb",
    version: 1,
    docs: "",
    operations: &[RUN],
    queries: &[],
    fields: &[],
    hooks: HooksDef::NONE,
    emits: None,
};
const SCHEMA: [u8; DEF.encoded_len()] = DEF.encode();

/// A module within all limits of admission that keeps a compiler busy for minutes: functions that
/// call themselves thousands of times and add up what they get.
fn bomb(number: usize) -> InstallRequest {
    let calls = "local.get 0 call $f{} i64.add ".repeat(9_000);
    let function = |n: usize| {
        let calls = calls.replace("{}", &n.to_string());
        format!("(func $f{n} (param i32) (result i64) i64.const {number} {calls})")
    };
    let functions: String = (0..12).map(function).collect();
    let schema: String = SCHEMA.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let text = format!(
        r#"(module (memory (export "memory") 1)
            (global (export "synod_input") i32 (i32.const 65536)) {functions}
            (func (export "synod_operation") (export "synod_query") (param i32 i32) (result i64) i64.const 0)
            (@custom "synod_schema" "{schema}"))"#
    );
    let module = wat::parse_str(text).expect("the text is well-formed");
    InstallRequest { module, ..InstallRequest::default() }
}

/// The processes that compile for a member.
fn compilers(member: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let compiles = |id: &u32| {
        let read = |file: &str| std::fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        parent == Some(member) && read("cmdline").split(|byte| *byte == 0).any(|part| part == COMPILER)
    };
    ids.filter(compiles).collect()
}

/// Asserts that a compiler has no environment, and soon no descriptors but standard ones: what was
/// open in the process that started its member it closes first of all.
async fn assert_inherited_nothing(compiler: u32) {
    let environment = std::fs::read(format!("/proc/{compiler}/environ")).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&environment), "");
    until("the compiler to have closed what it inherited", PATIENCE, || async {
        let descriptors = std::fs::read_dir(format!("/proc/{compiler}/fd")).into_iter().flatten().flatten();
        let is_standard = |name: &std::ffi::OsStr| ["0", "1", "2"].iter().any(|standard| name == *standard);
        descriptors.into_iter().all(|entry| is_standard(&entry.file_name())).then_some(())
    })
    .await;
}

/// Runs a query without arguments, which must answer in time.
async fn answers(client: &Client, space: &str, query: &str, args: &str) {
    let answer = client.query_json(space, query, args, Consistency::Linearizable);
    let answer = tokio::time::timeout(ANSWERED_WITHIN, answer).await;
    answer.unwrap_or_else(|_| panic!("{space} {query} was not answered in time")).expect("it is answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_that_loop_in_one_space_hold_up_no_other_and_end_with_their_callers() {
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    client.install_recipe(recipes::install("hostile")).await.expect("it is a valid module");
    let looping: Vec<_> = (0..LOOPING)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let spun = client.query_json("hostile", "spin_query", "{}", Consistency::Serializable).await;
                spun.map(drop)
            })
        })
        .collect();
    for _ in 0..4 {
        answers(&client, "kv", "get", r#"{"key": "k"}"#).await;
    }
    assert!(looping.iter().any(|query| !query.is_finished()), "the queries still loop");
    looping.iter().for_each(tokio::task::JoinHandle::abort);
    answers(&client, "hostile", "rows", "{}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_keeps_a_compiler_busy_holds_up_nobody_and_is_refused() {
    let honest = recipes::install("hostile");
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    let member = cluster.process_id(0);
    let before = cluster.resident_bytes(0);
    let installing = client.clone();
    let busy = tokio::spawn(async move { installing.install_recipe(bomb(1)).await.map(drop) });
    let compiler = until("the module to be compiled", PATIENCE, || async { compilers(member).pop() }).await;
    assert_inherited_nothing(compiler).await;
    for n in 0..20 {
        let added = client.call_json("counter", "add", r#"{"key": "a", "by": 1}"#);
        let added = tokio::time::timeout(ANSWERED_WITHIN, added).await.expect("calls go on");
        assert_eq!(added.expect("it is applied").value, format!("\"{}\"", n + 1));
        answers(&client, "counter", "get", r#"{"key": "a"}"#).await;
    }
    client.install_recipe(honest).await.expect("another module is installed meanwhile");
    let growth = cluster.resident_bytes(0).saturating_sub(before);
    assert!(growth < GROWTH_BYTES, "the member grew by {growth} bytes");
    // However fast the machine is, this one meets its limit of time.
    signal(compiler, libc::SIGSTOP);
    let installing = client.clone();
    let abandoned = tokio::spawn(async move { installing.install_recipe(bomb(2)).await.map(drop) });
    let compiling = |count: usize| move || async move { (compilers(member).len() == count).then_some(()) };
    until("both modules to be compiled", PATIENCE, compiling(2)).await;
    abandoned.abort();
    until("a compiler to be gone with its caller", PATIENCE, compiling(1)).await;
    let refused = busy.await.expect("it does not panic");
    let Err(Error::Refused(refusal)) = refused else { panic!("the module was not refused: {refused:?}") };
    assert_eq!(refusal.reason, "MODULE_TOO_COSTLY", "{refusal}");
    assert_eq!(refusal.limit.map(|limit| limit.0), Some("COMPILE_TIMEOUT_MS".to_owned()));
    assert!(compilers(member).is_empty());
    answers(&client, "hostile", "rows", "{}").await;
}
