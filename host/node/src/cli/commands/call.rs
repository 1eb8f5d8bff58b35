//! `synod call` and `synod query`: arguments as flags by the schema, as JSON, or from standard
//! input.
use std::io::Read;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use synod_abi::schema::{EntryPointSchema, Schema};
use synod_abi::{RequestId, SessionId};
use synod_client::api::{Cancelled, Consistency};
use synod_client::{Answer, Client, Error};

use super::fail::{Exit, Failed};
use super::session::ms;
use super::signals::Signals;
use super::token::{Token, seconds};
use super::{Format, Global, args, output, schema};

pub(crate) const AFTER_HELP: &str = "\
Arguments are flags named after the operation's arguments, or one JSON object,
or `-` to read it from standard input:
  synod call limits take --key api --n 1
  synod call limits take '{\"key\": \"api\", \"n\": 1}'
`synod space describe SPACE` lists operations, queries and their arguments.
An argument called as one of synod's own flags is given in JSON.
An operation that waits for another call, such as `acquire` of a lock, needs --session;
`synod call lock acquire --name a --session TOKEN --wait 5`.
Bytes are written as text, base64:… or @FILE. Results are JSON, with bytes as
base64; with --output json they stand beside revision, time and member.";

/// What is said when an operation that may wait is refused outside of a session.
pub(crate) const SESSION_NEEDED: &str = "this operation may wait for another call, so call it in a session: \
    `synod session open` prints a TOKEN \
                                         for `synod call --session TOKEN …`";

/// Longest arguments read from standard input, in bytes: no request may be longer.
const STDIN_BYTES: u64 = synod_api::REQUEST_BYTES as u64;

/// What to call.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// The space.
    space: String,
    /// The operation or query.
    name: String,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub(crate) rest: Vec<String>,
}

/// Flags of `synod call`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CallingArgs {
    #[command(flatten)]
    pub(crate) within: Within,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// In which session a call is made, and how long it may wait there.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Within {
    /// The session to call in, ID:SECRET as `synod session open` printed it: the call has its
    /// effect once however often it is sent again, and may wait. One caller at a time.
    #[arg(long, value_name = "TOKEN", env = "SYNOD_SESSION_TOKEN", hide_env_values = true)]
    session: Option<Token>,
    /// How long an operation that waits may do so, in seconds; 0: not at all [default: as long as
    /// the session lives].
    #[arg(long, value_name = "S", value_parser = seconds)]
    wait: Option<Duration>,
}

/// Flags of `synod query`.
#[derive(Args, Clone, Debug)]
pub(crate) struct QueryArgs {
    /// Which state may be read.
    #[arg(long, value_enum, default_value_t)]
    consistency: Reads,
    #[command(flatten)]
    target: Target,
}

/// Which state a query may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Reads {
    /// Everything that was acknowledged before.
    #[default]
    Linearizable,
    /// The asked member's, which may lag behind; answered without a leader too.
    Serializable,
}

/// Which of the two kinds of entry points is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Operation,
    Query,
}

pub(crate) async fn call(args: CallingArgs, global: &Global, format: &mut Format) -> Result<(), Failed> {
    let mut within = args.within;
    let (target, global) = own_flags(args.target, global, Some(&mut within))?;
    *format = global.output;
    if within.wait.is_some() && within.session.is_none() {
        return Err(
            Failed::usage("--wait needs --session: only a call in a session can wait").next(SESSION_NEEDED)
        );
    }
    let client = global.client().await?;
    let Some(json) = arguments(&client, &target, Kind::Operation).await? else { return Ok(()) };
    let answer = match within.session {
        None => match client.call_json(&target.space, &target.name, &json).await {
            Ok(answer) => answer,
            Err(error) => return Err(explained(&client, &target, error).await),
        },
        Some(token) => call_in_session(&global, token, &target, &json, within.wait).await?,
    };
    show(global.output, answer)
}

/// Takes the session up for one call, and lets go of it again. Told to stop, it gives the call up.
async fn call_in_session(
    global: &Global,
    token: Token,
    target: &Target,
    json: &str,
    wait: Option<Duration>,
) -> Result<Answer<String>, Failed> {
    let mut signals = Signals::listen()?;
    let (client, id) = (global.learning_client().await?, SessionId(token.session));
    let request = client.describe_session(id).await?.last_request_id + 1;
    let session = client.resume(id, token.secret, request).await?;
    let answer = tokio::select! {
        answer = session.call_json_waiting(&target.space, &target.name, json, wait.map(ms)) => Some(answer),
        _ = signals.next() => None,
    };
    let _token_is_known = session.detach();
    match answer {
        Some(answer) => Ok(answer?),
        None => Err(match client.cancel_request(id, token.secret, RequestId(request)).await? {
            Cancelled::Final => Failed::new(
                Exit::OutcomeUnknown,
                "interrupted when the call had its outcome already: what it did stays",
            ),
            _ => Failed::new(
                Exit::Unavailable,
                "interrupted: the call is given up, and what it was granted is given back",
            ),
        }),
    }
}

/// Why a call outside of any session failed; with a word on sessions, if the operation is one that
/// needs one to wait in.
async fn explained(client: &Client, target: &Target, error: Error) -> Failed {
    let refused = matches!(error, Error::Rejected(_) | Error::Refused(_));
    let failed = Failed::from(error);
    if !refused {
        return failed;
    }
    let schema = schema_of_space(client, &target.space).await.ok();
    match schema.and_then(|schema| schema.operation(&target.name).map(|point| point.waits)) {
        Some(true) => failed.next(SESSION_NEEDED),
        _ => failed,
    }
}

