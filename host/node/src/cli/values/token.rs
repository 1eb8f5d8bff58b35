//! How sessions and durations are written on the command line.
//!
//! A session's token is its id and its secret, `ID:SECRET`, each as 32 hexadecimal digits: whoever
//! has it takes the session up on any member. Where the id is enough, a token does too, and its
//! secret is not looked at.
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::output::hex;

/// Longest duration that is understood, in seconds: a year. The cluster's own limits are far below.
const SECONDS: u64 = 365 * 86_400;

/// A session and its secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// Which.
    pub(crate) session: [u8; 16],
    /// What shows that the caller is its client.
    pub(crate) secret: [u8; 16],
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", hex(&self.session), hex(&self.secret))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:…", hex(&self.session))
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "a session's token is ID:SECRET, each 32 hexadecimal digits, as `synod session open` printed it"
                .to_owned()
        };
        let (session, secret) = text.trim().split_once(':').ok_or_else(wrong)?;
        Ok(Self { session: sixteen(session).ok_or_else(wrong)?, secret: sixteen(secret).ok_or_else(wrong)? })
    }
}

/// A session, by its id or by its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionName(pub(crate) [u8; 16]);

impl FromStr for SessionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = text.trim().split_once(':').map_or(text.trim(), |(id, _)| id);
        sixteen(id).map(Self).ok_or_else(|| {
            format!("`{id}` is not a session: its id has 32 hexadecimal digits, see `synod session list`")
        })
    }
}

fn sixteen(text: &str) -> Option<[u8; 16]> {
    let digits = text.as_bytes();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

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

/// A duration for people: `10 s`, `2.5 s`.
pub(crate) fn in_seconds(ms: u64) -> String {
    match ms % 1_000 {
        0 => format!("{} s", ms / 1_000),
        rest => format!("{}.{} s", ms / 1_000, format!("{rest:03}").trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests;
