//! Every order of every subset of the unknown operations.
use synod_checker::history::{Operation, Outcome};
use synod_checker::model::{Call, Model};

/// Whether some order explains the history; for a handful of operations.
pub(crate) fn is_linearizable<M: Model>(model: &M, history: &[Operation<M::Input, M::Output>]) -> bool {
    extend(model, history, &mut vec![false; history.len()], &model.initial())
}

fn extend<M: Model>(
    model: &M,
    history: &[Operation<M::Input, M::Output>],
    taken: &mut Vec<bool>,
    state: &M::State,
) -> bool {
    let done = |at: &usize| matches!(history[*at].outcome, Outcome::Done(_));
    let left: Vec<usize> = (0..history.len()).filter(|at| !taken[*at]).collect();
    if !left.iter().any(done) {
        return true;
    }
    let first_return =
        left.iter().copied().filter(done).filter_map(|at| history[at].returned).min().unwrap_or(u64::MAX);
    for at in left {
        let operation = &history[at];
        if operation.invoked > first_return {
            continue;
        }
        let output = match &operation.outcome {
            Outcome::Done(output) => Some(output),
            Outcome::Unknown => None,
        };
        if let Some(next) = model.step(state, Call { input: &operation.input, output, revision: None }) {
            taken[at] = true;
            if extend(model, history, taken, &next) {
                return true;
            }
            taken[at] = false;
        }
    }
    false
}
