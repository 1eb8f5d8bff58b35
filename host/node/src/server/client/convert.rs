//! Conversions between prost types and those of the service crate.
use std::time::Duration;

use synod_abi::schema;
use synod_abi::{Reason, Revision, Time};
use synod_api::fault_to_api;
use synod_api::v1::failure::Kind;
use synod_api::v1::value::Form;
use synod_api::v1::{self as api, Failure, RecipeRef, SpaceInfo, Value};
use synod_machine::directory::HookFailures;
use synod_machine::events::EventLog;
use synod_machine::{EventRetention, OnFailure};
use synod_service::{
    Args, CallFailure, Consistency, Created, NamedBinding, Rejected, SpaceDescription, SpaceListing,
};
use tonic::Code;

use super::{Front, owed, watches};

/// Arguments; absent ones stand for an empty JSON object.
pub(super) fn args(value: Option<Value>) -> Args {
    match value {
        Some(Value { form: Some(Form::Postcard(bytes)), signature }) => Args::Postcard { bytes, signature },
        Some(Value { form: Some(Form::Json(text)), .. }) => Args::Json(text),
        Some(Value { form: None, .. }) | None => Args::Json(String::new()),
    }
}

/// A result or error.
pub(super) fn value(value: synod_service::Value) -> Value {
    let form = match value {
        synod_service::Value::Json(text) => Form::Json(text),
        synod_service::Value::Postcard(bytes) => Form::Postcard(bytes),
    };
    Value { form: Some(form), signature: 0 }
}

/// A failure, with the leader that this member knows, for another attempt there.
pub(super) fn failure(front: &Front, failure: CallFailure) -> Failure {
    let leader_id = front.raft.term_state().leader.map_or(0, |leader| leader.0);
    let failed = |kind: Kind, code: Code, reason: Reason, message: String| Failure {
        kind: kind.into(),
        reason: reason.into(),
        message,
        status_code: code as u32,
        leader_id,
        header: Some(front.present_header()),
        ..Failure::default()
    };
    match failure {
        CallFailure::Rejected(rejected) => {
            let Rejected { reason, message, status, code, error, fault, field, limit, revision, time } =
                *rejected;
            let header = if revision == Revision(0) && time == Time(0) {
                front.present_header()
            } else {
                front.header(revision, time)
            };
            Failure {
                code,
                error: error.map(value),
                field: field.unwrap_or_default(),
                limit: limit.map(|limit| limit.name.to_owned()).unwrap_or_default(),
                limit_value: limit.map_or(0, |limit| limit.value),
                fault: fault.map_or(0, |fault| fault_to_api(fault).into()),
                header: Some(header),
                ..failed(Kind::Rejected, code_of(status), reason, message)
            }
        }
        CallFailure::Unavailable { reason, message, retry_after_ms } => {
            Failure { retry_after_ms, ..failed(Kind::Unavailable, Code::Unavailable, reason.into(), message) }
        }
        CallFailure::OutcomeUnknown(message) => {
            failed(Kind::OutcomeUnknown, Code::Unknown, Reason::OutcomeUnknown, message)
        }
    }
}

fn code_of(status: schema::Status) -> Code {
    match status {
        schema::Status::FailedPrecondition => Code::FailedPrecondition,
        schema::Status::InvalidArgument => Code::InvalidArgument,
        schema::Status::NotFound => Code::NotFound,
        schema::Status::AlreadyExists => Code::AlreadyExists,
        schema::Status::PermissionDenied => Code::PermissionDenied,
        schema::Status::ResourceExhausted => Code::ResourceExhausted,
        schema::Status::Aborted => Code::Aborted,
        schema::Status::OutOfRange => Code::OutOfRange,
    }
}

/// How fresh a read is.
pub(super) fn consistency(consistency: api::Consistency) -> Consistency {
    match consistency {
        api::Consistency::Unspecified | api::Consistency::Linearizable => Consistency::Linearizable,
        api::Consistency::Serializable => Consistency::Serializable,
    }
}

/// A recipe and its version.
pub(super) fn recipe_ref(recipe: &synod_abi::RecipeRef) -> RecipeRef {
    RecipeRef { name: recipe.name.to_string(), version: recipe.version }
}

/// A space, without its bindings.
pub(super) fn space_info(SpaceListing { record, log, failures, owed }: &SpaceListing) -> SpaceInfo {
    SpaceInfo {
        name: record.name.to_string(),
        id: record.id.0,
        recipe: Some(recipe_ref(&record.recipe)),
        hook_failures: failures.map(hook_failures),
        events: Some(event_log(log)),
        bindings: Vec::new(),
        owed: *owed,
        owed_hooks: Vec::new(),
    }
}

/// A space, with its bindings and hooks that it is owed.
pub(super) fn space_description(description: SpaceDescription) -> SpaceInfo {
    let SpaceDescription { entry, log, failures, owed, owed_hooks, bindings } = description;
    let listing = SpaceListing { record: entry.record.clone(), log, failures, owed };
    SpaceInfo {
        bindings: bindings.into_iter().map(binding).collect(),
        owed_hooks: owed_hooks.into_iter().map(owed::hook).collect(),
        ..space_info(&listing)
    }
}

/// A space, from the outcome of the command that created it.
pub(super) fn created(space: &Created) -> SpaceInfo {
    SpaceInfo {
        name: space.name.to_string(),
        id: space.space.0,
        recipe: Some(recipe_ref(&space.recipe)),
        ..SpaceInfo::default()
    }
}

fn hook_failures(HookFailures { count, revision, why }: HookFailures) -> api::HookFailures {
    let fault = why.fault().map_or(0, |fault| fault_to_api(fault).into());
    api::HookFailures { count, revision: revision.0, fault, why: why.to_string() }
}

/// The event log of a space.
pub(super) fn event_log(log: &EventLog) -> api::EventLog {
    let EventLog { compacted, last, events, bytes, oldest_at, retention } = *log;
    let EventRetention { events: most, bytes: most_bytes, age_ms } = retention;
    api::EventLog {
        events,
        bytes,
        oldest_at_ms: oldest_at.map_or(0, |time| time.0),
        compacted_revision: compacted.0,
        last_revision: last.0,
        retention: Some(api::Retention { events: Some(most), bytes: Some(most_bytes), age_ms: Some(age_ms) }),
    }
}

/// A binding.
pub(super) fn binding(NamedBinding { binding, on_failure, bound }: NamedBinding) -> api::Binding {
    let (topic, prefix) = watches::topic_of(&binding.filter);
    let on_failure = match on_failure {
        OnFailure::Reject => api::OnFailure::Reject,
        OnFailure::Skip => api::OnFailure::Skip,
    };
    api::Binding {
        space: binding.handler.to_string(),
        source: binding.source.to_string(),
        topic,
        prefix,
        on_failure: on_failure.into(),
        bound_revision: bound.0,
    }
}

/// The value of the `grpc-timeout` header: at most eight digits and a unit.
pub(super) fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(n * 3_600)),
        "M" => Some(Duration::from_secs(n * 60)),
        "S" => Some(Duration::from_secs(n)),
        "m" => Some(Duration::from_millis(n)),
        "u" => Some(Duration::from_micros(n)),
        "n" => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
