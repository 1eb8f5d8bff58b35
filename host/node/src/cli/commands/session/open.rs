//! `synod session open`: holds a session open for a shell.
//!
//! A program keeps its session alive through the client library. A shell has no program that stays,
//! so this command is it: the session lives as long as the command runs. The token that it prints
//! is all that other commands need to call in the session.
use clap::Args;
use serde_json::json;
use synod_client::{Session, SessionState};

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::output::{self, Format};
use crate::cli::io::session::SessionFlags;
use crate::cli::io::signals::Signals;
use crate::cli::values::token::Token;
use crate::cli::values::units::{hex, in_seconds, ms};

/// Flags of `synod session open`.
#[derive(Args, Clone, Debug)]
pub(crate) struct OpenArgs {
    #[command(flatten)]
    pub(crate) session: SessionFlags,
    /// Ends at once and leaves the session open: it expires when nobody calls in it for its time to
    /// live.
    #[arg(long)]
    detach: bool,
}

/// Opens a session, prints its token, and keeps it alive until a signal comes.
pub(crate) async fn run(args: &OpenArgs, global: &Global) -> Result<(), Failed> {
    let mut signals = Signals::listen()?;
    let (_client, session) = args.session.open(global).await?;
    let token = Token { session: session.id().0, secret: session.secret() };
    let ttl_ms = ms(session.ttl());
    let json = json!({
        "token": token.to_string(),
        "session": hex(&token.session),
        "secret": hex(&token.secret),
        "ttl_ms": ttl_ms,
    });
    output::answer(global.output, &json, || token.to_string())?;
    if args.detach {
        let _token_was_printed = session.detach();
        return Ok(());
    }
    if global.output == Format::Table {
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

/// Reports the session's state on standard error until the session is lost.
async fn until_lost(session: &Session) -> Result<(), Failed> {
    let mut states = session.states();
    loop {
        let state = *states.borrow_and_update();
        match state {
            SessionState::Connected => {}
            SessionState::Suspended => output::remark("no contact to the cluster; trying again"),
            SessionState::Reconnected => output::remark("in contact with the cluster again"),
            SessionState::Lost | SessionState::Closed => return Err(lost()),
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
