//! Listening: binding addresses, and the limits of HTTP/2 that both ports share.
//!
//! tonic leaves most limits open by default; the constants below say what each one protects from.
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::Server;

use crate::settings::{HostPort, StartError};

/// Streams of one connection at a time; the client library uses one for all calls. Each may bring
/// headers, and a frame that waits for room.
const STREAMS: u32 = 128;
/// A silent connection is pinged this often,
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// and closed when no answer comes within this time.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Reset streams that a connection may leave behind, against rapid resets (CVE-2023-44487).
const RESET_STREAMS: usize = 20;
/// Streams that a connection may have reset by its own mistakes, against the same by other means
/// (CVE-2025-8671).
const MISTAKEN_STREAMS: usize = 64;
/// Largest frame that is taken: HTTP/2's least. What waits for room is at most a frame a stream.
const FRAME_BYTES: u32 = 16 * 1_024;
/// Bytes of a request's headers.
const HEADER_BYTES: u32 = 8 * 1_024;

/// Listens on `address`.
///
/// # Errors
/// [`StartError::Unavailable`] if the address is in use, [`StartError::Usage`] if it is not an
/// address of this host.
pub(crate) async fn bind(address: &HostPort, whom: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind((address.host.as_str(), address.port)).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => StartError::Unavailable(format!(
            "{address} is in use: stop what listens there, or choose another address for {whom}"
        )),
        _ => StartError::Usage(format!("cannot listen for {whom} on {address}: {error}")),
    })
}

/// A server with the limits of both ports.
pub(crate) fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(Some(STREAMS))
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_pending_accept_reset_streams(Some(RESET_STREAMS))
        .http2_max_local_error_reset_streams(Some(MISTAKEN_STREAMS))
        .max_frame_size(Some(FRAME_BYTES))
        .http2_max_header_list_size(Some(HEADER_BYTES))
}

/// Resolves when `stopping` becomes true.
pub(crate) async fn until(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}
