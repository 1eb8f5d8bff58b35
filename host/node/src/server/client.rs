//! The client port: the services of `proto/v1/synod.proto`. They translate between prost types and
//! the service crate's, which no prost type passes, and decide nothing.
mod admitted;
mod call_stream;
mod cluster;
mod cluster_check;
mod context;
mod convert;
mod deadline;
pub(super) mod fuzzing;
mod health;
mod leaving;
mod owed;
mod paging;
mod port;
mod recipes;
mod sessions;
mod space_admin;
mod spaces;
mod watch_stream;
mod watches;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use synod_abi::{Revision, SpaceId, Time};
use synod_api::status_of_failure;
use synod_api::v1::Header;
use synod_machine::Fatal;
use synod_machine::directory::{self, SpaceRecord};
use synod_service::{Availability, CallFailure, Problem, UnavailableReason};
use synod_vm::compile::COMPILE_TIMEOUT_MS;
use tonic::{Request, Status};

use crate::server::net::identity::Identity;
use crate::server::ports::{NodeMember, NodeRaft};

use self::leaving::Leaving;

pub(crate) use self::port::ClientPort;
pub(crate) use self::watches::encode_event;

/// How long an installation may take, unless a call may take longer: waiting for another module's
/// compiler, and compiling, each at its limit.
const INSTALL_TIMEOUT: Duration = Duration::from_millis(2 * COMPILE_TIMEOUT_MS);

/// What every service of the client port needs.
#[derive(Clone)]
pub(crate) struct Front {
    /// Who this member is.
    pub(crate) identity: Arc<Identity>,
    /// Its logic.
    pub(crate) member: NodeMember,
    /// Its consensus, for the term.
    pub(crate) raft: NodeRaft,
    /// How long a call may wait.
    pub(crate) call_timeout: Duration,
    /// Whether an install may replace.
    pub(crate) replace: bool,
}

impl Front {
    fn header(&self, revision: Revision, time: Time) -> Header {
        Header {
            cluster_id: self.identity.cluster().map(|cluster| cluster.0.to_vec()).unwrap_or_default(),
            member_id: self.identity.me.0,
            term: self.raft.term_state().term,
            revision: revision.0,
            time_ms: time.0,
        }
    }

    fn present_header(&self) -> Header {
        self.header(Revision(self.member.applied().revision.get()), self.member.applied().time())
    }

    /// The spaces that have these ids; none where one is deleted.
    async fn spaces_by_id(
        &self,
        ids: BTreeSet<SpaceId>,
    ) -> Result<BTreeMap<SpaceId, Option<SpaceRecord>>, CallFailure> {
        let read = move |view: &_| {
            ids.into_iter()
                .map(|id| Ok((id, directory::space_by_id(view, id)?)))
                .collect::<Result<_, Fatal>>()
        };
        self.member.read(read).await
    }

    /// The status of a failed unary call.
    fn status(&self, failure: CallFailure) -> Status {
        status_of_failure(&convert::failure(self, failure))
    }

    /// Resolves with the reason when this member stops.
    fn stopping(&self) -> impl Future<Output = CallFailure> + Send + 'static + use<> {
        self.when(|now| now.has(Problem::Stopping).then_some(Problem::Stopping))
    }

    fn when(
        &self,
        cause: fn(Availability) -> Option<Problem>,
    ) -> impl Future<Output = CallFailure> + Send + 'static + use<> {
        let standing = self.member.standing().clone();
        async move {
            let mut now = standing.get();
            loop {
                match cause(now) {
                    Some(problem) => return problem.into(),
                    None => now = standing.changed(now).await,
                }
            }
        }
    }

    /// `replies`, ended by the reason as its status when this member keeps no clients any more.
    fn until_leaving<T: Send + 'static>(
        &self,
        replies: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> BoxStream<'static, Result<T, Status>> {
        self.until(Availability::leaves_clients, replies)
    }

    /// `replies`, ended by the reason as its status when there is a `cause`.
    fn until<T: Send + 'static>(
        &self,
        cause: fn(Availability) -> Option<Problem>,
        replies: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> BoxStream<'static, Result<T, Status>> {
        let front = self.clone();
        let leaving = self.when(cause).map(move |failure| front.status(failure));
        Leaving::new(replies.boxed(), leaving.boxed()).boxed()
    }

    /// When the client of `request` stops waiting, if it says so.
    fn deadline<T>(&self, request: &Request<T>) -> Option<Instant> {
        Instant::now().checked_add(asked_timeout(request)?)
    }

    /// Waits until `deadline` for the reply to a parked call.
    async fn by<T>(
        &self,
        deadline: Option<Instant>,
        answer: impl Future<Output = Result<T, CallFailure>>,
    ) -> Result<T, CallFailure> {
        match deadline {
            None => answer.await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), answer)
                .await
                .unwrap_or_else(|_| Err(still_waiting())),
        }
    }

    /// How long `request` may wait: as long as its client says, but not longer than this member's
    /// limit.
    fn timeout<T>(&self, request: &Request<T>) -> Duration {
        asked_timeout(request).map_or(self.call_timeout, |asked| asked.min(self.call_timeout))
    }

    /// The same for an installation: compiling may take longer than a call.
    fn install_timeout<T>(&self, request: &Request<T>) -> Duration {
        let longest = INSTALL_TIMEOUT.max(self.call_timeout);
        asked_timeout(request).map_or(longest, |asked| asked.min(longest))
    }
}

fn asked_timeout<T>(request: &Request<T>) -> Option<Duration> {
    let asked = convert::grpc_timeout(request.metadata().get("grpc-timeout")?.to_str().ok()?)?;
    Some(deadline::own_limit(asked))
}

fn still_waiting() -> CallFailure {
    CallFailure::OutcomeUnknown(
        "the call still waits; send it again, with the same request id, to hear its outcome".to_owned(),
    )
}

/// The failure of a call when this member has stopped.
fn stopped(fatal: Fatal) -> CallFailure {
    CallFailure::unavailable(
        UnavailableReason::ShuttingDown,
        format!("this member stopped: {fatal}; use another one"),
    )
}
