//! `synod session`: sessions from a shell, and the operator's view of everybody's.
//!
//! A program keeps its session alive through the client library. A shell has no program that stays,
//! so `open` is it: as long as it runs, the session lives. What it prints, the token, is all that
//! other commands need to call in the session.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use synod_abi::SessionId;
use synod_client::api::{SessionBounds, SessionInfo};
use synod_client::{Client, Session, SessionState};

use super::fail::{Exit, Failed};
use super::signals::Signals;
use super::table::table;
use super::token::{SessionName, Token, in_seconds, seconds};
use super::{Global, output};

/// What to do with sessions.
#[derive(Subcommand)]
pub(crate) enum SessionCommand {
    /// Opens a session, prints its token, and keeps it alive until Ctrl-C or SIGTERM; then closes
    /// it.
    ///
    /// The token, ID:SECRET, is for `synod call --session TOKEN`. Whoever has it is the session's
    /// client; the secret is shown nowhere else. When the session is lost although it was kept
    /// alive, the exit code is 7.
    Open(OpenArgs),
    /// Lists the open sessions, oldest first.
    List,
    /// Shows one session.
    Describe {
        /// Its id, or its token.
        #[arg(value_name = "ID")]
        session: SessionName,
    },
    /// Ends a session: what it holds is released, and its calls stop waiting. Needs no secret.
    Close {
        /// Its id, or its token.
        #[arg(value_name = "ID")]
        session: SessionName,
    },
    /// Shows between which times to live sessions are opened, or sets them for sessions that are
    /// opened from now on.
    Bounds {
        /// The shortest, in seconds; at least 1.
        #[arg(long, value_name = "S", value_parser = seconds)]
        min_s: Option<Duration>,
        /// The longest, in seconds; at most 86400, a day.
        #[arg(long, value_name = "S", value_parser = seconds)]
        max_s: Option<Duration>,
    },
}

/// Flags of `synod session open`.
#[derive(Args, Clone, Debug)]
pub(crate) struct OpenArgs {
    #[command(flatten)]
    pub(crate) wish: Wish,
    /// Ends at once and leaves the session open: it expires when nobody calls in it for its time to
    /// live.
    #[arg(long)]
    detach: bool,
}

/// What kind of session is wanted.
#[derive(Args, Clone, Debug)]
pub(crate) struct Wish {
    /// Time to live, in seconds: how long the session outlives the last sign of its client
    /// [default: the cluster's, 10].
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(crate) ttl: Option<Duration>,
    /// What others see in `synod session list` [default: synod, host and process].
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// If the time to live is out of the cluster's bounds, take the nearest that is allowed.
    #[arg(long)]
    pub(crate) nearest: bool,
}

/// Who this process is, for operators who wonder whose a session is.
pub(crate) fn default_label() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => format!("synod, process {}", std::process::id()),
        host => format!("synod on {host}, process {}", std::process::id()),
    }
}

impl Wish {
    /// Opens it.
    pub(crate) async fn open(&self, client: &Client) -> Result<Session, Failed> {
        let mut wanted = client.session().label(self.label.clone().unwrap_or_else(default_label));
        if let Some(ttl) = self.ttl {
            wanted = wanted.ttl(ttl);
        }
        if self.nearest {
            wanted = wanted.nearest_ttl();
        }
        Ok(wanted.open().await?)
    }
}

pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn token_of(session: &Session) -> Token {
    Token { session: session.id().0, secret: session.secret() }
}

pub(crate) async fn run(command: SessionCommand, global: &Global) -> Result<(), Failed> {
    if let SessionCommand::Open(args) = command {
        return open(args, global).await;
    }
    let client = global.client().await?;
    match command {
        SessionCommand::Open(_) => Ok(()),
        SessionCommand::List => {
            let sessions = all(&client).await?;
            let json: Value = sessions.iter().map(to_json).collect();
            output::answer(global.output, &json, || list(&sessions, wall_ms()))
        }
        SessionCommand::Describe { session } => {
            let session = client.describe_session(SessionId(session.0)).await?;
            output::answer(global.output, &to_json(&session), || describe(&session, wall_ms()))
        }
        SessionCommand::Close { session: SessionName(id) } => {
            client.close_session(SessionId(id)).await?;
            let id = output::hex(&id);
            output::answer(global.output, &json!({ "closed": id }), || format!("session {id} closed"))
        }
        SessionCommand::Bounds { min_s, max_s } => bounds(&client, min_s, max_s, global).await,
    }
}

/// Every session. Those that are opened meanwhile may be missing.
async fn all(client: &Client) -> Result<Vec<SessionInfo>, Failed> {
    let mut sessions: Vec<SessionInfo> = Vec::new();
    loop {
        let after = sessions.last().and_then(|last| last.session.as_slice().try_into().ok()).map(SessionId);
        let page = client.list_sessions(after, 0).await?;
        let more = page.more && !page.sessions.is_empty();
        sessions.extend(page.sessions);
        if !more {
            return Ok(sessions);
        }
    }
}

