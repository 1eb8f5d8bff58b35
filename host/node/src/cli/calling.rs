//! `synod call` and `synod query`: arguments as flags by the schema, as JSON, or from standard input.
use std::io::Read;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use synod_abi::schema::{EntryPointSchema, Schema};
use synod_client::api::Consistency;
use synod_client::{Answer, Client};

use super::fail::{Exit, Failed};
use super::{Format, Global, args, output, schema};

pub(crate) const AFTER_HELP: &str = "\
Arguments are flags named after the operation's arguments, or one JSON object,
or `-` to read it from standard input:
  synod call limits take --key api --n 1
  synod call limits take '{\"key\": \"api\", \"n\": 1}'
`synod space describe SPACE` lists operations, queries and their arguments.
An argument called as one of synod's own flags is given in JSON.
Bytes are written as text, base64:… or @FILE. Results are JSON, with bytes as
base64; with --output json they stand beside revision, time and member.";

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
    pub(crate) target: Target,
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
    let (target, global) = own_flags(args.target, global)?;
    *format = global.output;
    let client = global.client().await?;
    let Some(json) = arguments(&client, &target, Kind::Operation).await? else { return Ok(()) };
    show(global.output, client.call_json(&target.space, &target.name, &json).await?)
}

pub(crate) async fn query(args: QueryArgs, global: &Global, format: &mut Format) -> Result<(), Failed> {
    let (target, global) = own_flags(args.target, global)?;
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
fn own_flags(mut target: Target, global: &Global) -> Result<(Target, Global), Failed> {
    let mut global = global.clone();
    let mut rest = Vec::with_capacity(target.rest.len());
    let mut words = target.rest.into_iter();
    while let Some(word) = words.next() {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        let own = matches!(flag.as_str(), "--output" | "-o" | "--endpoint" | "-e" | "--timeout-ms");
        if !own {
            rest.push(word);
            continue;
        }
        let value = inline.or_else(|| words.next()).ok_or_else(|| Failed::usage(format!("{flag} needs a value")))?;
        match flag.as_str() {
            "--output" | "-o" => {
                global.output = Format::from_str(&value, false).map_err(|error| Failed::usage(format!("{flag}: {error}")))?
            }
            "--timeout-ms" => {
                global.timeout_ms =
                    value.parse().map_err(|_| Failed::usage(format!("{flag}: `{value}` is not a number of milliseconds")))?;
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
    let failed = Failed::new(Exit::Rejected, format!("the recipe of `{space}`, {}, has no {what} `{name}`", schema.recipe));
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
mod tests {
    use super::*;

    fn global() -> Global {
        Global { endpoint: "h:1".into(), output: Format::Table, timeout_ms: 1 }
    }

    fn target(rest: &str) -> Target {
        Target { space: "s".into(), name: "o".into(), rest: rest.split_whitespace().map(str::to_owned).collect() }
    }

    #[test]
    fn synods_own_flags_may_stand_behind_the_arguments() {
        let (target, global) = own_flags(target("--key a -o json --n=2 --endpoint=x:1 --timeout-ms 7"), &global()).expect("good");
        assert_eq!(target.rest, ["--key", "a", "--n=2"]);
        assert_eq!((global.output, global.endpoint.as_str(), global.timeout_ms), (Format::Json, "x:1", 7));
    }

    #[test]
    fn a_wrong_own_flag_is_a_usage_error() {
        for rest in ["--output", "--output xml", "--timeout-ms soon"] {
            let failed = own_flags(target(rest), &global()).expect_err(rest);
            assert_eq!(failed.exit, Exit::Usage);
        }
    }
}
