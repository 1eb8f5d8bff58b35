//! Calls outside of sessions: an operation is run with its whole fuel, then what it emitted and
//! sent is delivered.
//!
//! Calls in sessions are requests, which are kept: see `commands::requests`.
use synod_abi::{Blob, EntryPoint, Fault, SessionId, limits};

use crate::draft::draft::{Draft, Mark};
use crate::draft::stop::Stop;
use crate::log::command::{Call, OnFailure};
use crate::log::outcome::Reply;
use crate::log::rejection::Rejection;
use crate::ports::{Completion, Fatal, StateView, Vm};
use crate::run::run::{Entering, Run};
use crate::run::targets::Target;

/// What a recipe answers.
#[derive(Debug)]
pub(crate) enum Answered {
    /// A result, and whether the recipe can take it back.
    Result { result: Blob, reversible: bool },
    /// It will answer, by any of so many tickets.
    Later { tickets: u16 },
}

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    /// A call outside of a session.
    pub(crate) fn call(&mut self, call: &Call) -> Result<Reply, Stop> {
        let target = self.find(call)?;
        let mark = self.draft.savepoint();
        let rejection = match answered(self.enter(&target, call, None)?) {
            Ok(Answered::Result { result, .. }) => {
                if !self.draft.emissions().is_quiet() {
                    self.deliver_call(call, &mark)?;
                }
                return Ok(Reply::Result(result));
            }
            Ok(Answered::Later { .. }) => Rejection::CannotWait,
            Err(rejection) => rejection,
        };
        self.undo(call.space, &mark, &rejection);
        Err(rejection.into())
    }

    /// Runs the operation that is called, as a new cause; in a session it may wait.
    pub(crate) fn enter(
        &mut self,
        target: &Target,
        call: &Call,
        session: Option<SessionId>,
    ) -> Result<Completion, Fatal> {
        self.draft.begin_cause();
        self.invoke(&Entering {
            space: call.space,
            target,
            entry_point: EntryPoint::Operation(call.operation),
            args: &call.args,
            session,
            may_wait: session.is_some(),
            fuel: limits::CALL_FUEL,
        })
    }

    /// Delivers what a call emitted and sent, on the fuel that it left. A rejection leaves nothing
    /// of what was done since `mark`.
    pub(crate) fn deliver_call(&mut self, call: &Call, mark: &Mark) -> Result<(), Stop> {
        let left = limits::CALL_FUEL.saturating_sub(self.turn.fuel);
        let delivered = self.deliver(call.space, OnFailure::Reject, left);
        if matches!(delivered, Err(Stop::Rejected(_))) {
            self.draft.rollback(mark);
        }
        delivered
    }
}

/// The answer in `completion`; results and errors over the limit are faults, even if the engine
/// let them through.
pub(crate) fn answered(completion: Completion) -> Result<Answered, Rejection> {
    match completion {
        Completion::Done(result) if result.len() <= limits::REPLY_BYTES => {
            Ok(Answered::Result { result: result.into(), reversible: false })
        }
        Completion::Now(result) if result.len() <= limits::REPLY_BYTES => {
            Ok(Answered::Result { result: result.into(), reversible: true })
        }
        Completion::Later { tickets } if (1..=limits::CALL_TICKETS).contains(&tickets) => {
            Ok(Answered::Later { tickets })
        }
        Completion::Refused { code, error } if error.len() <= limits::REPLY_BYTES => {
            Err(Rejection::Recipe { code, error: error.into() })
        }
        Completion::Done(_)
        | Completion::Now(_)
        | Completion::Later { .. }
        | Completion::Refused { .. }
        | Completion::More => Err(Rejection::Fault(Fault::BadReply)),
        Completion::Faulted(fault) => Err(Rejection::Fault(fault)),
    }
}
