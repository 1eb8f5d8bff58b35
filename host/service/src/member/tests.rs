//! Members on a log that the tests drive: batching, forwarding, changes of leaders, deadlines,
//! sessions, and what callers are told.
mod agreement;
mod availability;
mod callers;
mod clocks;
mod expiry;
mod leases;
mod parked;
mod proposals;
mod reads;
mod requests;
mod schedules;
mod sessions;
mod timers;

use crate::failure::{CallFailure, Rejected};

fn rejection<T: std::fmt::Debug>(result: Result<T, CallFailure>) -> Rejected {
    match result {
        Err(CallFailure::Rejected(rejected)) => *rejected,
        other => panic!("expected a rejection, got {other:?}"),
    }
}
