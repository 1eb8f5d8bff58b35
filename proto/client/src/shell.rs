//! Carries out what [`core`](crate::core) decides, over tonic and tokio.

mod admin;
mod client;
mod flights;
mod link;
mod options;
mod session;
mod sessions;
mod transport;

pub use client::{Answer, Client, connect};
pub use options::Options;
pub use session::{Detached, Session, SessionBuilder};

pub use crate::core::{Follow, SessionState};
