//! The entry point that `synod call` and `synod query` name, its arguments, and its answer.
//!
//! Arguments are flags by the recipe's schema, one JSON object, or standard input. Flags of synod
//! may stand among them; they are taken out first.
use std::io::{IsTerminal, Read};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use synod_abi::schema::{EntryPointSchema, Schema, Type};
use synod_client::api::Consistency;
use synod_client::{Answer, Client};

use crate::cli::io::cluster::{Global, schema_from};
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::output::{self, Format};
use crate::cli::values::token::Token;
use crate::cli::values::units::seconds;
use crate::cli::values::{args, people, schema};

/// What the help of both commands ends with.
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
base64; a terminal shows bytes as text, or base64:…, and times as UTC. With
--output json results stand beside revision, time and member.";

/// The flag that shows an entry point's arguments.
const HELP: &str = "help";

/// Longest arguments read from standard input, in bytes: no request may be longer.
const STDIN_BYTES: u64 = synod_api::REQUEST_BYTES as u64;

/// What to call.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// The space.
    pub(crate) space: String,
    /// The operation or query.
    pub(crate) name: String,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub(crate) rest: Vec<String>,
}

/// In which session a call is made, and how long it may wait there.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Within {
    /// The session to call in, ID:SECRET as `synod session open` printed it: the call has its
    /// effect once however often it is sent again, and may wait. One caller at a time.
    #[arg(long, value_name = "TOKEN", env = "SYNOD_SESSION_TOKEN", hide_env_values = true)]
    pub(crate) session: Option<Token>,
    /// How long an operation that waits may do so, in seconds; 0: not at all [default: as long as
    /// the session lives].
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(crate) wait: Option<Duration>,
}

/// Which state a query may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reads {
    /// The newest: everything acknowledged before the query is in it.
    #[default]
    Linearizable,
    /// The asked member's own, which may lag; needs no leader.
    Serializable,
}

impl From<Reads> for Consistency {
    fn from(reads: Reads) -> Self {
        match reads {
            Reads::Linearizable => Self::Linearizable,
            Reads::Serializable => Self::Serializable,
        }
    }
}

/// A command's own flags that may stand among the arguments, beside those of every command.
#[derive(Debug)]
pub(crate) enum Own<'a> {
    /// Those of `synod call`.
    Call(&'a mut Within),
    /// Those of `synod query`.
    Query(&'a mut Reads),
}

impl Own<'_> {
    fn has(&self, flag: &str) -> bool {
        match self {
            Self::Call(_) => matches!(flag, "--session" | "--wait"),
            Self::Query(_) => flag == "--consistency",
        }
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<(), String> {
        match self {
            Self::Call(within) if flag == "--session" => within.session = Some(value.parse()?),
            Self::Call(within) => within.wait = Some(seconds(value)?),
            Self::Query(reads) => **reads = Reads::from_str(value, false)?,
        }
        Ok(())
    }

    /// Of which state the schema is read.
    fn consistency(&self) -> Consistency {
        match self {
            Self::Call(_) => Consistency::Linearizable,
            Self::Query(reads) => (**reads).into(),
        }
    }
}

/// The two kinds of entry points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads and writes; `synod call`.
    Operation,
    /// Only reads; `synod query`.
    Query,
}

/// Takes synod's own flags out of an operation's arguments, so that they may follow them. What
/// follows an argument that `takes_a_value` is its value, whatever it looks like.
pub(crate) fn own_flags(
    mut target: Target,
    global: &Global,
    own: &mut Own<'_>,
    takes_a_value: &dyn Fn(&str) -> bool,
) -> Result<(Target, Global), Failed> {
    let mut global = global.clone();
    let mut rest = Vec::with_capacity(target.rest.len());
    let mut words = target.rest.into_iter().peekable();
    while let Some(word) = words.next() {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        let is_global = matches!(flag.as_str(), "--output" | "-o" | "--endpoint" | "-e" | "--timeout-ms");
        if !is_global && !own.has(&flag) {
            let name = flag.strip_prefix("--").filter(|name| *name != HELP && inline.is_none());
            let has_a_value = name.is_some_and(takes_a_value);
            rest.push(word);
            rest.extend(words.next_if(|_| has_a_value));
            continue;
        }
        let value =
            inline.or_else(|| words.next()).ok_or_else(|| Failed::usage(format!("{flag} needs a value")))?;
        let wrong = |error: String| Failed::usage(format!("{flag}: {error}"));
        match flag.as_str() {
            "--output" | "-o" => global.output = Format::from_str(&value, false).map_err(wrong)?,
            "--timeout-ms" => {
                global.timeout_ms = value.parse().map_err(|_| {
                    Failed::usage(format!("{flag}: `{value}` is not a number of milliseconds"))
                })?;
            }
            "--endpoint" | "-e" => global.endpoint = value,
            _ => own.set(&flag, &value).map_err(wrong)?,
        }
    }
    target.rest = rest;
    Ok((target, global))
}

