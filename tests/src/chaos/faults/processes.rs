//! Members that are killed, stand still, stop, die at a step, or lose data.
use std::time::Duration;

use synod_storage::Step;

use super::{Arena, Condition, Undo};
use crate::chaos::arena::Damage;
use crate::chaos::fault::Fault;

/// Steps at which a member dies: it comes to each soon, whoever leads.
const STEPS: [Step; 13] = [
    Step::AppendBegun,
    Step::AppendWritten,
    Step::AppendSynced,
    Step::VoteBegun,
    Step::VoteWritten,
    Step::VoteSynced,
    Step::ApplyBegun,
    Step::ApplyWritten,
    Step::PurgeBegun,
    Step::PurgeWritten,
    Step::PurgeSynced,
    Step::FlushBegun,
    Step::FlushDone,
];
/// How often it comes to the step before.
const MOST_TIMES: u64 = 60;
/// How long a member that restarts may take before the next one does.
const BACK_WITHIN: Duration = Duration::from_secs(3);

impl Arena {
    /// Begins a fault of a process.
    pub(super) async fn disturb_process(&mut self, fault: Fault) -> Option<Undo> {
        let member = match fault {
            Fault::KillLeader | Fault::PauseLeader => match self.leader().await {
                Some(leader) => leader,
                None => self.any_running()?,
            },
            _ => self.any_running()?,
        };
        if matches!(fault, Fault::Lose | Fault::FlipBit) && !self.may_lose_data() {
            return None;
        }
        let name = self.cluster.members[member].name.clone();
        self.note(format!("{}: {name}", fault.name()));
        match fault {
            Fault::Kill | Fault::KillLeader => {
                self.kill(member);
                self.count(fault);
                Some(Undo::Start(vec![member]))
            }
            Fault::KillAll => {
                (0..self.size()).for_each(|n| self.resume(n));
                (0..self.size()).for_each(|n| self.kill(n));
                self.count(fault);
                Some(Undo::Start((0..self.size()).collect()))
            }
            Fault::Pause | Fault::PauseLeader => {
                self.cluster.pause(member);
                self.conditions[member] = Condition::Paused;
                self.count(fault);
                Some(Undo::Resume(member))
            }
            Fault::Crash => Some(self.die_at_a_step(member, &STEPS)),
            Fault::Restart => {
                self.stop(member).await;
                self.count(fault);
                Some(Undo::Start(vec![member]))
            }
            Fault::Rolling => Some(self.roll().await),
            Fault::Lose => Some(self.lose(member)),
            _ => Some(self.flip(member)),
        }
    }

    async fn stop(&mut self, member: usize) {
        self.cluster.stop(member).await;
        self.conditions[member] = Condition::Down;
    }

    fn die_at_a_step(&mut self, member: usize, steps: &[Step]) -> Undo {
        let step = self.dice.pick(steps);
        let often = Step::APPENDING.contains(&step) || Step::APPLYING.contains(&step);
        let times = if often { self.dice.between(1, MOST_TIMES) } else { 1 };
        self.kill(member);
        self.note(format!("{member} is to die when it comes to {step:?} for the {times}. time"));
        self.start_with(member, &["--crash-at", &format!("{}:{times}", step.name())]);
        self.conditions[member] = Condition::Dying;
        Undo::Nothing
    }

    async fn roll(&mut self) -> Undo {
        for n in 0..self.size() {
            if self.conditions[n] != Condition::Runs {
                continue;
            }
            self.stop(n).await;
            self.start(n);
            let back = async {
                while self.cluster.status(n).await.is_none() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let _later = tokio::time::timeout(BACK_WITHIN, back).await;
        }
        self.count(Fault::Rolling);
        Undo::Nothing
    }

    /// Empties a member's folder, and has it die once more on its way back.
    fn lose(&mut self, member: usize) -> Undo {
        self.kill(member);
        self.empty(member);
        self.count(Fault::Lose);
        if self.dice.one_in(2) {
            return self.die_at_a_step(member, &Step::INSTALLING);
        }
        Undo::Start(vec![member])
    }

    fn flip(&mut self, member: usize) -> Undo {
        self.kill(member);
        let what = super::files::flip_a_bit(&self.cluster.members[member].data, &mut self.dice);
        self.note(format!("a bit of {what} is flipped"));
        self.damage = Damage::Flipped(member);
        self.count(Fault::FlipBit);
        Undo::Start(vec![member])
    }
}
