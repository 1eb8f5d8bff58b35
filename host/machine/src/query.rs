//! A query: a recipe's read-only entry point on one view.
//!
//! It is not replicated: it runs on the member that was asked, on whatever moment the view is of,
//! and may be ended by that member's own time-out. The view must not change while it runs: a
//! snapshot, not the store.
use alloc::vec::Vec;

use synod_abi::{
    Context, EntryPoint, Fault, ModuleHash, OperationId, Revision, SessionId, SpaceId, Time, limits,
};

use crate::draft::draft::Draft;
use crate::draft::effects::LogLine;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, Invocation, QueryVm, StateView};
use crate::rows::directory::{self, Head};
use crate::run::call::{Answered, answered};
use crate::run::targets::module_bytes;

/// What is asked, by the ids that the view has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The space.
    pub space: SpaceId,
    /// The module of its recipe.
    pub module: ModuleHash,
    /// A query of the recipe, as the caller found it in the schema.
    pub query: OperationId,
    /// The arguments, one after another, in postcard.
    pub args: Vec<u8>,
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
/// [`Fatal`] if the store cannot be read, or the engine cannot run it.
pub fn query<S: StateView>(view: S, vm: impl QueryVm<Draft<S>>, query: &Query) -> Result<Answer, Fatal> {
    let Query { space, module, session, .. } = *query;
    let Head { revision, time, chain, .. } = directory::head(&view)?.unwrap_or(Head::EMPTY);
    if query.args.len() > limits::ARGS_BYTES {
        let result = Err(Rejection::ArgumentsTooLong);
        return Ok(Answer { revision, time, result, logs: Vec::new() });
    }
    let context = Context { revision, now: time, session, may_wait: false, seed: seed(chain) };
    let invocation = Invocation {
        space,
        module,
        entry_point: EntryPoint::Query(query.query),
        context: &context,
        args: &query.args,
        fuel: limits::CALL_FUEL,
    };
    let draft = Draft::for_query(view, space, query.query);
    let (mut draft, completion) = vm.query(invocation, draft, |draft| module_bytes(draft, module))?;
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
