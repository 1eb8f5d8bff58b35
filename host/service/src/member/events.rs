//! Events of spaces, administered: bindings, how much of its past a space keeps, compaction, and a
//! space's description.
use std::time::Duration;

use synod_abi::{Revision, SpaceId, SpaceName};
use synod_machine::directory::{self, HookFailures, SpaceRecord};
use synod_machine::events::{self, EventLog};
use synod_machine::owed::{self, OwedRecord};
use synod_machine::{Action, Binding, Caller, EventRetention, Fatal, OnFailure, Reply, StateView};

use super::administer::failed;
use super::call::{space_name, unknown_space};
use super::{Member, View};
use crate::failure::CallFailure;
use crate::ports::{Monotonic, Ports};
use crate::read::{Consistency, SpaceEntry};

/// Hooks that are owed, in a description; a list has all of them.
const DESCRIBED_HOOKS: usize = 16;

/// A space is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Whether it was before, with this filter.
    pub already: bool,
    /// Revision of the command.
    pub revision: Revision,
}

/// What is to change of how much a space keeps of its events; what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionChange {
    /// Events.
    pub events: Option<u64>,
    /// Bytes of their keys and values.
    pub bytes: Option<u64>,
    /// Age by cluster time, in milliseconds.
    pub age_ms: Option<u64>,
}

/// Events were forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionDone {
    /// Every event of this revision or an earlier one is forgotten.
    pub through: Revision,
    /// How many this took away.
    pub events: u64,
}

/// A binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedBinding {
    /// Which events reach whom.
    pub binding: Binding,
    /// What becomes of a command whose event the handler fails at.
    pub on_failure: OnFailure,
    /// Revision that bound it.
    pub bound: Revision,
}

/// A space, with what belongs to it.
#[derive(Clone, Debug)]
pub struct SpaceDescription {
    /// Its record, and its recipe's schema.
    pub entry: SpaceEntry,
    /// What it keeps of its events.
    pub log: EventLog,
    /// The failures of its hooks and handlers, if there were any.
    pub failures: Option<HookFailures>,
    /// How many hooks it is owed.
    pub owed: u32,
    /// The first of them.
    pub owed_hooks: Vec<OwedRecord>,
    /// What it is bound to, then what is bound to it.
    pub bindings: Vec<NamedBinding>,
}

/// A space, in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceListing {
    /// Its record.
    pub record: SpaceRecord,
    /// What it keeps of its events.
    pub log: EventLog,
    /// The failures of its hooks and handlers, if there were any.
    pub failures: Option<HookFailures>,
    /// How many hooks it is owed.
    pub owed: u32,
}

impl SpaceListing {
    pub(super) fn read(view: &impl StateView, record: SpaceRecord) -> Result<Self, Fatal> {
        let (log, failures) =
            (events::event_log(view, record.id)?, directory::hook_failures(view, record.id)?);
        let owed = owed::owed_count(view, record.id)?;
        Ok(Self { record, log, failures, owed })
    }
}

impl<P: Ports> Member<P> {
    /// Binds a space to another's events.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub async fn bind_space(
        &self,
        binding: Binding,
        on_failure: OnFailure,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Bound, CallFailure> {
        let outcome =
            self.propose(Action::BindSpace { binding, on_failure }, caller, self.deadline(timeout)).await?;
        match &outcome.result {
            Ok(Reply::Bound { already }) => Ok(Bound { already: *already, revision: outcome.revision }),
            _ => failed(&outcome),
        }
    }

    /// Takes a binding back.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub async fn unbind_space(
        &self,
        binding: Binding,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Revision, CallFailure> {
        self.done(Action::UnbindSpace { binding }, caller, timeout).await
    }

