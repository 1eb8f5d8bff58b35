//! Signals that end a command, for commands that have something to give back or close first.
use libc::c_int;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::fail::{Exit, Failed};

/// SIGINT, SIGTERM and SIGHUP. From its creation on none of them ends this process by itself.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self, Failed> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failed::new(Exit::Internal, format!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> c_int {
        tokio::select! {
            _ = self.interrupt.recv() => libc::SIGINT,
            _ = self.terminate.recv() => libc::SIGTERM,
            _ = self.hang_up.recv() => libc::SIGHUP,
        }
    }
}
