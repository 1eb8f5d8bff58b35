//! Lines for people, in a ring of each member: `synod recipe logs`. They are not replicated, so
//! nothing may depend on them. A line is formatted into a fixed buffer and cut at its end, so that
//! logging never exhausts memory.
use core::fmt::{self, Write};

use synod_abi::limits::LOG_LINE_BYTES;

use crate::QueryCtx;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is broken.
    Error = 1,
    /// Something is not as it should be.
    Warn = 2,
    /// Something worth knowing.
    Info = 3,
    /// For whoever debugs the recipe.
    Debug = 4,
    /// Every step.
    Trace = 5,
}

/// Text of at most [`LOG_LINE_BYTES`]; what does not fit is cut off, at a character.
pub(crate) struct Line {
    bytes: [u8; LOG_LINE_BYTES],
    len: usize,
}

impl Line {
    pub(crate) fn of(text: fmt::Arguments<'_>) -> Self {
        let mut line = Self { bytes: [0; LOG_LINE_BYTES], len: 0 };
        // An error is a full line: what follows is cut.
        let _ = line.write_fmt(text);
        line
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.floor_char_boundary(LOG_LINE_BYTES - self.len);
        self.bytes[self.len..self.len + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        if fits == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[doc(hidden)]
pub fn line(cx: &QueryCtx<'_>, level: Level, text: fmt::Arguments<'_>) {
    cx.host.log(level as u32, Line::of(text).as_bytes());
}

/// Logs a line: `log!(cx, Level::Debug, "{n} left")`. Cut at 1,024 bytes; a call has 64 lines.
#[macro_export]
macro_rules! log {
    ($cx:expr, $level:expr, $($text:tt)+) => {
        $crate::__private::line($cx, $level, ::core::format_args!($($text)+))
    };
}

/// Logs a line at [`Level::Info`]: `info!(cx, "{n} left")`.
#[macro_export]
macro_rules! info {
    ($cx:expr, $($text:tt)+) => { $crate::log!($cx, $crate::Level::Info, $($text)+) };
}

/// Logs a line at [`Level::Warn`]: `warn!(cx, "{n} left")`.
#[macro_export]
macro_rules! warn {
    ($cx:expr, $($text:tt)+) => { $crate::log!($cx, $crate::Level::Warn, $($text)+) };
}

#[cfg(test)]
mod tests;
