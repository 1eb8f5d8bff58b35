//! `synod call`: one call of an operation, on its own or in a session.
use std::time::Duration;

use clap::Args;
use synod_abi::{Reason, RequestId, SessionId};
use synod_client::api::Cancelled;
use synod_client::{Answer, Client, Error};

use super::target::{Kind, Own, Prepared, Target, Within, arguments, own_flags, show};
use crate::cli::io::cluster::{Global, schema_of_space};
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::signals::Signals;
use crate::cli::values::token::Token;
use crate::cli::values::units::ms;

/// Flags of `synod call`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CallArgs {
    #[command(flatten)]
    pub(crate) within: Within,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Calls the operation and shows its answer. `global` takes up the flags that stand among its
/// arguments.
pub(crate) async fn run(args: CallArgs, global: &mut Global) -> Result<(), Failed> {
    let mut within = args.within;
    let (target, adapted) = own_flags(args.target, global, &mut Own::Call(&mut within), &|_| true)?;
    *global = adapted;
    let arguments = arguments(&target, Kind::Operation, global, &mut Own::Call(&mut within)).await?;
    let Some(Prepared { client, json, result }) = arguments else { return Ok(()) };
    if within.wait.is_some() && within.session.is_none() {
        return Err(Failed::usage("--wait needs --session: only a call in a session can wait")
            .next_after(Reason::SessionRequired));
    }
    let answer = match within.session {
        None => match client.call_json(&target.space, &target.name, &json).await {
            Ok(answer) => answer,
            Err(error) => return Err(explained(&client, &target, error).await),
        },
        Some(token) => call_in_session(global, token, &target, &json, within.wait).await?,
    };
    show(global.output, answer, result.as_ref())
}

/// Resumes the session for one call, and leaves it open. A signal cancels the call.
async fn call_in_session(
    global: &Global,
    token: Token,
    target: &Target,
    json: &str,
    wait: Option<Duration>,
) -> Result<Answer<String>, Failed> {
    let mut signals = Signals::listen()?;
    let client = global.learning_client_of_one_command().await?;
    let id = SessionId(token.session);
    let request = client.describe_session(id).await?.last_request_id + 1;
    let session = client.resume(id, token.secret, request).await?;
    let answer = tokio::select! {
        answer = session.call_json_waiting(&target.space, &target.name, json, wait.map(ms)) => Some(answer),
        _ = signals.next() => None,
    };
    let _token_is_known = session.detach();
    if let Some(answer) = answer {
        return Ok(answer?);
    }
    let client = global.learning_client().await?;
    Err(match client.cancel_request(id, token.secret, RequestId(request)).await? {
        Cancelled::Final => Failed::new(
            Exit::OutcomeUnknown,
            "interrupted when the call had its outcome already: what it did stays",
        ),
        _ => Failed::new(
            Exit::Unavailable,
            "interrupted: the call is given up, and what it was granted is given back",
        ),
    })
}

/// Why a call outside of a session failed. If the operation may wait, which needs a session, the
/// next step says so.
async fn explained(client: &Client, target: &Target, error: Error) -> Failed {
    let refused = matches!(error, Error::Rejected(_) | Error::Refused(_));
    let failed = Failed::from(error);
    if !refused {
        return failed;
    }
    let schema = schema_of_space(client, &target.space).await.ok();
    match schema.and_then(|schema| schema.operation(&target.name).map(|point| point.waits)) {
        Some(true) => failed.next_after(Reason::SessionRequired),
        _ => failed,
    }
}
