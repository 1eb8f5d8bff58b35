//! Carries a plan's faults out, one kind after the other, and ends each after a while.
use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt;
use synod_abi::MemberId;
use synod_world::Dice;

use super::{Fault, Plan};
use crate::cluster::{Cluster, SYSTEM};
use crate::events;
use crate::net::{Quality, Site};

/// How long handing over leadership may take.
const HANDS_OVER: Duration = Duration::from_millis(500);

/// How long forgetting events may take.
const FORGETS: Duration = Duration::from_secs(2);

/// What ends a fault.
#[derive(Clone, Debug)]
enum Undo {
    /// A member starts.
    Start(MemberId),
    /// A member crashes.
    CrashAgain(MemberId),
    /// Cuts and delays end.
    Heal,
    /// A member goes on.
    Resume(MemberId),
    /// A client goes on.
    ResumeClient(u32),
    /// A client comes back, with nothing.
    StartClient(u32),
    /// The network is as it was.
    Quality,
    /// A clock is right.
    Clock(MemberId),
    /// A disk is as fast as before.
    Disk(MemberId),
    /// A disk has space.
    Space(MemberId),
    /// A member applies as fast as before.
    Pace(MemberId),
}

/// Which clients there are, and what may be done to them.
pub trait Clients {
    /// Their numbers.
    fn numbers(&self) -> Vec<u32>;
    /// Ends one, or lets it begin anew.
    fn run(&mut self, number: u32, runs: bool);
    /// Stops one, or lets it go on.
    fn stop(&mut self, number: u32, stopped: bool);
}

/// Carries faults out.
pub struct Nemesis {
    plan: Plan,
    /// What decides which fault comes when.
    schedule: Dice,
    /// What decides the rest of the fault in hand.
    dice: Dice,
    /// Numbers of the faults that happen; none: all.
    only: Option<BTreeSet<u64>>,
    /// How many there were, with those that do not happen.
    drawn: u64,
    undo: Vec<(Duration, Undo)>,
    next: Duration,
    /// Kinds that are still to come before any comes again; the last is next.
    deck: Vec<Fault>,
    /// Members that fail because they were made to, since this was last taken.
    pub excused: BTreeSet<MemberId>,
}

impl Nemesis {
    /// One that follows `plan` from `begin` on.
    pub fn new(plan: Plan, mut schedule: Dice, begin: Duration, only: Option<BTreeSet<u64>>) -> Self {
        let dice = schedule.fork();
        let (undo, deck, excused) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { plan, schedule, dice, only, drawn: 0, undo, next: begin, deck, excused }
    }

    /// How many faults it has drawn.
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// When it has something to do next.
    pub fn next(&self) -> Duration {
        self.undo.iter().map(|(at, _)| *at).fold(self.next, Duration::min)
    }

    /// Does what is due.
    pub fn act(&mut self, cluster: &mut Cluster, clients: &mut dyn Clients) {
        let now = cluster.world.elapsed();
        let (due, later) = std::mem::take(&mut self.undo).into_iter().partition(|(at, _)| *at <= now);
        self.undo = later;
        let due: Vec<(Duration, Undo)> = due;
        for (_, undo) in due {
            self.end(undo, cluster, clients);
        }
        if self.next <= now && self.plan.kinds.is_empty() {
            self.next = Duration::MAX;
        } else if self.next <= now {
            self.next = now + self.schedule.duration(self.plan.every.0, self.plan.every.1);
            let kind = self.draw();
            self.dice = self.schedule.fork();
            self.drawn += 1;
            let happens = self.only.as_ref().is_none_or(|only| only.contains(&self.drawn));
            if happens && !self.begin(kind, cluster, clients) {
                self.deck.insert(0, kind);
            }
        }
    }

    /// The next kind: all of them in an order that is drawn, then again.
    fn draw(&mut self) -> Fault {
        if self.deck.is_empty() {
            let mut kinds = self.plan.kinds.clone();
            while !kinds.is_empty() {
                let place = self.schedule.below(kinds.len() as u64) as usize;
                self.deck.push(kinds.swap_remove(place));
            }
        }
        self.deck.pop().expect("a plan without kinds is not carried out")
    }

    /// Ends everything that is wrong.
    pub fn heal(&mut self, cluster: &mut Cluster, clients: &mut dyn Clients) {
        for (_, undo) in std::mem::take(&mut self.undo) {
            if !matches!(undo, Undo::CrashAgain(_)) {
                self.end(undo, cluster, clients);
            }
        }
        cluster.net.heal();
        for id in cluster.ids() {
            cluster.start(id);
        }
    }

