//! One run: everything that a seed decides, from the first start to the verdict.
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use synod_abi::MemberId;
use synod_client::core::Follow;
use synod_consensus::{Blocking, Settings};
use synod_world::{Dice, Order, Process, World};

use crate::check;
use crate::client::SimClient;
use crate::cluster::Cluster;
use crate::engines::Engines;
use crate::fault::{Clients, Fault, Nemesis, Plan};
use crate::finding::{Check, Finding};
use crate::modules::Modules;
use crate::net::{Net, Site};
use crate::observe::Observer;
use crate::peers::{Caller, Roster};
use crate::record::Recorder;
use crate::workload::{Extra, Sizes, counter, election, kv, lock, operator, trail, watch};

/// How long a cluster may take to form and serve.
const FORMING: Duration = Duration::from_secs(20);
/// After everything is healed, how long until it serves again ...
const HEALING: Duration = Duration::from_secs(10);
/// ... and if a member needs a snapshot.
const HEALING_BY_SNAPSHOT: Duration = Duration::from_secs(30);
/// How many operations have to succeed meanwhile.
const OPERATIONS_AFTER_HEALING: u64 = 20;
/// How often the members that ended are looked for.
const EVERY: Duration = Duration::from_millis(50);
/// How long a member that ended of itself stays down.
const DOWN: Duration = Duration::from_millis(500);

/// What a run is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// How long clients work, in the world's time.
    pub duration: Duration,
    /// The kinds of faults that may be drawn.
    pub faults: Vec<Fault>,
    /// Numbers of the faults that happen, in the order in which they are drawn; none: all.
    pub only: Option<BTreeSet<u64>>,
    /// Whether a trace is printed.
    pub trace: bool,
}

/// What a run was.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Operations and faults, by name.
    pub counts: BTreeMap<&'static str, u64>,
    /// Faults that were drawn.
    pub faults: u64,
    /// Equal for equal runs.
    pub fingerprint: u64,
    /// The world's time.
    pub simulated: Duration,
    /// This host's time.
    pub took: Duration,
    /// Entries that were applied.
    pub entries: u64,
    /// Terms that had a leader.
    pub terms: usize,
}

/// Starts what a client does.
type Start = Box<dyn Fn(&SimClient) -> BoxFuture<'static, ()>>;

struct Running {
    process: Process,
    start: Start,
}

/// The clients of a run.
struct Crowd {
    world: World,
    net: Net,
    roster: Roster,
    observer: Observer,
    members: Vec<MemberId>,
    dice: Dice,
    recorder: Recorder,
    clients: BTreeMap<u32, Running>,
}

impl Crowd {
    fn add(&mut self, number: u32, start: impl Fn(&SimClient) -> BoxFuture<'static, ()> + 'static) {
        let running = Running { process: self.world.process(), start: Box::new(start) };
        self.clients.insert(number, running);
        self.run(number, true);
    }
}

impl Clients for Crowd {
    fn numbers(&self) -> Vec<u32> {
        self.clients.keys().copied().collect()
    }

    fn run(&mut self, number: u32, runs: bool) {
        let (process, dice) = (self.world.process(), self.dice.fork());
        let follow = if number.is_multiple_of(2) { Follow::Leader } else { Follow::Nearest };
        let mut members = self.members.clone();
        members.rotate_left(number as usize % self.members.len());
        let Some(running) = self.clients.get_mut(&number) else { return };
        running.process.kill();
        self.recorder.died(number, self.world.elapsed().as_nanos() as u64);
        if runs {
            let (net, roster) = (self.net.clone(), self.roster.clone());
            let caller = Caller { site: Site::Client(number), process: process.clone(), net, roster };
            let client = SimClient::new(number, caller, &members, follow, self.observer.clone(), dice);
            process.spawn((running.start)(&client));
            running.process = process;
        }
    }

    fn stop(&mut self, number: u32, stopped: bool) {
        if let Some(running) = self.clients.get(&number) {
            running.process.stop(stopped);
        }
    }
}

fn settings(dice: &mut Dice) -> Settings {
    let compaction_entries = *dice.pick(&[60, 300, 2_000]);
    Settings {
        compaction_entries,
        log_entries_to_keep: dice.between(0, compaction_entries / 2),
        purge_batch_entries: 1,
        compaction_bytes: 256 * 1_024,
        replication_batch_entries: *dice.pick(&[1, 16, 2_048]),
        blocking: Blocking::Inline,
        ..Settings::default()
    }
}

/// Runs a seed, in a thread of its own: recipes need its stack. What panics is found.
///
/// # Panics
/// This host has no room for another thread.
pub fn run(options: &Options, engines: &Engines) -> Report {
    let begun = Instant::now();
    let (work, engines) = (options.clone(), engines.clone());
    let running = move || {
        let mut dice = Dice::new(work.seed);
        let world = World::new(Order::Drawn(dice.fork()));
        let ended = catch_unwind(AssertUnwindSafe(|| try_run(&work, &engines, world.clone(), dice)));
        if ended.is_err() {
            // Tasks that were never dropped keep the instances of recipes that their members have.
            let _panics_again = catch_unwind(AssertUnwindSafe(|| world.end()));
        }
        ended
    };
    let thread = synod_vm::spawn("synod-sim", running).expect("there is room for a thread");
    let report = thread.join().expect("what panicked was caught");
    let mut report = report.unwrap_or_else(|panicked| Report::of_panic(options.seed, &*panicked));
    report.took = begun.elapsed();
    report
}

