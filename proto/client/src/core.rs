//! The client's decisions, as pure functions of what happened and when: no I/O, clock, thread or
//! randomness.
//!
//! Time comes in as milliseconds of any steadily growing clock, jitter as a number: so every
//! decision is a table of tests, and a simulated client decides as a real one does.

mod asking;
mod backoff;
mod endpoints;
mod liveness;
mod majority;
mod retry;
mod router;
mod session;
mod watch;

pub use asking::{Asking, Terms, Turn};
pub use backoff::{Backoff, mix};
pub use endpoints::parse_endpoints;
pub use liveness::{Beat, Liveness};
pub use majority::missing_majority;
pub use retry::{Decision, Effect, FullMembers, Policy, Trouble};
pub use router::{Follow, Pick, Router};
pub use session::{
    Landed, Lifetime, MAX_PENDING, MAX_RUNNING, Patience, Requests, Sending, SessionState, Step, Touch,
};
pub use watch::{Begin, Next, REVISION_BYTES, REVISION_EVENTS, Watching, Whole};
