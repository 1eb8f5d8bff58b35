//! Connections to members below the client library, where a benchmark counts messages itself.
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::cli::io::fail::{Exit, Failed};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects to the member at `address`.
pub(super) async fn connect(address: &str) -> Result<Channel, Failed> {
    let failed = |error: tonic::transport::Error| {
        Failed::new(Exit::Unavailable, format!("cannot connect to {address}: {error}"))
    };
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(failed)?;
    endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).connect().await.map_err(failed)
}