    fn later(&mut self, cluster: &Cluster, undo: Undo) {
        let lasts = self.dice.duration(self.plan.lasts.0, self.plan.lasts.1);
        self.undo.push((cluster.world.elapsed() + lasts, undo));
    }

    fn some(&mut self, ids: &[MemberId]) -> Option<MemberId> {
        if ids.is_empty() { None } else { Some(*self.dice.pick(ids)) }
    }

    /// Whether it could: a cluster without a leader has none to crash.
    fn begin(&mut self, kind: Fault, cluster: &mut Cluster, clients: &mut dyn Clients) -> bool {
        let done = match kind {
            Fault::Crash
            | Fault::CrashLeader
            | Fault::PowerLoss
            | Fault::CrashMajority
            | Fault::CrashTwice
            | Fault::BrokenDisk => self.crash(kind, cluster),
            Fault::Pause | Fault::PauseLeader => self.pause(kind, cluster),
            Fault::KillClient | Fault::CutClient | Fault::ResetClient | Fault::PauseClient => {
                self.trouble_client(kind, cluster, clients)
            }
            Fault::ClockJump | Fault::ClockDrift => self.turn_clock(kind, cluster),
            Fault::SlowDisk | Fault::FullDisk | Fault::SlowApply => self.hold_up(kind, cluster),
            Fault::Replace => self.replace(cluster),
            Fault::Flip => self.flip(cluster),
            Fault::Transfer | Fault::Compact | Fault::CompactEvents => self.steer(kind, cluster),
            Fault::SlowLink | Fault::Loss | Fault::Repeat | Fault::FarApart => self.worsen(kind, cluster),
            _ => self.cut(kind, cluster),
        };
        let Some(what) = done else { return false };
        cluster.observer.tell("--", format_args!("fault {}, {kind}: {what}", self.drawn));
        cluster.observer.count(kind.name());
        true
    }

    fn crash(&mut self, kind: Fault, cluster: &mut Cluster) -> Option<String> {
        let running = cluster.running();
        let victims = match kind {
            Fault::CrashLeader => vec![cluster.leader()?],
            Fault::PowerLoss => running,
            Fault::CrashMajority => {
                let count = cluster.ids().len() / 2 + 1;
                let first = self.dice.below(running.len() as u64) as usize;
                running.iter().cycle().skip(first).take(count.min(running.len())).copied().collect()
            }
            _ => vec![self.some(&running)?],
        };
        for id in &victims {
            if kind == Fault::BrokenDisk {
                self.excused.insert(*id);
                cluster.nodes[id].store.fail("the disk is broken");
                continue;
            }
            cluster.crash(*id);
            self.later(cluster, Undo::Start(*id));
            if kind == Fault::CrashTwice {
                let again = cluster.world.elapsed()
                    + self.plan.lasts.1
                    + self.dice.duration(Duration::ZERO, Duration::from_millis(300));
                self.undo.push((again, Undo::CrashAgain(*id)));
            }
        }
        Some(format!("{victims:?}"))
    }

    fn replace(&mut self, cluster: &mut Cluster) -> Option<String> {
        let ids = cluster.ids();
        let lost = self.some(&ids)?;
        let new = cluster.replace(lost)?;
        Some(format!("m{new} for m{lost}"))
    }

    /// Flips a bit, and has the member look for it.
    fn flip(&mut self, cluster: &mut Cluster) -> Option<String> {
        let id = self.some(&cluster.running())?;
        let live = cluster.roster.get(id)?;
        if !cluster.flip(id, self.dice.bits()) {
            return None;
        }
        live.member.ask_for_scrub();
        Some(format!("m{id}"))
    }

    fn pause(&mut self, kind: Fault, cluster: &mut Cluster) -> Option<String> {
        let id = match kind {
            Fault::PauseLeader => cluster.leader()?,
            _ => self.some(&cluster.running())?,
        };
        cluster.nodes[&id].process.as_ref()?.stop(true);
        self.later(cluster, Undo::Resume(id));
        Some(format!("m{id}"))
    }

