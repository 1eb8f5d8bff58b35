//! Where a watch starts, and why it may not: checked against one view of the state, so that no
//! event lies between what the client reads and what its watch gets.
use std::time::Duration;

use synod_abi::schema::Schema;
use synod_abi::{Revision, SpaceId, SpaceName, Time, TopicFilter};
use synod_machine::directory::{self, Head};
use synod_machine::events::{self, EventLog};
use synod_planted::{Bug, is_planted};

use super::call::{space_name, unknown_space};
use super::{Args, Member, QueryOptions, View};
use crate::failure::{CallFailure, Reason, Rejected, Value};
use crate::ports::{Monotonic, Ports};
use crate::read::{Consistency, SpaceEntry};
use crate::watch::{Begin, End, EventForm, WatchId};

/// Where a watch starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// After everything that was acknowledged before the request.
    Now,
    /// At this revision.
    Revision(Revision),
    /// At the oldest event that is kept.
    Oldest,
    /// After the state that a query reads.
    Query {
        /// Its name.
        query: String,
        /// Its arguments; its result has their form.
        args: Args,
        /// How it reads.
        options: QueryOptions,
    },
}

/// A watch to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWatch {
    /// Chosen by the client, from 1; not that of another watch of the stream.
    pub id: WatchId,
    /// The space.
    pub space: String,
    /// Which of its events.
    pub filter: TopicFilter,
    /// Where it starts.
    pub start: WatchStart,
    /// The form of payloads.
    pub form: EventForm,
    /// Of the type as which the client decodes postcard, see `synod_abi::schema::Emits`; 0: any.
    pub signature: u64,
    /// The id that the space must have, when a client resumes.
    pub space_id: Option<SpaceId>,
}

/// What a view of the state has for a new watch.
struct Start {
    space: SpaceEntry,
    /// Everything up to here is compacted.
    compacted: Revision,
    /// The watch gets the events after this revision.
    revision: Revision,
    time: Time,
    result: Option<Value>,
}

impl<P: Ports> Member<P> {
    /// Decides where a watch starts.
    pub(super) async fn start_watch(&self, new: NewWatch, timeout: Duration) -> Result<Begin, End> {
        let deadline = self.deadline(timeout);
        space_name(&new.space)?;
        new.filter.check().map_err(|error| Rejected::new(Reason::InvalidTopic, error.to_string()))?;
        let start = match &new.start {
            WatchStart::Query { query, args, options } => {
                self.start_with_query(&new.space, query, args.clone(), *options, timeout).await?
            }
            WatchStart::Revision(Revision(0)) => {
                let message = "a watch starts at a revision from 1; for all kept events, start at the oldest";
                return Err(Rejected::new(Reason::InvalidRevision, message).into());
            }
            WatchStart::Revision(revision) => {
                let ready = self.ready(Consistency::Serializable, revision.0 - 1, deadline).await;
                ready.map_err(|failure| named(failure, *revision))?;
                self.start_in_view(&new, deadline).await?
            }
            WatchStart::Now | WatchStart::Oldest => {
                self.ready(Consistency::Linearizable, 0, deadline).await?;
                self.start_in_view(&new, deadline).await?
            }
        };
        self.check_start(new, start).await
    }

    async fn start_with_query(
        &self,
        space: &str,
        query: &str,
        args: Args,
        options: QueryOptions,
        timeout: Duration,
    ) -> Result<Start, End> {
        let (answer, space) = self.query(space, query, args, options, timeout).await?;
        Ok(Start {
            space,
            compacted: Revision(0),
            revision: answer.revision,
            time: answer.time,
            result: Some(answer.value),
        })
    }

