//! Rows of one member's state have a bit flipped on disk, behind the member's back: by the next
//! checkpoint if a row is used, else by a scrub it finds that out, serves nobody any more and stops
//! for good. No other member ever stops, and none takes such a state as a snapshot.
//!
//! RocksDB's own checksums find damaged files. So rows are changed here through the store, while
//! the member is stopped, as a fault of memory or of a processor changes them. The short form flips
//! a few dozen bits, `make soak WHAT=flips` 1,000.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use synod_abi::Direction;
use synod_client::{Client, Follow, Options};
use synod_kv::Kv;
use synod_machine::{RangeLimit, StateView, Table, Write};
use synod_sdk::prelude::*;
use synod_storage::{RocksOptions, RocksStore, StateStore};
use synod_tests::binary::synod;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::dice::Dice;
use synod_tests::wait::until;

/// Spaces with rows of their own, of each of which one bit is flipped at a time.
const SPACES: usize = 40;
const ROWS_OF_SPACE: usize = 4;
const VALUE: &str = "the value before";
const REPLACE: [&str; 1] = ["--replace-lost"];
const ALL_ROWS: RangeLimit = RangeLimit { rows: usize::MAX, bytes: usize::MAX };

fn is_soak() -> bool {
    std::env::var_os("SYNOD_SOAK").is_some()
}

/// How often all spaces are damaged at once.
fn rounds() -> usize {
    if is_soak() { 24 } else { 1 }
}

/// How often a row of no space is damaged.
fn rounds_of_others() -> usize {
    if is_soak() { 40 } else { 3 }
}

/// A row, and another one that differs from it by one bit.
#[derive(Clone, Debug)]
struct Flip {
    table: Table,
    before: (Vec<u8>, Vec<u8>),
    after: (Vec<u8>, Vec<u8>),
}

impl Flip {
    fn writes(table: Table, from: &(Vec<u8>, Vec<u8>), to: &(Vec<u8>, Vec<u8>)) -> [Write; 2] {
        let delete = Write::Delete { table, key: from.0.clone() };
        [delete, Write::Put { table, key: to.0.clone(), value: to.1.clone() }]
    }

    /// The spaces whose rows it changes.
    fn spaces(&self) -> impl Iterator<Item = u32> {
        [&self.before, &self.after].map(|(key, _)| space_of(key)).into_iter()
    }
}

/// The space of a key of the tables of spaces.
fn space_of(key: &[u8]) -> u32 {
    u32::from_be_bytes(*key.first_chunk().expect("keys begin with a space"))
}

/// Rows of a stopped member, by table and key.
type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

fn open(data: &Path) -> RocksStore {
    RocksStore::open(data, &RocksOptions::default()).expect("the folder opens")
}

fn read(data: &Path) -> Rows {
    let view = open(data).view().expect("it can be read");
    let mut rows = Rows::new();
    for table in Table::ALL {
        let of = view.range(table, &[], &[], Direction::Forward, ALL_ROWS).expect("it can be read").0;
        rows.extend(of.into_iter().map(|(key, value)| ((table, key), value)));
    }
    rows
}

fn write(data: &Path, writes: &[Write]) {
    let store = open(data);
    let mark = store.applied().expect("it can be read");
    store.commit(writes, &mark).expect("it can be written");
    store.close();
}

fn damage(data: &Path, flips: &[Flip]) {
    let writes = flips.iter().flat_map(|flip| Flip::writes(flip.table, &flip.before, &flip.after));
    write(data, &writes.collect::<Vec<_>>());
}

/// Makes the rows as they were, and has the member start again.
fn repair(data: &Path, flips: &[Flip]) {
    let writes = flips.iter().flat_map(|flip| Flip::writes(flip.table, &flip.after, &flip.before));
    write(data, &writes.collect::<Vec<_>>());
    let _not_there = std::fs::remove_file(data.join("halted"));
}

/// One bit of a row, at random: of its key or of its value.
fn flip(dice: &mut Dice, rows: &Rows, (table, key): &(Table, Vec<u8>)) -> Flip {
    let value = &rows[&(*table, key.clone())];
    loop {
        let mut after = (key.clone(), value.clone());
        let bit = dice.below((key.len() + value.len()) as u64 * 8) as usize;
        let bytes = if bit / 8 < key.len() { &mut after.0 } else { &mut after.1 };
        let at = if bit / 8 < key.len() { bit / 8 } else { bit / 8 - key.len() };
        bytes[at] ^= 1 << (bit % 8);
        if after.0 == *key || !rows.contains_key(&(*table, after.0.clone())) {
            return Flip { table: *table, before: (key.clone(), value.clone()), after };
        }
    }
}

