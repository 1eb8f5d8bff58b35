//! Sessions on the command line: by token, or by id.
//!
//! A token is the session's id and its secret, `ID:SECRET`, each 32 hexadecimal digits. With it a
//! client resumes the session on any member. Where the id is enough, a token is accepted too, and
//! its secret is ignored.
use std::fmt;
use std::str::FromStr;

use super::units::hex;

/// A session and its secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// The session's id.
    pub(crate) session: [u8; 16],
    /// Proves that the caller is the session's client.
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
        let (id, secret) = text.trim().split_once(':').ok_or_else(wrong)?;
        let session = sixteen(id).ok_or_else(wrong)?;
        let secret = sixteen(secret).ok_or_else(wrong)?;
        Ok(Self { session, secret })
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

#[cfg(test)]
mod tests;
