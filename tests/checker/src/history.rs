//! Operations as clients saw them, and JSON lines to keep records in a file.
//!
//! A history is a list of operations in any order. An operation that surely had no effect is not
//! recorded. One whose outcome is unknown may take effect at any time after its invocation, or
//! never: a client that died, a lost reply. Times that are equal say nothing about order.
use std::fmt;
use std::io::{self, BufRead, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::violation::{Property, Violation};

/// What an operation's client knows of its effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome<O> {
    /// It took effect once, and this is its answer.
    Done(O),
    /// It took effect once or never.
    Unknown,
}

/// An operation of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operation<I, O> {
    /// Who called; for explanations only.
    pub client: u32,
    /// When it was called.
    pub invoked: u64,
    /// When its answer came; with an unknown outcome it is ignored.
    pub returned: Option<u64>,
    /// What was asked for.
    pub input: I,
    /// What came of it.
    pub outcome: Outcome<O>,
}

impl<I, O> Operation<I, O> {
    /// One that was answered.
    pub fn done(client: u32, invoked: u64, returned: u64, input: I, output: O) -> Self {
        Self { client, invoked, returned: Some(returned), input, outcome: Outcome::Done(output) }
    }

    /// One whose outcome is unknown.
    pub fn unknown(client: u32, invoked: u64, input: I) -> Self {
        Self { client, invoked, returned: None, input, outcome: Outcome::Unknown }
    }

    /// Its answer and when it came, if it was answered.
    ///
    /// # Errors
    ///
    /// [`Property::WellFormed`] if an answer has no time or came before the call.
    pub fn answer(&self) -> Result<Option<(&O, u64)>, Violation>
    where
        I: fmt::Debug,
        O: fmt::Debug,
    {
        match (&self.outcome, self.returned) {
            (Outcome::Unknown, _) => Ok(None),
            (Outcome::Done(output), Some(returned)) if returned >= self.invoked => {
                Ok(Some((output, returned)))
            }
            (Outcome::Done(_), _) => Err(Violation::new(
                Property::WellFormed,
                format!("an answer comes at a time that is not before that of its call: {self}"),
            )),
        }
    }
}

impl<I: fmt::Debug, O: fmt::Debug> fmt::Display for Operation<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}: {:?} → ", self.client, self.input)?;
        match &self.outcome {
            Outcome::Done(output) => write!(f, "{output:?} [{}, ", self.invoked)?,
            Outcome::Unknown => return write!(f, "unknown [{}, …]", self.invoked),
        }
        match self.returned {
            Some(returned) => write!(f, "{returned}]"),
            None => write!(f, "?]"),
        }
    }
}

/// An input with the key of the object that it is for. Objects with different keys are independent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Keyed<K, I> {
    /// Which object.
    pub key: K,
    /// What is asked of it.
    pub input: I,
}

/// A kept record cannot be read or written.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The file.
    #[error("cannot read or write the record: {0}")]
    Io(#[from] io::Error),
    /// A line of it.
    #[error("line {line} of the record is not what it should be: {cause}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
}

/// Writes one line of JSON for each item: operations, or records of any other checker.
///
/// # Errors
///
/// The writer's, and an item that JSON has no form for.
pub fn write_lines<'a, T: Serialize + 'a>(
    mut to: impl Write,
    items: impl IntoIterator<Item = &'a T>,
) -> Result<(), RecordError> {
    for (at, item) in items.into_iter().enumerate() {
        let text = serde_json::to_string(item).map_err(|cause| RecordError::Line { line: at + 1, cause })?;
        writeln!(to, "{text}")?;
    }
    Ok(to.flush()?)
}

/// Reads what [`write_lines`] wrote. Empty lines are skipped.
///
/// # Errors
///
/// The reader's, and the first line that is no such item.
pub fn read_lines<T: DeserializeOwned>(from: impl BufRead) -> Result<Vec<T>, RecordError> {
    let mut items = Vec::new();
    for (at, line) in from.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let item = serde_json::from_str(&line).map_err(|cause| RecordError::Line { line: at + 1, cause })?;
        items.push(item);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Op = Operation<Keyed<String, i64>, i64>;

    fn history() -> Vec<Op> {
        let input = |key: &str, input| Keyed { key: key.to_owned(), input };
        vec![
            Operation::done(1, 10, 20, input("a", 1), 1),
            Operation::unknown(2, 15, input("b\n", -1)),
            Operation { returned: Some(90), ..Operation::unknown(3, u64::MAX, input("", 0)) },
        ]
    }

    #[test]
    fn a_history_is_the_same_after_it_was_kept() {
        let mut file = Vec::new();
        write_lines(&mut file, &history()).expect("written");
        assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), 3);
        assert_eq!(read_lines::<Op>(file.as_slice()).expect("read"), history());
    }

    #[test]
    fn a_bad_line_is_named() {
        let mut file = Vec::new();
        write_lines(&mut file, &history()[..1]).expect("written");
        file.extend(b"\n{\"client\": 1}\n");
        let error = read_lines::<Op>(file.as_slice()).expect_err("no operation");
        assert!(error.to_string().starts_with("line 3 of the record"), "{error}");
    }

    #[test]
    fn operations_are_shown_in_a_line() {
        let shown: Vec<String> = history().iter().map(ToString::to_string).collect();
        assert_eq!(shown[0], "client 1: Keyed { key: \"a\", input: 1 } → 1 [10, 20]");
        assert_eq!(shown[1], "client 2: Keyed { key: \"b\\n\", input: -1 } → unknown [15, …]");
    }

    #[test]
    fn an_answer_before_its_call_is_a_fault_of_the_record() {
        let good = Operation::done(1, 10, 10, "get", 1);
        assert_eq!(good.answer().expect("well formed"), Some((&1, 10)));
        for returned in [None, Some(9)] {
            let bad = Operation { returned, ..good.clone() };
            let violation = bad.answer().expect_err("malformed");
            assert_eq!(violation.property, Property::WellFormed);
            assert!(violation.why.contains("\"get\""), "{violation}");
        }
    }
}
