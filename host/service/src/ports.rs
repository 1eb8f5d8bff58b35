//! What a member's logic needs from outside, as traits: time, tasks, the replicated log, the store,
//! query threads.
//!
//! The node implements them over tokio, tonic, consensus and RocksDB; the tests and the simulator
//! implement them over a virtual clock and an in-memory log. Nothing in this crate reaches around
//! them. They carry bytes and numbers, never types of another layer.
use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use synod_abi::{AdmissionError, Limit, MemberId, ModuleHash, SessionId, SpaceName};
use synod_machine::directory::Head;
use synod_machine::{Admitted, Answer, Applied, DigestRecord, Fatal, Query, StateView, Write};

/// Time on this member's monotonic clock, since a start that only this process knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// This time, `duration` later; stops at the largest time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// This time, `duration` earlier; stops at the smallest time.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }

    /// From `earlier` to this time; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// What counts as long as it is kept.
pub type Kept = Box<dyn Any + Send + Sync>;

/// Where replies to one client are kept until it reads them, and its calls while they wait.
pub trait ReplyRoom: fmt::Debug + Send + Sync {
    /// Counts `bytes` of a reply until the returned value is dropped; none if they have no room.
    fn keep(&self, bytes: usize) -> Option<Kept>;
    /// The same of a waiting call's arguments.
    fn park(&self, bytes: usize) -> Option<Kept>;
}

/// Runs tasks and timers.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// Runs `task` to its end beside the caller.
    fn spawn(&self, task: BoxFuture<'static, ()>);
    /// Resolves after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
    /// Now, on the monotonic clock that `sleep` follows.
    fn now(&self) -> Monotonic;
    /// Runs `work`, which may read a disk, where that holds up no task; in a simulation at once.
    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>);
}

/// Runs `work` as [`Runtime::run_blocking`] does, for its result.
pub(crate) async fn blocking<T: Send + 'static>(
    runtime: &impl Runtime,
    work: impl FnOnce() -> Result<T, Fatal> + Send + 'static,
) -> Result<T, Fatal> {
    let (done, result) = oneshot::channel();
    runtime.run_blocking(Box::new(move || drop(done.send(work()))));
    result.await.unwrap_or_else(|_| Err(Fatal("a read of the store has ended without a result".to_owned())))
}

/// The wall clock. Cluster time follows the lower median of the members' (see `clocks`).
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn wall_ms(&self) -> u64;
}

/// What a member's clocks show at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Its wall clock, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// Its monotonic clock.
    pub monotonic: Monotonic,
    /// The start of the member that the monotonic clock is of.
    pub incarnation: u64,
}

/// Whether this member may propose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It follows, or is a candidate or learner.
    #[default]
    Follower,
    /// It leads `term` of the same [`Leadership`].
    Leader,
}

/// What this member knows about the leadership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// This member.
    pub me: MemberId,
    /// The largest term it knows.
    pub term: u64,
    /// Who leads that term, if known.
    pub leader: Option<MemberId>,
    /// Whether it is this member, so that it may propose.
    pub role: Role,
}

/// Why a proposal did not surely get into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// It was not appended and never will be: this member does not lead the term, or refused it for
    /// the reason given.
    Refused(String),
    /// It may have been appended.
    Unknown(String),
}

/// Surely not done; it may be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// A two-way stream of frames between a follower and the leader. Ordered; frames are lost only by
/// its end.
pub struct ForwardLink {
    /// Frames to the other side. Its capacity is the transport's; dropping it ends the link.
    pub outgoing: mpsc::Sender<Bytes>,
    /// Frames from the other side; its end is the end of the link.
    pub incoming: BoxStream<'static, Bytes>,
}

impl fmt::Debug for ForwardLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForwardLink")
    }
}

/// What the leader says about a session that its client touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// It lives for `ttl_ms` more, counted from when the client sent the touch.
    Alive {
        /// Its time to live, in milliseconds.
        ttl_ms: u64,
    },
    /// It ended, or never was.
    Ended,
    /// Nothing can be said yet: its end is decided or in the log, or its opening may be. To be
    /// asked again shortly.
    Unsettled,
}

/// The replicated log and the way to its leader.
pub trait Replication: Clone + Send + Sync + 'static {
    /// What this member knows now.
    fn leadership(&self) -> Leadership;
    /// Resolves when [`leadership`](Self::leadership) differs from `seen`; never, once the log has
    /// ended.
    fn leadership_changed(&self, seen: Leadership) -> BoxFuture<'static, ()>;
    /// Appends an entry if, and only if, this member leads `term` when it is appended. Enqueues
    /// before it returns, so that two calls are appended in their order. Resolves as soon as the
    /// entry is refused or known to be in the log; it need not wait for apply.
    fn propose(&self, term: u64, entry: Bytes) -> BoxFuture<'static, Result<(), ProposeError>>;
    /// An index that every write acknowledged before this call is at or below. On a follower the
    /// leader is asked.
    fn read_index(&self) -> BoxFuture<'static, Result<u64, Unavailable>>;
    /// Opens a link to `leader`, whose node hands the other end to `Member::serve_forward`.
    fn forward(&self, leader: MemberId) -> BoxFuture<'static, Result<ForwardLink, Unavailable>>;
    /// Tells `leader`, which is another member, that the clients of these sessions live; its node
    /// calls `Member::serve_touches`. The answer has one item per session, in order. At most
    /// [`TOUCHES_PER_BUNDLE`](crate::TOUCHES_PER_BUNDLE) sessions; may be dropped.
    fn touch(
        &self,
        leader: MemberId,
        sessions: Vec<SessionId>,
    ) -> BoxFuture<'static, Result<Vec<Touched>, Unavailable>>;
    /// The members with a vote, as far as this member knows; none before a cluster is formed.
    fn voters(&self) -> BTreeSet<MemberId>;
    /// Asks another member what its clocks show; its node calls `Member::read_clocks`. May be
    /// dropped.
    fn read_clocks(&self, of: MemberId) -> BoxFuture<'static, Result<ClockReading, Unavailable>>;
    /// Asks another member what its digests were after an entry after which this one had `own`; its
    /// node calls `Member::digests_asked`. None if it does not know any more. May be dropped.
    fn digests(
        &self,
        of: MemberId,
        own: DigestRecord,
    ) -> BoxFuture<'static, Result<Option<DigestRecord>, Unavailable>>;
}

