//! A member as its gRPC shell sees it: calls, queries, recipes, spaces, status. Every failure is a
//! [`CallFailure`], so that the shell only maps.
//!
//! Nothing is decided here that other members have to agree on: what is checked before proposing is
//! checked again by the machine, and only spares the log what would be rejected anyway.
mod administer;
mod agree;
mod call;
mod events;
mod keep;
mod owed;
mod session;
mod start;
mod watch_start;
mod watches;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use synod_abi::{Revision, SpaceName, Time};
use synod_machine::directory::Head;
use synod_machine::{Action, Caller, DigestRecord, Fatal, Outcome};

use crate::agreement::Agreement;
use crate::agreement::scrubs::Scrubs;
use crate::apply::LogRing;
use crate::availability::{Problem, Standing};
use crate::clocks::{Clocks, OwnClocks};
use crate::failure::{CallFailure, Rejected, UnavailableReason, Value};
use crate::lead::{Checkpoints, Observer};
use crate::parked::ParkedCalls;
use crate::ports::{
    ClockReading, ForwardLink, Leadership, Monotonic, Ports, ReplyRoom, Runtime, Store, blocking,
};
use crate::progress::{Progress, lock};
use crate::propose::{self, ForwardError, Proposer, ProposerStats};
use crate::read::{AppliedState, Consistency, DirectoryCache, Reader, SpaceEntry};
use crate::sessions::touches::{TouchServer, Touches};
use crate::sessions::{SessionKey, Sessions};
use crate::watch::{Delivery, Hub};

pub use administer::{Created, Installed, NewSpace, SpaceMade};
pub use events::{Bound, CompactionDone, NamedBinding, RetentionChange, SpaceDescription, SpaceListing};
pub use session::{Lease, NewSession, SessionAnswer, SessionOpened, UserRequest, Waiting};
pub use start::MemberParts;
pub use watch_start::{NewWatch, WatchStart};
pub use watches::WatchStream;

/// Arguments of a call or query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Args {
    /// A JSON object of named arguments; empty text stands for none. Answered in JSON.
    Json(String),
    /// postcard of the tuple of arguments. Answered in postcard.
    Postcard {
        /// The bytes.
        bytes: Vec<u8>,
        /// Signature of the operation as the caller was compiled with it, see `synod_abi::schema`.
        signature: u64,
    },
}

/// Who calls, and where outcomes take room until they are taken up.
#[derive(Clone, Debug, Default)]
pub struct Asker {
    /// In whose name.
    pub caller: Caller,
    /// The room; none if outcomes need none.
    pub room: Option<Arc<dyn ReplyRoom>>,
}

impl From<Caller> for Asker {
    fn from(caller: Caller) -> Self {
        Self { caller, room: None }
    }
}

/// The answer to a call or query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallAnswer {
    /// The result, in the form of the arguments.
    pub value: Value,
    /// Revision of the command; of a query: that of the state it read.
    pub revision: Revision,
    /// Cluster time.
    pub time: Time,
}

/// How a query reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryOptions {
    /// How fresh.
    pub consistency: Consistency,
    /// The read waits until the state has this revision; 0: any.
    pub at_least_revision: u64,
    /// The caller's session, if it has one; the query does not run unless the secret is right.
    pub session: Option<SessionKey>,
}

/// What a member knows about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Term, leader, role.
    pub leadership: Leadership,
    /// The head of its state: what it counts, its revision, its time.
    pub head: Head,
    /// Index of the last applied entry, with the digests after it.
    pub applied: DigestRecord,
    /// The last entry at which its digests were compared with the leader's, and equal; 0: none.
    pub agreed_at: u64,
    /// Watches that clients have on this member.
    pub watches: u64,
    /// What its proposer did.
    pub proposer: ProposerStats,
}

/// Rows of a member's store.
type View<P> = <<P as Ports>::Store as Store>::View;

