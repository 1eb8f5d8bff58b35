//! A `synod` command that runs beside the test, as a shell script would run it, and the lines that
//! it writes.
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::binary::synod;
use crate::cluster::{Cluster, PATIENCE, signal};
use crate::wait::until;

/// A running command of the command line. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: UnboundedReceiver<String>,
}

impl Running {
    /// Starts `synod` with these arguments against all members of a cluster.
    ///
    /// # Panics
    /// When the binary cannot be started.
    pub fn start(cluster: &Cluster, arguments: &[&str]) -> Self {
        let mut command = Command::new(synod());
        command.args(["--endpoint", &cluster.endpoints()]).args(arguments);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the binary can be started");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// The next line of its output; `None` when that has ended.
    ///
    /// # Panics
    /// When neither comes in time.
    pub async fn next_line(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.lines.recv()).await.expect("a line, or the end, in time")
    }

    /// The next line of its output.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn line(&mut self) -> String {
        self.next_line().await.expect("a line")
    }

    /// The next line of its output, which is a token.
    ///
    /// # Panics
    /// When it is none.
    pub async fn token(&mut self) -> u64 {
        let line = self.line().await;
        line.parse().unwrap_or_else(|_| panic!("{line:?} is no token"))
    }

    /// Kills it: SIGKILL.
    ///
    /// # Panics
    /// When the system does not.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
    }

    /// Asks it to stop: SIGTERM.
    pub fn terminate(&self) {
        signal(self.child.id(), libc::SIGTERM);
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the command to end", PATIENCE, || {
            std::future::ready(child.try_wait().expect("a child can be waited for"))
        })
        .await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
