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
//!
//! Some of what is allowed is noticed by clients that were compiled with the old version:
//! [`upgrade_notes`] lists it for people.
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

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

/// Something that an upgrade may change and that somebody notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeNote {
    /// The operation, query or hook; `emits`: what it emits.
    pub name: String,
    /// What is new about it.
    pub notice: Notice,
}

/// A change that is allowed and that somebody notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An operation that answered at once may wait.
    StartsWaiting,
    /// An operation that may have waited answers at once.
    StopsWaiting,
    /// Its result has variants that old clients do not know.
    ResultGains,
    /// Its errors have variants that old clients do not know.
    ErrorsGain,
    /// Events have variants that old clients do not know.
    EventsGain,
    /// The hook for the end of sessions is new.
    SessionEndAdded,
}

/// What an upgrade from `old` to `new` that [`check_upgrade`] allows changes for those who use the
/// space: in the order of the old schema.
pub fn upgrade_notes(old: &Schema, new: &Schema) -> Vec<UpgradeNote> {
    let mut notes = Vec::new();
    for (old, new) in [(&old.operations, &new.operations), (&old.queries, &new.queries)] {
        for point in old {
            if let Some(new) = new.iter().find(|other| other.name == point.name) {
                let noticed = entry_point_notices(point, new);
                notes.extend(noticed.map(|notice| UpgradeNote { name: point.name.clone(), notice }));
            }
        }
    }
    let mut add = |name: &str, notice| notes.push(UpgradeNote { name: name.to_string(), notice });
    if !old.hooks.session_end && new.hooks.session_end {
        add("on_session_end", Notice::SessionEndAdded);
    }
    if let (Some(old), Some(new)) = (&old.emits, &new.emits)
        && !same(&old.shape, &new.shape)
    {
        add("emits", Notice::EventsGain);
    }
    notes
}

fn entry_point_notices(old: &EntryPointSchema, new: &EntryPointSchema) -> impl Iterator<Item = Notice> {
    let waiting = match (old.waits, new.waits) {
        (false, true) => Some(Notice::StartsWaiting),
        (true, false) => Some(Notice::StopsWaiting),
        (false, false) | (true, true) => None,
    };
    let result = (!same(&old.result, &new.result)).then_some(Notice::ResultGains);
    let errors_gain = new.errors.is_some() && !errors_extend(new.errors.as_ref(), old.errors.as_ref());
    let errors = errors_gain.then_some(Notice::ErrorsGain);
    [waiting, result, errors].into_iter().flatten()
}

impl fmt::Display for UpgradeNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.notice {
            Notice::StartsWaiting => write!(
                f,
                "`{name}` may wait now: a call that does is answered in a session only, and not when another \
                    space sends it"
            ),
            Notice::StopsWaiting => write!(
                f,
                "`{name}` does not wait any more: calls that wait stay until they are completed, given up, \
                    or their session ends"
            ),
            Notice::ResultGains => write!(
                f,
                "the result of `{name}` has new variants: a client of the former version that gets one is \
                    told that the call was applied and that its result cannot be read"
            ),
            Notice::ErrorsGain => write!(
                f,
                "`{name}` refuses for new reasons: a client of the former version that gets one is told its \
                    code only"
            ),
            Notice::EventsGain => {
                f.write_str("events have new variants, which clients of the former version cannot read")
            }
            Notice::SessionEndAdded => write!(
                f,
                "`{name}` is new: it also runs for sessions that called the space before the upgrade"
            ),
        }
    }
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
