//! `synod space bind` and `unbind`: which spaces react to which events.
use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde_json::json;
use synod_abi::TopicFilter;
use synod_client::api::{self, Binding};

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;
use crate::cli::io::output;
use crate::cli::values::json;
use crate::cli::values::names::topics;

/// Flags of `synod space bind`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BindArgs {
    #[command(flatten)]
    binding: BindingArgs,
    /// What happens to a call if the handler of its event fails.
    #[arg(long, value_enum, default_value_t)]
    on_failure: OnFailure,
}

/// A binding: which space reacts to which events.
#[derive(Args, Clone, Debug)]
pub(crate) struct BindingArgs {
    /// The space that reacts: its recipe has an `#[on_event]`.
    space: String,
    /// Whose events: SPACE, or SPACE:TOPIC, where TOPIC is one topic, or what topics begin with if
    /// it ends with / or *: kv:config/.
    #[arg(long, value_name = "SPACE[:TOPIC]")]
    on: Source,
}

/// What happens to a call if the handler of its event fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFailure {
    /// It is rejected: neither the call nor the handler leaves anything.
    #[default]
    Reject,
    /// It goes on; the failure is counted in `synod space list`.
    Skip,
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
    fn to_api(&self, on_failure: OnFailure) -> Binding {
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

/// Binds a space to another's events.
pub(crate) async fn bind(BindArgs { binding, on_failure }: &BindArgs, global: &Global) -> Result<(), Failed> {
    let reply = global.client().await?.bind_space(binding.to_api(*on_failure)).await?;
    let binding = reply.binding.unwrap_or_default();
    let mut json = json::binding(&binding);
    json["already"] = json!(reply.already);
    output::answer(global.output, &json, || {
        let verb = if reply.already { "was bound already" } else { "bound" };
        format!(
            "space {} {verb}: reacts to {}, {}",
            binding.space,
            source_text(&binding),
            failure_text(&binding)
        )
    })
}

/// Takes a binding back.
pub(crate) async fn unbind(args: &BindingArgs, global: &Global) -> Result<(), Failed> {
    let binding = args.to_api(OnFailure::default());
    global.client().await?.unbind_space(binding.clone()).await?;
    let json = json!({
        "unbound": {
            "space": binding.space,
            "source": binding.source,
            "topics": topics(&binding).to_string(),
        },
    });
    output::answer(global.output, &json, || {
        format!("space {} no longer reacts to {}", binding.space, source_text(&binding))
    })
}

/// The source as `--on` takes it.
fn source_text(binding: &Binding) -> String {
    let topics = topics(binding);
    if topics == TopicFilter::all() { binding.source.clone() } else { format!("{}:{topics}", binding.source) }
}

fn failure_text(binding: &Binding) -> &'static str {
    match binding.on_failure() {
        api::OnFailure::Skip => "calls go on when it fails",
        api::OnFailure::Reject | api::OnFailure::Unspecified => "calls are rejected when it fails",
    }
}

/// A binding as one of its two spaces, `space`, sees it.
pub(crate) fn binding_text(space: &str, binding: &Binding) -> String {
    let failure = failure_text(binding);
    if binding.space == space {
        format!("reacts to {}; {failure}", source_text(binding))
    } else {
        format!("{} reacts to {}; {failure}", binding.space, topics(binding))
    }
}

#[cfg(test)]
mod tests;
