//! Where in a JSON value the reader is: `$.limit.burst`, `$.items[3]`.
//!
//! Steps borrow the steps above them, so a path costs nothing until there is an error.
use std::fmt::Write as _;

use super::JsonError;

/// A place in a value.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Self::Root => out.push('$'),
            Self::Field(parent, name) => {
                parent.write(out);
                if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    let _ = write!(out, ".{name}");
                } else {
                    let _ = write!(out, "[{name:?}]");
                }
            }
            Self::Item(parent, at) => {
                parent.write(out);
                let _ = write!(out, "[{at}]");
            }
        }
    }

    /// What is wrong at this place.
    pub(super) fn error(&self, message: impl Into<String>) -> JsonError {
        let mut path = String::new();
        self.write(&mut path);
        JsonError { path, message: message.into() }
    }
}