    /// Looks for the space in this member's state; if it isn't there, again once this member is up
    /// to date.
    async fn start_in_view(&self, new: &NewWatch, deadline: Monotonic) -> Result<Start, End> {
        let name = space_name(&new.space)?;
        let mut found = self.space_and_log(&name).await?;
        if found.is_none() {
            self.ready(Consistency::Linearizable, 0, deadline).await?;
            found = self.space_and_log(&name).await?;
        }
        let Some((space, head, log)) = found else {
            let deleted = new.space_id.map(|id| End::deleted(name.as_str(), id));
            return Err(deleted.unwrap_or_else(|| unknown_space(&name).into()));
        };
        let present = head.map_or(Revision(0), |head| head.revision);
        let revision = match new.start {
            WatchStart::Revision(revision) if is_planted(Bug::WatchSkips) => revision,
            WatchStart::Revision(revision) if is_planted(Bug::WatchRepeats) => {
                Revision(revision.0.saturating_sub(2))
            }
            WatchStart::Revision(revision) => Revision(revision.0 - 1),
            WatchStart::Oldest => log.compacted,
            WatchStart::Now | WatchStart::Query { .. } => present,
        };
        let time = head.map_or(Time(0), |head| head.time);
        Ok(Start { space, compacted: log.compacted, revision, time, result: None })
    }

    /// A space, the head and what the space keeps of its events, of one moment.
    async fn space_and_log(
        &self,
        name: &SpaceName,
    ) -> Result<Option<(SpaceEntry, Option<Head>, EventLog)>, CallFailure> {
        let (cache, name) = (self.0.directory.clone(), name.clone());
        let read = move |view: &View<P>| {
            let Some(space) = cache.space_in(view, &name)? else { return Ok(None) };
            let log = events::event_log(view, space.record.id)?;
            Ok(Some((space, directory::head(view)?, log)))
        };
        self.read(read).await
    }

    async fn check_start(&self, new: NewWatch, start: Start) -> Result<Begin, End> {
        let Start { space, compacted, revision, time, result } = start;
        let id = space.record.id;
        let name = space.record.name.clone();
        if let Some(wanted) = new.space_id.filter(|wanted| *wanted != id) {
            return Err(End::deleted(name.as_str(), wanted));
        }
        if new.form == EventForm::Postcard && new.signature != 0 {
            self.check_emits(&space, new.signature).await?;
        }
        if revision < compacted && !is_planted(Bug::ForgottenNotTold) {
            return Err(End::compacted(name.as_str(), Revision(revision.0 + 1), compacted));
        }
        let NewWatch { filter, form, .. } = new;
        Ok(Begin { space: id, name, schema: space.schema, filter, form, revision, time, result })
    }

    /// Refuses a watch that decodes payloads as another type than that of the space, or of an
    /// earlier installed version.
    async fn check_emits(&self, entry: &SpaceEntry, signature: u64) -> Result<(), CallFailure> {
        let known =
            move |schema: &Schema| schema.emits.as_ref().is_some_and(|emits| emits.signature == signature);
        if known(&entry.schema) {
            return Ok(());
        }
        let (directory, present) = (self.0.directory.clone(), entry.clone());
        if self.read(move |view| directory.earlier_version(view, &present, known)).await? {
            return Ok(());
        }
        let recipe = &entry.record.recipe;
        let message = format!(
            "the caller was built with another type of events than that of {recipe} or an earlier installed \
                version; rebuild it with the installed recipe, or ask for JSON"
        );
        Err(Rejected::new(Reason::SchemaMismatch, message).into())
    }
}

/// The failure of a watch that starts at `wanted`, by that number: the member waited for the one
/// before.
fn named(failure: CallFailure, wanted: Revision) -> CallFailure {
    match failure {
        CallFailure::Rejected(rejected) if rejected.reason == Reason::RevisionNotReached => {
            let message = format!(
                "events from revision {wanted} on are wanted, but the cluster has not reached the one \
                    before it; was it taken from another cluster?"
            );
            CallFailure::Rejected(Box::new(Rejected { message, ..*rejected }))
        }
        failure => failure,
    }
}
