//! A cluster of three members of one service, on loopback addresses, with data in a folder of its
//! own. Its processes end with it, and with this process, however that ends.
mod etcd;
mod synod;
mod zookeeper;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thiserror::Error;

use crate::install::Installed;
use crate::usage::Usage;

/// How many members each cluster has.
pub const MEMBERS: usize = 3;
/// How long members may take to end when they are asked to.
const STOP: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
const LAST_LINES: usize = 5;

/// How one member is started.
pub(crate) struct Start {
    /// Its command, but for where its output goes.
    command: Command,
    /// Where clients reach it.
    endpoint: String,
}

/// Why a cluster does not run.
#[derive(Debug, Error)]
pub enum ServerError {
    /// A member ended by itself.
    #[error("member {member} has ended: {last_words}")]
    Ended {
        /// Which.
        member: usize,
        /// The end of its log.
        last_words: String,
    },
    /// A file or process of it could not be made.
    #[error("{0}")]
    Disk(#[from] std::io::Error),
}

/// A running cluster.
pub struct Servers {
    starts: Vec<Start>,
    children: Vec<Option<Child>>,
    /// What members used that have ended.
    ended: Usage,
    folder: TempDir,
}

impl Servers {
    /// Starts a cluster with empty folders in `place`.
    ///
    /// # Errors
    /// [`ServerError::Disk`] if a process cannot be started.
    pub fn start(installed: &Installed, place: &Path) -> Result<Self, ServerError> {
        let folder = TempDir::with_prefix_in("synod-peers-", place)?;
        let starts = match installed {
            Installed::Synod(own) => synod::starts(&own.server, folder.path()),
            Installed::ZooKeeper(jars) => zookeeper::starts(jars, folder.path())?,
            Installed::Etcd(programs) => etcd::starts(programs, folder.path()),
        };
        let children = (0..MEMBERS).map(|_| None).collect();
        let mut servers = Self { starts, children, ended: Usage::default(), folder };
        servers.start_all()?;
        Ok(servers)
    }

    /// Starts every member that does not run.
    ///
    /// # Errors
    /// [`ServerError::Disk`] if a process cannot be started.
    pub fn start_all(&mut self) -> Result<(), ServerError> {
        for member in 0..MEMBERS {
            if self.children[member].is_some() {
                continue;
            }
            let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log(member))?;
            let command = &mut self.starts[member].command;
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            end_with_this_process(command);
            self.children[member] = Some(command.spawn()?);
        }
        Ok(())
    }

    /// Where clients connect: all members, separated by commas.
    pub fn endpoints(&self) -> String {
        self.starts.iter().map(|start| start.endpoint.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Kills a member at once.
    ///
    /// # Errors
    /// [`ServerError::Disk`] if that is not possible.
    pub fn kill(&mut self, member: usize) -> Result<(), ServerError> {
        if let Some(mut child) = self.children[member].take() {
            let used = Usage::of(&[child.id()]);
            self.ended = self.ended.and(Usage { resident_bytes: 0, ..used });
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks all members to stop, and waits until they have; those that don't are killed.
    pub fn stop_all(&mut self) {
        for child in self.children.iter().flatten() {
            // SAFETY: the process is a child that was not waited for, so that its id is its own.
            unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
        }
        let deadline = Instant::now() + STOP;
        for mut child in self.children.iter_mut().filter_map(Option::take) {
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(POLL);
            }
            let _ = (child.kill(), child.wait());
        }
    }

    /// What its members used so far, those that were killed, too; not those that were stopped.
    pub fn usage(&self) -> Usage {
        let running: Vec<u32> = self.children.iter().flatten().map(Child::id).collect();
        Usage::of(&running).and(self.ended)
    }

    /// Whether all that were started still run.
    ///
    /// # Errors
    /// [`ServerError::Ended`], with the last lines of its log.
    pub fn check(&mut self) -> Result<(), ServerError> {
        for member in 0..MEMBERS {
            let Some(child) = &mut self.children[member] else { continue };
            if child.try_wait()?.is_some() {
                let log = std::fs::read_to_string(self.log(member)).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                let last_words = lines[lines.len().saturating_sub(LAST_LINES)..].join("; ");
                return Err(ServerError::Ended { member, last_words });
            }
        }
        Ok(())
    }

    fn log(&self, member: usize) -> PathBuf {
        self.folder.path().join(format!("{member}.log"))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for mut child in self.children.iter_mut().filter_map(Option::take) {
            let _ = (child.kill(), child.wait());
        }
    }
}

/// Has the kernel kill the command's process when this one ends, by whatever.
pub(crate) fn end_with_this_process(command: &mut Command) {
    // SAFETY: a system call that touches no memory may be made between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}
