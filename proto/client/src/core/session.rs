//! What a session decides: [`Requests`], which calls to send when and with which numbers, so that
//! each has its effect once and all run in their order; and [`Lifetime`], when to give a sign of
//! life and until when the session may be relied upon.
//!
//! Two clocks come in as milliseconds: any steadily growing one for requests, and for the lifetime
//! one that goes on while the machine sleeps, because the cluster's does.

mod lifetime;
mod pace;
mod requests;

pub use lifetime::{Lifetime, SessionState, Touch};
pub use requests::{Landed, MAX_PENDING, MAX_RUNNING, Patience, Requests, Sending, Step};

#[cfg(test)]
mod tests;
