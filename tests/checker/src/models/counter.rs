//! A counter, as the recipe `counter` offers it.
use serde::{Deserialize, Serialize};

use crate::model::{Call, Model};

/// What a counter can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Input {
    /// The value.
    Get,
    /// Add, and answer the sum.
    Add(i64),
    /// Set, and answer the former value.
    Set(i64),
    /// Set to `new` if the value is `expected`.
    CompareAndSet {
        /// The value that the caller relies on.
        expected: i64,
        /// The value to set.
        new: i64,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Output {
    /// To `Get` the value, to `Add` the sum, to `Set` the former value.
    Value(i64),
    /// `CompareAndSet` set it.
    Swapped,
    /// `CompareAndSet` found another value.
    Conflict {
        /// The value.
        current: i64,
    },
    /// The sum of `Add` does not fit; nothing was added.
    Overflow {
        /// The value.
        current: i64,
    },
}

/// A counter that begins at 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

impl Model for Counter {
    type State = i64;
    type Input = Input;
    type Output = Output;
    type Mark = ();

    fn initial(&self) -> i64 {
        0
    }

    fn step(&self, state: &i64, call: Call<'_, Input, Output>) -> Option<i64> {
        let (next, answer) = match *call.input {
            Input::Get => (*state, Output::Value(*state)),
            Input::Add(by) => match state.checked_add(by) {
                Some(sum) => (sum, Output::Value(sum)),
                None => (*state, Output::Overflow { current: *state }),
            },
            Input::Set(value) => (value, Output::Value(*state)),
            Input::CompareAndSet { expected, new } if expected == *state => (new, Output::Swapped),
            Input::CompareAndSet { .. } => (*state, Output::Conflict { current: *state }),
        };
        call.output.is_none_or(|output| *output == answer).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(state: i64, input: Input, output: Option<Output>) -> Option<i64> {
        Counter.step(&state, Call { input: &input, output: output.as_ref(), revision: None })
    }

    #[test]
    fn answers_are_those_of_the_counter() {
        assert_eq!(step(5, Input::Get, Some(Output::Value(5))), Some(5));
        assert_eq!(step(5, Input::Get, Some(Output::Value(4))), None);
        assert_eq!(step(5, Input::Add(2), Some(Output::Value(7))), Some(7));
        assert_eq!(step(5, Input::Add(2), Some(Output::Value(5))), None);
        assert_eq!(step(5, Input::Set(2), Some(Output::Value(5))), Some(2));
        let swap = Input::CompareAndSet { expected: 5, new: 9 };
        assert_eq!(step(5, swap.clone(), Some(Output::Swapped)), Some(9));
        assert_eq!(step(4, swap.clone(), Some(Output::Swapped)), None);
        assert_eq!(step(4, swap, Some(Output::Conflict { current: 4 })), Some(4));
        let full = Output::Overflow { current: i64::MAX };
        assert_eq!(step(i64::MAX, Input::Add(1), Some(full.clone())), Some(i64::MAX));
        assert_eq!(step(5, Input::Add(1), Some(full)), None);
    }

    #[test]
    fn without_an_answer_the_effect_is_that_of_the_counter() {
        assert_eq!(step(5, Input::Add(2), None), Some(7));
        assert_eq!(step(5, Input::CompareAndSet { expected: 4, new: 9 }, None), Some(5));
        assert_eq!(step(5, Input::Get, None), Some(5));
    }
}
