//! Asks the other members what their clocks show, again and again, and notes how this member's own
//! clocks compare.
use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures::future::{self, Either};
use synod_abi::MemberId;

use super::Clocks;
use super::history::{Exchange, LONGEST_ROUND_TRIP};
use crate::ports::{Replication, Runtime};

/// How often the others are asked: often enough that one lost answer matters to nobody.
const EVERY: Duration = Duration::from_secs(1);
/// How often, while no majority has answered: a leader that has just started waits for that.
const AGAIN: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct Measuring<'a, R, N> {
    pub(crate) me: MemberId,
    pub(crate) clocks: &'a Clocks,
    pub(crate) runtime: &'a R,
    pub(crate) replication: &'a N,
}

impl<R: Runtime, N: Replication> Measuring<'_, R, N> {
    /// Asks every other voter once. `heard` is called after each answer.
    pub(crate) async fn ask_all(&self, heard: &impl Fn()) {
        let voters: BTreeSet<_> = self.replication.voters();
        let others = voters.clone().into_iter().filter(|voter| *voter != self.me);
        self.clocks.set_voters(voters);
        future::join_all(others.map(|other| self.ask(other, heard))).await;
    }

    async fn ask(&self, other: MemberId, heard: &impl Fn()) {
        let sent = self.runtime.now();
        let asked = self.replication.read_clocks(other);
        let limit = pin!(self.runtime.sleep(LONGEST_ROUND_TRIP));
        let Either::Left((answer, _)) = future::select(asked, limit).await else { return };
        let Ok(reading) = answer else { return };
        let received = self.runtime.now();
        self.clocks.heard(other, Exchange { sent, received, reading });
        heard();
    }

    /// Waits until the others are to be asked again.
    pub(crate) async fn pause(&self) {
        let has_majority = self.clocks.median_ms(self.runtime.now()).is_some();
        self.runtime.sleep(if has_majority { EVERY } else { AGAIN }).await;
    }
}
