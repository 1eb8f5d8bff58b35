//! A queue: what was pushed first is taken first.
//!
//! Whoever waits for an element gets it in the command that pushes it, so a waiting call takes
//! effect right after that push. In which order those that wait are served is not checked here.
use std::collections::VecDeque;
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::model::{Call, Model};

/// What a queue can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Input<V> {
    /// Put an element at the end.
    Push(V),
    /// Take the first element if there is one.
    Pop,
    /// Take the first element, and wait until there is one.
    Take,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Output<V> {
    /// To `Push`.
    Pushed,
    /// To `Pop`; `None`: it was empty.
    Popped(Option<V>),
    /// To `Take`.
    Taken(V),
}

/// A queue, empty at first.
#[derive(Clone, Copy, Debug)]
pub struct Queue<V>(PhantomData<V>);

impl<V> Default for Queue<V> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<V: Clone + Eq + Hash + Debug> Model for Queue<V> {
    type State = VecDeque<V>;
    type Input = Input<V>;
    type Output = Output<V>;
    type Mark = V;

    fn initial(&self) -> VecDeque<V> {
        VecDeque::new()
    }

    fn step(&self, state: &VecDeque<V>, call: Call<'_, Input<V>, Output<V>>) -> Option<VecDeque<V>> {
        let fits = match (call.input, call.output) {
            (_, None) | (Input::Push(_), Some(Output::Pushed)) => true,
            (Input::Pop, Some(Output::Popped(element))) => *element == state.front().cloned(),
            (Input::Take, Some(Output::Taken(element))) => state.front() == Some(element),
            _ => false,
        };
        let waits = matches!(call.input, Input::Take) && state.is_empty();
        if !fits || waits {
            return None;
        }
        let mut next = state.clone();
        match call.input {
            Input::Push(element) => next.push_back(element.clone()),
            Input::Pop | Input::Take => drop(next.pop_front()),
        }
        Some(next)
    }

    fn leaves<'a>(&self, input: &'a Input<V>) -> Option<&'a V> {
        match input {
            Input::Push(element) => Some(element),
            Input::Pop | Input::Take => None,
        }
    }

    fn shows<'a>(&self, output: &'a Output<V>) -> Option<&'a V> {
        match output {
            Output::Popped(element) => element.as_ref(),
            Output::Taken(element) => Some(element),
            Output::Pushed => None,
        }
    }

    fn loses<'a>(&self, before: &'a VecDeque<V>, after: &VecDeque<V>) -> Option<&'a V> {
        before.front().filter(|_| after.len() < before.len())
    }

    fn are_alike(&self, one: &Input<V>, other: &Input<V>) -> bool {
        matches!(one, Input::Push(_)) == matches!(other, Input::Push(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Operation;
    use crate::linear::{Steps, Verdict, check};

    type Op = Operation<Input<u64>, Output<u64>>;

    fn push(interval: (u64, u64), element: u64) -> Op {
        Operation::done(1, interval.0, interval.1, Input::Push(element), Output::Pushed)
    }

    fn pop(interval: (u64, u64), element: Option<u64>) -> Op {
        Operation::done(2, interval.0, interval.1, Input::Pop, Output::Popped(element))
    }

    fn take(interval: (u64, u64), element: u64) -> Op {
        Operation::done(3, interval.0, interval.1, Input::Take, Output::Taken(element))
    }

    fn is_good(history: &[Op]) -> bool {
        check(&Queue::default(), history, Steps(10_000)) == Verdict::Linearizable
    }

    #[test]
    fn elements_come_in_the_order_of_their_pushes() {
        let pushes = [push((1, 2), 7), push((3, 4), 8)];
        let history = |tail: [Op; 2]| pushes.iter().cloned().chain(tail).collect::<Vec<_>>();
        assert!(is_good(&history([pop((5, 6), Some(7)), pop((7, 8), Some(8))])));
        assert!(!is_good(&history([pop((5, 6), Some(8)), pop((7, 8), Some(7))])));
        assert!(!is_good(&history([pop((5, 6), Some(7)), pop((7, 8), Some(7))])));
        assert!(!is_good(&history([pop((5, 6), Some(7)), pop((7, 8), None)])));
    }

    #[test]
    fn one_that_waits_gets_what_is_pushed_later() {
        assert!(is_good(&[take((1, 9), 7), pop((2, 3), None), push((4, 5), 7), pop((6, 7), None)]));
        assert!(!is_good(&[take((1, 3), 7), push((4, 5), 7)]));
        assert!(!is_good(&[take((1, 9), 7), push((2, 3), 7), pop((4, 5), Some(7))]));
    }

    #[test]
    fn a_pop_whose_answer_was_lost_may_have_taken_an_element() {
        let lost = Operation::unknown(4, 3, Input::Pop);
        assert!(is_good(&[push((1, 2), 7), lost.clone(), pop((5, 6), None)]));
        assert!(is_good(&[push((1, 2), 7), lost.clone(), pop((5, 6), Some(7))]));
        assert!(!is_good(&[push((1, 2), 7), push((3, 4), 8), lost, pop((5, 6), None)]));
    }
}