async fn open(args: OpenArgs, global: &Global) -> Result<(), Failed> {
    let mut signals = Signals::listen()?;
    let client = global.learning_client().await?;
    let session = args.wish.open(&client).await?;
    let (token, ttl_ms) = (token_of(&session), ms(session.ttl()));
    let json = json!({
        "token": token.to_string(),
        "session": output::hex(&token.session),
        "secret": output::hex(&token.secret),
        "ttl_ms": ttl_ms,
    });
    output::answer(global.output, &json, || token.to_string())?;
    if args.detach {
        let _token_was_printed = session.detach();
        return Ok(());
    }
    if global.output == super::Format::Table {
        output::remark(&format!(
            "open, with a time to live of {}; kept alive until Ctrl-C",
            in_seconds(ttl_ms)
        ));
    }
    tokio::select! {
        lost = until_lost(&session) => return lost,
        _ = signals.next() => {}
    }
    Ok(session.close().await?)
}

/// Tells how the session stands until it is lost.
async fn until_lost(session: &Session) -> Result<(), Failed> {
    let mut states = session.states();
    loop {
        let state = *states.borrow_and_update();
        match state {
            SessionState::Connected => {}
            SessionState::Suspended => output::remark("no contact to the cluster; trying again"),
            SessionState::Reconnected => output::remark("in contact with the cluster again"),
            SessionState::Lost => return Err(lost()),
        }
        if states.changed().await.is_err() {
            return Err(lost());
        }
    }
}

fn lost() -> Failed {
    Failed::new(
        Exit::SessionLost,
        "the session is lost: it was closed, or the cluster could not be reached in time",
    )
    .next("`synod status` shows whether the cluster has a leader; open another session")
}

async fn bounds(
    client: &Client,
    min: Option<Duration>,
    max: Option<Duration>,
    global: &Global,
) -> Result<(), Failed> {
    let mut bounds = client.session_bounds().await?;
    if min.is_some() || max.is_some() {
        bounds = SessionBounds {
            min_ttl_ms: min.map_or(bounds.min_ttl_ms, ms),
            max_ttl_ms: max.map_or(bounds.max_ttl_ms, ms),
        };
        client.set_session_bounds(bounds).await?;
    }
    let json = json!({ "min_ttl_ms": bounds.min_ttl_ms, "max_ttl_ms": bounds.max_ttl_ms });
    output::answer(global.output, &json, || {
        format!(
            "sessions live from {} to {} without a sign of their clients",
            in_seconds(bounds.min_ttl_ms),
            in_seconds(bounds.max_ttl_ms)
        )
    })
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms)
}

/// How long ago, roughly.
fn age(since_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(since_ms) / 1_000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn list(sessions: &[SessionInfo], now_ms: u64) -> String {
    let rows = sessions.iter().map(|session| {
        [
            output::hex(&session.session),
            session.label.clone(),
            in_seconds(session.ttl_ms),
            age(session.opened_at_ms, now_ms),
            session.last_request_id.to_string(),
            session.requests.to_string(),
            session.waiting.to_string(),
            session.spaces.join(","),
        ]
    });
    table(["SESSION", "LABEL", "TTL>", "AGE>", "LAST REQUEST>", "KEPT>", "WAITING>", "SPACES"], rows)
}

fn describe(session: &SessionInfo, now_ms: u64) -> String {
    let spaces = if session.spaces.is_empty() { "none".to_owned() } else { session.spaces.join(", ") };
    format!(
        "session {}\n  label             {}\n  time to live      {}\n  opened            {} ago, at \
            revision {}\n  last request      {}\n  \
         outcomes kept     {}, {} bytes\n  waiting calls     {}\n  acknowledged      below {}\n  its end is told   {spaces}",
        output::hex(&session.session),
        session.label,
        in_seconds(session.ttl_ms),
        age(session.opened_at_ms, now_ms),
        session.opened_revision,
        session.last_request_id,
        session.requests.saturating_sub(session.waiting),
        session.outcome_bytes,
        session.waiting,
        session.floor,
    )
}

fn to_json(session: &SessionInfo) -> Value {
    json!({
        "session": output::hex(&session.session),
        "label": session.label,
        "ttl_ms": session.ttl_ms,
        "opened_at_ms": session.opened_at_ms,
        "opened_revision": session.opened_revision,
        "floor": session.floor,
        "last_request_id": session.last_request_id,
        "requests": session.requests,
        "outcome_bytes": session.outcome_bytes,
        "waiting": session.waiting,
        "spaces": session.spaces,
    })
}

#[cfg(test)]
mod tests;
