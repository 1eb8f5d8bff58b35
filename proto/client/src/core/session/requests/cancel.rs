//! Cancels: of calls that their callers dropped, and of calls that were refused while an earlier
//! sending of them may still run.
use super::{Place, Requests, has_run};
use crate::{Error, api};

impl Requests {
    /// The caller gave the call up, before its outcome came or before it took the result.
    pub fn abandon(&mut self, id: u64) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match &mut call.place {
            Place::Here if call.sendings == 0 => self.settle(id, false),
            Place::Cancelling { verdict } => *verdict = None,
            Place::Here | Place::Flight { .. } | Place::Delivered => {
                self.place(id, Place::Cancelling { verdict: None });
                self.cancels.insert(id);
            }
        }
    }

    /// The next request to cancel on the cluster, if any; its cancel counts as under way. The
    /// cancel of a request that may not have run waits for all requests before it: a cancelled
    /// request no longer holds back the later ones.
    pub fn next_cancel(&mut self) -> Option<u64> {
        let ran = |id: &u64| has_run(&self.calls, *id);
        let barrier = self.running.iter().find(|id| !ran(id)).copied();
        let id = self.cancels.iter().find(|id| barrier == Some(**id) || ran(id)).copied()?;
        self.cancels.remove(&id);
        Some(id)
    }

    /// The cancel was answered: `was` is what it found, none if that cannot be learned. Returns the
    /// error for the caller, if it still waits.
    pub fn cancelled(&mut self, id: u64, was: Option<api::Cancelled>) -> Option<Error> {
        let call = self.calls.get(&id)?;
        let Place::Cancelling { verdict } = &call.place else { return None };
        let verdict = verdict.clone().map(|error| match was {
            Some(api::Cancelled::NotRun | api::Cancelled::Waiting | api::Cancelled::Granted) => error,
            _ => may_have_run(&error),
        });
        self.settle(id, false);
        if was != Some(api::Cancelled::NotRun) {
            self.acks.insert(id, None);
        }
        verdict
    }

    /// The cancel failed and is to be sent again. Returns the error for the caller, if it still
    /// waits.
    pub fn cancel_failed(&mut self, id: u64) -> Option<Error> {
        let Place::Cancelling { verdict } = &mut self.calls.get_mut(&id)?.place else { return None };
        let verdict = verdict.take();
        self.cancels.insert(id);
        verdict.as_ref().map(may_have_run)
    }
}

fn may_have_run(error: &Error) -> Error {
    Error::OutcomeUnknown(format!(
        "an earlier sending of the call may have run; the last one was refused: {error}"
    ))
}
