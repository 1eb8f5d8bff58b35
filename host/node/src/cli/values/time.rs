//! Cluster time for people: UTC, as RFC 3339 writes it, so that it sorts as text.

const MS_OF_DAY: u64 = 86_400_000;
/// Days from 0000-03-01 to the Unix epoch, in the proleptic Gregorian calendar.
const EPOCH_DAYS: u64 = 719_468;
/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;

/// `2026-11-20T15:48:55.123Z`, from milliseconds since the Unix epoch.
pub(crate) fn utc(ms: u64) -> String {
    let (year, month, day) = date(ms / MS_OF_DAY);
    let seconds = ms % MS_OF_DAY / 1_000;
    let hour = seconds / 3_600;
    let minute = seconds / 60 % 60;
    let second = seconds % 60;
    let millis = ms % 1_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a day since the epoch. Years are counted from March here, so that a leap
/// day is the last of its year.
const fn date(day: u64) -> (u64, u64, u64) {
    let day = day + EPOCH_DAYS;
    let era = day / ERA_DAYS;
    let day = day % ERA_DAYS;
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + (month <= 2) as u64, month, day_of_month)
}

#[cfg(test)]
mod tests;
