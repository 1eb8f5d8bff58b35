//! A key of the recipe `kv`: a value with the revision that made it, the revision that changed it
//! last, and how often it was written.
//!
//! Revisions come from the cluster. The model knows those that answers told, and holds the others
//! open until a read tells: they grow from write to write.
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::model::{Call, Model};

/// What a key can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Input<V> {
    /// Its row.
    Get,
    /// Write it.
    Put(V),
    /// Write it if its revision is `expected`.
    CompareAndSet {
        /// The revision that the caller relies on, from an answer that it got; 0: absent.
        expected: u64,
        /// The value to write.
        value: V,
    },
    /// Remove it.
    Delete,
    /// Remove it if its revision is `expected`.
    CompareAndDelete {
        /// As in `CompareAndSet`; with 0 nothing is removed.
        expected: u64,
    },
}

/// A row as a read tells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Row<V> {
    /// Its value.
    pub value: V,
    /// Revision that made it.
    pub created: u64,
    /// Revision that changed it last.
    pub revision: u64,
    /// How often it was written since it was made, from 1.
    pub version: u64,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Output<V> {
    /// To `Get`.
    Row(Option<Row<V>>),
    /// `Put` or `CompareAndSet` wrote.
    Written {
        /// The row's revision from now on.
        revision: u64,
        /// Its version from now on.
        version: u64,
    },
    /// To `Delete`: whether it was there.
    Deleted(bool),
    /// `CompareAndDelete` found what it expected.
    Removed,
    /// `CompareAndSet` or `CompareAndDelete` found another revision.
    Conflict {
        /// The row's revision; 0: absent.
        current: u64,
    },
}

/// A row as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Known<V> {
    value: V,
    version: u64,
    /// `None`: above the state's `floor`.
    revision: Option<u64>,
    /// `None`: no answer told.
    created: Option<u64>,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State<V> {
    row: Option<Known<V>>,
    /// The largest revision that is known to have changed it.
    floor: u64,
}

/// One key, absent at first.
#[derive(Clone, Copy, Debug)]
pub struct Kv<V>(PhantomData<V>);

impl<V> Default for Kv<V> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<V: Clone + Eq> State<V> {
    /// Whether the key has a value.
    pub(super) fn is_there(&self) -> bool {
        self.row.is_some()
    }

    /// This state, with the row's revision known to be `revision` (0: absent) if it can be.
    fn at_revision(&self, revision: u64) -> Option<Self> {
        let Some(row) = &self.row else {
            return (revision == 0).then(|| self.clone());
        };
        match row.revision {
            Some(known) => (known == revision).then(|| self.clone()),
            None if revision > self.floor => {
                let created = if row.version == 1 { Some(revision) } else { row.created };
                let row = Known { revision: Some(revision), created, ..row.clone() };
                Some(Self { row: Some(row), floor: revision })
            }
            None => None,
        }
    }

    /// This state, with what a read told.
    fn shown(&self, shown: Option<&Row<V>>) -> Option<Self> {
        let (Some(row), Some(shown)) = (&self.row, shown) else {
            return (self.row.is_none() && shown.is_none()).then(|| self.clone());
        };
        let mut state = self.at_revision(shown.revision)?;
        let created = row.created.map_or(shown.created <= shown.revision, |known| known == shown.created);
        let first = (row.version == 1) == (shown.created == shown.revision);
        if row.value != shown.value || row.version != shown.version || !created || !first {
            return None;
        }
        state.row = state.row.map(|row| Known { created: Some(shown.created), ..row });
        Some(state)
    }

    fn written(&self, value: &V, revision: Option<u64>) -> Option<Self> {
        if revision.is_some_and(|revision| revision <= self.floor) {
            return None;
        }
        let version = self.row.as_ref().map_or(0, |row| row.version) + 1;
        let created = self.row.as_ref().map_or(revision, |row| row.created);
        let row = Some(Known { value: value.clone(), version, revision, created });
        Some(Self { row, floor: revision.unwrap_or(self.floor) })
    }

