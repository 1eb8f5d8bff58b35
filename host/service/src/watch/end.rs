//! Why a watch ends or is not created, and where its client can resume.
//!
//! The messages of all these failures stand here; the members' rules that lead to them do not.
use synod_abi::{Revision, SpaceId};

use super::limits::WATCH_UNREAD_BYTES;
use super::update::{WatchId, WatchUpdate};
use crate::failure::{CallFailure, Reason, Rejected};

/// How a watch ends. One that is not created ends, too.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// Its client cancelled it.
    ByClient { resume: Revision },
    /// The member ends it; its client can resume, perhaps on another member.
    ByMember { failure: CallFailure, resume: Revision },
    /// Events it wants were compacted; later ones can be watched.
    Compacted { failure: CallFailure, through: Revision },
    /// It cannot be resumed: the request is refused, or its space is deleted.
    Refused(CallFailure),
}

impl From<CallFailure> for End {
    fn from(failure: CallFailure) -> Self {
        Self::Refused(failure)
    }
}

impl From<Rejected> for End {
    fn from(rejected: Rejected) -> Self {
        Self::Refused(rejected.into())
    }
}

impl End {
    /// The update that the client gets.
    pub(super) fn update(self, id: WatchId) -> WatchUpdate {
        let (failure, resume, compacted) = match self {
            Self::ByClient { resume } => (None, Some(resume), None),
            Self::ByMember { failure, resume } => (Some(failure), Some(resume), None),
            Self::Compacted { failure, through } => (Some(failure), Some(after(through)), Some(through)),
            Self::Refused(failure) => (Some(failure), None, None),
        };
        WatchUpdate::Cancelled { id, failure, resume, compacted }
    }

    /// Events of `space` from `wanted` on were asked for, and those up to `through` are compacted.
    pub(crate) fn compacted(space: &str, wanted: Revision, through: Revision) -> Self {
        let message = format!(
            "the events of `{space}` from revision {wanted} on are wanted, but those up to {through} are \
                compacted; read its state with a query, and watch from there"
        );
        Self::Compacted { failure: Rejected::new(Reason::Compacted, message).into(), through }
    }

    /// The space with this id does not exist; its name may belong to another one.
    pub(crate) fn deleted(name: &str, id: SpaceId) -> Self {
        let message = format!(
            "the space `{name}` with the number {id} was deleted; a space that has this name now is another \
                one"
        );
        Rejected::new(Reason::SpaceDeleted, message).into()
    }
}

/// The revision after `revision`.
pub(super) fn after(revision: Revision) -> Revision {
    Revision(revision.0.saturating_add(1))
}

/// `who` has as many watches as it may have.
pub(super) fn too_many(who: &str, name: &'static str, limit: usize) -> CallFailure {
    let message =
        format!("{who} has {limit} watches, the maximum; cancel some, or watch prefixes of topics instead");
    Rejected::new(Reason::TooManyWatches, message).at_limit(name, limit as u64).into()
}

/// The transport of a stream took nothing for too long.
pub(super) fn too_slow() -> CallFailure {
    let message = format!(
        "more than {WATCH_UNREAD_BYTES} bytes of events waited for this client, and it took none; watch \
            again from the revision given"
    );
    Rejected::new(Reason::WatchTooSlow, message)
        .at_limit("WATCH_UNREAD_BYTES", WATCH_UNREAD_BYTES as u64)
        .into()
}

/// A client cancels a watch that its stream does not have.
pub(super) fn unknown_watch(id: WatchId) -> CallFailure {
    let message = format!("the stream has no watch {}; it may have ended before", id.0);
    Rejected::new(Reason::UnknownWatch, message).into()
}

/// A client creates a watch with the id of another one.
pub(super) fn watch_exists(id: WatchId) -> CallFailure {
    let message = format!("the stream already has a watch {}, which is not affected; count ids up", id.0);
    Rejected::new(Reason::WatchExists, message).into()
}

/// A client creates a watch with the id 0.
pub(super) fn watch_zero() -> CallFailure {
    Rejected::new(Reason::InvalidRequest, "the id of a watch is at least 1").in_field("watch_id").into()
}
