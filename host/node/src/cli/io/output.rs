//! Writes answers to standard output; errors and remarks to standard error.
use std::io::Write;
use std::os::fd::AsFd;

use clap::ValueEnum;
use serde_json::Value;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::fail::{Exit, Failed};

/// How answers look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    #[default]
    Table,
    /// One JSON value for programs; errors are one JSON line on standard error.
    Json,
}

/// Writes an answer: `table` makes the text for people.
pub(crate) fn answer(format: Format, json: &Value, table: impl FnOnce() -> String) -> Result<(), Failed> {
    line(&match format {
        Format::Json => pretty(json),
        Format::Table => table(),
    })
}

/// Writes one line, or several, to standard output. A reader that went away, as `head` does, is not
/// an error.
pub(crate) fn line(text: &str) -> Result<(), Failed> {
    more(text).map(drop)
}

/// Like [`line()`], for commands that go on writing: returns whether there still is a reader.
pub(crate) fn more(text: &str) -> Result<bool, Failed> {
    let text = text.trim_end();
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failed::new(Exit::Internal, format!("cannot write to standard output: {error}"))),
    }
}

/// Resolves when standard output has lost its reader; never for outputs that cannot lose one, such
/// as files.
pub(crate) async fn reader_gone() {
    if let Ok(stdout) = std::io::stdout().as_fd().try_clone_to_owned()
        // SAFETY: the descriptor is open, is this value's own, and is handed out to nobody.
        && let Ok(stdout) = unsafe { AsyncFd::register_with_interest(stdout, Interest::ERROR) }
        && stdout.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Writes a remark for people to standard error.
pub(crate) fn remark(text: &str) {
    let _unwritable = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes an error to standard error.
pub(crate) fn error(format: Format, failed: &Failed) {
    match format {
        Format::Json => remark(&failed.json().to_string()),
        Format::Table => remark(&failed.text()),
    }
}

/// JSON on several lines, indented.
pub(crate) fn pretty(json: &Value) -> String {
    format!("{json:#}")
}
