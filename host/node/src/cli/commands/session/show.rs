//! `synod session list`, `describe` and `close`: the operator's view of everybody's sessions.
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::{Value, json};
use synod_abi::SessionId;
use synod_client::Client;
use synod_client::api::SessionInfo;

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;
use crate::cli::io::output;
use crate::cli::io::table::table;
use crate::cli::values::token::SessionName;
use crate::cli::values::units::{hex, in_seconds, ms};

/// One session.
#[derive(Args, Clone, Debug)]
pub(crate) struct NameArgs {
    /// Its id, or its token.
    #[arg(value_name = "ID")]
    session: SessionName,
}

/// Lists the sessions.
pub(crate) async fn list(global: &Global) -> Result<(), Failed> {
    let sessions = all(&global.client().await?).await?;
    let json: Value = sessions.iter().map(to_json).collect();
    output::answer(global.output, &json, || list_text(&sessions, wall_ms()))
}

/// Shows one session.
pub(crate) async fn describe(args: &NameArgs, global: &Global) -> Result<(), Failed> {
    let session = global.client().await?.describe_session(SessionId(args.session.0)).await?;
    output::answer(global.output, &to_json(&session), || describe_text(&session, wall_ms()))
}

/// Ends a session.
pub(crate) async fn close(args: &NameArgs, global: &Global) -> Result<(), Failed> {
    let SessionName(id) = args.session;
    global.client().await?.close_session(SessionId(id)).await?;
    let id = hex(&id);
    output::answer(global.output, &json!({ "closed": id }), || format!("session {id} closed"))
}

/// Every session, page by page. Sessions opened meanwhile may be missing.
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

fn list_text(sessions: &[SessionInfo], now_ms: u64) -> String {
    let rows = sessions.iter().map(|session| {
        [
            hex(&session.session),
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

fn describe_text(session: &SessionInfo, now_ms: u64) -> String {
    let spaces = if session.spaces.is_empty() { "none".to_owned() } else { session.spaces.join(", ") };
    format!(
        "session {}\n  label             {}\n  time to live      {}\n  \
         opened            {} ago, at revision {}\n  last request      {}\n  \
         outcomes kept     {}, {} bytes\n  waiting calls     {}\n  \
         acknowledged      below {}\n  spaces            {spaces}",
        hex(&session.session),
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
        "session": hex(&session.session),
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
