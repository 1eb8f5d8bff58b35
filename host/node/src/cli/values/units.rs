//! Durations, sizes and hashes, as the command line reads and shows them.
use std::time::Duration;

/// Longest duration that is accepted, in seconds: a year. The cluster's own limits are far below.
const SECONDS: u64 = 365 * 86_400;

/// Seconds, down to milliseconds: `10`, `0.5`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a number of seconds from 0 to {SECONDS}, such as 10 or 0.5");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3
        || (whole.is_empty() && part.is_empty())
        || !text.bytes().all(|c| c.is_ascii_digit() || c == b'.')
    {
        return Err(wrong());
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
    let millis: u64 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
    if whole > SECONDS { Err(wrong()) } else { Ok(Duration::from_millis(whole * 1_000 + millis)) }
}

/// A duration with its unit: `90s`, `15m`, `24h`, `7d`.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 90s, 15m, 24h or 7d");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

/// A number of bytes, with a unit or without: `65536`, `64MiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a number of bytes such as 65536, 512KiB, 64MiB or 1GiB");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit: u64 = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

/// A duration in whole milliseconds, as the API counts it.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A duration in whole microseconds, as latencies are counted.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A count as an index or length.
pub(crate) fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A duration for people: `10 s`, `2.5 s`.
pub(crate) fn in_seconds(ms: u64) -> String {
    match ms % 1_000 {
        0 => format!("{} s", ms / 1_000),
        rest => format!("{}.{} s", ms / 1_000, format!("{rest:03}").trim_end_matches('0')),
    }
}

/// How far a clock is ahead, or behind: `+12 ms`, `-90 s`, `+2 d`.
pub(crate) fn offset(ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    let is_enough = |(length, _): &(i64, &str)| ms.unsigned_abs() >= 2 * length.unsigned_abs();
    let (length, unit) = units.into_iter().find(is_enough).unwrap_or((1, "ms"));
    format!("{:+} {unit}", ms / length)
}

/// A number of bytes: `2.0 KiB`.
#[allow(clippy::cast_precision_loss, reason = "a size for people")]
pub(crate) fn bytes(count: u64) -> String {
    let scaled = |unit: u64| count as f64 / unit as f64;
    match count {
        0..=1_023 => format!("{count} B"),
        1_024..=1_048_575 => format!("{:.1} KiB", scaled(1_024)),
        1_048_576..=1_073_741_823 => format!("{:.1} MiB", scaled(1_048_576)),
        _ => format!("{:.1} GiB", scaled(1_073_741_824)),
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first digits of a hash, for tables: enough to tell hashes apart, and short enough to compare
/// by eye.
pub(crate) fn short_hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { hex(&bytes[..bytes.len().min(6)]) }
}

#[cfg(test)]
mod tests;
