//! Carries out what [`core`](crate::core) decides, over tonic and tokio.

mod admin;
mod attempts;
mod cache;
mod census;
mod client;
mod flights;
mod lane;
mod link;
mod one_query;
mod options;
mod session;
mod sessions;
mod stranger;
mod transport;
mod trouble;
mod watch;
mod wire;

pub use cache::{Cache, CacheBuilder, CacheState, Snapshot};
pub use client::{Answer, Client, connect};
pub use one_query::OneQuery;
pub use options::Options;
pub use session::{Detached, Session, SessionBuilder};
pub use watch::{Form, Json, Postcard, Typed, Watch, WatchBuilder, WatchEvent, WatchItem, WatchState};

pub use crate::core::{Follow, SessionState};
