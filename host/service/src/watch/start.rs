//! Where a watch begins: checked against one view of the state, so that nothing lies between what
//! it read and what it gets.
use std::time::Duration;

use synod_abi::{Revision, Time};
use synod_machine::{directory, events};

use super::deliver::{compacted, deleted};
use super::event::WatchedSpace;
use super::hub::{Begin, refused};
use super::{EventForm, NewWatch, WatchId, WatchStart, WatchStream, WatchUpdate};
use crate::failure::{CallFailure, Reason, Rejected, Value};
use crate::member::{space_name, unknown_space};
use crate::ports::{Monotonic, Ports};
use crate::read::Consistency;
use crate::read::SpaceEntry;

/// Why a watch does not begin, as its stream is told.
pub(super) type Refusal = Box<dyn FnOnce(WatchId) -> WatchUpdate + Send>;

impl From<CallFailure> for Refusal {
    fn from(failure: CallFailure) -> Self {
        Box::new(move |id| refused(id, failure))
    }
}

impl<P: Ports> WatchStream<P> {
    /// Where a watch begins, or why it does not.
    pub(super) async fn start(&self, new: NewWatch, timeout: Duration) -> Result<Begin, Refusal> {
        let deadline = self.member.deadline(timeout);
        let name = space_name(&new.space)?;
        new.filter
            .check()
            .map_err(|error| CallFailure::from(Rejected::new(Reason::InvalidTopic, error.to_string())))?;
        let asked = match &new.start {
            WatchStart::Revision(Revision(0)) => {
                let message =
                    "a watch begins at a revision from 1; for everything that is kept, begin with the oldest";
                return Err(CallFailure::from(Rejected::new(Reason::InvalidRevision, message)).into());
            }
            WatchStart::Revision(revision) => Some(*revision),
            WatchStart::Now | WatchStart::Oldest | WatchStart::Query { .. } => None,
        };
        if let WatchStart::Query { query, args, options } = new.start.clone() {
            let (answer, entry) = self.member.query_in(&name, &query, args, options, deadline).await?;
            let log = events::EventLog::default();
            return self.checked(&new, entry, log, answer.revision, answer.time, Some(answer.value));
        }
        match asked {
            Some(revision) => {
                let ready = self.member.ready(Consistency::Serializable, revision.0 - 1, deadline).await;
                ready.map_err(|failure| named(failure, revision))?;
            }
            None => self.member.ready(Consistency::Linearizable, 0, deadline).await?,
        }
        self.in_view(&new, asked, deadline).await
    }

    /// The space in the present state of this member; one that is not known is looked for once this
    /// member is up to date.
    async fn in_view(
        &self,
        new: &NewWatch,
        asked: Option<Revision>,
        deadline: Monotonic,
    ) -> Result<Begin, Refusal> {
        let name = space_name(&new.space)?;
        let mut view = self.member.view()?;
        let mut entry = self.member.fatal(self.member.parts_of_watches().directory.space_in(&view, &name))?;
        if entry.is_none() {
            self.member.ready(Consistency::Linearizable, 0, deadline).await?;
            view = self.member.view()?;
            entry = self.member.fatal(self.member.parts_of_watches().directory.space_in(&view, &name))?;
        }
        let Some(entry) = entry else {
            let gone = new.space_id.map(|id| deleted(name.as_str(), id));
            return Err(gone.unwrap_or_else(|| unknown_space(&name).into()).into());
        };
        let head = self.member.fatal(directory::head(&view))?;
        let (present, time) = head.map_or((Revision(0), Time(0)), |head| (head.revision, head.time));
        let log = self.member.fatal(events::event_log(&view, entry.record.id))?;
        let revision = match (asked, &new.start) {
            (Some(asked), _) => Revision(asked.0 - 1),
            (None, WatchStart::Oldest) => log.compacted,
            (None, _) => present,
        };
        self.checked(new, entry, log, revision, time, None)
    }

    fn checked(
        &self,
        new: &NewWatch,
        entry: SpaceEntry,
        log: events::EventLog,
        revision: Revision,
        time: Time,
        result: Option<Value>,
    ) -> Result<Begin, Refusal> {
        let (id, name) = (entry.record.id, entry.record.name.clone());
        if let Some(wanted) = new.space_id.filter(|wanted| *wanted != id) {
            return Err(deleted(name.as_str(), wanted).into());
        }
        if new.form == EventForm::Postcard && new.signature != 0 {
            self.member.check_emits(&entry, new.signature)?;
        }
        if revision < log.compacted {
            let (wanted, through) = (Revision(revision.0 + 1), log.compacted);
            let failure = compacted(&WatchedSpace::new(id, name, entry.schema), wanted, through);
            return Err(Box::new(move |id| {
                let next = Revision(through.0.saturating_add(1));
                WatchUpdate::Cancelled {
                    id,
                    failure: Some(failure),
                    resume: Some(next),
                    compacted: Some(through),
                }
            }));
        }
        let (filter, form, schema) = (new.filter.clone(), new.form, entry.schema);
        Ok(Begin { space: id, name, schema, filter, form, revision, time, result })
    }
}

/// The failure of a watch that was to begin with `wanted`, which its client knows by that number.
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
