//! An outcome on its way from the apply thread to the call that waits for it.
//!
//! The call may be taken up late: that of a stream whose client does not read is not polled. So an
//! outcome of more than a few bytes takes room of its client's connection when it is sent, until
//! its call is done with it. Without room it is dropped, and the call ends as "outcome unknown": a
//! call of a session may be sent again and gets the outcome then.
use std::ops::Deref;
use std::sync::Arc;

use synod_machine::{Outcome, Rejection, Reply};

use crate::failure::{ProposalError, ProposalResult};
use crate::ports::{Kept, ReplyRoom};

/// Outcomes up to this length take no room; the number of calls bounds them.
const SHORT_BYTES: usize = 256;

/// Where outcomes for one client take room; none if they are for this member itself.
pub(crate) type Room = Option<Arc<dyn ReplyRoom>>;

/// What became of a proposal.
pub(crate) type DeliveryResult = Result<Delivered, ProposalError>;

/// An outcome and its room.
#[derive(Debug)]
pub(crate) struct Delivered {
    outcome: Outcome,
    _kept: Option<Kept>,
}

impl Deref for Delivered {
    type Target = Outcome;

    fn deref(&self) -> &Outcome {
        &self.outcome
    }
}

impl PartialEq for Delivered {
    fn eq(&self, other: &Self) -> bool {
        self.outcome == other.outcome
    }
}

impl Delivered {
    /// The outcome, which takes no room any more.
    pub(crate) fn into_outcome(self) -> Outcome {
        self.outcome
    }
}

/// `result` with its room, or what the call gets instead.
pub(crate) fn deliver(result: ProposalResult, room: &Room) -> DeliveryResult {
    let outcome = result?;
    let bytes = length(&outcome);
    let _kept = match room {
        Some(room) if bytes > SHORT_BYTES => Some(room.keep(bytes).ok_or_else(|| no_room(bytes))?),
        _ => None,
    };
    Ok(Delivered { outcome, _kept })
}

fn length(outcome: &Outcome) -> usize {
    match &outcome.result {
        Ok(Reply::Result(bytes)) => bytes.0.len(),
        Err(Rejection::Recipe { error, .. }) => error.0.len(),
        Ok(_) | Err(_) => 0,
    }
}

fn no_room(bytes: usize) -> ProposalError {
    ProposalError::OutcomeUnknown(format!(
        "the command was carried out, but its result of {bytes} bytes was dropped: this connection has as \
            many replies that its client has not read as one may have; read them, and send a call of a \
            session again to get its result"
    ))
}

#[cfg(test)]
mod tests;
