//! Runs a driver process against a cluster, looks at the members when its window opens and closes,
//! and takes its answer.
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::drive::{Answer, CLOSES, OPENS};
use crate::install::Installed;
use crate::servers::{ServerError, Servers, end_with_this_process};
use crate::usage::Usage;
use crate::workload::Workload;

/// How long a driver may take beside its warm-up and window: to connect, to write what it needs, to
/// end.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a cluster may take until it has a leader.
const LEADER: Duration = Duration::from_secs(60);
/// How long the writing of one key may take, all clients together, when every key is written.
const FILL_EACH: Duration = Duration::from_millis(2);
const AGAIN: Duration = Duration::from_millis(100);
const LAST_LINES: usize = 5;
/// Lines of a driver that wait to be read.
const LINES: usize = 1_024;
/// The class of ZooKeeper's driver.
const CLASS: &str = "synod.peers.Main";

/// What a driver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// What one operation is.
    pub workload: Workload,
    /// How many clients there are.
    pub clients: usize,
    /// How long nothing is measured.
    pub warmup: Duration,
    /// How long the window is.
    pub measure: Duration,
    /// How many keys there are.
    pub keys: u64,
}

/// What a driver measured, and what the members used meanwhile.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The driver's answer.
    pub answer: Answer,
    /// The members' use within the window.
    pub servers: Usage,
}

/// Why a load was not measured.
#[derive(Debug, Error)]
pub enum DriverError {
    /// The driver ended without an answer.
    #[error("the driver failed ({status}): {last_words}")]
    Failed {
        /// How it ended.
        status: String,
        /// The end of what it said.
        last_words: String,
    },
    /// The driver did not end in time, and was killed.
    #[error("the driver did not end within {limit_s} s")]
    Late {
        /// The limit.
        limit_s: u64,
    },
    /// No member of the cluster leads.
    #[error("no member leads after {limit_s} s: {reason}")]
    NoLeader {
        /// The limit.
        limit_s: u64,
        /// What the driver said last.
        reason: String,
    },
    /// A member has ended.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The driver could not be started or read.
    #[error("{0}")]
    Disk(#[from] std::io::Error),
}

/// The driver of a service.
#[derive(Clone, Debug)]
pub struct Driver(Installed);

#[derive(Deserialize)]
struct Leads {
    leader: usize,
}

impl Driver {
    /// The one for what is installed.
    pub fn of(installed: &Installed) -> Self {
        Self(installed.clone())
    }

    /// Waits until the cluster has a leader, and says which member it is.
    ///
    /// # Errors
    /// [`DriverError::NoLeader`], or that a member has ended.
    pub fn leader(&self, servers: &mut Servers) -> Result<usize, DriverError> {
        let began = Instant::now();
        loop {
            servers.check()?;
            let mut command = self.command(servers);
            command.args(["--workload", "leader"]);
            match answer::<Leads>(command, LEADER, |_| {}) {
                Ok(Leads { leader }) => return Ok(leader),
                Err(DriverError::Failed { last_words, .. }) if began.elapsed() > LEADER => {
                    return Err(DriverError::NoLeader { limit_s: LEADER.as_secs(), reason: last_words });
                }
                Err(DriverError::Failed { .. }) => std::thread::sleep(AGAIN),
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts a load on a cluster. `opens` is called when the window opens.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn run(
        &self,
        servers: &mut Servers,
        load: Load,
        mut opens: impl FnMut(&mut Servers),
    ) -> Result<Measured, DriverError> {
        let mut command = self.command(servers);
        command.args(["--workload", &load.workload.name(), "--clients", &load.clients.to_string()]);
        command.args(["--warmup-ms", &load.warmup.as_millis().to_string()]);
        command.args(["--measure-ms", &load.measure.as_millis().max(1).to_string()]);
        command.args(["--keys", &load.keys.to_string()]);
        let filling = match load.workload {
            Workload::Fill => FILL_EACH * u32::try_from(load.keys).unwrap_or(u32::MAX),
            _ => Duration::ZERO,
        };
        let limit = load.warmup + load.measure + filling + PATIENCE;
        let (mut before, mut after) = (None, None);
        let answer = answer::<Answer>(command, limit, |line| match line {
            OPENS => {
                before = Some(servers.usage());
                opens(servers);
            }
            CLOSES => after = Some(servers.usage()),
            _ => {}
        })?;
        servers.check()?;
        let used = before.zip(after).map(|(before, after)| after.since(before)).unwrap_or_default();
        Ok(Measured { answer, servers: used })
    }

    fn command(&self, servers: &Servers) -> Command {
        let mut command = match &self.0 {
            Installed::Synod(own) => {
                let mut command = Command::new(&own.driver);
                command.arg("drive");
                command
            }
            Installed::ZooKeeper(jars) => {
                let mut command = Command::new("java");
                command.arg("-cp").arg(jars.join("*")).arg(CLASS);
                command
            }
            Installed::Etcd(programs) => Command::new(programs.join("driver")),
        };
        command.args(["--endpoints", &servers.endpoints()]);
        command
    }
}

/// Runs a driver to its end. `hears` gets each line of its standard error as it comes.
fn answer<A: DeserializeOwned>(
    mut command: Command,
    limit: Duration,
    mut hears: impl FnMut(&str),
) -> Result<A, DriverError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    end_with_this_process(&mut command);
    let mut child = command.spawn()?;
    let (says, said) = mpsc::sync_channel(LINES);
    let errors = child.stderr.take().map(BufReader::new);
    let listener = std::thread::spawn(move || {
        for line in errors.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
            if says.send(line).is_err() {
                return;
            }
        }
    });
    let deadline = Instant::now() + limit;
    let mut lines = Vec::new();
    loop {
        match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                hears(&line);
                lines.push(line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                return Err(DriverError::Late { limit_s: limit.as_secs() });
            }
        }
    }
    let mut text = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut text)?;
    }
    let status = child.wait()?;
    let _ = listener.join();
    let failed = |reason: String| DriverError::Failed { status: status.to_string(), last_words: reason };
    if !status.success() {
        return Err(failed(lines[lines.len().saturating_sub(LAST_LINES)..].join("; ")));
    }
    serde_json::from_str(text.trim()).map_err(|error| failed(format!("its answer is `{text}`: {error}")))
}
