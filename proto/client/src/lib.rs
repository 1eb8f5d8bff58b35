//! The client library of Synod: calls and queries of recipes, and the administration of recipes,
//! spaces and the cluster.
//!
//! Two halves. [`core`] decides without I/O, clock or randomness: which member to try next, whether
//! trying again is safe, how long to wait, what of a watch is new; it is tested as tables.
//! [`shell`] carries it out over tonic: one call stream per member with many calls in flight, one
//! stream with any number of watches, reconnecting, learning the members.
//!
//! Outside of a session it tries again only what is surely not applied, and says
//! [`Error::OutcomeUnknown`] otherwise: a lost reply to a call that changes something stays
//! unknown. In a [`Session`] every call has its effect once and is tried again until it has its
//! outcome; calls may wait for others; and what is bound to the session is released when its client
//! is gone.
//!
//! A [`Watch`] tells the events of a space, each once and in order, and goes on at another member
//! when one fails; a [`Cache`] keeps a query's result up to date by one, and says how fresh it is.
//!
//! ```no_run
//! # async fn example() -> Result<(), synod_client::Error> {
//! let synod = synod_client::connect("127.0.0.1:7070").await?;
//! let taken = synod.call_json("limits", "take", r#"{"key": "api", "n": 1}"#).await?;
//! println!("{} at revision {}", taken.value, taken.revision);
//! # Ok(())
//! # }
//! ```
//!
//! ```no_run
//! # async fn example() -> Result<(), synod_client::Error> {
//! use std::time::Duration;
//!
//! let synod = synod_client::connect("127.0.0.1:7070").await?;
//! let ttl = Duration::from_secs(15);
//! let session = synod.session().ttl(ttl).label("billing, host 7").open().await?;
//! // Takes effect once, whatever fails on the way.
//! let one = session.call_json("counter", "add", r#"{"key": "invoices", "by": 1}"#).await?;
//! println!("{} at revision {}", one.value, one.revision);
//! tokio::select! {
//!     () = session.lost() => eprintln!("stop what relies on the session, now"),
//!     () = tokio::time::sleep(Duration::from_secs(60)) => session.close().await?,
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod core;
mod error;
pub mod shell;

pub use error::{Error, RecipeError, Refusal, WatchError};
pub use shell::{
    Answer, Cache, CacheBuilder, CacheState, Client, Detached, Follow, Form, Json, OneQuery, Options,
    Postcard, Session, SessionBuilder, SessionState, Snapshot, Typed, Watch, WatchBuilder, WatchEvent,
    WatchItem, WatchState, connect,
};
pub use synod_abi::{
    CallError, EncodedError, EventPayload, RawCall, RawError, RawQuery, RawReply, TopicFilter, Transport,
};
/// The types of the gRPC surface, as the administration methods return them.
pub use synod_api::v1 as api;