    /// The write, with its answer.
    fn wrote(&self, value: &V, (told, version): (u64, u64), revision: Option<u64>) -> Option<Self> {
        let state = self.written(value, Some(told))?;
        let same = revision.is_none_or(|revision| revision == told);
        (same && state.row.as_ref().is_some_and(|row| row.version == version)).then_some(state)
    }

    fn removed(&self, revision: Option<u64>) -> Option<Self> {
        if self.row.is_none() {
            return Some(self.clone());
        }
        if revision.is_some_and(|revision| revision <= self.floor) {
            return None;
        }
        Some(Self { row: None, floor: revision.unwrap_or(self.floor) })
    }

    /// This state, with the row's revision known to be `current` and not `expected`.
    fn conflict(&self, expected: u64, current: u64) -> Option<Self> {
        if expected == current { None } else { self.at_revision(current) }
    }
}

impl<V: Clone + Eq + Hash + Debug> Model for Kv<V> {
    type State = State<V>;
    type Input = Input<V>;
    type Output = Output<V>;
    type Mark = V;

    fn initial(&self) -> State<V> {
        State { row: None, floor: 0 }
    }

    fn step(&self, state: &State<V>, call: Call<'_, Input<V>, Output<V>>) -> Option<State<V>> {
        let at = call.revision;
        match (call.input, call.output) {
            (Input::Get, None) => Some(state.clone()),
            (Input::Get, Some(Output::Row(row))) => state.shown(row.as_ref()),
            (Input::Put(value), None) => state.written(value, at),
            (Input::Put(value), Some(Output::Written { revision, version })) => {
                state.wrote(value, (*revision, *version), at)
            }
            (Input::CompareAndSet { expected, value }, None) => match state.at_revision(*expected) {
                Some(state) => state.written(value, at),
                None => Some(state.clone()),
            },
            (Input::CompareAndSet { expected, value }, Some(Output::Written { revision, version })) => {
                state.at_revision(*expected)?.wrote(value, (*revision, *version), at)
            }
            (Input::Delete, None) => state.removed(at),
            (Input::Delete, Some(Output::Deleted(was_there))) => {
                if *was_there == state.row.is_some() {
                    state.removed(at)
                } else {
                    None
                }
            }
            (Input::CompareAndDelete { expected }, None) => match state.at_revision(*expected) {
                Some(state) => state.removed(at),
                None => Some(state.clone()),
            },
            (Input::CompareAndDelete { expected }, Some(Output::Removed)) => {
                state.at_revision(*expected)?.removed(at)
            }
            (
                Input::CompareAndSet { expected, .. } | Input::CompareAndDelete { expected },
                Some(Output::Conflict { current }),
            ) => state.conflict(*expected, *current),
            _ => None,
        }
    }

    fn leaves<'a>(&self, input: &'a Input<V>) -> Option<&'a V> {
        match input {
            Input::Put(value) | Input::CompareAndSet { value, .. } => Some(value),
            Input::Get | Input::Delete | Input::CompareAndDelete { .. } => None,
        }
    }

    fn shows<'a>(&self, output: &'a Output<V>) -> Option<&'a V> {
        match output {
            Output::Row(row) => row.as_ref().map(|row| &row.value),
            _ => None,
        }
    }

    fn loses<'a>(&self, before: &'a State<V>, after: &State<V>) -> Option<&'a V> {
        let row = before.row.as_ref()?;
        let stays = after.row.as_ref().is_some_and(|after| after.version == row.version);
        (!stays).then_some(&row.value)
    }

    fn are_alike(&self, one: &Input<V>, other: &Input<V>) -> bool {
        match (one, other) {
            (Input::Put(_), Input::Put(_)) => true,
            (Input::CompareAndSet { expected, .. }, Input::CompareAndSet { expected: other, .. }) => {
                expected == other
            }
            _ => one == other,
        }
    }
}
