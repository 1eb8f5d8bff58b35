//! The listening sockets of a member, and its two services on them.
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::build::Built;
use super::client::{ClientPort, Front};
use super::net::accept::Limits;
use super::net::descriptors::Descriptors;
use super::net::listen;
use super::net::owner::Ends;
use super::peer::hello::Greeter;
use super::peer::port::PeerPort;
use super::peer::promise::Promiser;
use super::peer::replace::Replacer;
use super::peer::service::PeerService;
use super::peer::status::Reporter;
use crate::settings::{ServerOptions, StartError};

/// The bound sockets. Clients and members that connect before they are served wait.
pub(super) struct Sockets {
    clients: TcpListener,
    members: Option<TcpListener>,
    client_address: String,
}

impl Sockets {
    /// Binds what `options` name.
    ///
    /// # Errors
    /// An address is in use, or is not one of this host.
    pub(super) async fn bind(options: &ServerOptions) -> Result<Self, StartError> {
        let clients = listen::bind(&options.client_addr, "clients").await?;
        let members = match &options.peer_addr {
            Some(address) => Some(listen::bind(address, "members").await?),
            None => None,
        };
        let client_address = match &options.client_advertise {
            Some(address) => address.to_string(),
            None => clients.local_addr().map_err(StartError::fatal)?.to_string(),
        };
        Ok(Self { clients, members, client_address })
    }

    /// Where clients connect.
    pub(super) fn client_address(&self) -> &str {
        &self.client_address
    }
}

/// The served ports of a member.
pub(super) struct Serving {
    /// How this member introduces itself.
    pub(super) greeter: Arc<Greeter>,
    clients: JoinHandle<()>,
    members: Option<JoinHandle<()>>,
    stop_clients: watch::Sender<bool>,
    stop_members: watch::Sender<bool>,
}

impl Serving {
    /// Serves `built` on `sockets`, with as many connections as `descriptors` allow, and tells
    /// `ends` of those of members; `started` is when the process began to start.
    pub(super) fn start(
        options: &ServerOptions,
        built: &Built,
        sockets: Sockets,
        descriptors: Descriptors,
        ends: Ends,
        started: Instant,
    ) -> Self {
        let Sockets { clients, members, client_address } = sockets;
        let greeter = Arc::new(Greeter {
            identity: built.identity.clone(),
            roster: built.roster.clone(),
            raft: built.raft.clone(),
        });
        let reporter = Arc::new(Reporter {
            identity: built.identity.clone(),
            roster: built.roster.clone(),
            peers: built.peers.clone(),
            greeter: greeter.clone(),
            raft: built.raft.clone(),
            log: built.store.clone(),
            member: built.member.clone(),
            client_address,
            environments: built.environments.clone(),
            started,
        });
        let (stop_clients, clients_stopping) = watch::channel(false);
        let (stop_members, members_stopping) = watch::channel(false);
        let front = Front {
            identity: built.identity.clone(),
            member: built.member.clone(),
            raft: built.raft.clone(),
            call_timeout: Duration::from_millis(options.call_timeout_ms),
            replace: options.replace,
        };
        let client_port = ClientPort { front, reporter: reporter.clone() };
        let clients = client_port.serve(clients, Limits::of(descriptors.clients), clients_stopping);
        let members = members.map(|listener| {
            let service = PeerService {
                identity: built.identity.clone(),
                raft: built.raft.clone(),
                member: built.member.clone(),
                compiler: built.compiler.clone(),
                greeter: greeter.clone(),
                reporter,
                promiser: Promiser {
                    file: built.file.clone(),
                    identity: built.identity.clone(),
                    roster: built.roster.clone(),
                    replaces: options.replace_lost,
                    crash_at: options.crash_at.clone(),
                },
                replacer: Replacer {
                    raft: built.raft.clone(),
                    peers: built.peers.clone(),
                    greeter: greeter.clone(),
                },
                roster: built.roster.clone(),
            };
            PeerPort(service).serve(listener, Limits::of(descriptors.peers), ends, members_stopping)
        });
        Self { greeter, clients, members, stop_clients, stop_members }
    }

    /// Reports clients that this member stops serving, takes no new connections from them, and ends
    /// their keep-alive streams.
    pub(super) fn stop_clients(&self) {
        self.stop_clients.send_replace(true);
    }

    /// Closes both ports; calls of clients have `grace` to end.
    pub(super) async fn close(self, grace: Duration) {
        self.stop_members.send_replace(true);
        if tokio::time::timeout(grace, self.clients).await.is_err() {
            tracing::debug!("connections were still open when the member stopped");
        }
        // Peers keep their streams open for ever, and the consensus that would serve them has
        // stopped.
        self.members.iter().for_each(JoinHandle::abort);
    }
}