    fn trouble_client(
        &mut self,
        kind: Fault,
        cluster: &mut Cluster,
        clients: &mut dyn Clients,
    ) -> Option<String> {
        let numbers = clients.numbers();
        let number = *self.dice.pick(&numbers);
        let site = Site::Client(number);
        let members: Vec<Site> = cluster.ids().into_iter().map(Site::Member).collect();
        match kind {
            Fault::KillClient => {
                clients.run(number, false);
                self.later(cluster, Undo::StartClient(number));
            }
            Fault::PauseClient => {
                clients.stop(number, true);
                self.later(cluster, Undo::ResumeClient(number));
            }
            Fault::ResetClient => members.iter().for_each(|member| cluster.net.reset(site, *member)),
            _ => {
                for member in members {
                    cluster.net.cut(site, member);
                    cluster.net.cut(member, site);
                }
                self.later(cluster, Undo::Heal);
            }
        }
        Some(site.to_string())
    }

    fn turn_clock(&mut self, kind: Fault, cluster: &mut Cluster) -> Option<String> {
        let id = self.some(&cluster.running())?;
        let process = cluster.nodes[&id].process.clone()?;
        let what = if kind == Fault::ClockJump {
            let jump_ms = *self.dice.pick(&[-3_600_000, -5_000, -300, 300, 5_000, 3_600_000, 86_400_000]);
            process.set_wall_clock(jump_ms);
            cluster.observer.jumped(id);
            format!("m{id} by {jump_ms} ms")
        } else {
            let percent = *self.dice.pick(&[92, 96, 104, 108]);
            process.set_speed(percent);
            format!("m{id} at {percent} %")
        };
        self.later(cluster, Undo::Clock(id));
        Some(what)
    }

    fn hold_up(&mut self, kind: Fault, cluster: &mut Cluster) -> Option<String> {
        let id = self.some(&cluster.running())?;
        let node = &cluster.nodes[&id];
        let undo = match kind {
            Fault::SlowDisk => {
                let most = Duration::from_millis(self.dice.between(20, 400));
                *node.disk.lock().expect("nobody panicked with it") = (most / 4, most);
                Undo::Disk(id)
            }
            Fault::FullDisk => {
                node.store.set_full(true);
                Undo::Space(id)
            }
            _ => {
                node.pace.set(Duration::from_millis(self.dice.between(20, 1_000)));
                Undo::Pace(id)
            }
        };
        self.later(cluster, undo);
        Some(format!("m{id}"))
    }

    fn steer(&mut self, kind: Fault, cluster: &mut Cluster) -> Option<String> {
        if kind == Fault::Transfer {
            let from = cluster.leader()?;
            let ids = cluster.ids();
            let to = self.some(&ids)?;
            let live = cluster.roster.get(from)?;
            let raft = live.raft.clone();
            live.process.spawn(async move { drop(raft.transfer_leader(to, HANDS_OVER).await) }.boxed());
            return Some(format!("from m{from} to m{to}"));
        }
        if kind == Fault::CompactEvents {
            let id = cluster.leader()?;
            let live = cluster.roster.get(id)?;
            let member = live.member.clone();
            let forget = async move {
                let _it_may_fail = member.compact_events(events::SPACE, None, SYSTEM, FORGETS).await;
            };
            live.process.spawn(forget.boxed());
            return Some(format!("through m{id}"));
        }
        for id in cluster.running() {
            let Some(live) = cluster.roster.get(id) else { continue };
            let raft = live.raft.clone();
            let compact = async move {
                let Ok(()) = raft.trigger_snapshot().await else { return };
                if let Some(applied) = raft.status().applied {
                    let _it_may_stop = raft.purge(applied.index).await;
                }
            };
            live.process.spawn(compact.boxed());
        }
        Some("all".to_owned())
    }

    fn worsen(&mut self, kind: Fault, cluster: &mut Cluster) -> Option<String> {
        let usual = self.plan.quality;
        if kind == Fault::SlowLink {
            let (one, other) = self.two(cluster)?;
            let delay = Duration::from_millis(self.dice.between(20, 400));
            cluster.net.slow(one, other, delay);
            self.later(cluster, Undo::Heal);
            return Some(format!("{one} to {other} by {} ms", delay.as_millis()));
        }
        let quality = match kind {
            Fault::Loss => Quality { lost_per_mille: self.dice.between(5, 100), ..usual },
            Fault::Repeat => Quality { repeated_per_mille: 300, ..usual },
            _ => {
                let least = self.dice.between(15, 50);
                Quality { delay: (Duration::from_millis(least), Duration::from_millis(2 * least)), ..usual }
            }
        };
        cluster.net.set_quality(quality);
        self.later(cluster, Undo::Quality);
        Some(format!("{quality:?}"))
    }

