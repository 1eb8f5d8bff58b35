//! Runs scripts about [`Lifetime`], as the task that keeps a session alive does, and prints after
//! every command how the session stands.
//!
//! Jitter is at its most, so pauses are whole.
use std::error::Error as StdError;
use std::fmt::Write as _;

use super::scripts;
use crate::core::{Backoff, Lifetime, Touch};

const BACKOFF: Backoff = Backoff { base_ms: 100, max_ms: 400 };

scripts!(Runner::new(6_000, 0), "lifetime": deadline, lost, touches);

#[derive(goldenscript::Command)]
enum Command {
    /// Opens another session, by a request that was sent now.
    Open {
        #[arg(key)]
        ttl: u64,
    },
    /// Time passes until then, and touches are sent and given up when they are due.
    At { ms: u64 },
    /// The machine sleeps until then: no timer runs meanwhile.
    Sleep { ms: u64 },
    /// The touch is answered: the session lives for the time to live.
    Answered {
        #[arg(key)]
        ttl: Option<u64>,
    },
    /// The touch fails; the member may say how long not to try again.
    Failed {
        #[arg(key)]
        retry_after: Option<u64>,
    },
    /// The cluster ends the session.
    Ended,
    /// Its owner does.
    Closed,
}

struct Runner {
    life: Lifetime,
    now_ms: u64,
    /// When the core wants to be asked again.
    wake_ms: Option<u64>,
    output: String,
}

impl Runner {
    fn new(ttl_ms: u64, now_ms: u64) -> Self {
        let life = Lifetime::new(ttl_ms, now_ms, BACKOFF);
        Self { life, now_ms, wake_ms: None, output: String::new() }
    }

    /// Does what is due, and what becomes due before `until_ms`.
    fn run_timers(&mut self, until_ms: u64) -> std::fmt::Result {
        loop {
            match self.life.next(self.now_ms) {
                Touch::Send => writeln!(self.output, "{}: touch", self.now_ms)?,
                Touch::GiveUp => writeln!(self.output, "{}: no answer, give the touch up", self.now_ms)?,
                Touch::WaitUntil(at_ms) if at_ms > until_ms => {
                    self.wake_ms = Some(at_ms);
                    self.now_ms = until_ms;
                    return Ok(());
                }
                Touch::WaitUntil(at_ms) => self.now_ms = at_ms,
                Touch::Lost => {
                    self.wake_ms = None;
                    return Ok(());
                }
            }
        }
    }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(
        &mut self,
        command: &Self::Command,
        _context: &goldenscript::Context,
    ) -> Result<String, Box<dyn StdError>> {
        let mut until_ms = self.now_ms;
        match command {
            Command::Open { ttl } => *self = Self::new(*ttl, self.now_ms),
            Command::At { ms } => until_ms = *ms,
            Command::Sleep { ms } => {
                self.now_ms = *ms;
                until_ms = *ms;
                let left_ms = self.life.remaining_ms(self.now_ms);
                writeln!(self.output, "{ms}: {left_ms} ms left")?;
            }
            Command::Answered { ttl } => self.life.answered(ttl.unwrap_or(self.life.ttl_ms())),
            Command::Failed { retry_after } => {
                self.life.failed(self.now_ms, retry_after.unwrap_or(0), u32::MAX);
            }
            Command::Ended => self.life.ended(),
            Command::Closed => self.life.closed(),
        }
        self.run_timers(until_ms)?;
        let mut output = std::mem::take(&mut self.output);
        let left_ms = self.life.remaining_ms(self.now_ms);
        write!(output, "{}: {:?}", self.now_ms, self.life.state())?;
        match self.wake_ms {
            Some(wake_ms) => write!(output, ", lost at {}, next look at {wake_ms}", self.now_ms + left_ms)?,
            None => write!(output, ", {left_ms} ms left")?,
        }
        Ok(output)
    }
}
