//! A query: a recipe's read-only entry point on one view.
//!
//! It is not replicated: it runs on the member that was asked, on whatever moment the view is of,
//! and may be ended by that member's own time-out. The view must not change while it runs: a
//! snapshot, not the store.
use alloc::vec::Vec;

use synod_abi::{Context, EntryPoint, Fault, OperationId, Revision, SessionId, SpaceName, Time, limits};

use crate::draft::draft::Draft;
use crate::draft::effects::LogLine;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, Invocation, StateView, Vm};
use crate::rows::directory::{self, Head, SpaceRecord};
use crate::run::call::{Answered, answered};
use crate::run::targets::load;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Where.
    pub space: &'a SpaceName,
    /// What: a query of the recipe, as the caller found it in the schema.
    pub query: OperationId,
    /// The arguments, one after another, in postcard.
    pub args: &'a [u8],
    /// The caller's session, if it has one.
    pub session: Option<SessionId>,
}

/// What a query answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Revision of the state that it read.
    pub revision: Revision,
    /// Time of that state.
    pub time: Time,
    /// Its encoded result.
    pub result: Result<Vec<u8>, Rejection>,
    /// Lines for people.
    pub logs: Vec<LogLine>,
}

/// Runs a query on `view`, in a fresh instance. An unknown one is answered by the recipe, with
/// `Fault::BadArguments`.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn query<S: StateView + Clone, V: Vm<Draft<S>>>(
    view: &S,
    vm: &mut V,
    query: Query<'_>,
) -> Result<Answer, Fatal> {
    let Head { revision, time, chain, .. } = directory::head(view)?.unwrap_or(Head::EMPTY);
    let refused = |rejection| Answer { revision, time, result: Err(rejection), logs: Vec::new() };
    let Some(SpaceRecord { id: space, module, .. }) = directory::space(view, query.space)? else {
        return Ok(refused(Rejection::UnknownSpace));
    };
    if query.args.len() > limits::ARGS_BYTES {
        return Ok(refused(Rejection::ArgumentsTooLong));
    }
    load(view, vm, module)?;
    vm.begin_entry();
    let context = Context { revision, now: time, session: query.session, may_wait: false, seed: seed(chain) };
    let entry_point = EntryPoint::Query(query.query);
    let invocation = Invocation {
        space,
        module,
        entry_point,
        context: &context,
        args: query.args,
        fuel: limits::CALL_FUEL,
    };
    let (mut draft, completion) = vm.invoke(invocation, Draft::for_query(view.clone(), space))?;
    draft.check()?;
    let result = match answered(completion) {
        Ok(Answered::Result { result, reversible: false }) => Ok(result.0),
        Ok(_) => Err(Rejection::Fault(Fault::BadReply)),
        Err(rejection) => Err(rejection),
    };
    Ok(Answer { revision, time, result, logs: draft.take_logs() })
}

/// The same for every query of one state.
fn seed(chain: [u8; 32]) -> [u8; 16] {
    let mut seed = [0; 16];
    seed.copy_from_slice(&chain[..16]);
    seed
}
