//! The same question put to todc-utils.
//!
//! It has no unknown outcomes and wants every operation to take effect: one whose outcome is
//! unknown returns after everything else, and is accepted without effect where it can have none.
use std::fmt::Debug;
use std::marker::PhantomData;

use synod_checker::history::{Operation, Outcome};
use synod_checker::model::{Call, Model};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

struct Adapted<M>(PhantomData<M>);

type Told<M> = (<M as Model>::Input, Option<<M as Model>::Output>);

impl<M: Model + Default> Specification for Adapted<M>
where
    M::Input: Clone,
    M::Output: Clone,
{
    type State = M::State;
    type Operation = Told<M>;

    fn init() -> M::State {
        M::default().initial()
    }

    fn apply((input, output): &Told<M>, state: &M::State) -> (bool, M::State) {
        match M::default().step(state, Call { input, output: output.as_ref(), revision: None }) {
            Some(next) => (true, next),
            None => (output.is_none(), state.clone()),
        }
    }
}

/// The published checker's verdict.
pub(crate) fn is_linearizable<M: Model + Default>(history: &[Operation<M::Input, M::Output>]) -> bool
where
    M::Input: Clone + Debug,
    M::Output: Clone + Debug,
{
    let mut actions = Vec::new();
    for (process, operation) in history.iter().enumerate() {
        let (output, returned) = match &operation.outcome {
            Outcome::Done(output) => (Some(output.clone()), operation.returned.expect("answered")),
            Outcome::Unknown => (None, u64::MAX),
        };
        let told = (operation.input.clone(), output);
        actions.push((operation.invoked, false, process, Action::Call(told.clone())));
        actions.push((returned, true, process, Action::Response(told)));
    }
    actions.sort_by_key(|(time, returns, process, _)| (*time, *returns, *process));
    let actions = actions.into_iter().map(|(.., process, action)| (process, action)).collect();
    WGLChecker::<Adapted<M>>::is_linearizable(History::from_actions(actions))
}
