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
mod tests {
    use super::*;

    const ID: &str = "0000000000000007aabbccddeeff0011";
    const SECRET: &str = "ffffffffffffffff0000000000000001";

    #[test]
    fn a_token_is_written_as_it_is_read() {
        let text = format!("{ID}:{SECRET}");
        let token: Token = text.parse().expect("good");
        assert_eq!((token.to_string(), token.session[7], token.secret[15]), (text.clone(), 7, 1));
        assert_eq!(text.parse(), Ok(SessionName(token.session)), "the id is enough");
        assert_eq!(format!(" {ID}\n").parse(), Ok(SessionName(token.session)));
        assert!(!format!("{token:?}").contains(SECRET), "a secret is in no log");
    }

    #[test]
    fn what_is_no_token_is_explained() {
        for bad in [
            "",
            ID,
            &format!("{ID}:"),
            &format!("{ID}:{SECRET}0"),
            &format!("{}:{SECRET}", ID.replace('0', "g")),
            "ü:ü",
        ] {
            assert!(bad.parse::<Token>().is_err_and(|why| why.contains("ID:SECRET")), "{bad}");
        }
        for bad in ["", "7", &ID[1..], &ID.replace('0', "+")] {
            assert!(
                bad.parse::<SessionName>().is_err_and(|why| why.contains("32 hexadecimal digits")),
                "{bad}"
            );
        }
    }

    #[test]
    fn ages_and_sizes_have_units() {
        let ages = [("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("0s", 0)];
        for (text, seconds) in ages {
            assert_eq!(age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in
            ["", "24", "h", "1.5h", "-1s", "1w", "1 h", "99999999999999999999d", "18446744073709551615d"]
        {
            assert!(age(bad).is_err(), "{bad}");
        }
        let sizes = [("0", 0), ("65536", 65_536), ("1KiB", 1_024), ("64MiB", 64 << 20), ("16GiB", 16 << 30)];
        for (text, bytes) in sizes {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "KiB", "1KB", "1.5MiB", "-1", "99999999999999999999", "18446744073709551615GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_are_read_down_to_milliseconds() {
        let table = [
            ("10", Some(10_000)),
            ("0", Some(0)),
            ("0.5", Some(500)),
            ("2.005", Some(2_005)),
            (".25", Some(250)),
            ("3.", Some(3_000)),
        ];
        for (text, ms) in table {
            assert_eq!(seconds(text).ok(), ms.map(Duration::from_millis), "{text}");
        }
        for bad in ["", ".", "-1", "1e3", "1.2345", "ten", "31536001", "1.2.3", "99999999999999999999"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(
            (in_seconds(10_000), in_seconds(2_050), in_seconds(5)),
            ("10 s".into(), "2.05 s".into(), "0.005 s".into())
        );
    }
}
