//! What each fault does, and what ends it.
//!
//! To add one: a variant in `fault`, and an arm here; the compiler names both. It counts itself
//! only when it took effect, so that a run in which it never did fails.
mod files;
mod network;
mod processes;

use std::time::Duration;

use synod_client::connect;

use super::arena::{Arena, Condition, Damage};
use super::fault::{Fault, Group};
use crate::disk::SmallDisk;
use crate::proxy::Toll;

/// How far a wall clock is off, in milliseconds: an hour, a day, ten years.
const OFFSETS_MS: [i64; 3] = [3_600_000, 86_400_000, 315_360_000_000];
/// How wrong a rate may be without costing a client its session early: it stops at 90 % of it.
const RATE_PERMILLE: u64 = 30;
/// How long an operator waits for a command.
const OPERATOR_WAITS: Duration = Duration::from_secs(5);

/// What ends a fault that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Undo {
    /// Nothing.
    Nothing,
    /// These members are started.
    Start(Vec<usize>),
    /// This member goes on.
    Resume(usize),
    /// The links of this group work again. It took effect if that was counted more often than so.
    Links(Toll, u64),
    /// The disks have space again; these members should have noticed.
    Free(Vec<usize>),
    /// The wall clocks are right again.
    Right,
}

/// A fault that goes on.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) fault: Fault,
    pub(super) until: tokio::time::Instant,
    undo: Undo,
}

impl Arena {
    /// Begins a fault; `None` if there is nobody now to whom it could happen.
    pub(super) async fn begin(&mut self, fault: Fault) -> Option<Active> {
        let undo = match fault.group() {
            Group::Process => self.disturb_process(fault).await?,
            Group::Peers | Group::Clients => self.disturb_network(fault).await,
            Group::Disk => self.fill(fault)?,
            Group::Clock => self.set_clock(fault)?,
            Group::Operator => self.operate(fault).await,
        };
        let undo = if fault == Fault::ClockRate { Undo::Nothing } else { undo };
        let lasts = Duration::from_millis(match fault {
            Fault::Fill | Fault::FillAll => self.dice.between(1_500, 3_500),
            Fault::Kill | Fault::KillLeader | Fault::KillAll => self.dice.between(50, 2_500),
            _ => self.dice.between(400, 4_000),
        });
        Some(Active { fault, until: tokio::time::Instant::now() + lasts, undo })
    }

    /// Ends a fault.
    pub(super) async fn end(&mut self, Active { fault, undo, .. }: Active) {
        self.note(format!("{} ends", fault.name()));
        match undo {
            Undo::Nothing => {}
            Undo::Start(members) => {
                for n in members {
                    if self.conditions[n] == Condition::Down {
                        self.start(n);
                    }
                }
            }
            Undo::Resume(n) => self.resume(n),
            Undo::Links(toll, before) => {
                if self.cluster.network().tolls().of(toll) > before {
                    self.count(fault);
                }
                let network = self.cluster.network();
                if fault.group() == Group::Peers { network.open_peers() } else { network.open_clients() }
            }
            Undo::Free(members) => {
                for n in members {
                    let noticed = self.cluster.log(n).contains("disk is full");
                    if noticed {
                        self.count(fault);
                    }
                }
                self.disks.iter().for_each(SmallDisk::free);
            }
            Undo::Right => self.clocks.iter_mut().for_each(|clock| clock.set_ahead_ms(0)),
        }
    }

    fn fill(&mut self, fault: Fault) -> Option<Undo> {
        let members = match fault {
            Fault::FillAll => (0..self.size()).collect(),
            _ => vec![self.any_running()?],
        };
        members.iter().for_each(|n| self.disks[*n].fill());
        self.note(format!("the disks of {members:?} are full"));
        Some(Undo::Free(members))
    }

    fn set_clock(&mut self, fault: Fault) -> Option<Undo> {
        let n = self.any_running()?;
        let back = if self.dice.one_in(2) { -1 } else { 1 };
        if fault == Fault::ClockRate && std::mem::replace(&mut self.has_rate[n], true) {
            return None;
        }
        if fault == Fault::ClockOffset {
            let ms = self.dice.pick(&OFFSETS_MS) * back;
            self.clocks[n].set_ahead_ms(ms);
            self.note(format!("{n}'s wall clock is {ms} ms ahead"));
        } else {
            let permille = self.dice.between(1, RATE_PERMILLE) as i64 * back;
            self.clocks[n].run_faster_by_permille(permille);
            self.note(format!("{n}'s clocks run faster by {permille} permille"));
        }
        self.count(fault);
        Some(Undo::Right)
    }

    async fn operate(&mut self, fault: Fault) -> Undo {
        let connecting = connect(self.cluster.endpoints());
        let Ok(Ok(client)) = tokio::time::timeout(OPERATOR_WAITS, connecting).await else {
            return Undo::Nothing;
        };
        let done = match fault {
            Fault::Upgrade => {
                let upgrade = super::load::upgrade(&client);
                tokio::time::timeout(OPERATOR_WAITS, upgrade).await.is_ok_and(|upgraded| upgraded.is_ok())
            }
            _ => tokio::time::timeout(OPERATOR_WAITS, client.scrub(false))
                .await
                .is_ok_and(|scrubs| scrubs.is_ok()),
        };
        self.note(format!("{}: {}", fault.name(), if done { "done" } else { "not done in time" }));
        if done {
            self.count(fault);
        }
        Undo::Nothing
    }

    /// Whether a member's data may be damaged.
    fn may_lose_data(&self) -> bool {
        self.damage == Damage::None && self.conditions.iter().all(|is| *is == Condition::Runs)
    }
}