/// Why the store did not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// No space is left on the disk; nothing was written.
    Full(String),
    /// The member must stop.
    Fatal(Fatal),
}

impl From<Fatal> for StoreError {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

/// The machine's rows.
pub trait Store: Clone + Send + Sync + 'static {
    /// Rows as they were at one moment.
    type View: StateView + Send + Sync + 'static;
    /// How far the state is: written with the rows, meaningless here.
    type Mark: Send + 'static;

    /// The present rows, unaffected by later writes. Taken and read only where blocking is allowed:
    /// in [`Runtime::run_blocking`], on a query thread, on the apply thread.
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read.
    fn view(&self) -> Result<Self::View, Fatal>;
    /// The same to read all rows once: leaves caches to others.
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read.
    fn scan_view(&self) -> Result<Self::View, Fatal> {
        self.view()
    }
    /// The present rows for the apply thread, which drops them before its next commit: need not be
    /// unaffected by it.
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read.
    fn latest(&self) -> Result<Self::View, Fatal> {
        self.view()
    }
    /// Writes rows and mark in one batch. Blocks until the log has been written as far as the mark,
    /// so that state never gets ahead of it.
    ///
    /// # Errors
    /// [`StoreError::Full`] if nothing was written for want of space.
    fn commit(&self, writes: &[Write], mark: &Self::Mark) -> Result<(), StoreError>;
    /// Blocks until there is space on the disk again.
    ///
    /// # Errors
    /// [`Fatal`] if it cannot find out, or the member is stopping.
    fn wait_for_space(&self) -> Result<(), Fatal>;
}

/// The machine with whatever runs its recipes, on the apply thread.
/// [`MachineReplica`](crate::MachineReplica) is the real one.
pub trait Replica<V: StateView>: Send + 'static {
    /// Applies the entry at `index` to `view`.
    ///
    /// # Errors
    /// [`Fatal`]: this member cannot go on.
    fn apply(&mut self, view: V, index: u64, entry: &[u8]) -> Result<Applied, Fatal>;
    /// Reads its head from `view` again, after a snapshot was installed.
    ///
    /// # Errors
    /// [`Fatal`]: this member cannot go on.
    fn reload(&mut self, view: &V) -> Result<(), Fatal>;
    /// Lets go of what it keeps for modules that are not installed in `view`: they changed.
    ///
    /// # Errors
    /// [`Fatal`]: this member cannot go on.
    fn modules_changed(&mut self, view: &V) -> Result<(), Fatal>;
    /// Its head after the last entry.
    fn head(&self) -> &Head;
}

/// Why a query did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// As many queries wait as the member allows.
    Busy(String),
    /// The member must stop.
    Fatal(Fatal),
}

/// Takes a view, and finds in it what a query needs; none if it is not to run.
pub type QueryPlan<V> = Box<dyn FnOnce() -> Result<Option<(V, Query)>, Fatal> + Send>;

/// Runs queries on threads of their own, those of one space in turn with others.
pub trait QueryRunner<V>: Send + Sync + 'static {
    /// Runs a plan on such a thread, and then its query on its view, as `synod_machine::query`
    /// does; none if the plan has none. It belongs to `space`. Dropping the future ends it, sooner
    /// or later.
    fn run(
        &self,
        space: SpaceName,
        plan: QueryPlan<V>,
    ) -> BoxFuture<'static, Result<Option<Answer>, QueryError>>;
}

/// Why the members are not ready for a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrepareFailure {
    /// It takes more to compile than a module may: trying again will not help.
    TooCostly {
        /// The limit that it met.
        limit: Limit,
        /// For people.
        message: String,
    },
    /// Too few members have compiled it; it may be tried again.
    Unavailable(String),
}

/// Readies the members for a module before it is proposed.
pub trait Preparer: Send + Sync + 'static {
    /// Checks a module: the name, version and hash that it has, or why it is not admitted.
    fn admit(&self, module: Arc<[u8]>) -> BoxFuture<'static, Result<Admitted, AdmissionError>>;
    /// Compiles the module here and on the other members; resolves when a majority has it. Dropping
    /// the future ends what is not compiled yet.
    fn prepare(&self, hash: ModuleHash, module: Arc<[u8]>) -> BoxFuture<'static, Result<(), PrepareFailure>>;
}

/// The set of implementations that a [`Member`](crate::Member) is made of.
pub trait Ports: Send + Sync + 'static {
    /// Tasks and timers.
    type Runtime: Runtime;
    /// The wall clock.
    type Clock: Clock;
    /// The log.
    type Replication: Replication;
    /// The rows.
    type Store: Store;
    /// Query threads.
    type Queries: QueryRunner<<Self::Store as Store>::View>;
    /// Compilation across members.
    type Preparer: Preparer;
}