pub(crate) async fn query(args: QueryArgs, global: &Global, format: &mut Format) -> Result<(), Failed> {
    let (target, global) = own_flags(args.target, global, None)?;
    *format = global.output;
    let consistency = match args.consistency {
        Reads::Linearizable => Consistency::Linearizable,
        Reads::Serializable => Consistency::Serializable,
    };
    let client = global.client().await?;
    let Some(json) = arguments(&client, &target, Kind::Query).await? else { return Ok(()) };
    show(global.output, client.query_json(&target.space, &target.name, &json, consistency).await?)
}

/// Takes synod's own flags out of an operation's arguments, so that they may stand behind them too.
/// Those of `within` are a call's.
fn own_flags(
    mut target: Target,
    global: &Global,
    mut within: Option<&mut Within>,
) -> Result<(Target, Global), Failed> {
    let mut global = global.clone();
    let mut rest = Vec::with_capacity(target.rest.len());
    let mut words = target.rest.into_iter();
    while let Some(word) = words.next() {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        let calls = within.is_some() && matches!(flag.as_str(), "--session" | "--wait");
        let own = matches!(flag.as_str(), "--output" | "-o" | "--endpoint" | "-e" | "--timeout-ms");
        if !own && !calls {
            rest.push(word);
            continue;
        }
        let value =
            inline.or_else(|| words.next()).ok_or_else(|| Failed::usage(format!("{flag} needs a value")))?;
        let wrong = |error: String| Failed::usage(format!("{flag}: {error}"));
        match (flag.as_str(), &mut within) {
            ("--session", Some(within)) => within.session = Some(value.parse().map_err(wrong)?),
            ("--wait", Some(within)) => within.wait = Some(seconds(&value).map_err(wrong)?),
            ("--output" | "-o", _) => global.output = Format::from_str(&value, false).map_err(wrong)?,
            ("--timeout-ms", _) => {
                global.timeout_ms = value.parse().map_err(|_| {
                    Failed::usage(format!("{flag}: `{value}` is not a number of milliseconds"))
                })?;
            }
            _ => global.endpoint = value,
        }
    }
    target.rest = rest;
    Ok((target, global))
}

/// The arguments as JSON; none if help was asked for, and given.
async fn arguments(client: &Client, target: &Target, kind: Kind) -> Result<Option<String>, Failed> {
    let help = target.rest.iter().any(|word| word == "--help" || word == "-h");
    match target.rest.as_slice() {
        [dash] if dash == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().lock().take(STDIN_BYTES).read_to_string(&mut text);
            read.map_err(|error| Failed::usage(format!("cannot read standard input: {error}")))?;
            Ok(Some(text))
        }
        [json] if json.trim_start().starts_with('{') => Ok(Some(json.clone())),
        flags => {
            let schema = schema_of_space(client, &target.space).await?;
            let point = find(&schema, target, kind)?;
            if help {
                output::line(&format!("{}\n{}", schema::signature(point), point.docs.trim()))?;
                return Ok(None);
            }
            args::object(point, flags).map(|object| Some(Value::Object(object).to_string()))
        }
    }
}

/// The schema of the recipe that a space runs.
pub(crate) async fn schema_of_space(client: &Client, space: &str) -> Result<Schema, Failed> {
    decode(&client.describe_space(space).await?.schema)
}

pub(crate) fn decode(schema: &[u8]) -> Result<Schema, Failed> {
    Schema::decode(schema).map_err(|error| {
        Failed::new(Exit::Internal, format!("the member sent a schema that is not valid: {error}"))
            .next("use a `synod` of the member's version")
    })
}

fn find<'a>(schema: &'a Schema, target: &Target, kind: Kind) -> Result<&'a EntryPointSchema, Failed> {
    let Target { space, name, .. } = target;
    let (found, other, hint) = match kind {
        Kind::Operation => (schema.operation(name), schema.query(name), "query"),
        Kind::Query => (schema.query(name), schema.operation(name), "call"),
    };
    if let Some(found) = found {
        return Ok(found);
    }
    let (what, points) = match kind {
        Kind::Operation => ("operation", &schema.operations),
        Kind::Query => ("query", &schema.queries),
    };
    let failed = Failed::new(
        Exit::Rejected,
        format!("the recipe of `{space}`, {}, has no {what} `{name}`", schema.recipe),
    );
    Err(if other.is_some() {
        failed.next(format!("`{name}` is there: `synod {hint} {space} {name}`"))
    } else {
        let names = points.iter().map(|point| point.name.as_str()).collect::<Vec<_>>().join(", ");
        failed.next(format!("it has {names}; `synod space describe {space}` shows them"))
    })
}

fn show(format: Format, answer: Answer<String>) -> Result<(), Failed> {
    let result: Value = serde_json::from_str(&answer.value)
        .map_err(|error| Failed::new(Exit::Internal, format!("the member's answer is not JSON: {error}")))?;
    let json = json!({
        "result": result,
        "revision": answer.revision,
        "time_ms": answer.time_ms,
        "member_id": answer.member_id,
    });
    output::answer(format, &json, || output::pretty(&result))
}

#[cfg(test)]
mod tests;
