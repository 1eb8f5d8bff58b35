//! `synod lock NAME -- COMMAND`: runs a command while a lock of the recipe `lock` is held, and
//! stops it before the lock can be lost, as [`held`] describes.
use std::process::ExitCode;

use clap::Args;
use synod_client::{Client, Session};
use synod_lock::{Held, Lock};

use super::held::{self, HeldArgs, Holding};
use crate::cli::io::cluster::Global;
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::values::units::ms;

/// What the help ends with.
pub(crate) const AFTER_HELP: &str = "\
COMMAND runs in a process group of its own, with standard input, output and error
inherited, and with SYNOD_LOCK (the lock's name), SYNOD_TOKEN (its fencing token) and
SYNOD_SESSION (the session's id) in its environment. SIGINT, SIGTERM and SIGHUP are
passed on to it. If synod itself is killed, the kernel kills COMMAND, but not what
COMMAND has started: a script ends with `exec`.

A lock alone does not exclude anybody: pass SYNOD_TOKEN to what the lock guards, and
have that refuse a token smaller than one it has seen.

COMMAND is not stopped while synod itself is stopped, as by SIGSTOP: a reason more for
the token.

When the cluster cannot be reached, COMMAND goes on while the lock is surely held. It is
sent SIGTERM --grace seconds before that is over, and SIGKILL when it is, with everything
in its process group; both before the cluster can give the lock to another.

Exit codes:
  0-255    COMMAND's own; 128+n if signal n ended it, or synod while it waited
  6        not acquired: another held the lock for as long as --wait
  7        the session was lost, and COMMAND stopped
  126,127  COMMAND cannot be run; is not there
  1-5      COMMAND did not run; as for every other command of synod

Example: synod lock nightly --wait 0 -- /usr/local/bin/report --all";

/// Flags of `synod lock`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LockArgs {
    /// The lock's name.
    name: String,
    /// The space of recipe `lock` that it is in.
    #[arg(long, default_value = "lock")]
    space: String,
    /// Who in the session holds it: seen in the lock's queries.
    #[arg(long)]
    owner: Option<String>,
    #[command(flatten)]
    held: HeldArgs,
}

/// Runs the command under the lock; the exit code is the command's. Call it on the main thread.
pub(crate) async fn run(args: LockArgs, global: &Global) -> Result<ExitCode, Failed> {
    held::run(&args, &args.held, global).await
}

impl LockArgs {
    fn busy(&self) -> Failed {
        let Self { name, space, .. } = self;
        Failed::new(Exit::WaitTimeout, format!("the lock `{name}` was not acquired: another holds it"))
            .next(format!("`synod query {space} holder --name {name}` shows who does; --wait S waits longer"))
    }
}

impl Holding for LockArgs {
    type Held = Held;

    fn subcommand(&self) -> &'static str {
        "lock"
    }

    fn noun(&self) -> &'static str {
        "lock"
    }

    async fn acquire(&self, session: &Session) -> Result<Held, Failed> {
        let lock = Lock::client(session, &self.space);
        let lock = match self.held.wait {
            Some(wait) => lock.waiting_ms(ms(wait)),
            None => lock,
        };
        let acquired = lock.acquire(self.name.as_str(), self.owner.clone()).await;
        acquired.map_err(|error| held::not_acquired(error, "lock", "lock", self.busy()))
    }

    fn environment(&self, held: &Held) -> Vec<(&'static str, String)> {
        vec![("SYNOD_LOCK", self.name.clone()), ("SYNOD_TOKEN", held.token.0.to_string())]
    }

    /// Only its own session can release it.
    async fn lost(&self, _: &Client, _: &Held) {
        std::future::pending().await
    }

    async fn release(&self, session: &Session, _: &Held) {
        let released =
            Lock::client(session, &self.space).release(self.name.as_str(), self.owner.clone()).await;
        tracing::debug!(?released, "released");
    }
}

#[cfg(test)]
mod tests;
