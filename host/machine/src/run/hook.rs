//! Hooks: what a recipe does about the end of a session, a timer, or a parked call that was given
//! up.
//!
//! Each runs under its own savepoint, with the full fuel and budgets of a call. One that fails
//! leaves nothing of what it did, and is counted in the row of its space, see
//! [`HookFailures`](crate::directory::HookFailures); the command that ran it goes on, because it
//! can't be rejected. It is then *owed*: kept with its arguments and tried again, see
//! [`rows::owed`](crate::rows::owed). Only that a call is given up which had no result yet is not
//! kept: nothing was granted. A hook that says that there is more is kept as well, and goes on in a
//! later tick: its parts run in order, and other commands may come between. A space that is gone
//! and a recipe that has no such hook are passed over. What a hook emits and sends is delivered
//! when it has ended, on the fuel of one further call.
use alloc::vec::Vec;

use synod_abi::{EntryPoint, Fault, Revision, SessionId, SpaceId, TicketId, TimerId, limits};

use crate::draft::draft::Draft;
use crate::draft::stop::or_rejected;
use crate::log::command::OnFailure;
use crate::log::rejection::{DeliveryFailure, Rejection};
use crate::ports::{Completion, Fatal, StateView, Vm};
use crate::rows::owed::{OwedCall, OwedHook, backoff_ms};
use crate::rows::sessions::StoredTicket;
use crate::run::run::{Entering, Run};

/// How soon more of a hook is done, in milliseconds: in a later tick.
const MORE_MS: u64 = 1;

/// The reason that a hook runs for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hook<'a> {
    /// A session that called it ended.
    SessionEnd(SessionId),
    /// A timer is due, which was set with this payload.
    Timer(TimerId, &'a [u8]),
    /// A parked call was given up, or its result was.
    Cancel { session: SessionId, ticket: TicketId, granted: bool },
}

/// How a hook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It is done, or there is none.
    Done,
    /// It has more to do.
    More,
    /// It failed and left nothing.
    Failed(Fault),
}

impl<'a> Hook<'a> {
    fn entry_point(self) -> EntryPoint {
        match self {
            Self::SessionEnd(_) => EntryPoint::SessionEnd,
            Self::Timer(..) => EntryPoint::Timer,
            Self::Cancel { .. } => EntryPoint::Cancel,
        }
    }

    fn session(self) -> Option<SessionId> {
        match self {
            Self::SessionEnd(session) | Self::Cancel { session, .. } => Some(session),
            Self::Timer(..) => None,
        }
    }

    /// The arguments, one after another, in postcard; a payload already is.
    fn args(self) -> Vec<u8> {
        match self {
            Self::SessionEnd(session) => synod_abi::encode(&session),
            Self::Timer(timer, payload) => [synod_abi::encode(&timer).as_slice(), payload].concat(),
            Self::Cancel { ticket, granted, .. } => synod_abi::encode(&(ticket, granted)),
        }
    }

    /// Whether it is owed if it fails.
    fn is_owed(self) -> bool {
        !matches!(self, Self::Cancel { granted: false, .. })
    }

    fn kept(self) -> OwedCall {
        match self {
            Self::SessionEnd(session) => OwedCall::SessionEnd { session },
            Self::Timer(timer, payload) => OwedCall::Timer { timer, payload: payload.into() },
            Self::Cancel { session, ticket, granted } => OwedCall::Cancel { session, ticket, granted },
        }
    }