fn pick<T: Clone>(dice: &mut Dice, of: &[T]) -> T {
    of[dice.below(of.len() as u64) as usize].clone()
}

/// A bit of a row of every space that has rows.
fn flips_of_spaces(dice: &mut Dice, rows: &Rows) -> Vec<Flip> {
    let mut keys: BTreeMap<u32, Vec<(Table, Vec<u8>)>> = BTreeMap::new();
    for (table, key) in rows.keys().filter(|(table, _)| matches!(table, Table::State | Table::Events)) {
        keys.entry(space_of(key)).or_default().push((*table, key.clone()));
    }
    let one_of = |keys: &Vec<_>| {
        let key = pick(dice, keys);
        flip(dice, rows, &key)
    };
    keys.values().map(one_of).collect()
}

/// A bit of a row of no space.
fn flip_of_others(dice: &mut Dice, rows: &Rows) -> Flip {
    let is_other = |(table, _): &&(Table, Vec<u8>)| !matches!(table, Table::State | Table::Events);
    let keys: Vec<_> = rows.keys().filter(is_other).cloned().collect();
    let key = pick(dice, &keys);
    flip(dice, rows, &key)
}

/// The addresses of all members, `first` first.
fn endpoints(cluster: &Cluster, first: usize) -> String {
    let order = [first, (first + 1) % 3, (first + 2) % 3];
    order.map(|n| cluster.members[n].client_address.clone()).join(",")
}

async fn put(client: &Client, space: &str, key: &str, value: &str) {
    let value = Blob::from(value.as_bytes().to_vec());
    Kv::client(client, space).put(key, value).await.expect("it is put");
}

async fn get(client: &Client, key: &str) -> Option<Blob> {
    Kv::client(client, "kv").get(key).await.expect("it is asked").map(|entry| entry.value)
}

/// Waits until a member that is wrong has stopped, and checks that it does not start again and says
/// why. The others go on.
async fn stops_for_good(cluster: &mut Cluster, wrong: usize, why: &str) {
    assert_ne!(cluster.exited(wrong).await.code(), Some(0));
    cluster.start(wrong);
    assert_ne!(cluster.exited(wrong).await.code(), Some(0));
    let log = cluster.log(wrong);
    let last = log.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_default();
    assert!(last.contains(why) && last.contains("start it with --replace-lost"), "{last}");
    others_go_on(cluster, wrong).await;
}

async fn others_go_on(cluster: &Cluster, wrong: usize) {
    for other in (0..3).filter(|other| *other != wrong) {
        until("another member to serve", PATIENCE, || async {
            cluster.status(other).await.filter(|status| status.problem.is_empty())
        })
        .await;
        assert!(!cluster.log(other).contains("cannot go on"), "{}", cluster.log(other));
    }
}

/// Waits until all members have compared their digests after the last entry that did something.
async fn agree(cluster: &Cluster) {
    let index = cluster.assert_equal_digests().await;
    until("the members to agree", PATIENCE, || async {
        for n in 0..3 {
            cluster.status(n).await.filter(|status| status.agreed_index + 2 >= index)?;
        }
        Some(())
    })
    .await;
}

fn scrub_command(endpoints: &str) -> Output {
    let mut command = Command::new(synod());
    command.args(["--endpoint", endpoints, "--output", "json", "cluster", "scrub"]);
    command.output().expect("the binary can be started")
}

/// What `synod cluster scrub` says of each member, by name, and its exit code.
async fn scrub(cluster: &Cluster) -> (BTreeMap<String, String>, i32) {
    let endpoints = cluster.endpoints();
    let run = tokio::task::spawn_blocking(move || scrub_command(&endpoints)).await.expect("it runs");
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).expect("it is JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("it is text").to_owned();
    let members = json["members"].as_array().expect("there are members").iter();
    let results = members.map(|member| (text(&member["name"]), text(&member["result"]))).collect();
    (results, run.status.code().expect("it was not killed"))
}

