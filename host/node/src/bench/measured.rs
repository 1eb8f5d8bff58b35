//! The results of a benchmark, and how its rates and times are written.
use serde_json::Value;

/// The results of a benchmark.
pub(super) struct Measured {
    /// For programs.
    pub(super) json: Value,
    /// For people.
    pub(super) text: String,
    /// Calls that succeeded.
    pub(super) calls: u64,
    /// Some of the errors.
    pub(super) errors: Vec<String>,
}

/// How much of `part` there is for one of `whole`; 0 without any.
#[allow(clippy::cast_precision_loss, reason = "rates for people")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Microseconds as milliseconds, for people.
pub(super) fn milliseconds(us: u64) -> String {
    format!("{:.2} ms", ratio(us, 1_000))
}

/// How many of `count` there are in a second; 0 in no time.
#[allow(clippy::cast_precision_loss, reason = "rates for people")]
pub(super) fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
