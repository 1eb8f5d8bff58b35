//! Whether a stream of watches still serves. A member that hangs or is cut off from the cluster
//! sends nothing wrong, so it has to be noticed.
//!
//! A silent stream is asked for a progress mark, and given up when none comes. A stream whose marks
//! stay below the cluster's known revision is given up, too: its member is alive but receives
//! nothing. Without a known revision, that cannot be noticed.

/// What to do with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing until this time.
    WaitUntil(u64),
    /// Ask for a progress mark.
    Probe,
    /// Give it up.
    Silent,
    /// Give it up: it lags.
    Behind,
}

/// What is known of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    silence_ms: u64,
    heard_ms: u64,
    probed: bool,
    /// A revision that the cluster had at a time, and the stream's marks have not reached.
    owed: Option<(u64, u64)>,
    behind: bool,
}

impl Liveness {
    /// A stream that begins at `now_ms`, and is given up when it is silent, or lags, for
    /// `silence_ms`.
    pub const fn new(silence_ms: u64, now_ms: u64) -> Self {
        Self { silence_ms, heard_ms: now_ms, probed: false, owed: None, behind: false }
    }

    /// Something came, or there was nothing to wait for.
    pub const fn heard(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
        self.probed = false;
    }

    /// A progress mark came; the cluster is known to have reached `known`.
    pub const fn marked(&mut self, revision: u64, known: u64, now_ms: u64) {
        self.heard(now_ms);
        match self.owed {
            Some((owed, since_ms)) if revision < owed => {
                self.behind = now_ms.saturating_sub(since_ms) >= self.silence_ms
            }
            _ => self.owed = if revision < known { Some((known, now_ms)) } else { None },
        }
    }

    /// What to do now.
    pub const fn next(&mut self, now_ms: u64) -> Beat {
        let (probe_ms, end_ms) = (
            self.heard_ms.saturating_add(self.silence_ms / 2),
            self.heard_ms.saturating_add(self.silence_ms),
        );
        if self.behind {
            Beat::Behind
        } else if now_ms >= end_ms && self.probed {
            Beat::Silent
        } else if now_ms >= probe_ms && !self.probed {
            self.probed = true;
            self.heard_ms = now_ms.saturating_sub(self.silence_ms / 2);
            Beat::Probe
        } else if self.probed {
            Beat::WaitUntil(end_ms)
        } else {
            Beat::WaitUntil(probe_ms)
        }
    }
}

#[cfg(test)]
mod tests;
