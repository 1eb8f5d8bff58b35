//! `synod elect NAME -- COMMAND`: runs a command while this candidate leads an election of the
//! recipe `election`. Stops it before the leadership can be lost, or as soon as it is, for example
//! because an operator closed its session, as [`held`] describes.
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use synod_abi::{Blob, Reason, Token};
use synod_client::{Client, Error, Session, Typed, Watch, WatchError, WatchItem};
use synod_election::{Election, ElectionEvent, Leadership};

use super::held::{self, HeldArgs, Holding};
use crate::cli::io::cluster::Global;
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::session::default_label;
use crate::cli::values::args;
use crate::cli::values::units::ms;

/// Pause before the election is watched again after a failure.
const WATCH_AGAIN: Duration = Duration::from_secs(1);

/// What the help ends with.
pub(crate) const AFTER_HELP: &str = "\
COMMAND runs while this candidate leads: in a process group of its own, with standard
input, output and error inherited, and with SYNOD_ELECTION (the election's name),
SYNOD_CANDIDATE (this candidate's), SYNOD_TOKEN (the leadership's fencing token) and
SYNOD_SESSION (the session's id) in its environment. SIGINT, SIGTERM and SIGHUP are passed
on to it. If synod itself is killed, the kernel kills COMMAND, but not what COMMAND has
started: a script ends with `exec`.

An election alone does not keep a former leader from acting: pass SYNOD_TOKEN to whatever
the leader writes to, and have that refuse a token smaller than one it has seen.

When COMMAND ends, the candidate resigns, and the next in line leads. When the cluster
cannot be reached, COMMAND goes on while the leadership surely lasts. It is sent SIGTERM
--grace seconds before that is over, and SIGKILL when it is. When another leads all the
same, or the space was deleted, COMMAND is sent SIGTERM then, and SIGKILL --grace seconds
later.

Exit codes:
  0-255    COMMAND's own; 128+n if signal n ended it, or synod while it waited
  6        not elected: another led for as long as --wait
  7        the leadership or the session was lost, and COMMAND stopped
  126,127  COMMAND cannot be run; is not there
  1-5      COMMAND did not run; as for every other command of synod

Who leads: synod query election leader --election NAME
Follow it: synod watch election NAME

Example: synod elect scheduler --value 10.0.0.7:8080 -- /usr/local/bin/scheduler";

/// Flags of `synod elect`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ElectArgs {
    /// The election's name.
    name: String,
    /// The space of recipe `election` that it is in.
    #[arg(long, default_value = "election")]
    space: String,
    /// This candidate's name, which no other has in the election [default: synod, host and
    /// process].
    #[arg(long)]
    candidate: Option<String>,
    /// What others see of the leader, such as its address: text, base64:… or @FILE.
    #[arg(long, default_value = "", hide_default_value = true)]
    value: String,
    #[command(flatten)]
    held: HeldArgs,
}

/// A candidate.
struct Candidacy {
    args: ElectArgs,
    candidate: String,
    value: Blob,
}

/// Runs the command while the candidate leads; the exit code is the command's. Call it on the main
/// thread.
pub(crate) async fn run(args: ElectArgs, global: &Global) -> Result<ExitCode, Failed> {
    let value =
        args::bytes(&args.value).map_err(|why| Failed::usage(format!("--value {}: {why}", args.value)))?;
    let candidate = args.candidate.clone().unwrap_or_else(default_label);
    let candidacy = Candidacy { candidate, value: Blob(value), args };
    held::run(&candidacy, &candidacy.args.held, global).await
}

impl Candidacy {
    fn busy(&self) -> Failed {
        let ElectArgs { name, space, .. } = &self.args;
        let message = format!("`{}` was not elected in `{name}`: another leads", self.candidate);
        Failed::new(Exit::WaitTimeout, message).next(format!(
            "`synod query {space} leader --election {name}` shows who does; --wait S waits longer"
        ))
    }
}

impl Holding for Candidacy {
    type Held = Leadership;

    fn subcommand(&self) -> &'static str {
        "elect"
    }

    fn noun(&self) -> &'static str {
        "leadership"
    }

    async fn acquire(&self, session: &Session) -> Result<Leadership, Failed> {
        let Self { args, candidate, value } = self;
        let election = Election::client(session, &args.space);
        let election = match args.held.wait {
            Some(wait) => election.waiting_ms(ms(wait)),
            None => election,
        };
        let elected = election.campaign(args.name.as_str(), candidate.as_str(), value.clone()).await;
        elected.map_err(|error| held::not_acquired(error, "election", "leadership", self.busy()))
    }

    fn environment(&self, held: &Leadership) -> Vec<(&'static str, String)> {
        vec![
            ("SYNOD_ELECTION", self.args.name.clone()),
            ("SYNOD_CANDIDATE", self.candidate.clone()),
            ("SYNOD_TOKEN", held.token.0.to_string()),
        ]
    }

    /// The watch begins with a query of who leads, so nothing before it is missed.
    async fn lost(&self, client: &Client, held: &Leadership) {
        let name = &self.args.name;
        let query = json!({ "election": name }).to_string();
        loop {
            let watch = client.watch(&self.args.space).topic(name.as_str()).typed::<ElectionEvent>();
            match watch.open_with_json("leader", &query).await {
                Ok((leader, _)) if !leads(&leader.value, held.token) => return,
                Ok((_, watch)) => match until_over(watch, held.token).await {
                    Ok(()) => return,
                    Err(error) if is_gone(&error) => return,
                    Err(error) => tracing::debug!(%error, "the election is watched again"),
                },
                Err(error) if is_gone(&error) => return,
                Err(error) => tracing::debug!(%error, "the election cannot be watched"),
            }
            tokio::time::sleep(WATCH_AGAIN).await;
        }
    }

    async fn release(&self, session: &Session, held: &Leadership) {
        let resigned =
            Election::client(session, &self.args.space).resign(self.args.name.as_str(), held.token).await;
        tracing::debug!(?resigned, "resigned");
    }
}

