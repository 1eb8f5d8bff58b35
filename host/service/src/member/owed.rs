//! Hooks that spaces are owed, for operators: listed, run, dropped.
use std::time::Duration;

use synod_abi::Revision;
use synod_machine::directory::{Page, SpaceRecord};
use synod_machine::owed::{self, OwedRecord};
use synod_machine::{Action, Caller, Reply, Settled, Settling};

use super::Member;
use super::administer::failed;
use super::call::space_name;
use crate::failure::CallFailure;
use crate::ports::Ports;

impl<P: Ports> Member<P> {
    /// At most `limit` of the hooks that a space is owed, with numbers after `after`, by number.
    ///
    /// # Errors
    /// [`CallFailure`]; never outcome unknown.
    pub async fn owed_hooks(
        &self,
        space: &str,
        after: Option<u64>,
        limit: usize,
        timeout: Duration,
    ) -> Result<Page<OwedRecord>, CallFailure> {
        let read = move |view: &_, record: SpaceRecord| owed::owed_hooks(view, record.id, after, limit);
        self.present_space(space, self.deadline(timeout), read).await
    }

    /// Runs or drops a hook that a space is owed; how that ended, and the revision of the command.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub async fn settle_hook(
        &self,
        space: &str,
        number: u64,
        how: Settling,
        caller: Caller,
        timeout: Duration,
    ) -> Result<(Settled, Revision), CallFailure> {
        let action = Action::SettleHook { name: space_name(space)?, number, how };
        let outcome = self.propose(action, caller, self.deadline(timeout)).await?;
        match outcome.result {
            Ok(Reply::Settled(settled)) => Ok((settled, outcome.revision)),
            _ => failed(&outcome),
        }
    }
}