    fn two(&mut self, cluster: &Cluster) -> Option<(Site, Site)> {
        let ids = cluster.ids();
        let one = self.some(&ids)?;
        let others: Vec<_> = ids.into_iter().filter(|id| *id != one).collect();
        let other = self.some(&others)?;
        Some((Site::Member(one), Site::Member(other)))
    }

    fn cut(&mut self, kind: Fault, cluster: &mut Cluster) -> Option<String> {
        let ids = cluster.ids();
        let mut cuts: Vec<(MemberId, MemberId)> = Vec::new();
        let pairs = || ids.iter().flat_map(|from| ids.iter().map(move |to| (*from, *to)));
        match kind {
            Fault::Reset => {
                let (one, other) = self.two(cluster)?;
                cluster.net.reset(one, other);
                return Some(format!("{one} and {other}"));
            }
            Fault::OneWay => {
                let (Site::Member(one), Site::Member(other)) = self.two(cluster)? else { return None };
                cuts.push((one, other));
            }
            Fault::MuteLeader | Fault::DeafLeader | Fault::IsolateLeader | Fault::Isolate => {
                let id = if kind == Fault::Isolate { self.some(&ids)? } else { cluster.leader()? };
                let (mute, deaf) = (kind != Fault::DeafLeader, kind != Fault::MuteLeader);
                cuts.extend(pairs().filter(|(from, to)| (mute && *from == id) || (deaf && *to == id)));
            }
            Fault::Bridge => {
                let bridge = self.some(&ids)?;
                let left = |id: &MemberId| id.0.is_multiple_of(2);
                let apart = |(from, to): &(MemberId, MemberId)| {
                    *from != bridge && *to != bridge && left(from) != left(to)
                };
                cuts.extend(pairs().filter(apart));
            }
            Fault::Swizzle => {
                let id = self.some(&ids)?;
                cuts.extend(pairs().filter(|(from, to)| *from == id || *to == id));
                let keep = self.dice.below(cuts.len() as u64) as usize;
                cuts.rotate_left(keep);
                cuts.truncate(cuts.len() - keep / 2);
            }
            _ => {
                let side: BTreeSet<_> = ids.iter().copied().filter(|_| self.dice.happens(500)).collect();
                cuts.extend(pairs().filter(|(from, to)| side.contains(from) != side.contains(to)));
            }
        }
        cuts.retain(|(from, to)| from != to);
        for (from, to) in &cuts {
            cluster.net.cut(Site::Member(*from), Site::Member(*to));
        }
        self.later(cluster, Undo::Heal);
        let cuts: Vec<String> = cuts.iter().map(|(from, to)| format!("m{from}→m{to}")).collect();
        Some(cuts.join(" "))
    }

    fn end(&mut self, undo: Undo, cluster: &mut Cluster, clients: &mut dyn Clients) {
        let usual = self.plan.quality;
        let process = |id: MemberId| cluster.nodes.get(&id).and_then(|node| node.process.clone());
        match undo {
            Undo::Start(id) => cluster.start(id),
            Undo::CrashAgain(id) => {
                if cluster.running().contains(&id) {
                    cluster.crash(id);
                    self.later(cluster, Undo::Start(id));
                }
            }
            Undo::Heal => cluster.net.heal(),
            Undo::Resume(id) => {
                if let Some(process) = process(id) {
                    process.stop(false);
                }
            }
            Undo::ResumeClient(number) => clients.stop(number, false),
            Undo::StartClient(number) => clients.run(number, true),
            Undo::Quality => cluster.net.set_quality(usual),
            Undo::Clock(id) => {
                if let Some(process) = process(id) {
                    process.set_wall_clock(0);
                    process.set_speed(100);
                }
            }
            Undo::Disk(id) => {
                if let Some(node) = cluster.nodes.get(&id) {
                    *node.disk.lock().expect("nobody panicked with it") = self.plan.disk;
                }
            }
            Undo::Space(id) => {
                if let Some(node) = cluster.nodes.get(&id) {
                    node.store.set_full(false);
                }
            }
            Undo::Pace(id) => {
                if let Some(node) = cluster.nodes.get(&id) {
                    node.pace.set(Duration::from_micros(500));
                }
            }
        }
        cluster.observer.tell("--", format_args!("ends: {undo:?}"));
    }
}