/// A member. Clones share it.
pub struct Member<P: Ports>(Arc<Inner<P>>);

struct Inner<P: Ports> {
    runtime: P::Runtime,
    standing: Standing,
    clocks: Clocks,
    agreement: Agreement,
    scrubs: Scrubs,
    checkpoints: Checkpoints,
    observer: Observer,
    store: P::Store,
    queries: Arc<P::Queries>,
    preparer: Arc<P::Preparer>,
    proposer: Proposer,
    reader: Reader<P::Runtime, P::Replication>,
    directory: DirectoryCache,
    applied: AppliedState,
    logs: LogRing,
    sessions: Sessions,
    parked: ParkedCalls,
    touches: Touches,
    touch_server: TouchServer<P::Runtime, P::Replication>,
    watches: Hub,
    delivery: Delivery<P::Runtime, P::Store>,
    failure: Mutex<Option<Fatal>>,
    failed: Progress,
}

impl<P: Ports> Clone for Member<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Ports> fmt::Debug for Member<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Member").field(&self.0.proposer).finish()
    }
}

impl<P: Ports> Member<P> {
    /// What is known of the applied state: index, revision, digests.
    pub fn applied(&self) -> &AppliedState {
        &self.0.applied
    }

    /// What recipes wrote for people on this member.
    pub fn logs(&self) -> &LogRing {
        &self.0.logs
    }

    /// Whether it can do its work, and what is observed of that.
    pub fn standing(&self) -> &Standing {
        &self.0.standing
    }

    #[cfg(test)]
    pub(crate) fn clocks(&self) -> &Clocks {
        &self.0.clocks
    }

    /// What this member's clocks show: the answer to another member's question.
    pub fn read_clocks(&self) -> ClockReading {
        self.0.clocks.read()
    }

    /// How this member's clocks compare with those of the others.
    pub fn own_clocks(&self) -> OwnClocks {
        self.0.clocks.own()
    }

    /// Another member asks for this one's digests after an entry after which it had `theirs`; none
    /// if that is not known any more.
    pub fn digests_asked(&self, theirs: DigestRecord) -> Option<DigestRecord> {
        self.0.agreement.asked(theirs)
    }

    /// What is wrong with it, for people.
    pub fn describe(&self, problem: Problem) -> String {
        match problem {
            Problem::WallClock => format!("its wall clock is {}: is NTP running?", self.own_clocks()),
            Problem::Divergence => self.0.agreement.problem().unwrap_or_else(|| problem.to_string()),
            _ => problem.to_string(),
        }
    }

    /// The proposer, for counts.
    pub fn proposer(&self) -> &Proposer {
        &self.0.proposer
    }

    /// What this member knows about itself. Reads no disk.
    pub fn status(&self) -> Status {
        Status {
            leadership: self.0.observer.leadership(),
            head: self.0.applied.head(),
            applied: self.0.applied.digest(),
            agreed_at: self.0.agreement.agreed_at(),
            watches: self.0.watches.watches(),
            proposer: self.0.proposer.stats(),
        }
    }

    /// Serves the leader's end of a follower's link, until it ends.
    ///
    /// # Errors
    /// [`ForwardError`] if the follower does not speak the protocol.
    pub async fn serve_forward(&self, link: ForwardLink) -> Result<(), ForwardError> {
        propose::serve_forward(&self.0.proposer, &self.0.runtime, link).await
    }

    /// Resolves when this member's state includes every write acknowledged before the call.
    ///
    /// # Errors
    /// Unavailable if that is not known in time.
    pub async fn barrier(&self, timeout: Duration) -> Result<(), CallFailure> {
        self.0.reader.ready(Consistency::Linearizable, 0, self.deadline(timeout)).await
    }