impl Report {
    fn of_panic(seed: u64, panicked: &(dyn Any + Send)) -> Self {
        let text = panicked.downcast_ref::<String>().map(String::as_str);
        let what = text.or_else(|| panicked.downcast_ref::<&str>().copied()).unwrap_or("without a word");
        let finding = Finding { check: Check::Panicked, what: what.to_owned(), at: Duration::ZERO };
        Self { seed, findings: vec![finding], ..Self::default() }
    }
}

fn try_run(options: &Options, engines: &Engines, world: World, mut dice: Dice) -> Report {
    let observer = Observer::new(world.clone(), options.trace);
    let plan = Plan::draw(&mut dice, &options.faults, options.duration);
    observer.tell("--", format_args!("seed {}: {plan:?}", options.seed));
    let net = Net::new(world.process(), dice.fork(), plan.quality);
    let members = *dice.pick(&[3, 3, 5]);
    let setup = (settings(&mut dice), plan.disk);
    let extra = Extra { handler: dice.happens(500), operator: dice.happens(500) };
    let parts = (world.clone(), net.clone(), observer.clone());
    let cluster = Cluster::new(parts, members, setup, engines.clone(), dice.fork());
    let recorder = Recorder::default();
    let mut crowd = Crowd {
        world: world.clone(),
        net,
        roster: cluster.roster.clone(),
        observer: observer.clone(),
        members: cluster.ids(),
        dice: dice.fork(),
        recorder: recorder.clone(),
        clients: BTreeMap::new(),
    };
    let mut course = Course { cluster, nemesis: None, excused: BTreeSet::new(), down: Vec::new() };
    course.cluster.form();
    let mut faults = 0;
    if course.until(FORMING, &mut crowd, is_set_up) {
        add_clients(&mut crowd, &mut dice, &recorder, extra, &engines.modules());
        let begin = world.elapsed();
        let nemesis = Nemesis::new(plan.clone(), dice.fork(), begin, options.only.clone());
        course.nemesis = Some(nemesis);
        course.until(options.duration, &mut crowd, |_| false);
        faults = course.nemesis.as_ref().map_or(0, Nemesis::drawn);
        course.heal(&mut crowd);
        let kinds: Vec<&'static str> = plan.kinds.iter().map(|kind| kind.name()).collect();
        check::judge(&observer, &recorder.records(), engines);
        if options.only.is_none() {
            check::covered(&observer, options.duration, &kinds, extra);
        }
    } else {
        observer.found(Check::Liveness, "the cluster was not formed in time");
    }
    let report = Report {
        seed: options.seed,
        findings: observer.findings(),
        counts: observer.counts(),
        faults,
        fingerprint: world.fingerprint(),
        simulated: world.elapsed(),
        took: Duration::ZERO,
        entries: observer.last_applied(),
        terms: observer.terms(),
    };
    for number in crowd.numbers() {
        crowd.run(number, false);
    }
    course.cluster.end();
    report
}

fn is_set_up(cluster: &Cluster) -> bool {
    let roster = cluster.roster.all();
    let has_all = |live: &crate::peers::Live| {
        live.member.applied().head().last_space as usize >= synod_bundle::RECIPES.len()
    };
    !roster.is_empty() && roster.values().all(has_all)
}

fn add_clients(
    crowd: &mut Crowd,
    dice: &mut Dice,
    recorder: &Recorder,
    extra: Extra,
    modules: &Arc<Modules>,
) {
    let think = Duration::from_millis(*dice.pick(&[10, 50, 200]));
    let ttl_ms = *dice.pick(&[2_000, 4_000, 8_000]);
    let sizes = Sizes { objects: dice.between(1, 6), think, ttl_ms };
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    for _ in 0..dice.between(2, 5) {
        let recorder = recorder.clone();
        crowd.add(next(), move |client| kv::run(client.clone(), sizes, recorder.clone()).boxed());
    }
    for _ in 0..dice.between(2, 3) {
        let recorder = recorder.clone();
        crowd.add(next(), move |client| counter::run(client.clone(), sizes, recorder.clone()).boxed());
    }
    for _ in 0..dice.between(2, 4) {
        let recorder = recorder.clone();
        crowd.add(next(), move |client| lock::run(client.clone(), sizes, recorder.clone()).boxed());
    }
    for _ in 0..dice.between(2, 3) {
        let recorder = recorder.clone();
        crowd.add(next(), move |client| election::run(client.clone(), sizes, recorder.clone()).boxed());
    }
    for prefix in ["", "k0", "k"] {
        let recorder = recorder.clone();
        crowd.add(next(), move |client| watch::run(client.clone(), prefix, recorder.clone()).boxed());
    }
    if extra.handler {
        let recorder = recorder.clone();
        crowd.add(next(), move |client| trail::run(client.clone(), recorder.clone()).boxed());
    }
    if extra.operator {
        let modules = modules.clone();
        crowd.add(next(), move |client| operator::run(client.clone(), modules.clone()).boxed());
    }
}