/// What to ask with.
pub(crate) struct Prepared {
    /// A client of the cluster.
    pub(crate) client: Client,
    /// The arguments as JSON.
    pub(crate) json: String,
    /// What the entry point returns, if its answer is for people: on a terminal.
    pub(crate) result: Option<Type>,
}

/// Reads the arguments; none if help was asked for, which is then shown. Flags of synod that only
/// the schema tells from values are taken up by `global` and `own`.
pub(crate) async fn arguments(
    target: &Target,
    kind: Kind,
    global: &mut Global,
    own: &mut Own<'_>,
) -> Result<Option<Prepared>, Failed> {
    let client = global.client().await?;
    let json = match target.rest.as_slice() {
        [dash] if dash == "-" => Some(read_arguments(std::io::stdin().lock())?),
        [json] if json.trim_start().starts_with('{') => Some(json.clone()),
        _ => None,
    };
    let json = match json {
        Some(json) if !is_for_people(global) => {
            return Ok(Some(Prepared { client, json, result: None }));
        }
        json => json,
    };
    let schema = schema_from(&client, &target.space, own.consistency()).await?;
    let point = find(&schema, target, kind)?;
    let result = is_for_people(global).then(|| point.result.clone());
    if let Some(json) = json {
        return Ok(Some(Prepared { client, json, result }));
    }
    let takes_a_value = |name: &str| args::takes_a_value(point, name);
    let (target, adapted) = own_flags(target.clone(), global, own, &takes_a_value)?;
    let is_elsewhere = adapted.endpoint != global.endpoint;
    *global = adapted;
    if args::asks_for_help(point, &target.rest) {
        output::line(&format!("{}\n{}", schema::signature(point), point.docs.trim()))?;
        return Ok(None);
    }
    let json = Value::Object(args::object(point, &target.rest)?).to_string();
    let client = if is_elsewhere { global.client().await? } else { client };
    Ok(Some(Prepared { client, json, result }))
}

/// Whether answers are shown as people read them; what a script reads stays exact.
fn is_for_people(global: &Global) -> bool {
    global.output == Format::Table && std::io::stdout().is_terminal()
}

/// All of `input`, which is refused if no request can be so long.
fn read_arguments(input: impl Read) -> Result<String, Failed> {
    let mut text = String::new();
    let read = input.take(STDIN_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| Failed::usage(format!("cannot read standard input: {error}")))?;
    if text.len() as u64 > STDIN_BYTES {
        let why =
            format!("standard input is longer than {STDIN_BYTES} bytes, the longest that a call can be");
        return Err(Failed::usage(why));
    }
    Ok(text)
}

fn find<'a>(schema: &'a Schema, target: &Target, kind: Kind) -> Result<&'a EntryPointSchema, Failed> {
    let Target { space, name, .. } = target;
    let operation = schema.operation(name);
    let query = schema.query(name);
    let (found, other) = match kind {
        Kind::Operation => (operation, query.map(|_| "query")),
        Kind::Query => (query, operation.map(|_| "call")),
    };
    if let Some(found) = found {
        return Ok(found);
    }
    let (what, points) = match kind {
        Kind::Operation => ("operation", &schema.operations),
        Kind::Query => ("query", &schema.queries),
    };
    let message = format!("the recipe of `{space}`, {}, has no {what} `{name}`", schema.recipe);
    let next = match other {
        Some(command) => format!("`{name}` is there: `synod {command} {space} {name}`"),
        None => {
            let names = points.iter().map(|point| point.name.as_str()).collect::<Vec<_>>().join(", ");
            format!("it has {names}; `synod space describe {space}` shows them")
        }
    };
    Err(Failed::new(Exit::Rejected, message).next(next))
}

/// Shows the answer of an operation or query, for people if it is known what it returns.
pub(crate) fn show(format: Format, answer: Answer<String>, ty: Option<&Type>) -> Result<(), Failed> {
    let result: Value = serde_json::from_str(&answer.value)
        .map_err(|error| Failed::new(Exit::Internal, format!("the member's answer is not JSON: {error}")))?;
    let json = json!({
        "result": result,
        "revision": answer.revision,
        "time_ms": answer.time_ms,
        "member_id": answer.member_id,
    });
    output::answer(format, &json, || {
        output::pretty(&ty.map_or(result.clone(), |ty| people::shown(ty, result)))
    })
}

#[cfg(test)]
mod tests;
