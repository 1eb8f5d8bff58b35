//! Rounds of mixed faults on a cluster of real processes, while clients record what they see.
//!
//! Each round has a cluster of its own and draws from its seed how large it is, what its clients do
//! and which faults meet. After ten seconds everything is healed; the cluster must serve soon, and
//! the records must hold. What runs when is up to the machine: a seed repeats what is drawn, and
//! not what happens. Faults are added in `faults`, clients in `load`, checks in `checks`.
mod arena;
mod checks;
mod fault;
mod faults;
mod lasting;
mod load;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use synod_kv::Kv;
use tokio::time::Instant;

pub use fault::Fault;
pub use lasting::{Lap, Lasting, Need};

use crate::clock::TestClock;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::disk::SmallDisk;
use crate::wait::until;
use arena::{Arena, Condition, Damage};
use fault::Group;
use faults::Active;
use load::Load;

/// How long a healed cluster may take until it serves: ten seconds are promised, and a busy machine
/// is allowed more.
const SERVES_WITHIN: Duration = Duration::from_secs(60);
/// Kinds of faults of a round.
const MIX: (u64, u64) = (3, 6);
/// How often what goes on is looked at.
const STEP: Duration = Duration::from_millis(25);
/// A round with fewer operations proves nothing.
const FEWEST_OPERATIONS: u64 = 200;

/// What a round is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything is drawn from it.
    pub seed: u64,
    /// How long faults go on.
    pub lasts: Duration,
    /// The faults that may be drawn.
    pub faults: Vec<Fault>,
}

/// How large a round is.
#[derive(Clone, Debug)]
struct Sizes {
    seed: u64,
    members: usize,
    snapshot_entries: u64,
    value_bytes: usize,
    kv: usize,
    counters: usize,
    lockers: usize,
    candidates: usize,
    meeters: usize,
    watchers: usize,
}

impl Sizes {
    fn draw(seed: u64, dice: &mut Dice) -> Self {
        let mut between = |least, most| dice.between(least, most) as usize;
        Self {
            seed,
            kv: between(2, 6),
            counters: between(2, 4),
            lockers: between(2, 4),
            candidates: between(2, 4),
            meeters: between(1, 3),
            watchers: between(1, 3),
            members: if dice.one_in(5) { 5 } else { 3 },
            snapshot_entries: dice.pick(&[50, 200, 1_000, 10_000]),
            value_bytes: dice.pick(&[8, 64, 1_024, 16 * 1_024]),
        }
    }

    fn clients(&self) -> usize {
        self.kv + self.counters + self.lockers + self.candidates + self.meeters + self.watchers
    }
}

/// What a round was.
#[derive(Clone, Debug)]
pub struct Report {
    /// The faults that were drawn.
    pub mix: Vec<Fault>,
    /// How often each took effect.
    pub happened: BTreeMap<Fault, u64>,
    /// How often each began.
    pub begun: BTreeMap<Fault, u64>,
    /// Operations that were checked.
    pub operations: u64,
    /// How long the cluster took to serve after it was healed.
    pub served_after: Duration,
    /// Members.
    pub members: usize,
}

/// Lines of what was done to the cluster, which outlive a round that fails.
#[derive(Clone, Debug, Default)]
pub struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    /// Its lines.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// Plays a round.
///
/// # Panics
/// When anything does not hold; data and logs are kept.
pub async fn round(plan: &Plan, diary: &Diary) -> Report {
    let mut dice = Dice::new(plan.seed);
    let sizes = Sizes::draw(plan.seed, &mut dice);
    let mix = draw_mix(&plan.faults, &mut dice);
    diary.write(format!("{sizes:?}, {mix:?}"));
    let mut arena = build(&sizes, &mix, dice, diary.clone());
    arena.form().await;
    let load = Load::start(&arena.cluster, &sizes).await;
    let begun = disturb(&mut arena, &mix, plan.lasts).await;
    arena.heal();
    let served_after = serves(&mut arena).await;
    arena.is_whole().await;
    let (mut records, last) = load.stop(&arena.cluster).await;
    let client = arena.cluster.client().await;
    checks::read_at_the_end(&client, &mut records).await;
    let changes = load::replay(&client, last).await;
    let operations = checks::check(&records, &changes).unwrap_or_else(|why| {
        checks::keep(&records, arena.cluster.folder());
        panic!("{why}")
    });
    assert!(operations >= FEWEST_OPERATIONS, "only {operations} operations: this round proves nothing");
    arena.cluster.nothing_left().await;
    arena.cluster.assert_equal_digests().await;
    arena.tend();
    let happened = std::mem::take(&mut arena.happened);
    Report { mix, happened, begun, operations, served_after, members: sizes.members }
}