    /// Refuses new commands and leaves waiting clients. Waits until the commands taken in have
    /// their outcomes, or `timeout` has passed; then ends.
    pub async fn shut_down(&self, timeout: Duration) {
        self.0.standing.note(|observed| observed.is_stopping = true);
        self.0.parked.end_all();
        let drained = self.0.reader.by(self.deadline(timeout), self.0.proposer.drain()).await;
        if drained.is_err() {
            tracing::warn!(
                "commands were still without outcome when the member stopped; their clients are told that \
                    it is unknown"
            );
        }
        self.close("this member is stopping; use another one");
    }

    /// Ends for a local cause: to be called when the executor or the log fails.
    pub fn fail(&self, fatal: Fatal) {
        tracing::error!(cause = %fatal, "this member cannot go on");
        self.close(&format!("this member stopped: {fatal}; use another one"));
        lock(&self.0.failure).get_or_insert(fatal);
        self.0.failed.advance(1);
    }

    fn close(&self, message: &str) {
        self.0.standing.note(|observed| observed.is_stopping = true);
        self.0.watches.close(&CallFailure::unavailable(UnavailableReason::ShuttingDown, message));
        self.0.observer.close();
        self.0.proposer.close(message);
        self.0.parked.close();
    }

    /// Resolves with the cause if the member failed.
    pub async fn failed(&self) -> Fatal {
        self.0.failed.reach(1).await;
        lock(&self.0.failure).clone().unwrap_or_else(|| Fatal("the member failed".to_owned()))
    }

    pub(crate) fn deadline(&self, timeout: Duration) -> Monotonic {
        self.0.runtime.now().after(timeout)
    }

    /// See [`Reader::ready`].
    pub(crate) async fn ready(
        &self,
        consistency: Consistency,
        at_least_revision: u64,
        deadline: Monotonic,
    ) -> Result<(), CallFailure> {
        self.0.reader.ready(consistency, at_least_revision, deadline).await
    }

    /// Proposes `action` and waits for its outcome, which may be a rejection.
    async fn propose(
        &self,
        action: Action,
        caller: Caller,
        deadline: Monotonic,
    ) -> Result<Outcome, CallFailure> {
        Ok(self.0.proposer.propose(&action, caller, deadline, self.0.runtime.now()).await?)
    }

    /// Reads one view of the state, where that holds up nobody.
    ///
    /// # Errors
    /// Unavailable if the store cannot be read: the member stops.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View<P>) -> Result<T, Fatal> + Send + 'static,
    ) -> Result<T, CallFailure> {
        self.read_store(move |store| read(&store.view()?)).await
    }

    /// Reads the store, where that holds up nobody.
    async fn read_store<T: Send + 'static>(
        &self,
        read: impl FnOnce(&P::Store) -> Result<T, Fatal> + Send + 'static,
    ) -> Result<T, CallFailure> {
        let store = self.0.store.clone();
        self.fatal(blocking(&self.0.runtime, move || read(&store)).await)
    }

    /// The space called `name`, as of the last applied entry: at once, if it is in memory. What
    /// is rare is boxed here and on the other ways of a call: many calls wait at a time, each with
    /// all that its future could come to need.
    async fn space(&self, name: &SpaceName) -> Result<Option<Arc<SpaceEntry>>, CallFailure> {
        if let Some(space) = self.0.directory.known(name) {
            return Ok(Some(space));
        }
        let (directory, name) = (self.0.directory.clone(), name.clone());
        self.read_store(move |store| directory.space(&name, || store.view())).boxed().await
    }

    pub(crate) fn fatal<T>(&self, result: Result<T, Fatal>) -> Result<T, CallFailure> {
        result.map_err(|fatal| {
            let failure = CallFailure::unavailable(
                UnavailableReason::ShuttingDown,
                format!("this member stopped: {fatal}; use another one"),
            );
            self.fail(fatal);
            failure
        })
    }
}

fn rejected<T>(rejected: Rejected) -> Result<T, CallFailure> {
    Err(rejected.into())
}

#[cfg(test)]
mod tests;