    fn of(call: &'a OwedCall) -> Self {
        match call {
            OwedCall::SessionEnd { session } => Self::SessionEnd(*session),
            OwedCall::Timer { timer, payload } => Self::Timer(*timer, payload),
            OwedCall::Cancel { session, ticket, granted } => {
                Self::Cancel { session: *session, ticket: *ticket, granted: *granted }
            }
        }
    }
}

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    /// Runs a hook of `space`, and keeps it if it is owed then.
    pub(crate) fn hook(&mut self, space: SpaceId, hook: Hook<'_>) -> Result<(), Fatal> {
        match self.run_hook(space, hook)? {
            Ran::Failed(_) if !hook.is_owed() => Ok(()),
            ran => self.keep(space, None, hook.kept(), ran, 0),
        }
    }

    /// Keeps a hook that has not run, because its command has done enough.
    pub(crate) fn put_off(&mut self, space: SpaceId, hook: Hook<'_>) -> Result<(), Fatal> {
        self.keep(space, None, hook.kept(), Ran::More, 0)
    }

    /// Runs a hook that was owed and is not in its row any more, and keeps it again if it still is.
    pub(crate) fn retry(&mut self, space: SpaceId, number: u64, owed: OwedHook) -> Result<Ran, Fatal> {
        let OwedHook { call, since, tries, fault: _ } = owed;
        let ran = self.run_hook(space, Hook::of(&call))?;
        self.keep(space, Some((number, since)), call, ran, tries)?;
        Ok(ran)
    }

    /// Keeps a hook that ended like this, under the number that it had, unless it is done.
    fn keep(
        &mut self,
        space: SpaceId,
        before: Option<(u64, Revision)>,
        call: OwedCall,
        ran: Ran,
        tries: u32,
    ) -> Result<(), Fatal> {
        let (fault, tries, after_ms) = match ran {
            Ran::Done => return Ok(()),
            Ran::More => (None, 0, MORE_MS),
            Ran::Failed(fault) => {
                let tries = tries.saturating_add(1);
                (Some(fault), tries, backoff_ms(tries))
            }
        };
        let at = self.draft.time().plus_ms(after_ms);
        let since = before.map_or(self.turn.revision, |(_, since)| since);
        let owed = OwedHook { call, since, fault, tries };
        match before {
            Some((number, _)) => self.draft.owe_again(space, at, number, &owed),
            None => self.draft.owe(space, at, &owed),
        }
    }

    /// Runs a hook of `space`, if there is such a space and its recipe has that hook.
    fn run_hook(&mut self, space: SpaceId, hook: Hook<'_>) -> Result<Ran, Fatal> {
        let entry_point = hook.entry_point();
        let target = self.target(space)?.filter(|target| target.interface.has(entry_point));
        let Some(target) = target else { return Ok(Ran::Done) };
        self.turn.reactions += 1;
        let mark = self.draft.savepoint();
        self.draft.begin_cause();
        let completion = self.invoke(&Entering {
            space,
            target: &target,
            entry_point,
            args: &hook.args(),
            session: hook.session(),
            may_wait: false,
            fuel: limits::CALL_FUEL,
        })?;
        let ended = if completion == Completion::More { Ran::More } else { Ran::Done };
        let fault = match completion {
            Completion::Done(_) | Completion::More if self.draft.emissions().is_quiet() => return Ok(ended),
            Completion::Done(_) | Completion::More => {
                let _never_rejected = or_rejected(self.deliver(space, OnFailure::Skip, limits::CALL_FUEL))?;
                return Ok(ended);
            }
            Completion::Faulted(fault) => fault,
            Completion::Refused { .. } | Completion::Now(_) | Completion::Later { .. } => Fault::BadReply,
        };
        self.vm.discard(space);
        self.draft.rollback(&mark);
        self.draft.count_failure(space, self.turn.revision, DeliveryFailure::Fault(fault))?;
        Ok(Ran::Failed(fault))
    }

    /// Gives up a waiting call, then runs the hook of its recipe for each of its tickets.
    pub(crate) fn give_up(&mut self, by: StoredTicket, why: Rejection) -> Result<(), Fatal> {
        let StoredTicket { session, request } = by;
        let (space, tickets) = self.draft.settle(session, request, Err(why), None)?;
        for ticket in tickets.iter() {
            self.hook(space, Hook::Cancel { session, ticket, granted: false })?;
        }
        Ok(())
    }
}