fn draw_mix(faults: &[Fault], dice: &mut Dice) -> Vec<Fault> {
    let mut left = faults.to_vec();
    let mut mix = Vec::new();
    for _ in 0..dice.between(MIX.0, MIX.1).min(left.len() as u64) {
        mix.push(left.swap_remove(dice.below(left.len() as u64) as usize));
    }
    mix
}

fn build(sizes: &Sizes, mix: &[Fault], mut dice: Dice, diary: Diary) -> Arena {
    let entries = sizes.snapshot_entries.to_string();
    let seed = dice.below(u64::from(u32::MAX));
    let mut cluster = Cluster::with_proxies(sizes.members, &["--snapshot-entries", &entries], seed);
    let has = |group: Group| mix.iter().any(|fault| fault.group() == group);
    let disks = if has(Group::Disk) {
        cluster.members.iter().map(|member| SmallDisk::mount(&member.data)).collect::<Option<Vec<_>>>()
    } else {
        Some(Vec::new())
    };
    let disks = disks.expect("a tmpfs can be mounted: the faults of disks are only drawn where it can");
    let clocks: Vec<TestClock> =
        (0..if has(Group::Clock) { sizes.members } else { 0 }).map(|_| TestClock::right()).collect();
    for (n, clock) in clocks.iter().enumerate() {
        cluster.wrap(n, &clock.wrapper().each_ref().map(String::as_str));
    }
    Arena {
        cluster,
        dice,
        disks,
        clocks,
        has_rate: vec![false; sizes.members],
        conditions: vec![Condition::Down; sizes.members],
        damage: Damage::None,
        happened: BTreeMap::new(),
        began: Instant::now(),
        diary,
    }
}

/// Begins and ends faults, in turn and overlapping, and returns how often each began.
async fn disturb(arena: &mut Arena, mix: &[Fault], lasts: Duration) -> BTreeMap<Fault, u64> {
    let end = Instant::now() + lasts;
    let mut begun = BTreeMap::new();
    let mut active: Vec<Active> = Vec::new();
    let mut turn: VecDeque<Fault> = mix.iter().copied().collect();
    let mut next = Instant::now() + Duration::from_millis(arena.dice.between(100, 800));
    while Instant::now() < end {
        tokio::time::sleep(STEP).await;
        arena.tend();
        let (over, going_on): (Vec<_>, Vec<_>) =
            active.drain(..).partition(|active| active.until <= Instant::now());
        active = going_on;
        for fault in over {
            arena.end(fault).await;
        }
        if Instant::now() < next {
            continue;
        }
        let is_free = |fault: &Fault| active.iter().all(|active| active.fault.group() != fault.group());
        let Some(at) = turn.iter().position(is_free) else { continue };
        let fault = turn.remove(at).expect("it is at a position that was found");
        turn.push_back(fault);
        if let Some(begins) = arena.begin(fault).await {
            active.push(begins);
            *begun.entry(fault).or_default() += 1;
        }
        next = Instant::now() + Duration::from_millis(arena.dice.between(100, 1_200));
    }
    for fault in active {
        arena.end(fault).await;
    }
    begun
}

/// Waits until a healed cluster takes a write.
async fn serves(arena: &mut Arena) -> Duration {
    let healed = Instant::now();
    let client = arena.cluster.client().await;
    let kv = Kv::client(&client, "kv");
    let put = || async { kv.put("served", load::blob(load::NOBODYS, 8)).await.ok() };
    until("a healed cluster to serve", SERVES_WITHIN, put).await;
    let served_after = healed.elapsed();
    arena.note(format!("it serves after {} ms", served_after.as_millis()));
    served_after
}
