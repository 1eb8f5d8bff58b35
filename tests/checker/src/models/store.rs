//! All keys of a space of the recipe `kv`, for reads of ranges: they cannot be judged key by key.
//!
//! Use it against the log, where nothing is searched. Each step copies the keys that there are, so
//! keep them few.
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::kv::{self, Kv};
use crate::history::Keyed;
use crate::model::{Call, Model};

/// What a space can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Input<V> {
    /// Something of one key.
    One(Keyed<String, kv::Input<V>>),
    /// The first rows whose keys begin with `prefix`, from the key `from` on.
    List {
        /// What their keys begin with.
        prefix: String,
        /// The key to begin at; empty: the first.
        from: String,
        /// How many rows at most.
        limit: usize,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Output<V> {
    /// What the key answers.
    One(kv::Output<V>),
    /// Rows by key, in order.
    Rows(Vec<(String, kv::Row<V>)>),
}

/// A space, empty at first.
#[derive(Clone, Copy, Debug)]
pub struct Store<V>(PhantomData<V>);

impl<V> Default for Store<V> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// What is known of each key that was ever asked for.
type State<V> = BTreeMap<String, kv::State<V>>;

impl<V: Clone + Eq + Hash + Debug> Model for Store<V> {
    type State = State<V>;
    type Input = Input<V>;
    type Output = Output<V>;
    type Mark = ();

    fn initial(&self) -> State<V> {
        State::new()
    }

    fn step(&self, state: &State<V>, call: Call<'_, Input<V>, Output<V>>) -> Option<State<V>> {
        let model = Kv::default();
        match (call.input, call.output) {
            (Input::One(Keyed { key, input }), output) => {
                let output = match output {
                    None => None,
                    Some(Output::One(output)) => Some(output),
                    Some(Output::Rows(_)) => return None,
                };
                let initial = model.initial();
                let before = state.get(key).unwrap_or(&initial);
                let after = model.step(before, Call { input, output, revision: call.revision })?;
                let mut next = state.clone();
                if after != *before {
                    next.insert(key.clone(), after);
                }
                Some(next)
            }
            (Input::List { .. }, None) => Some(state.clone()),
            (Input::List { prefix, from, limit }, Some(Output::Rows(rows))) => {
                let from = from.max(prefix);
                let there = state.range::<String, _>(from..).take_while(|(key, _)| key.starts_with(prefix));
                let there = there.filter(|(_, state)| state.is_there()).take(*limit);
                let keys = there.map(|(key, _)| key);
                if !keys.eq(rows.iter().map(|(key, _)| key)) {
                    return None;
                }
                let mut next = state.clone();
                for (key, row) in rows {
                    let output = kv::Output::Row(Some(row.clone()));
                    let read = Call { input: &kv::Input::Get, output: Some(&output), revision: None };
                    let after = model.step(state.get(key)?, read)?;
                    next.insert(key.clone(), after);
                }
                Some(next)
            }
            (Input::List { .. }, Some(Output::One(_))) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Operation;
    use crate::linear::{Steps, Verdict, check};

    type Op = Operation<Input<u64>, Output<u64>>;

    fn put(at: u64, key: &str, value: u64) -> Op {
        let input = Input::One(Keyed { key: key.to_owned(), input: kv::Input::Put(value) });
        let output = Output::One(kv::Output::Written { revision: at, version: 1 });
        Operation::done(1, at, at, input, output)
    }

    fn delete(at: u64, key: &str) -> Op {
        let input = Input::One(Keyed { key: key.to_owned(), input: kv::Input::Delete });
        Operation::done(1, at, at, input, Output::One(kv::Output::Deleted(true)))
    }

    fn list(at: u64, from: &str, limit: usize, rows: &[(&str, u64, u64)]) -> Op {
        let row = |(key, value, revision): &(&str, u64, u64)| {
            let row = kv::Row { value: *value, created: *revision, revision: *revision, version: 1 };
            ((*key).to_owned(), row)
        };
        let input = Input::List { prefix: "a/".into(), from: from.into(), limit };
        Operation::done(2, at, at, input, Output::Rows(rows.iter().map(row).collect()))
    }

    fn is_good(read: Op) -> bool {
        let writes =
            [put(1, "a/1", 7), put(2, "a/2", 8), put(3, "b/1", 9), put(4, "a/3", 5), delete(5, "a/2")];
        let history: Vec<_> = writes.into_iter().chain([read]).collect();
        check(&Store::default(), &history, Steps(10_000)) == Verdict::Linearizable
    }

    #[test]
    fn a_list_has_every_row_of_its_range() {
        assert!(is_good(list(6, "", 9, &[("a/1", 7, 1), ("a/3", 5, 4)])));
        assert!(is_good(list(6, "", 1, &[("a/1", 7, 1)])));
        assert!(is_good(list(6, "a/2", 9, &[("a/3", 5, 4)])));
        assert!(is_good(list(6, "a/4", 9, &[])));
        assert!(!is_good(list(6, "", 9, &[("a/1", 7, 1)])), "a row is missing");
        assert!(!is_good(list(6, "", 9, &[("a/1", 7, 1), ("a/2", 8, 2), ("a/3", 5, 4)])), "one was removed");
        assert!(!is_good(list(6, "", 9, &[("a/1", 8, 1), ("a/3", 5, 4)])), "another value");
        assert!(!is_good(list(6, "", 9, &[("a/3", 5, 4), ("a/1", 7, 1)])), "out of order");
        assert!(!is_good(list(6, "", 9, &[("a/1", 7, 1), ("a/3", 5, 4), ("b/1", 9, 3)])), "out of range");
    }

    #[test]
    fn a_list_is_of_one_moment() {
        let both = list(6, "", 9, &[("a/1", 7, 1), ("a/2", 8, 2)]);
        assert!(!is_good(both.clone()));
        let during = Operation { invoked: 2, returned: Some(9), ..both };
        assert!(is_good(during.clone()), "before the others");
        let torn = list(6, "", 9, &[("a/2", 8, 2), ("a/3", 5, 4)]);
        assert!(!is_good(Operation { invoked: 1, returned: Some(9), ..torn }), "a/1 was there all the time");
    }
}
