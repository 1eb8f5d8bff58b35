//! Objects that run operations one at a time and answer, written apart from the models.
use std::fmt::Debug;

use synod_checker::model::Model;
use synod_checker::models::counter::{self, Counter};
use synod_checker::models::kv::{self, Kv, Row};

use super::dice::Dice;

/// How many values are written and pushed: some more than once, some only once.
pub(crate) const VALUES: u64 = 6;

/// A real object, and how to try it.
pub(crate) trait Object: Default {
    /// What the checker believes of it.
    type Model: Model<Input = Self::Input, Output = Self::Output> + Default;
    /// What it can be asked.
    type Input: Eq + Clone + Debug;
    /// What it answers.
    type Output: Clone + Debug;

    /// Something to ask.
    fn input(dice: &mut Dice) -> Self::Input;
    /// Runs it; `None` if it has to wait, without an effect.
    fn run(&mut self, input: &Self::Input) -> Option<Self::Output>;
    /// The revision that it counts itself, if it does: it grows with each effect.
    fn revision(&self) -> Option<u64> {
        None
    }
    /// Makes an answer another one, perhaps.
    fn corrupt(output: &mut Self::Output, dice: &mut Dice);
}

#[derive(Default)]
pub(crate) struct CounterObject(i64);

impl Object for CounterObject {
    type Model = Counter;
    type Input = counter::Input;
    type Output = counter::Output;

    fn input(dice: &mut Dice) -> counter::Input {
        let value = dice.below(3) as i64;
        match dice.below(6) {
            0 => counter::Input::Set(value),
            1 => counter::Input::CompareAndSet { expected: value, new: dice.below(3) as i64 },
            2 | 3 => counter::Input::Get,
            _ => counter::Input::Add(value),
        }
    }

    fn run(&mut self, input: &counter::Input) -> Option<counter::Output> {
        let before = self.0;
        Some(match *input {
            counter::Input::Get => counter::Output::Value(before),
            counter::Input::Add(by) => {
                self.0 += by;
                counter::Output::Value(self.0)
            }
            counter::Input::Set(value) => {
                self.0 = value;
                counter::Output::Value(before)
            }
            counter::Input::CompareAndSet { expected, .. } if expected != before => {
                counter::Output::Conflict { current: before }
            }
            counter::Input::CompareAndSet { new, .. } => {
                self.0 = new;
                counter::Output::Swapped
            }
        })
    }

    fn corrupt(output: &mut counter::Output, dice: &mut Dice) {
        let other = dice.below(4) as i64;
        match output {
            counter::Output::Value(value) | counter::Output::Conflict { current: value } => *value = other,
            _ => *output = counter::Output::Conflict { current: other },
        }
    }
}

#[derive(Default)]
pub(crate) struct KvObject {
    row: Option<Row<u64>>,
    revision: u64,
}

impl KvObject {
    fn put(&mut self, value: u64) -> kv::Output<u64> {
        self.revision += 1;
        let revision = self.revision;
        let (created, version) =
            self.row.as_ref().map_or((revision, 1), |row| (row.created, row.version + 1));
        self.row = Some(Row { value, created, revision, version });
        kv::Output::Written { revision, version }
    }

    fn remove(&mut self) -> bool {
        self.revision += 1;
        self.row.take().is_some()
    }
}

impl Object for KvObject {
    type Model = Kv<u64>;
    type Input = kv::Input<u64>;
    type Output = kv::Output<u64>;

    fn input(dice: &mut Dice) -> kv::Input<u64> {
        let (value, expected) = (dice.below(VALUES), dice.below(4));
        match dice.below(7) {
            0 => kv::Input::Delete,
            1 => kv::Input::CompareAndSet { expected, value },
            2 => kv::Input::CompareAndDelete { expected },
            3 | 4 => kv::Input::Get,
            _ => kv::Input::Put(value),
        }
    }

    fn run(&mut self, input: &kv::Input<u64>) -> Option<kv::Output<u64>> {
        let current = self.row.as_ref().map_or(0, |row| row.revision);
        Some(match input {
            kv::Input::Get => kv::Output::Row(self.row.clone()),
            kv::Input::Put(value) => self.put(*value),
            kv::Input::Delete => kv::Output::Deleted(self.remove()),
            kv::Input::CompareAndSet { expected, .. } | kv::Input::CompareAndDelete { expected }
                if *expected != current =>
            {
                kv::Output::Conflict { current }
            }
            kv::Input::CompareAndSet { value, .. } => self.put(*value),
            kv::Input::CompareAndDelete { .. } => {
                self.remove();
                kv::Output::Removed
            }
        })
    }

    fn revision(&self) -> Option<u64> {
        Some(self.revision)
    }

    fn corrupt(output: &mut kv::Output<u64>, dice: &mut Dice) {
        let other = dice.below(5);
        match output {
            kv::Output::Row(Some(row)) if other.is_multiple_of(2) => row.value = (row.value + 1) % VALUES,
            kv::Output::Row(Some(row)) => row.revision = row.created.max(other),
            kv::Output::Row(None) => {
                let row = Row { value: 0, created: 1 + other, revision: 1 + other, version: 1 };
                *output = kv::Output::Row(Some(row));
            }
            kv::Output::Written { revision, .. } if other.is_multiple_of(2) => *revision = 1 + other,
            kv::Output::Written { version, .. } => *version = 1 + other,
            kv::Output::Deleted(was_there) => *was_there = !*was_there,
            kv::Output::Removed => *output = kv::Output::Conflict { current: other },
            kv::Output::Conflict { current } => *current = other,
        }
    }
}