/// The way of a run through time.
struct Course {
    cluster: Cluster,
    nemesis: Option<Nemesis>,
    /// Members that are to fail, because they were made to.
    excused: BTreeSet<MemberId>,
    /// Members that ended of themselves, and when they start again.
    down: Vec<(Duration, MemberId)>,
}

impl Course {
    /// Lets time pass for at most `limit`, until `done`; whether it is.
    fn until(&mut self, limit: Duration, crowd: &mut Crowd, done: impl Fn(&Cluster) -> bool) -> bool {
        let world = self.cluster.world.clone();
        let end = world.elapsed() + limit;
        loop {
            let mut stop = (world.elapsed() + EVERY).min(end);
            if let Some(nemesis) = &self.nemesis {
                stop = stop.min(nemesis.next().max(world.elapsed()));
            }
            loop {
                world.settle();
                if !world.jump(stop) {
                    break;
                }
            }
            world.settle();
            self.bury();
            if let Some(nemesis) = &mut self.nemesis {
                nemesis.act(&mut self.cluster, crowd);
                self.excused.append(&mut nemesis.excused);
            }
            if done(&self.cluster) {
                return true;
            }
            if world.elapsed() >= end {
                return false;
            }
        }
    }

    /// Members that ended of themselves come back, unless they ended without being made to.
    fn bury(&mut self) {
        let now = self.cluster.world.elapsed();
        let damaged = self.cluster.damaged();
        for (id, why) in self.cluster.bury() {
            if !self.excused.remove(&id) && damaged != Some(id) {
                self.cluster.observer.found(Check::MemberFailed, format!("m{id} ended: {why}"));
            }
            self.down.push((now + DOWN, id));
        }
        let (due, later) = std::mem::take(&mut self.down).into_iter().partition(|(at, _)| *at <= now);
        self.down = later;
        let due: Vec<(Duration, MemberId)> = due;
        for (_, id) in due {
            if self.cluster.damaged() != Some(id) {
                self.cluster.start(id);
            } else if self.cluster.replace(id).is_none() {
                self.down.push((now + DOWN, id));
            }
        }
    }

    /// Ends all faults; then the cluster has to serve, and its members to agree, in time.
    fn heal(&mut self, crowd: &mut Crowd) {
        let observer = self.cluster.observer.clone();
        if let Some(mut nemesis) = self.nemesis.take() {
            nemesis.heal(&mut self.cluster, crowd);
        }
        observer.tell("--", format_args!("everything is healed"));
        let total = |observer: &Observer| {
            let counts = observer.counts();
            ["kv operation", "counter operation"].map(|what| counts.get(what).copied().unwrap_or(0))
        };
        let before = total(&observer);
        let goal = observer.last_applied();
        let (seen, recorder) = (observer.clone(), crowd.recorder.clone());
        let acknowledged = Some(recorder.records().acknowledged);
        let serves = move |cluster: &Cluster| {
            let now = total(&seen);
            let works = (0..2).all(|kind| now[kind] >= before[kind] + OPERATIONS_AFTER_HEALING);
            let records = recorder.records();
            let mut live = records.watches.iter().filter(|watched| watched.client.is_some());
            let follows = live.all(|watched| watched.complete >= acknowledged);
            drop(records);
            works && follows && all_applied(cluster, goal) && !cluster.is_replacing()
        };
        let snapshots = observer.counts().get("snapshot installed").copied();
        if !self.until(HEALING, crowd, &serves) {
            let by_snapshot = observer.counts().get("snapshot installed").copied() != snapshots;
            if !by_snapshot || !self.until(HEALING_BY_SNAPSHOT - HEALING, crowd, &serves) {
                let at: Vec<_> = applied(&self.cluster);
                let done = total(&observer);
                let what =
                    format!("{HEALING:?} after healing: {done:?} of {before:?} operations, {at:?} of {goal}");
                observer.found(Check::Liveness, what);
            }
        }
        for number in crowd.numbers() {
            crowd.run(number, false);
        }
        let seen = observer.clone();
        let agree = move |cluster: &Cluster| all_applied(cluster, seen.last_applied());
        self.until(Duration::from_secs(1), crowd, |_| false);
        if !self.until(HEALING, crowd, agree) {
            observer.found(
                Check::Liveness,
                format!("members are at different entries: {:?}", applied(&self.cluster)),
            );
        }
    }
}

fn applied(cluster: &Cluster) -> Vec<(MemberId, u64)> {
    cluster.roster.all().iter().map(|(id, live)| (*id, live.member.applied().digest().index)).collect()
}

fn all_applied(cluster: &Cluster, index: u64) -> bool {
    let applied = applied(cluster);
    applied.len() == cluster.nodes.len() && applied.iter().all(|(_, at)| *at >= index)
}
