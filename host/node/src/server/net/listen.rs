//! The two ports: limits of the transport, health, reflection, and how serving ends.
//!
//! tonic's defaults leave most of it unlimited; what is set here, and why, is in the constants.
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use synod_api::peer::peer_server::PeerServer;
use synod_api::v1::cluster_server::{self, ClusterServer};
use synod_api::v1::recipes_server::{self, RecipesServer};
use synod_api::v1::sessions_server::{self, SessionsServer};
use synod_api::v1::space_admin_server::{self, SpaceAdminServer};
use synod_api::v1::spaces_server::{self, SpacesServer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server;
use tonic_reflection::pb::v1::server_reflection_server;

use super::grpc::{ClusterService, Front, RecipesService, SessionsService, SpaceAdminService, SpacesService};
use super::peer_service::PeerService;
use super::peers::PEER_MESSAGE_BYTES;
use super::status::Reporter;
use crate::settings::{HostPort, StartError};

/// Streams of one connection at a time; the client library uses one for all calls.
const STREAMS: u32 = 1_024;
/// A silent connection is asked for a sign of life this often,
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// and closed when none comes for so long.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Reset streams that a connection may leave behind, against rapid resets (CVE-2023-44487).
const RESET_STREAMS: usize = 20;
/// Bytes of a request's headers.
const HEADER_BYTES: u32 = 8 * 1_024;
/// HTTP/2 window of a client's stream.
const CLIENT_STREAM_WINDOW_BYTES: u32 = 256 * 1_024;
/// HTTP/2 window of a client's connection.
const CLIENT_CONNECTION_WINDOW_BYTES: u32 = 2 * 1_024 * 1_024;
/// HTTP/2 windows between members: a batch of entries fits.
const PEER_WINDOW_BYTES: u32 = 4 * 1_024 * 1_024;

/// What is ours on the port for clients.
const SERVICES: [&str; 5] = [
    spaces_server::SERVICE_NAME,
    sessions_server::SERVICE_NAME,
    recipes_server::SERVICE_NAME,
    space_admin_server::SERVICE_NAME,
    cluster_server::SERVICE_NAME,
];

/// Listens.
///
/// # Errors
/// [`StartError::Unavailable`] if somebody else does, [`StartError::Usage`] if the address is none
/// of this host's.
pub(crate) async fn bind(address: &HostPort, whom: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind((address.host.as_str(), address.port)).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => StartError::Unavailable(format!(
            "{address} is in use: stop what listens there, or choose another address for {whom}"
        )),
        _ => StartError::Usage(format!("cannot listen for {whom} on {address}: {error}")),
    })
}

/// Resolves at SIGTERM or SIGINT.
pub(crate) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be listened for");
    tokio::select! {
        _ = terminate.recv() => tracing::info!("told to stop by SIGTERM"),
        _ = interrupt.recv() => tracing::info!("told to stop by SIGINT"),
    }
}

fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(Some(STREAMS))
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_pending_accept_reset_streams(Some(RESET_STREAMS))
        .http2_max_header_list_size(Some(HEADER_BYTES))
}

/// What connects. tonic sets the socket options of listeners that it makes itself only; without
/// this one, small answers wait for delayed acknowledgements, 40 ms at a time.
fn connections(listener: TcpListener) -> impl Stream<Item = std::io::Result<TcpStream>> {
    TcpListenerStream::new(listener)
        .map(|connection| connection.and_then(|stream| stream.set_nodelay(true).map(|()| stream)))
}

async fn until(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// The port for clients.
pub(crate) struct ClientPort {
    /// What its services stand on.
    pub(crate) front: Front,
    /// Says how members are.
    pub(crate) reporter: Arc<Reporter>,
}

impl ClientPort {
    /// Serves until `stopping`, then lets open calls end.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        stopping: watch::Receiver<bool>,
    ) -> JoinHandle<()> {
        let Self { front, reporter } = self;
        let limited = (synod_api::REQUEST_BYTES, synod_api::REPLY_BYTES);
        let spaces = SpacesServer::new(SpacesService(front.clone()))
            .max_decoding_message_size(limited.0)
            .max_encoding_message_size(limited.1);
        let sessions =
            SessionsServer::new(SessionsService(front.clone())).max_encoding_message_size(limited.1);
        let recipes = RecipesServer::new(RecipesService(front.clone()))
            .max_decoding_message_size(limited.0)
            .max_encoding_message_size(limited.1);
        let admin =
            SpaceAdminServer::new(SpaceAdminService(front.clone())).max_encoding_message_size(limited.1);
        let cluster = ClusterServer::new(ClusterService { front, reporter });
        let (health, health_service) = tonic_health::server::health_reporter();
        for service in SERVICES {
            health.set_service_status(service, ServingStatus::Serving).await;
        }
        let described = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(synod_api::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        let reflection = SERVICES
            .into_iter()
            .chain([health_server::SERVICE_NAME, server_reflection_server::SERVICE_NAME])
            .fold(described, |described, service| described.with_service_name(service))
            .build_v1()
            .expect("the descriptors that the stubs were made from are valid");
        let ending = until(stopping).then(|()| async move {
            for service in SERVICES.into_iter().chain([""]) {
                health.set_service_status(service, ServingStatus::NotServing).await;
            }
        });
        let serving = server()
            .initial_stream_window_size(Some(CLIENT_STREAM_WINDOW_BYTES))
            .initial_connection_window_size(Some(CLIENT_CONNECTION_WINDOW_BYTES))
            .add_service(health_service)
            .add_service(reflection)
            .add_service(spaces)
            .add_service(sessions)
            .add_service(recipes)
            .add_service(admin)
            .add_service(cluster)
            .serve_with_incoming_shutdown(connections(listener), ending);
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the client port ended");
            }
        })
    }
}

/// The port for other members.
pub(crate) struct PeerPort(pub(crate) PeerService);

impl PeerPort {
    /// Serves until `stopping`.
    pub(crate) fn serve(self, listener: TcpListener, stopping: watch::Receiver<bool>) -> JoinHandle<()> {
        let peers = PeerServer::new(self.0)
            .max_decoding_message_size(PEER_MESSAGE_BYTES)
            .max_encoding_message_size(PEER_MESSAGE_BYTES);
        let serving = server()
            .initial_stream_window_size(Some(PEER_WINDOW_BYTES))
            .initial_connection_window_size(Some(PEER_WINDOW_BYTES))
            .add_service(peers)
            .serve_with_incoming_shutdown(connections(listener), until(stopping));
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the peer port ended");
            }
        })
    }
}
