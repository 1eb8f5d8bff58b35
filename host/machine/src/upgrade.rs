//! What an upgrade without migration may change: it may only append.
//!
//! Rows stay as they are and callers that were built before still call, so a state field keeps its
//! kind, its keys and the shape of its values, where enums may gain variants at their end;
//! operations and queries stay, may gain optional arguments at their end, and their results and
//! errors may gain variants. Hooks may be added; one that is there stays, because sessions, parked
//! calls, timers and bindings of the old version rely on it, and reads the payloads of timers that
//! were set before. What is emitted may gain variants at its end: events of the old version are
//! read as the new one's. Whether an operation waits may change. Documentation may change; names
//! may not, as JSON shows them.
use alloc::string::{String, ToString};

use synod_abi::schema::{Emits, EntryPointSchema, Errors, Field, Hooks, Schema, StateField, Type};

use crate::log::rejection::{Change, Incompatible};

/// Whether spaces of `old` can run `new` on the rows that they have.
///
/// # Errors
/// The first change that is not allowed, in the order of the old schema.
pub fn check_upgrade(old: &Schema, new: &Schema) -> Result<(), Incompatible> {
    for field in &old.fields {
        check_field(field, new).map_err(|change| Incompatible { name: field.name.clone(), change })?;
    }
    for (old, new) in [(&old.operations, &new.operations), (&old.queries, &new.queries)] {
        for point in old {
            let same = new.iter().find(|other| other.name == point.name);
            same.map_or(Err(Change::Removed), |new| check_entry_point(point, new))
                .map_err(|change| Incompatible { name: point.name.clone(), change })?;
        }
    }
    check_hooks(&old.hooks, &new.hooks)?;
    check_emits(old.emits.as_ref(), new.emits.as_ref())
        .map_err(|change| Incompatible { name: "emits".to_string(), change })
}

/// The refusal of an upgrade to a version that is not newer than `version`.
pub(crate) fn not_newer(version: u32) -> Incompatible {
    let name: String = version.to_string();
    Incompatible { name, change: Change::NotNewer }
}

/// Hooks have no names of their own: they are called by their attributes.
fn check_hooks(old: &Hooks, new: &Hooks) -> Result<(), Incompatible> {
    let refused = |name: &str, change| Err(Incompatible { name: name.to_string(), change });
    if old.session_end && !new.session_end {
        return refused("on_session_end", Change::Removed);
    }
    if old.cancel && !new.cancel {
        return refused("on_cancel", Change::Removed);
    }
    if old.event && !new.event {
        return refused("on_event", Change::Removed);
    }
    match (&old.timer, &new.timer) {
        (Some(_), None) => refused("on_timer", Change::Removed),
        (Some(old), Some(new)) if !extends(old, new) => refused("on_timer", Change::Arguments),
        _ => Ok(()),
    }
}

fn check_emits(old: Option<&Emits>, new: Option<&Emits>) -> Result<(), Change> {
    match (old, new) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(Change::Removed),
        (Some(old), Some(new)) if extends(&old.shape, &new.shape) => Ok(()),
        (Some(_), Some(_)) => Err(Change::Payload),
    }
}

fn check_field(old: &StateField, new: &Schema) -> Result<(), Change> {
    let new = new.fields.iter().find(|field| field.prefix == old.prefix).ok_or(Change::Removed)?;
    if new.kind != old.kind {
        return Err(Change::Kind);
    }
    if !same(&old.key, &new.key) {
        return Err(Change::Key);
    }
    if extends(&old.value, &new.value) { Ok(()) } else { Err(Change::Value) }
}

fn check_entry_point(old: &EntryPointSchema, new: &EntryPointSchema) -> Result<(), Change> {
    let (kept, appended) = new.args.split_at_checked(old.args.len()).ok_or(Change::Arguments)?;
    let optional = appended.iter().all(|arg| matches!(arg.shape, Type::Option(_)));
    if !optional || !fields(&old.args, kept, extends) {
        return Err(Change::Arguments);
    }
    if !extends(&old.result, &new.result) {
        return Err(Change::Result);
    }
    if errors_extend(old.errors.as_ref(), new.errors.as_ref()) { Ok(()) } else { Err(Change::Errors) }
}

fn errors_extend(old: Option<&Errors>, new: Option<&Errors>) -> bool {
    match (old, new) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(old), Some(new)) => {
            new.codes.starts_with(&old.codes)
                && extends(&Type::Enum(old.shape.clone()), &Type::Enum(new.shape.clone()))
        }
    }
}

/// Whether whatever has the shape `old` can be read as `new`.
fn extends(old: &Type, new: &Type) -> bool {
    match (old, new) {
        (Type::Enum(old), Type::Enum(new)) => {
            old.name == new.name
                && old.variants.len() <= new.variants.len()
                && old
                    .variants
                    .iter()
                    .zip(&new.variants)
                    .all(|(a, b)| a.name == b.name && fields(&a.fields, &b.fields, extends))
        }
        _ => alike(old, new, extends),
    }
}

/// Whether two shapes differ in their documentation at most.
fn same(old: &Type, new: &Type) -> bool {
    match (old, new) {
        (Type::Enum(a), Type::Enum(b)) => {
            a.variants.len() == b.variants.len() && extends(old, new) && extends(new, old)
        }
        _ => alike(old, new, same),
    }
}

fn alike(old: &Type, new: &Type, inner: fn(&Type, &Type) -> bool) -> bool {
    match (old, new) {
        (Type::Option(a), Type::Option(b)) | (Type::List(a), Type::List(b)) => inner(a, b),
        (Type::Map(a, b), Type::Map(c, d)) => inner(a, c) && inner(b, d),
        (Type::Tuple(a), Type::Tuple(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| inner(a, b)),
        (Type::Struct(a), Type::Struct(b)) => a.name == b.name && fields(&a.fields, &b.fields, inner),
        _ => old == new,
    }
}

fn fields(old: &[Field], new: &[Field], inner: fn(&Type, &Type) -> bool) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(a, b)| a.name == b.name && inner(&a.shape, &b.shape))
}

#[cfg(test)]
mod tests;