    /// Sets how much of its past a space keeps; what it keeps now.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub async fn set_event_retention(
        &self,
        space: &str,
        change: RetentionChange,
        caller: Caller,
        timeout: Duration,
    ) -> Result<EventLog, CallFailure> {
        let deadline = self.deadline(timeout);
        let read = |view: &View<P>, SpaceRecord { id, name, .. }| Ok((name, events::event_log(view, id)?));
        let (name, log) = self.present_space(space, deadline, read).await?;
        let EventRetention { events, bytes, age_ms } = log.retention;
        let retention = EventRetention {
            events: change.events.unwrap_or(events),
            bytes: change.bytes.unwrap_or(bytes),
            age_ms: change.age_ms.unwrap_or(age_ms),
        };
        let outcome = self
            .propose(Action::SetEventRetention { name: name.clone(), retention }, caller, deadline)
            .await?;
        if outcome.result.is_err() {
            return failed(&outcome);
        }
        let read = move |view: &View<P>, SpaceRecord { id, .. }| events::event_log(view, id);
        self.space_read(name, read).await
    }

    /// Forgets the events of a space up to `through`, or up to the present.
    ///
    /// # Errors
    /// [`CallFailure`]; some may be forgotten all the same.
    pub async fn compact_events(
        &self,
        space: &str,
        through: Option<Revision>,
        caller: Caller,
        timeout: Duration,
    ) -> Result<CompactionDone, CallFailure> {
        let deadline = self.deadline(timeout);
        let read = |view: &View<P>, SpaceRecord { id, .. }| Ok((id, directory::head(view)?));
        let (space, head) = self.present_space(space, deadline, read).await?;
        let wanted = through.unwrap_or(head.map_or(Revision(0), |head| head.revision));
        let mut taken = 0;
        loop {
            let outcome =
                self.propose(Action::CompactEvents { space, through: wanted }, caller, deadline).await?;
            let Ok(Reply::Compacted { through, events, more }) = outcome.result else {
                return failed(&outcome);
            };
            taken += events;
            if !more {
                return Ok(CompactionDone { through, events: taken });
            }
        }
    }

    /// A space with its recipe's schema, its events, failures and bindings.
    ///
    /// # Errors
    /// [`CallFailure`]; never outcome unknown.
    pub async fn describe_space(
        &self,
        space: &str,
        consistency: Consistency,
        timeout: Duration,
    ) -> Result<SpaceDescription, CallFailure> {
        let name = space_name(space)?;
        self.0.reader.ready(consistency, 0, self.deadline(timeout)).await?;
        let directory = self.0.directory.clone();
        let describe = move |view: &View<P>, record: SpaceRecord| {
            let schema = directory.schema(view, record.module)?;
            let bindings = bindings_of(view, &record.name, record.id)?;
            let owed_hooks = owed::owed_hooks(view, record.id, None, DESCRIBED_HOOKS)?.items;
            let SpaceListing { record, log, failures, owed } = SpaceListing::read(view, record)?;
            let entry = SpaceEntry { record, schema };
            Ok(SpaceDescription { entry, log, failures, owed, owed_hooks, bindings })
        };
        self.space_read(name, describe).await
    }

    /// What `read` reads of the space called `space` once this member is up to date, on one view.
    pub(super) async fn present_space<T: Send + 'static>(
        &self,
        space: &str,
        deadline: Monotonic,
        read: impl FnOnce(&View<P>, SpaceRecord) -> Result<T, Fatal> + Send + 'static,
    ) -> Result<T, CallFailure> {
        let name = space_name(space)?;
        self.0.reader.ready(Consistency::Linearizable, 0, deadline).await?;
        self.space_read(name, read).await
    }

    /// A space, as of the last applied entry.
    ///
    /// # Errors
    /// [`CallFailure`]; never outcome unknown.
    pub async fn find_space(&self, space: &str) -> Result<SpaceRecord, CallFailure> {
        self.space_read(space_name(space)?, |_, record| Ok(record)).await
    }

    async fn space_read<T: Send + 'static>(
        &self,
        name: SpaceName,
        read: impl FnOnce(&View<P>, SpaceRecord) -> Result<T, Fatal> + Send + 'static,
    ) -> Result<T, CallFailure> {
        let wanted = name.clone();
        let found = move |view: &View<P>| match directory::space(view, &wanted)? {
            Some(record) => read(view, record).map(Some),
            None => Ok(None),
        };
        self.read(found).await?.ok_or_else(|| unknown_space(&name).into())
    }
}

/// Those of which `space` is the handler, then those of which it is the source.
fn bindings_of(view: &impl StateView, name: &SpaceName, space: SpaceId) -> Result<Vec<NamedBinding>, Fatal> {
    let mut bindings = Vec::new();
    for (source, filter) in events::bindings_of_handler(view, space)? {
        let record = events::bindings_of_source(view, source)?
            .into_iter()
            .find(|record| record.handler == space && record.filter == filter);
        if let (Some(record), Some(source)) = (record, directory::space_by_id(view, source)?) {
            let binding = Binding { handler: name.clone(), source: source.name, filter };
            bindings.push(NamedBinding {
                binding,
                on_failure: record.stored.on_failure,
                bound: record.stored.bound,
            });
        }
    }
    for record in events::bindings_of_source(view, space)? {
        if let Some(handler) = directory::space_by_id(view, record.handler)? {
            let binding = Binding { handler: handler.name, source: name.clone(), filter: record.filter };
            bindings.push(NamedBinding {
                binding,
                on_failure: record.stored.on_failure,
                bound: record.stored.bound,
            });
        }
    }
    Ok(bindings)
}
