//! Hooks: what a recipe does about the end of a session, a timer, or a parked call that was given
//! up.
//!
//! Each runs under its own savepoint, with the full fuel and budgets of a call. One that fails
//! leaves nothing but a count in the row of its space, see
//! [`HookFailures`](crate::directory::HookFailures); the command that ran it goes on, because it
//! can't be rejected. A space that is gone and a recipe that has no such hook are passed over. What
//! a hook emits and sends is delivered when it has ended, on the fuel of one further call.
use alloc::vec::Vec;

use synod_abi::{EntryPoint, Fault, SessionId, SpaceId, TicketId, TimerId, limits};

use crate::draft::draft::Draft;
use crate::draft::stop::or_rejected;
use crate::log::command::OnFailure;
use crate::log::rejection::{DeliveryFailure, Rejection};
use crate::ports::{Completion, Fatal, StateView, Vm};
use crate::rows::sessions::StoredTicket;
use crate::run::run::{Entering, Run};

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

impl Hook<'_> {
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
}

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    /// Runs a hook of `space`, if there is such a space and its recipe has that hook.
    pub(crate) fn hook(&mut self, space: SpaceId, hook: Hook<'_>) -> Result<(), Fatal> {
        let entry_point = hook.entry_point();
        let target = self.target(space)?.filter(|target| target.interface.has(entry_point));
        let Some(target) = target else { return Ok(()) };
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
        let fault = match completion {
            Completion::Done(_) if self.draft.emissions().is_quiet() => return Ok(()),
            Completion::Done(_) => {
                let _never_rejected = or_rejected(self.deliver(space, OnFailure::Skip, limits::CALL_FUEL))?;
                return Ok(());
            }
            Completion::Faulted(fault) => fault,
            Completion::Refused { .. } | Completion::Now(_) | Completion::Later => Fault::BadReply,
        };
        self.vm.discard(space);
        self.draft.rollback(&mark);
        self.draft.count_failure(space, self.turn.revision, DeliveryFailure::Fault(fault))
    }

    /// Gives up a waiting call, then runs the hook of its recipe.
    pub(crate) fn give_up(&mut self, by: StoredTicket, why: Rejection) -> Result<(), Fatal> {
        let StoredTicket { session, request } = by;
        let (space, ticket) = self.draft.settle(session, request, Err(why), false)?;
        self.hook(space, Hook::Cancel { session, ticket, granted: false })
    }
}
