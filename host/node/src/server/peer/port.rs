//! The port for other members: one service, message limits and HTTP/2 windows.
use synod_api::peer::peer_server::PeerServer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::service::PeerService;
use crate::server::net::accept::{Limits, connections};
use crate::server::net::listen::{server, until};
use crate::server::net::metered::{MeterLayer, Port};
use crate::server::net::owner::Ends;
use crate::server::net::peers::PEER_MESSAGE_BYTES;

/// HTTP/2 windows: a batch of entries fits.
const WINDOW_BYTES: u32 = 4 * 1_024 * 1_024;

/// The port for other members.
pub(crate) struct PeerPort(pub(crate) PeerService);

impl PeerPort {
    /// Serves within `limits` until `stopping`, and tells when members' connections end.
    pub(crate) fn serve(
        self,
        listener: TcpListener,
        limits: Limits,
        ends: Ends,
        stopping: watch::Receiver<bool>,
    ) -> JoinHandle<()> {
        let peers = PeerServer::new(self.0)
            .max_decoding_message_size(PEER_MESSAGE_BYTES)
            .max_encoding_message_size(PEER_MESSAGE_BYTES);
        let incoming = connections(listener, "members", limits, Port::members(ends));
        let serving = server()
            .initial_stream_window_size(Some(WINDOW_BYTES))
            .initial_connection_window_size(Some(WINDOW_BYTES))
            .layer(MeterLayer)
            .add_service(peers)
            .serve_with_incoming_shutdown(incoming, until(stopping));
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the peer port ended");
            }
        })
    }
}
