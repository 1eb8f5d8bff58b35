//! The server half: start-up, gRPC services, peers.
use crate::options::{ServerOptions, StartError};

/// Runs a member until it is told to stop.
pub(crate) async fn run(options: ServerOptions) -> Result<(), StartError> {
    Err(StartError::Unavailable(format!("this build has no server half yet: {options:?}")))
}
