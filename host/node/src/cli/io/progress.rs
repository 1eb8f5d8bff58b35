//! Progress on standard error, shown only at a terminal, so that scripts and logs stay clean.
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(100);

/// A spinner beside a sentence, until it is dropped.
pub(crate) struct Spinner(ProgressBar);

impl Spinner {
    /// Shows what the command is `doing`.
    pub(crate) fn new(doing: impl Into<String>) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_message(doing.into());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Shows something else from now on.
    pub(crate) fn says(&self, doing: String) {
        self.0.set_message(doing);
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar that fills in the given number of seconds.
pub(crate) fn seconds_bar(seconds: u64) -> ProgressBar {
    let bar = ProgressBar::new(seconds);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} s  {msg}") {
        bar.set_style(style);
    }
    bar
}
