//! Hooks that are owed, settled by an operator: run now, or dropped.
//!
//! A hook that fails again stays owed, so the command is not rejected for it: its reply says how
//! the hook ended.
use synod_abi::SpaceName;

use crate::draft::draft::Draft;
use crate::draft::stop::Stop;
use crate::log::command::Settling;
use crate::log::outcome::{Reply, Settled};
use crate::log::rejection::Rejection;
use crate::ports::{StateView, Vm};
use crate::rows::directory;
use crate::run::hook::Ran;
use crate::run::run::Run;

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    pub(crate) fn settle_hook(
        &mut self,
        name: &SpaceName,
        number: u64,
        how: Settling,
    ) -> Result<Reply, Stop> {
        let space = directory::space(&*self.draft, name)?.ok_or(Rejection::UnknownSpace)?.id;
        let owed = self.draft.take_owed(space, number)?.ok_or(Rejection::UnknownOwed)?;
        let settled = match how {
            Settling::Drop => Settled::Dropped,
            Settling::Run => match self.retry(space, number, owed.hook)? {
                Ran::Done => Settled::Done,
                Ran::More => Settled::More,
                Ran::Failed(fault) => Settled::Failed(fault),
            },
        };
        Ok(Reply::Settled(settled))
    }
}

#[cfg(test)]
mod tests;
