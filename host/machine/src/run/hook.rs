//! Hooks: what a recipe does about the end of a session, a timer, or a parked call that was given
//! up.
//!
//! Each runs under its own savepoint, with its whole fuel and budgets. One that fails leaves
//! nothing but a count in the row of its space, see
//! [`HookFailures`](crate::rows::directory::HookFailures); the command that ran it goes on, because it
//! can't be rejected. A space that is gone and a recipe that has no such hook are passed over. What
//! a hook emits and sends is delivered when it has ended, on the fuel of one further call.
use alloc::vec::Vec;

use synod_abi::{EntryPoint, Fault, SessionId, SpaceId, TicketId, TimerId, limits};

use crate::apply::{Machine, Turn};
use crate::draft::draft::Workspace;
use crate::log::command::OnFailure;
use crate::log::rejection::DeliveryFailure;
use crate::ports::{Completion, Fatal, Invocation, StateView, Vm};
use crate::run::call::invoke;

/// What a recipe is to hear.
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

    /// The arguments behind each other, in postcard; a payload is that already.
    fn args(self) -> Vec<u8> {
        match self {
            Self::SessionEnd(session) => synod_abi::encode(&session),
            Self::Timer(timer, payload) => [synod_abi::encode(&timer).as_slice(), payload].concat(),
            Self::Cancel { ticket, granted, .. } => synod_abi::encode(&(ticket, granted)),
        }
    }
}

impl Machine {
    pub(crate) fn run_hook<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        space: SpaceId,
        hook: Hook<'_>,
        turn: &mut Turn,
    ) -> Result<Workspace<S>, Fatal> {
        let Some(target) =
            self.target(&workspace, space)?.filter(|target| target.interface.has(hook.entry_point()))
        else {
            return Ok(workspace);
        };
        turn.hooks += 1;
        let context = self.context(turn, hook.session(), false);
        let mark = workspace.savepoint();
        workspace.begin_cause();
        let (entry_point, args) = (hook.entry_point(), hook.args());
        let invocation = Invocation {
            space,
            module: target.module,
            entry_point,
            context: &context,
            args: &args,
            fuel: limits::CALL_FUEL,
        };
        let (mut workspace, completion) = invoke(workspace, vm, invocation, turn)?;
        let fault = match completion {
            Completion::Done(_) if workspace.emissions().is_quiet() => return Ok(workspace),
            Completion::Done(_) => {
                let (workspace, _never_rejected) =
                    self.deliver(workspace, vm, (OnFailure::Skip, space, limits::CALL_FUEL), turn)?;
                return Ok(workspace);
            }
            Completion::Faulted(fault) => fault,
            Completion::Refused { .. } | Completion::Now(_) | Completion::Later => Fault::BadReply,
        };
        vm.discard(space);
        workspace.rollback(&mark);
        workspace.count_failure(space, turn.revision, DeliveryFailure::Fault(fault))?;
        Ok(workspace)
    }
}
