//! What holds of a log and of answers' places in it, whatever the operations mean.
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;

use super::{Logged, Place, Witnessed};
use crate::violation::{Property, Violation};

pub(super) fn check<I: Eq + Debug, O: Debug>(
    log: &[Logged<I>],
    operations: &[Witnessed<I, O>],
) -> Result<(), Violation> {
    well_formed(log, operations)?;
    let logged = once(log)?;
    as_asked(&logged, operations)?;
    nothing_else(log, operations)?;
    real_time(&logged, operations)
}

/// Effects by operation.
type ById<'a, I> = HashMap<u64, &'a Logged<I>>;

fn fail<T>(property: Property, why: String) -> Result<T, Violation> {
    Err(Violation::new(property, why))
}

/// The record is one that a cluster can be judged by.
fn well_formed<I: Debug, O: Debug>(
    log: &[Logged<I>],
    operations: &[Witnessed<I, O>],
) -> Result<(), Violation> {
    if let Some([first, second]) =
        log.array_windows().find(|[first, second]| first.revision > second.revision)
    {
        return fail(Property::WellFormed, format!("the log goes back: {first:?}, then {second:?}"));
    }
    let mut ids = HashSet::new();
    for Witnessed { id, operation, place } in operations {
        if !ids.insert(id) {
            return fail(Property::WellFormed, format!("two operations have the id {id}: {operation}"));
        }
        if operation.answer()?.is_some() != place.is_some() {
            let why = format!("an answer has a revision, an unknown outcome has none: {operation}");
            return fail(Property::WellFormed, why);
        }
    }
    Ok(())
}

/// No operation took effect twice.
fn once<I: Debug>(log: &[Logged<I>]) -> Result<ById<'_, I>, Violation> {
    let mut by_id = HashMap::new();
    for logged in log {
        if let Some(id) = logged.id
            && let Some(before) = by_id.insert(id, logged)
        {
            let why = format!("operation {id} took effect twice: {before:?}, {logged:?}");
            return fail(Property::Once, why);
        }
    }
    Ok(by_id)
}

/// What was answered is in the log where the answer says, and as it was asked for.
fn as_asked<I: Eq + Debug, O: Debug>(
    logged: &ById<'_, I>,
    operations: &[Witnessed<I, O>],
) -> Result<(), Violation> {
    for Witnessed { id, operation, place } in operations {
        let found = logged.get(id);
        if let Some(found) = found.filter(|found| found.input != operation.input) {
            let why = format!("the log has another input than was sent: {found:?}, sent by {operation}");
            return fail(Property::Logged, why);
        }
        let why = match (place, found) {
            (Some(Place::Write(revision)), None) => {
                format!("an effect that was answered for revision {revision} is not in the log: {operation}")
            }
            (Some(Place::Write(revision)), Some(found)) if found.revision != *revision => {
                format!("an effect that was answered for revision {revision} is elsewhere: {found:?}")
            }
            (Some(Place::Read(revision)), Some(found)) => format!(
                "it was to have changed nothing at revision {revision}, but the log has it: {found:?}"
            ),
            _ => continue,
        };
        return fail(Property::Logged, why);
    }
    Ok(())
}

/// The log has no operation that nobody recorded: one that surely had no effect is not recorded.
fn nothing_else<I: Debug, O>(log: &[Logged<I>], operations: &[Witnessed<I, O>]) -> Result<(), Violation> {
    let ids: HashSet<u64> = operations.iter().map(|witnessed| witnessed.id).collect();
    match log.iter().find(|logged| logged.id.is_some_and(|id| !ids.contains(&id))) {
        Some(logged) => fail(
            Property::Phantom,
            format!("an operation took effect that no client sent, or that surely had none: {logged:?}"),
        ),
        None => Ok(()),
    }
}

/// What returned before another one was called has its place before it. So no read is stale, and
/// no answer shows an effect that was asked for after the answer came.
fn real_time<I: Debug, O: Debug>(
    logged: &ById<'_, I>,
    operations: &[Witnessed<I, O>],
) -> Result<(), Violation> {
    let mut returned: Vec<_> = operations
        .iter()
        .filter_map(|witnessed| Some((witnessed.operation.returned?, witnessed.place?, witnessed)))
        .collect();
    returned.sort_by_key(|(time, ..)| *time);
    let mut returned = returned.into_iter().peekable();
    let mut invoked: Vec<_> = operations.iter().collect();
    invoked.sort_by_key(|witnessed| witnessed.operation.invoked);
    let mut last: Option<(u64, &Witnessed<I, O>)> = None;
    for witnessed in invoked {
        while let Some((_, place, before)) =
            returned.next_if(|(time, ..)| *time < witnessed.operation.invoked)
        {
            if last.is_none_or(|(revision, _)| revision < place.revision()) {
                last = Some((place.revision(), before));
            }
        }
        let effect = logged.get(&witnessed.id).map(|logged| Place::Write(logged.revision));
        let Some(place) = witnessed.place.or(effect) else { continue };
        let Some((revision, before)) = last else { continue };
        let fits = match place {
            Place::Write(at) => at > revision,
            Place::Read(at) => at >= revision,
        };
        if !fits {
            return fail(
                Property::RealTime,
                format!(
                    "the later one has the earlier place:\n    {}, at {:?}, returned before\n    {} was \
                        called, which has its place at {place:?}",
                    before.operation, before.place, witnessed.operation
                ),
            );
        }
    }
    Ok(())
}
