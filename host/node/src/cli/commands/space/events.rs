//! `synod space bind`, `unbind`, `retention` and `compact`: who hears of a space's events, and how
//! much of its past it keeps. And what `describe` says of both.
use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use synod_abi::TopicFilter;
use synod_client::api::{self, Binding, EventLog, HookFailures, Retention, SpaceInfo};

use super::fail::Failed;
use super::session::ms;
use super::table::bytes;
use super::time::utc;
use super::token::{age, in_seconds, size};
use super::{Global, output};

/// Which binding is meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct BindingArgs {
    /// The space that reacts: its recipe has an `#[on_event]`.
    space: String,
    /// Whose events: SPACE, or SPACE:TOPIC, where TOPIC is one topic, or what topics begin with if
    /// it ends with / or *: kv:config/.
    #[arg(long, value_name = "SPACE[:TOPIC]")]
    on: Source,
}

/// What becomes of a call whose event the handler fails at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFailure {
    /// It is rejected: neither the call nor the handler leaves anything.
    #[default]
    Reject,
    /// It goes on; the failure is counted in `synod space list`.
    Skip,
}

/// Flags of `synod space retention`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RetentionArgs {
    /// The space.
    space: String,
    /// Most events that it keeps.
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Most bytes of them, such as 64MiB.
    #[arg(long, value_name = "N", value_parser = size)]
    bytes: Option<u64>,
    /// How long it keeps them, such as 24h.
    #[arg(long, value_name = "AGE", value_parser = age)]
    age: Option<Duration>,
}

/// Flags of `synod space compact`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompactArgs {
    /// The space.
    space: String,
    /// The last revision to forget [default: the present one].
    #[arg(long, value_name = "REV", value_parser = clap::value_parser!(u64).range(1..))]
    through: Option<u64>,
}

/// A space, and which of its events.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    space: String,
    filter: TopicFilter,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (space, filter) = match text.split_once(':') {
            Some((space, topic)) => (space, TopicFilter::parse(topic)),
            None => (text, TopicFilter::all()),
        };
        synod_abi::SpaceName::new(space).map_err(|error| error.to_string())?;
        filter.check().map_err(|error| error.to_string())?;
        Ok(Self { space: space.to_owned(), filter })
    }
}

impl BindingArgs {
    fn binding(&self, on_failure: OnFailure) -> Binding {
        let (topic, prefix) = match &self.on.filter {
            TopicFilter::Exact(topic) => (topic.clone(), false),
            TopicFilter::Prefix(prefix) => (prefix.clone(), true),
        };
        let on_failure = match on_failure {
            OnFailure::Reject => api::OnFailure::Reject,
            OnFailure::Skip => api::OnFailure::Skip,
        };
        Binding {
            space: self.space.clone(),
            source: self.on.space.clone(),
            topic,
            prefix,
            on_failure: on_failure.into(),
            ..Binding::default()
        }
    }
}

pub(crate) async fn bind(args: &BindingArgs, on_failure: OnFailure, global: &Global) -> Result<(), Failed> {
    let reply = global.client().await?.bind_space(args.binding(on_failure)).await?;
    let binding = reply.binding.unwrap_or_default();
    let mut json = binding_json(&binding);
    json["already"] = json!(reply.already);
    output::answer(global.output, &json, || {
        let verb = if reply.already { "was bound already" } else { "bound" };
        format!(
            "space {} {verb}: hears of {}, {}",
            binding.space,
            source_text(&binding),
            failure_text(&binding)
        )
    })
}

pub(crate) async fn unbind(args: &BindingArgs, global: &Global) -> Result<(), Failed> {
    let binding = args.binding(OnFailure::default());
    global.client().await?.unbind_space(binding.clone()).await?;
    let json = json!({ "unbound": { "space": binding.space, "source": binding.source, "topics": filter(&binding).to_string() } });
    output::answer(global.output, &json, || {
        format!("space {} hears of {} no more", binding.space, source_text(&binding))
    })
}

pub(crate) async fn retention(args: &RetentionArgs, global: &Global) -> Result<(), Failed> {
    let client = global.client().await?;
    let retention = Retention { events: args.events, bytes: args.bytes, age_ms: args.age.map(ms) };
    let log = match retention == Retention::default() {
        true => client.space_info(&args.space).await?.events.unwrap_or_default(),
        false => client.set_retention(&args.space, retention).await?,
    };
    output::answer(global.output, &log_json(&log), || log_text(&args.space, &log))
}

