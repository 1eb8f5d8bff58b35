//! The cluster of a round, and what was done to it: who runs, who is paused, who lost its data.
//!
//! Faults are in `faults`; what they leave behind is mended here. No more than one member loses
//! data in a round, because two of three would lose what was acknowledged.
use std::collections::BTreeMap;
use std::time::Duration;

use synod_api::v1::Role;
use tokio::time::Instant;

use super::Diary;
use super::fault::Fault;
use crate::clock::TestClock;
use crate::cluster::{Cluster, PATIENCE};
use crate::dice::Dice;
use crate::disk::SmallDisk;
use crate::wait::until;

/// How long a member may take to say whether it leads.
const ASKED: Duration = Duration::from_secs(2);
/// Written by a member that dies at a step.
const DYING: &str = "dying, as --crash-at wants it";
/// How much of a log is shown.
const LOG_LINES: usize = 40;

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// It runs.
    Runs,
    /// It was killed or stopped.
    Down,
    /// Its process stands still.
    Paused,
    /// It runs until it has reached a step, at which it dies.
    Dying,
}

/// The member whose data was damaged in this round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// None.
    None,
    /// A bit of this one's files was flipped.
    Flipped(usize),
    /// This one's folder was emptied.
    Lost(usize),
}

/// The cluster of a round.
pub(super) struct Arena {
    /// A small disk a member, or none. Unmounted before the cluster removes its folder.
    pub(super) disks: Vec<SmallDisk>,
    pub(super) cluster: Cluster,
    pub(super) dice: Dice,
    /// A clock a member, or none.
    pub(super) clocks: Vec<TestClock>,
    /// Whose clocks run at a wrong rate, which they keep: right again, they would jump.
    pub(super) has_rate: Vec<bool>,
    pub(super) conditions: Vec<Condition>,
    pub(super) damage: Damage,
    /// How often each fault took effect.
    pub(super) happened: BTreeMap<Fault, u64>,
    pub(super) began: Instant,
    /// What was done, for the report of a failure.
    pub(super) diary: Diary,
}

impl Arena {
    pub(super) fn size(&self) -> usize {
        self.conditions.len()
    }

    pub(super) fn note(&self, what: impl std::fmt::Display) {
        self.diary.write(format!("{:6.2} s  {what}", self.began.elapsed().as_secs_f64()));
    }

    pub(super) fn count(&mut self, fault: Fault) {
        *self.happened.entry(fault).or_default() += 1;
    }

    /// A member that runs undisturbed, if there is one.
    pub(super) fn any_running(&mut self) -> Option<usize> {
        let running: Vec<usize> =
            (0..self.size()).filter(|n| self.conditions[*n] == Condition::Runs).collect();
        (!running.is_empty()).then(|| self.dice.pick(&running))
    }

    /// The member that says that it leads, if one does so in time.
    pub(super) async fn leader(&self) -> Option<usize> {
        let ask = |n: usize| async move {
            let status = tokio::time::timeout(ASKED, self.cluster.status(n)).await.ok().flatten();
            status.is_some_and(|status| status.role() == Role::Leader).then_some(n)
        };
        let running = (0..self.size()).filter(|n| self.conditions[*n] == Condition::Runs);
        futures::future::join_all(running.map(ask)).await.into_iter().flatten().next()
    }

    pub(super) fn kill(&mut self, n: usize) {
        if self.conditions[n] != Condition::Down {
            self.cluster.kill(n);
            self.conditions[n] = Condition::Down;
        }
    }

    /// Starts all members for the first time, and waits until they are a cluster.
    pub(super) async fn form(&mut self) {
        (0..self.size()).for_each(|n| self.cluster.start(n));
        self.conditions.fill(Condition::Runs);
        self.cluster.ready().await;
    }

    /// Starts a member again; if its folder is empty, in place of itself.
    pub(super) fn start(&mut self, n: usize) {
        self.start_with(n, &[]);
    }

    pub(super) fn start_with(&mut self, n: usize, flags: &[&str]) {
        self.cluster.start_with(n, &[&["--replace-lost"], flags].concat());
        self.conditions[n] = Condition::Runs;
    }

    pub(super) fn resume(&mut self, n: usize) {
        if self.conditions[n] == Condition::Paused {
            self.cluster.resume(n);
            self.conditions[n] = Condition::Runs;
        }
    }

    /// Looks after processes that ended by themselves: who died at a step starts again, who found
    /// its data damaged is replaced.
    ///
    /// # Panics
    /// When a member ended without a reason.
    pub(super) fn tend(&mut self) {
        for n in 0..self.size() {
            let Some(status) = self.cluster.reap(n) else { continue };
            let was = std::mem::replace(&mut self.conditions[n], Condition::Down);
            let log = self.cluster.log(n);
            let name = self.cluster.members[n].name.clone();
            if was == Condition::Dying && log.lines().rev().take(LOG_LINES).any(|line| line.contains(DYING)) {
                self.note(format!("{name} died at its step"));
                self.count(Fault::Crash);
                self.start(n);
            } else if self.damage == Damage::Flipped(n) {
                self.note(format!("{name} noticed that its data is damaged, and is replaced"));
                self.empty(n);
                self.start(n);
            } else if self.damage == Damage::Lost(n) && was_replaced(&log) {
                self.note(format!("{name} was replaced already, and begins again"));
                self.empty(n);
                self.start(n);
            } else {
                let lines: Vec<&str> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
                panic!("member {name} ended by itself ({status}):\n{last}");
            }
        }
    }

    /// Takes everything out of the folder of a member that does not run.
    pub(super) fn empty(&mut self, n: usize) {
        self.damage = Damage::Lost(n);
        let folder = &self.cluster.members[n].data;
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.unwrap_or_else(|error| panic!("cannot remove {}: {error}", path.display()));
        }
    }

    /// Ends everything that still disturbs the cluster, and starts who does not run.
    pub(super) fn heal(&mut self) {
        self.cluster.network().open_all();
        self.disks.iter().for_each(SmallDisk::free);
        self.clocks.iter_mut().for_each(|clock| clock.set_ahead_ms(0));
        self.tend();
        for n in 0..self.size() {
            self.resume(n);
            if self.conditions[n] == Condition::Dying {
                self.kill(n);
            }
            if self.conditions[n] == Condition::Down {
                self.start(n);
            }
        }
    }

    /// Waits until every member has its vote and all that the others have.
    pub(super) async fn is_whole(&mut self) {
        for n in 0..self.size() {
            let name = format!("member {} to have its vote", self.cluster.members[n].name);
            let started = Instant::now();
            loop {
                self.tend();
                let status = tokio::time::timeout(ASKED, self.cluster.status(n)).await.ok().flatten();
                let role = status.map(|status| status.role());
                if matches!(role, Some(Role::Follower | Role::Leader)) {
                    break;
                }
                assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} for {name}; it is {role:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let cluster = &self.cluster;
        until("all members to be ready", PATIENCE, || async {
            cluster.ready().await;
            Some(())
        })
        .await;
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        (0..self.size()).for_each(|n| self.kill(n));
    }
}

/// Whether a member that ended says that it has its vote already under another id: it lost its
/// folder in the moment in which it got it.
fn was_replaced(log: &str) -> bool {
    let last = log.lines().rfind(|line| line.starts_with("error: "));
    last.is_some_and(|line| line.contains("it was replaced already"))
}
