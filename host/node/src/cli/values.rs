//! Values as the command line writes and shows them: parsing and formatting alone.
//!
//! The lowest layer of the command line: it knows neither the cluster's connection nor standard
//! output. Errors are sentences; the layers above decide what they mean for the command.

pub(crate) mod args;
pub(crate) mod json;
pub(crate) mod names;
#[cfg(test)]
pub(crate) mod parse;
pub(crate) mod people;
pub(crate) mod schema;
pub(crate) mod time;
pub(crate) mod token;
pub(crate) mod units;