/// Resolves when the leadership with this token has ended, or the watch has.
async fn until_over(mut watch: Watch<Typed<ElectionEvent>>, token: Token) -> Result<(), WatchError> {
    while let Some(item) = watch.next().await? {
        match item {
            WatchItem::Events { events, .. } if events.iter().any(|event| ends(&event.payload, token)) => {
                return Ok(());
            }
            WatchItem::Events { .. } | WatchItem::Progress { .. } => {}
        }
    }
    Err(WatchError::Failed(Error::Unavailable("the watch has ended".to_owned())))
}

/// Whether the election is gone, because its space is.
fn is_gone(error: &WatchError) -> bool {
    match error {
        WatchError::SpaceDeleted { .. } => true,
        WatchError::Failed(Error::Refused(refused)) => refused.known_reason() == Some(Reason::UnknownSpace),
        WatchError::Compacted { .. } | WatchError::Failed(_) => false,
    }
}

/// Whether the leader in the JSON of a query's answer leads with this token. An answer that cannot
/// be parsed ends no leadership.
fn leads(leader: &str, token: Token) -> bool {
    match serde_json::from_str::<Value>(leader) {
        Ok(Value::Null) => false,
        Ok(leader) => leader["token"].as_str().is_none_or(|leads| leads == token.0.to_string()),
        Err(_) => true,
    }
}

/// Whether the leadership with this token has ended by this event. Tokens only grow, so events of
/// smaller ones are older.
fn ends(event: &ElectionEvent, leadership: Token) -> bool {
    match event {
        ElectionEvent::Elected { token, .. } | ElectionEvent::Proclaimed { token, .. } => *token > leadership,
        ElectionEvent::Vacant { token } => *token >= leadership,
    }
}

#[cfg(test)]
mod tests;
