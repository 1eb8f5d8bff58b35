//! How a session begins: opened, or taken up where another client left it.
use std::sync::Arc;
use std::time::Duration;

use synod_abi::SessionId;
use synod_api::v1::sessions_client::SessionsClient;
use synod_api::v1::{KeepAliveRequest, OpenSessionRequest, TtlPolicy};

use super::{Session, clock};
use crate::Error;
use crate::core::{Effect, Lifetime};
use crate::error::missing;
use crate::shell::admin::sized;
use crate::shell::attempts::Pace;
use crate::shell::client::Client;
use crate::shell::link::Link;
use crate::shell::trouble::trouble_of;

/// Asks for a session: see [`Client::session`].
#[derive(Clone)]
#[must_use = "nothing is opened before `open`"]
pub struct SessionBuilder {
    client: Client,
    ttl_ms: u64,
    ttl_policy: TtlPolicy,
    label: String,
    within: Duration,
}

impl SessionBuilder {
    /// How long the session is to live without a sign of life; otherwise the cluster's default. The
    /// shorter, the sooner what it holds is free after its client died; the longer, the longer an
    /// interruption that it survives.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        self
    }

    /// Takes the nearest time to live that the cluster allows, if it does not allow the wanted one;
    /// otherwise that is refused.
    pub fn nearest_ttl(mut self) -> Self {
        self.ttl_policy = TtlPolicy::Nearest;
        self
    }

    /// What people see in lists of sessions: who, and where.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// How long opening may take, if that is less than the client's patience.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Opens the session, and keeps it alive from now on. Tried again on any member by the client's
    /// policy; it is one session even so.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Refused`] with the reason `TTL_OUT_OF_BOUNDS` or `LABEL_TOO_LONG`
    /// for what its name says.
    pub async fn open(self) -> Result<Session, Error> {
        let Self { client, ttl_ms, ttl_policy, label, within } = self;
        let secret: [u8; 16] = random()?;
        let request = OpenSessionRequest {
            nonce: random::<16>()?.to_vec(),
            secret: secret.to_vec(),
            ttl_ms,
            ttl_policy: ttl_policy as i32,
            label,
        };
        let first_sent_ms = clock::now_ms();
        let request = &request;
        let open = |channel| async move {
            sized!(SessionsClient, channel).open(request.clone()).await.map_err(|status| trouble_of(&status))
        };
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let pace = Pace::Until(client.now_ms().saturating_add(within_ms));
        let reply = client.unary(Effect::Idempotent, pace, open).await?;
        client.heard(reply.header.as_ref());
        let id =
            reply.session.as_slice().try_into().map(SessionId).map_err(|_| missing("session of 16 bytes"))?;
        let life = Lifetime::new(reply.ttl_ms, first_sent_ms, client.options().policy.backoff);
        if life.remaining_ms(clock::now_ms()) == 0 {
            return client.resume(id, secret, 1).await;
        }
        Ok(Session::start(client, (id, secret), user()?, 1, life))
    }
}

impl Client {
    /// A session to be opened.
    ///
    /// ```no_run
    /// # async fn example(synod: synod_client::Client) -> Result<(), synod_client::Error> {
    /// let ttl = std::time::Duration::from_secs(10);
    /// let session = synod.session().ttl(ttl).nearest_ttl().label("worker 3").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn session(&self) -> SessionBuilder {
        let (client, label) = (self.clone(), String::new());
        SessionBuilder { client, ttl_ms: 0, ttl_policy: TtlPolicy::Exact, label, within: Duration::MAX }
    }

    /// Takes up a session that another client has let go, by [`Session::detach`] or because it
    /// died, and keeps it alive from now on. Requests are counted from `next_request_id`, and
    /// whatever is below is acknowledged: `last_request_id + 1` of [`Client::describe_session`] if
    /// nothing is known. At most one client may have a session at a time.
    ///
    /// # Errors
    /// [`Error::SessionExpired`] if there is no such session, [`Error::Refused`] if the secret is
    /// wrong, or see [`Error`].
    pub async fn resume(
        &self,
        session: SessionId,
        secret: [u8; 16],
        next_request_id: u64,
    ) -> Result<Session, Error> {
        let touch = |link: Arc<Link>, timeout_ms: u64| async move {
            let sent_ms = clock::now_ms();
            let request = KeepAliveRequest { session: session.0.to_vec(), secret: secret.to_vec(), tag: 0 };
            link.touch(request, timeout_ms).await.map(|reply| (sent_ms, reply))
        };
        let (sent_ms, reply) = self.run(Effect::Idempotent, Pace::Usual, touch).await?;
        if reply.ended {
            return Err(Error::SessionExpired(
                "there is no such session: it was closed, it expired, or it never was".into(),
            ));
        }
        let life = Lifetime::new(reply.ttl_ms, sent_ms, self.options().policy.backoff);
        Ok(Session::start(self.clone(), (session, secret), user()?, next_request_id, life))
    }
}

/// Who this handle is among those that have the session's token; not 0, which is nobody.
fn user() -> Result<u64, Error> {
    random().map(|bytes: [u8; 8]| u64::from_be_bytes(bytes).max(1))
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Internal(format!("this machine has no random numbers: {error}")))?;
    Ok(bytes)
}