/// Changes the row with the value [`VALUE`].
fn damage_value(data: &Path) {
    let place = |value: &[u8]| value.windows(VALUE.len()).position(|part| part == VALUE.as_bytes());
    let mut found = read(data).into_iter().filter(|((table, _), _)| *table == Table::State);
    let row = found.find_map(|(key, value)| place(&value).map(|at| (key, value, at)));
    let ((table, key), value, at) = row.expect("the row is there");
    let mut flipped = value.clone();
    flipped[at] ^= 1;
    damage(data, &[Flip { table, before: (key.clone(), value), after: (key, flipped) }]);
}

/// The same in the state of a follower, which is down meanwhile.
async fn damage_a_follower(cluster: &mut Cluster) -> usize {
    let wrong = (cluster.leader().await + 1) % 3;
    cluster.stop(wrong).await;
    damage_value(&cluster.members[wrong].data);
    cluster.start(wrong);
    cluster.ready().await;
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_row_was_changed_stops_for_good_once_the_row_is_used_and_its_clients_go_on() {
    let mut cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    put(&client, "kv", "k", VALUE).await;
    agree(&cluster).await;
    let wrong = damage_a_follower(&mut cluster).await;
    let options = Options { follow: Follow::Nearest, ..Options::default() };
    let near = Client::connect_with(endpoints(&cluster, wrong), options).await.expect("it answers");
    put(&near, "kv", "other", "value").await;
    agree(&cluster).await;
    put(&near, "kv", "k", "after").await;
    stops_for_good(&mut cluster, wrong, "differs from that of a majority after entry").await;
    assert_eq!(get(&near, "k").await, Some(Blob::from(b"after".to_vec())));
    put(&near, "kv", "k", "later").await;
    let late = Client::connect_with(endpoints(&cluster, wrong), options).await.expect("another answers");
    assert_eq!(get(&late, "k").await, Some(Blob::from(b"later".to_vec())));
    cluster.wipe(wrong);
    cluster.start_with(wrong, &REPLACE);
    cluster.ready().await;
    put(&near, "kv", "k", "last").await;
    agree(&cluster).await;
    let (results, code) = scrub(&cluster).await;
    assert!(code == 0 && results.len() == 3 && results.values().all(|found| found == "sound"), "{results:?}");
}

/// A cluster whose spaces have rows and events, and which member's are damaged.
async fn filled(dice: &mut Dice) -> (Cluster, usize) {
    let cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    for space in 0..SPACES {
        let space = format!("space-{space}");
        client.create_space(&space, "kv", 0).await.expect("it is made");
        for row in 0..ROWS_OF_SPACE {
            put(&client, &space, &format!("key {row}"), &format!("value {}", dice.below(1_000))).await;
        }
    }
    let wrong = (cluster.leader().await + 1) % 3;
    agree(&cluster).await;
    (cluster, wrong)
}

/// Asks a member to have all scrubbed, until it reaches all: one that has just started may not be
/// connected again. The number of each one's scrub, by the member's id; none if the damaged member
/// has stopped of itself before: entries that it applies read what is damaged.
async fn scrub_all(cluster: &Cluster, wrong: usize) -> BTreeMap<u64, u64> {
    until("a scrub of every member", PATIENCE, || async {
        if !cluster.runs(wrong) {
            return Some(BTreeMap::new());
        }
        let scrubs = cluster.client_of((wrong + 1) % 3).await?.scrub(false).await.ok()?;
        let are_started = scrubs.len() == 3 && scrubs.iter().all(|scrub| scrub.number > 0);
        are_started.then(|| scrubs.into_iter().map(|scrub| (scrub.member_id, scrub.number)).collect())
    })
    .await
}

/// Rows of no space hold the digests, too: if a bit of those flips, others find that they differ.
fn is_empty_or_of_another(finding: &str) -> bool {
    finding.is_empty() || finding.ends_with("differ from those of 1 of the others")
}

/// Starts a damaged member and has all members scrubbed; what the damaged one wrote down when it
/// stopped, or the error with which it did not start. `is_of_sound` says what the others may find.
async fn found(cluster: &mut Cluster, wrong: usize, is_of_sound: fn(&str) -> bool) -> String {
    let _of_the_last_round = std::fs::remove_file(cluster.members[wrong].data.join("halted"));
    cluster.start(wrong);
    let starts = until("the damaged member to start, or to refuse", PATIENCE, || async {
        if !cluster.runs(wrong) {
            return Some(false);
        }
        cluster.status(wrong).await.map(|_| true)
    })
    .await;
    let numbers = if starts { scrub_all(cluster, wrong).await } else { BTreeMap::new() };
    assert_ne!(cluster.exited(wrong).await.code(), Some(0), "{}", cluster.log(wrong));
    for sound in (0..3).filter(|member| !numbers.is_empty() && *member != wrong) {
        let status = until("the scrub of a sound member to end", PATIENCE, || async {
            let status = cluster.status(sound).await?;
            let ended = status.scrub.as_ref()?.ended;
            (ended >= numbers[&status.id]).then_some(status)
        })
        .await;
        let finding = status.scrub.expect("it has scrubbed").finding;
        assert!(is_of_sound(&finding), "{finding}");
    }
    others_go_on(cluster, wrong).await;
    std::fs::read_to_string(cluster.members[wrong].data.join("halted")).unwrap_or_else(|_| {
        let log = cluster.log(wrong);
        log.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_default().to_owned()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flipped_bit_is_found_by_a_scrub_and_no_other_member_stops() {
    let mut dice = Dice::seeded();
    let (mut cluster, wrong) = filled(&mut dice).await;
    let data = cluster.members[wrong].data.clone();
    cluster.stop(wrong).await;
    let mut flipped = 0;
    for _ in 0..rounds() {
        let flips = flips_of_spaces(&mut dice, &read(&data));
        assert!(flips.len() >= SPACES);
        damage(&data, &flips);
        let finding = found(&mut cluster, wrong, str::is_empty).await;
        let (_, ids) = finding.split_once("of the spaces with the ids ").expect(&finding);
        let named: BTreeSet<u32> = ids.split(", ").map(|id| id.parse().expect("an id")).collect();
        let damaged: BTreeSet<u32> = flips.iter().flat_map(Flip::spaces).collect();
        assert!(named == damaged, "{finding}: {flips:?}");
        repair(&data, &flips);
        flipped += flips.len();
        eprintln!("{flipped} bits of spaces flipped and found");
    }
    for _ in 0..rounds_of_others() {
        let flip = flip_of_others(&mut dice, &read(&data));
        damage(&data, std::slice::from_ref(&flip));
        let finding = found(&mut cluster, wrong, is_empty_or_of_another).await;
        assert!(!finding.is_empty(), "{flip:?}");
        eprintln!("a bit of {}: {finding}", flip.table.name());
        repair(&data, &[flip]);
        flipped += 1;
    }
    eprintln!("{flipped} bits flipped, each found");
    cluster.start(wrong);
    cluster.ready().await;
    put(&cluster.client().await, "kv", "k", "v").await;
    agree(&cluster).await;
    let (results, code) = scrub(&cluster).await;
    assert!(code == 0 && results.len() == 3 && results.values().all(|found| found == "sound"), "{results:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_joins_refuses_a_damaged_state_and_a_scrub_of_the_leader_heals_the_cluster() {
    let mut cluster = Cluster::started(3, &["--snapshot-entries", "50"]).await;
    let client = cluster.client().await;
    put(&client, "kv", "k", VALUE).await;
    for n in 0..200 {
        put(&client, "kv", "other", &n.to_string()).await;
    }
    agree(&cluster).await;
    let wrong = damage_a_follower(&mut cluster).await;
    cluster.make_leader(wrong, &[]).await;
    let joins = (wrong + 1) % 3;
    cluster.kill(joins);
    cluster.wipe(joins);
    cluster.start_with(joins, &REPLACE);
    until("the damaged state to be refused", PATIENCE, || async {
        let logs = [cluster.log(joins), cluster.log(wrong)];
        logs.iter().any(|log| log.contains("rows are not those that their digests stand for")).then_some(())
    })
    .await;
    cluster.client_of(wrong).await.expect("it answers").scrub(true).await.expect("it is asked");
    until("the damaged member to stop", PATIENCE, || async {
        put(&client, "kv", "other", "later").await;
        (!cluster.runs(wrong)).then_some(())
    })
    .await;
    stops_for_good(&mut cluster, wrong, "is damaged: rows are not those").await;
    cluster.wipe(wrong);
    cluster.start_with(wrong, &REPLACE);
    cluster.ready().await;
    put(&client, "kv", "k", "last").await;
    agree(&cluster).await;
}
