//! Runs a recipe on the real machine, in a test: `TestHost::of::<MyRecipe>()`.
//!
//! The same entries, overlay, limits and digests as in a cluster, over rows in memory and a clock
//! that only the test moves. The recipe's Rust code runs directly. With the feature `wasm`, its
//! compiled module can run instead, on the engine that members use: where the variable
//! `SYNOD_TEST_WASM` names one, as `synod recipe test --wasm` sets it. When a host is dropped,
//! everything that was done is done again, one command an entry and then 32, and must come out the
//! same: a recipe that keeps something in memory or meets a random number is found here.
//!
//! [`TestHost::open_session`] gives a session with a client of its own. What waits in it is started
//! with [`TestHost::start`]; [`TestHost::advance_ms`] fires timers and ends waits.
//! [`TestHost::events`] is what a watch would deliver, and [`TestHost::bind`] has a space react to
//! it. Replays compare what was answered later and what was emitted as well.
//!
//! [`TestHost::fuel_used`] is what the last command cost; where the variable `SYNOD_TEST_FUEL` is a
//! number, a test fails in which a call costs more.
//!
//! What it does not do: agree, store, or lose anything. It is one member without a disk.
mod events;
mod host;
mod reads;
mod replay;
mod session;
mod vm;
#[cfg(feature = "wasm")]
mod wasm;

pub use host::TestHost;
pub use reads::Reads;
pub use session::{Started, TestSession};
pub use synod_machine::directory::{Counts, Head, HookFailures};
pub use synod_machine::events::EventLog;
pub use synod_machine::{
    Action, Binding, Cancelled, DeliveryFailure, EventRetention, LogLine, OnFailure, Outcome, Rejection,
    Reply,
};
