//! The port for clients: its services, message limits, health and reflection.
use std::sync::Arc;

use synod_api::v1::cluster_server::{self, ClusterServer};
use synod_api::v1::recipes_server::{self, RecipesServer};
use synod_api::v1::sessions_server::{self, SessionsServer};
use synod_api::v1::space_admin_server::{self, SpaceAdminServer};
use synod_api::v1::spaces_server::{self, SpacesServer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::service::interceptor::InterceptedService;
use tonic_health::pb::health_server;
use tonic_reflection::pb::v1::server_reflection_server;

use super::Front;
use super::cluster::ClusterService;
use super::cluster_check::ClusterCheck;
use super::deadline::DeadlineLayer;
use super::health;
use super::recipes::RecipesService;
use super::sessions::SessionsService;
use super::space_admin::SpaceAdminService;
use super::spaces::SpacesService;
use crate::server::net::accept::{Limits, connections};
use crate::server::net::listen::{server, until};
use crate::server::net::metered::{MeterLayer, Port};
use crate::server::peer::status::Reporter;

/// HTTP/2 window of a stream, which is what a stream costs that is not read.
const STREAM_WINDOW_BYTES: u32 = 64 * 1_024;
/// HTTP/2 window of a connection: several streams that are not read leave room for others. h2 keeps
/// at most half as much for the overhead of small frames and ends a connection that needs more, so
/// it must be many times the window of a stream.
const CONNECTION_WINDOW_BYTES: u32 = 1_024 * 1_024;

/// Our services on this port.
static SERVICES: [&str; 5] = [
    spaces_server::SERVICE_NAME,
    sessions_server::SERVICE_NAME,
    recipes_server::SERVICE_NAME,
    space_admin_server::SERVICE_NAME,
    cluster_server::SERVICE_NAME,
];

/// The port for clients.
pub(crate) struct ClientPort {
    /// What its services need.
    pub(crate) front: Front,
    /// Reports the status of members.
    pub(crate) reporter: Arc<Reporter>,
}

impl ClientPort {
    /// Serves within `limits` until `stopping`, then waits for open calls to end.
    pub(crate) fn serve(
        self,
        listener: TcpListener,
        limits: Limits,
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
        let check = ClusterCheck(front.identity.clone());
        let (reporting, health_service) = tonic_health::server::health_reporter();
        tokio::spawn(health::report(front.clone(), reporting, &SERVICES));
        let cluster = ClusterServer::new(ClusterService { front, reporter });
        let described = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(synod_api::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        let reflection = SERVICES
            .into_iter()
            .chain([health_server::SERVICE_NAME, server_reflection_server::SERVICE_NAME])
            .fold(described, |described, service| described.with_service_name(service))
            .build_v1()
            .expect("the descriptors that the stubs were made from are valid");
        let incoming = connections(listener, "clients", limits, Port::clients());
        let serving = server()
            .initial_stream_window_size(Some(STREAM_WINDOW_BYTES))
            .initial_connection_window_size(Some(CONNECTION_WINDOW_BYTES))
            .layer(MeterLayer)
            .layer(DeadlineLayer)
            .add_service(health_service)
            .add_service(reflection)
            .add_service(InterceptedService::new(spaces, check.clone()))
            .add_service(InterceptedService::new(sessions, check.clone()))
            .add_service(InterceptedService::new(recipes, check.clone()))
            .add_service(InterceptedService::new(admin, check.clone()))
            .add_service(InterceptedService::new(cluster, check.clone()))
            .serve_with_incoming_shutdown(incoming, until(stopping));
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the client port ended");
            }
        })
    }
}
