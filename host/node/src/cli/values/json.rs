//! Recipes and spaces as JSON, for the commands that share them. JSON that only one command shows
//! is made in that command's file.
use serde_json::{Value, json};
use synod_client::api::owed_hook::Call;
use synod_client::api::{self, Binding, EventLog, HookFailures, OwedHook, RecipeInfo, Retention, SpaceInfo};

use super::names::topics;
use super::units::hex;

/// An installed recipe.
pub(crate) fn recipe(info: &RecipeInfo) -> Value {
    let recipe = info.recipe.clone().unwrap_or_default();
    json!({
        "name": recipe.name,
        "version": recipe.version,
        "hash": hex(&info.hash),
        "module_bytes": info.module_bytes,
        "spaces": info.spaces,
        "operations": info.operations,
        "queries": info.queries,
        "docs": info.docs,
    })
}

/// A space.
pub(crate) fn space(space: &SpaceInfo) -> Value {
    let recipe = space.recipe.clone().unwrap_or_default();
    let bindings: Value = space.bindings.iter().map(binding).collect();
    json!({
        "name": space.name,
        "id": space.id,
        "recipe": recipe.name,
        "version": recipe.version,
        "hook_failures": space.hook_failures.as_ref().map(hook_failures),
        "events": space.events.as_ref().map(event_log),
        "bindings": bindings,
        "owed": space.owed,
        "owed_hooks": space.owed_hooks.iter().map(owed_hook).collect::<Value>(),
    })
}

/// A hook that a space is owed.
pub(crate) fn owed_hook(owed: &OwedHook) -> Value {
    let call = match &owed.call {
        None => Value::Null,
        Some(Call::SessionEnd(session)) => json!({ "hook": "on_session_end", "session_id": hex(session) }),
        Some(Call::Timer(timer)) => {
            json!({ "hook": "on_timer", "timer_id": timer.id, "payload": hex(&timer.payload) })
        }
        Some(Call::Cancel(cancel)) => json!({
            "hook": "on_cancel",
            "session_id": hex(&cancel.session_id),
            "ticket": cancel.ticket,
            "granted": cancel.granted,
        }),
    };
    json!({
        "number": owed.number,
        "call": call,
        "since_revision": owed.since_revision,
        "fault": owed.fault().as_str_name(),
        "why": owed.why,
        "tries": owed.tries,
        "next_try_ms": owed.next_try_ms,
    })
}

fn hook_failures(failures: &HookFailures) -> Value {
    json!({
        "count": failures.count,
        "revision": failures.revision,
        "fault": failures.fault().as_str_name(),
        "why": failures.why,
    })
}

/// The events that a space keeps.
pub(crate) fn event_log(log: &EventLog) -> Value {
    let Retention { events, bytes, age_ms } = log.retention.unwrap_or_default();
    json!({
        "events": log.events,
        "bytes": log.bytes,
        "oldest_at_ms": log.oldest_at_ms,
        "compacted_revision": log.compacted_revision,
        "last_revision": log.last_revision,
        "retention": { "events": events, "bytes": bytes, "age_ms": age_ms },
    })
}

/// A binding of a space to another's events.
pub(crate) fn binding(binding: &Binding) -> Value {
    let on_failure = match binding.on_failure() {
        api::OnFailure::Skip => "skip",
        api::OnFailure::Reject | api::OnFailure::Unspecified => "reject",
    };
    json!({
        "space": binding.space,
        "source": binding.source,
        "topics": topics(binding).to_string(),
        "topic": binding.topic,
        "prefix": binding.prefix,
        "on_failure": on_failure,
        "bound_revision": binding.bound_revision,
    })
}

#[cfg(test)]
mod tests;
