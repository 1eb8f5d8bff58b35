//! The client library of Synod: calls and queries of recipes, and the administration of recipes, spaces and the cluster.
//!
//! Two halves. [`core`] decides without I/O, clock or randomness: which member to try next, whether trying again is safe, how
//! long to wait; it is tested as tables. [`shell`] carries it out over tonic: one call stream per member with many calls in flight,
//! reconnecting, learning the members.
//!
//! It tries again only what is surely not applied, and says [`Error::OutcomeUnknown`] otherwise. It keeps no session, so a lost
//! reply to a call that changes something stays unknown to it.
//!
//! ```no_run
//! # async fn example() -> Result<(), synod_client::Error> {
//! let synod = synod_client::connect("127.0.0.1:7070").await?;
//! let taken = synod.call_json("limits", "take", r#"{"key": "api", "n": 1}"#).await?;
//! println!("{} at revision {}", taken.value, taken.revision);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod core;
mod error;
pub mod shell;

pub use error::{Error, RecipeError, Refusal};
pub use shell::{Answer, Client, Follow, Options, connect};
pub use synod_abi::{CallError, RawCall, RawError, RawQuery, RawReply, Transport};
/// The types of the gRPC surface, as the administration methods return them.
pub use synod_api::v1 as api;