pub(crate) async fn compact(args: &CompactArgs, global: &Global) -> Result<(), Failed> {
    let reply = global.client().await?.compact(&args.space, args.through.unwrap_or(0)).await?;
    let json = json!({ "space": args.space, "compacted_revision": reply.compacted_revision, "events": reply.events });
    output::answer(global.output, &json, || {
        format!(
            "space {} forgot {} events, and has none up to revision {} any more",
            args.space, reply.events, reply.compacted_revision
        )
    })
}

fn filter(Binding { topic, prefix, .. }: &Binding) -> TopicFilter {
    if *prefix { TopicFilter::Prefix(topic.clone()) } else { TopicFilter::Exact(topic.clone()) }
}

/// As it is written behind `--on`.
fn source_text(binding: &Binding) -> String {
    let filter = filter(binding);
    if filter == TopicFilter::all() { binding.source.clone() } else { format!("{}:{filter}", binding.source) }
}

fn failure_text(binding: &Binding) -> &'static str {
    match binding.on_failure() {
        api::OnFailure::Skip => "calls go on when it fails",
        api::OnFailure::Reject | api::OnFailure::Unspecified => "calls are rejected when it fails",
    }
}

/// What `describe` says beside the recipe.
pub(crate) fn text(space: &SpaceInfo) -> String {
    let mut text = log_text(&space.name, &space.events.unwrap_or_default());
    for binding in &space.bindings {
        let line = match binding.space == space.name {
            true => format!("hears of {}; {}", source_text(binding), failure_text(binding)),
            false => {
                format!("is heard by {}, of {}; {}", binding.space, filter(binding), failure_text(binding))
            }
        };
        let _infallible = write!(text, "\n{line}");
    }
    if let Some(HookFailures { count, revision, why, .. }) = &space.hook_failures {
        let _infallible = write!(
            text,
            "\n{count} of its hooks and handlers failed, the last at revision {revision}: {why}"
        );
    }
    text
}

fn log_text(space: &str, log: &EventLog) -> String {
    let Retention { events, bytes: most_bytes, age_ms } = log.retention.unwrap_or_default();
    let since =
        if log.oldest_at_ms == 0 { String::new() } else { format!(", since {}", utc(log.oldest_at_ms)) };
    let compacted = match log.compacted_revision {
        0 => String::new(),
        revision => format!("; forgotten up to revision {revision}"),
    };
    let last = match log.last_revision {
        0 => String::new(),
        revision => format!("; the last at revision {revision}"),
    };
    format!(
        "events of {space}: {} in {}{since}{last}{compacted}\n  keeps at most {} of them, {}, for {}",
        log.events,
        bytes(log.bytes),
        events.unwrap_or_default(),
        bytes(most_bytes.unwrap_or_default()),
        age_text(age_ms.unwrap_or_default()),
    )
}

fn age_text(ms: u64) -> String {
    match ms {
        ms if ms > 0 && ms % 86_400_000 == 0 => format!("{} d", ms / 86_400_000),
        ms if ms > 0 && ms % 3_600_000 == 0 => format!("{} h", ms / 3_600_000),
        ms => in_seconds(ms),
    }
}

pub(crate) fn log_json(log: &EventLog) -> Value {
    let Retention { events, bytes, age_ms } = log.retention.unwrap_or_default();
    json!({
        "events": log.events, "bytes": log.bytes, "oldest_at_ms": log.oldest_at_ms, "compacted_revision": log.compacted_revision,
        "last_revision": log.last_revision, "retention": { "events": events, "bytes": bytes, "age_ms": age_ms },
    })
}

pub(crate) fn binding_json(binding: &Binding) -> Value {
    let on_failure = match binding.on_failure() {
        api::OnFailure::Skip => "skip",
        api::OnFailure::Reject | api::OnFailure::Unspecified => "reject",
    };
    json!({
        "space": binding.space, "source": binding.source, "topics": filter(binding).to_string(), "topic": binding.topic,
        "prefix": binding.prefix, "on_failure": on_failure, "bound_revision": binding.bound_revision,
    })
}

#[cfg(test)]
mod tests;
