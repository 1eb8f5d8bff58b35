//! What an object does, as a checker knows it.
//!
//! A model accepts or refuses answers instead of giving them, because some answers hold what only
//! the cluster can know: a revision, a token.
use std::fmt::Debug;
use std::hash::Hash;

/// An operation as a model sees it.
#[derive(Debug)]
pub struct Call<'a, I, O> {
    /// What was asked for.
    pub input: &'a I,
    /// The answer; `None` if the outcome is unknown.
    pub output: Option<&'a O>,
    /// The revision at which it took effect, if a log tells.
    pub revision: Option<u64>,
}

impl<I, O> Clone for Call<'_, I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for Call<'_, I, O> {}

/// A sequential object.
pub trait Model {
    /// What it remembers.
    type State: Clone + Eq + Hash + Debug;
    /// What it can be asked. Two unknown operations with equal inputs can stand in for each other.
    type Input: Eq + Debug;
    /// What it answers.
    type Output: Debug;
    /// What an operation can leave behind for answers to show: the value that it wrote. Of what is
    /// there initially nothing is a mark.
    type Mark: Eq + Hash;

    /// Its state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after the call; `None` if the call cannot take effect in `state`, or not with this
    /// answer.
    ///
    /// Without an answer it is the state after the call took effect, if it may have had one: that
    /// it never did is the checker's business.
    fn step(&self, state: &Self::State, call: Call<'_, Self::Input, Self::Output>) -> Option<Self::State>;

    /// The mark that the operation leaves behind if it takes effect. An answer that shows it proves
    /// that the operation took effect before, unless another one leaves the same.
    fn leaves<'a>(&self, _: &'a Self::Input) -> Option<&'a Self::Mark> {
        None
    }

    /// The mark that an answer shows.
    fn shows<'a>(&self, _: &'a Self::Output) -> Option<&'a Self::Mark> {
        None
    }

    /// The mark that answers could show in the state before a step, and cannot after it unless it
    /// is left again.
    fn loses<'a>(&self, _before: &'a Self::State, _after: &Self::State) -> Option<&'a Self::Mark> {
        None
    }

    /// Whether two operations have the same effect but for their marks, which no answer shows.
    fn are_alike(&self, one: &Self::Input, other: &Self::Input) -> bool {
        one == other
    }
}
