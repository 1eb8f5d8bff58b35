//! A member of the Raft group: starting and stopping it, proposing entries, reading, and steering
//! it.
//!
//! What arrives from peers is in `serve`. Nothing here is global: many members, and many groups,
//! live in one process.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use openraft::ReadPolicy;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{InitializeError as RaftInitializeError, LinearizableReadError, RaftError};
use openraft::raft::VoteRequest;
use openraft::type_config::TypeConfigExt;
use openraft::vote::leader_id_std::CommittedLeaderId;
use synod_abi::MemberId;
use synod_planted::{Bug, is_planted};
use synod_storage::{Fatal, LogStore, StateStore};

use crate::codec;
use crate::log::Log;
use crate::network::{Connections, PeerNetwork, Purged};
use crate::pending::pending_entry;
use crate::retention::{Meter, Retention, retain};
use crate::runtime::AsyncRuntime;
use crate::snapshot::SnapshotSource;
use crate::state_machine::StateMachine;
use crate::status::status_of;
use crate::term::{Running, Watches, watch};
use crate::types::{MemberInfo, Payload, Types, Vote};
use crate::{
    Applier, InitializeError, NotProposed, PAYLOAD_BYTES, PendingEntry, ReadIndexError, Settings, StartError,
    Status, Stopped, TermState, TermWatch, TransferError,
};

/// The id that no member has.
pub(crate) const NOBODY: u64 = 0;
/// How long a leader that gives up waits until that is on disk.
const GIVES_UP: Duration = Duration::from_millis(500);

/// A member of a Raft group. Clones are handles to the same member; when it has stopped, all of
/// them say so.
pub struct Raft<RT: AsyncRuntime, S: StateStore, A: Applier> {
    pub(crate) id: MemberId,
    pub(crate) inner: openraft::Raft<Types<RT>, StateMachine<RT, S, A>>,
    pub(crate) settings: Settings,
    /// Streams that are served hold it weakly: they may outlive the member, and a store is open
    /// while it is held.
    pub(crate) state: Arc<S>,
    pub(crate) applier: Weak<A>,
    watches: Watches<RT>,
    stands: Arc<AtomicBool>,
}

impl<RT: AsyncRuntime, S: StateStore, A: Applier> Clone for Raft<RT, S, A> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            inner: self.inner.clone(),
            settings: self.settings.clone(),
            state: self.state.clone(),
            applier: self.applier.clone(),
            watches: self.watches.clone(),
            stands: self.stands.clone(),
        }
    }
}

impl<RT: AsyncRuntime, S: StateStore, A: Applier> fmt::Debug for Raft<RT, S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raft").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<RT: AsyncRuntime, S: StateStore, A: Applier> Raft<RT, S, A> {
    /// Starts the member `id` from what is in its stores. Entries that are committed but not in the
    /// state are applied before it returns. A member with empty stores waits: for a leader that
    /// knows it, or for [`initialize`](Self::initialize). The only voter of its cluster does not
    /// wait for anybody and leads at once.
    ///
    /// # Errors
    /// [`StartError`]: a setting is out of range, or the stores cannot be read or contradict each
    /// other.
    pub async fn start<L: LogStore, N: PeerNetwork>(
        id: MemberId,
        settings: Settings,
        log: L,
        state: S,
        applier: Arc<A>,
        network: N,
    ) -> Result<Self, StartError> {
        let config = settings.to_openraft()?;
        let source = SnapshotSource::new(state.clone(), settings.blocking)
            .map_err(|error| Fatal(error.to_string()))?;
        let source = Arc::new(source);
        let weak = Arc::downgrade(&applier);
        let machine = StateMachine::new(state.clone(), applier, source.clone());
        let idle_timeout = Duration::from_millis(settings.replication_idle_timeout_ms);
        let purged = purged_index(log.clone());
        let retention = Arc::new(Retention::new());
        let connections = Connections::<RT, S, N>::new(network, idle_timeout, purged, retention.clone());
        let meter = Arc::new(Meter::new(&settings));
        let log = Log::<RT, L>::new(log, meter.clone(), settings.blocking);
        let inner = openraft::Raft::build(id.0, config, connections, log, machine)
            .await
            .map_err(|error| Fatal(error.to_string()))?;
        let watches = watch(&inner);
        drop(Types::<RT>::spawn(retain(inner.clone(), settings.clone(), meter, retention, source)));
        inner.run();
        if is_only_voter(&inner, id).await {
            inner.trigger().elect(false).await.map_err(|error| Fatal(error.to_string()))?;
        }
        let stands = Arc::new(AtomicBool::new(true));
        Ok(Self { id, inner, settings, state: Arc::new(state), applier: weak, watches, stands })
    }

    /// This member.
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// Forms a new cluster of `members`, this one among them. Called on exactly one member: the
    /// others get the list by replication. Two members that did it with different lists would have
    /// two different first entries of the same id.
    ///
    /// # Errors
    /// [`InitializeError::AlreadyFormed`] on a member that has a log, whatever the list is; it is
    /// unaffected.
    pub async fn initialize(&self, members: BTreeMap<MemberId, MemberInfo>) -> Result<(), InitializeError> {
        let members: BTreeMap<u64, MemberInfo> =
            members.into_iter().map(|(id, member)| (id.0, member)).collect();
        self.inner.initialize(members).await.map_err(|error| match error {
            RaftError::APIError(RaftInitializeError::NotAllowed(_)) => InitializeError::AlreadyFormed,
            RaftError::APIError(RaftInitializeError::NotInMembers(_)) => InitializeError::NotAMember(self.id),
            RaftError::Fatal(_) => InitializeError::Stopped(Stopped),
        })
    }

    /// Proposes an entry in `term`: if this member does not lead in exactly this term, it is
    /// refused, so that what was decided by a leader is never appended by a later one. Returns when
    /// it is queued; entries are appended in the order of calls.
    ///
    /// # Errors
    /// [`NotProposed`]: it surely never gets into the log.
    pub async fn propose(&self, term: u64, payload: Bytes) -> Result<PendingEntry<RT>, NotProposed> {
        if payload.len() > PAYLOAD_BYTES {
            return Err(NotProposed::TooLong { bytes: payload.len(), limit: PAYLOAD_BYTES });
        }
        let (pending, answer) = pending_entry::<RT>();
        let request =
            self.inner.write(Payload(payload)).with_leader(CommittedLeaderId::new(term)).responder(answer);
        request.await.map_err(|_| Stopped)?;
        Ok(pending)
    }

    /// The present term. It may change at any moment: a decision based on it is proposed for that
    /// term.
    pub fn term_state(&self) -> TermState {
        self.watches.term_state()
    }

    /// The term and its changes.
    pub fn term_watch(&self) -> TermWatch<RT> {
        self.watches.term_watch()
    }

    /// The index that a linearizable read has to wait for: every write that was acknowledged before
    /// this call is at or below it. A majority confirms the leader meanwhile; calls that come
    /// together share the confirmation.
    ///
    /// # Errors
    /// [`ReadIndexError`]: it does not lead, or cannot prove that it does.
    pub async fn read_index(&self) -> Result<u64, ReadIndexError> {
        if is_planted(Bug::ReadWithoutMajority) {
            return Ok(self.status().committed.map_or(0, |entry| entry.index));
        }
        match self.inner.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => Ok(linearizer.read_log_id().index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Err(ReadIndexError::NotLeader { leader: forward.leader_id.map(MemberId) })
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                Err(ReadIndexError::NoQuorum)
            }
            Err(RaftError::Fatal(_)) => Err(ReadIndexError::Stopped(Stopped)),
        }
    }

    /// Waits until the entry at `index` is applied here.
    ///
    /// # Errors
    /// The member has stopped.
    pub async fn wait_applied(&self, index: u64) -> Result<(), Stopped> {
        let mut applied = self.inner.watch_apply_progress();
        let reached = applied.wait_until(|id| id.as_ref().is_some_and(|id| id.index >= index)).await;
        reached.map(drop).map_err(|_| Stopped)
    }

    /// How this member sees the log and its peers.
    pub fn status(&self) -> Status {
        status_of(&self.inner.metrics().borrow_watched())
    }

    /// Hands leadership to another voter and waits until it leads. Meanwhile this member takes
    /// nothing in. If that takes longer than `waits`, it gives leadership up.
    ///
    /// # Errors
    /// [`TransferError`]; after [`TransferError::TimedOut`] this member, the target or a third one
    /// may come to lead.
    pub async fn transfer_leader(&self, to: MemberId, waits: Duration) -> Result<(), TransferError> {
        let mut terms = self.term_watch();
        let before = self.term_state();
        if before.leader != Some(self.id) {
            return Err(TransferError::NotLeader { leader: before.leader });
        }
        if to == self.id {
            return Ok(());
        }
        if !self.status().voters.contains_key(&to) {
            return Err(TransferError::NotAVoter(to));
        }
        self.inner.trigger().transfer_leader(to.0).await.map_err(|_| Stopped)?;
        let taken_over = async {
            loop {
                let now = terms.changed().await?;
                if now.term > before.term && now.leader.is_some() {
                    return Ok::<_, Stopped>(now.leader == Some(to));
                }
            }
        };
        match Types::<RT>::timeout(waits, taken_over).await {
            Ok(Ok(true)) => return Ok(()),
            Ok(Ok(false)) => {}
            Ok(Err(stopped)) => return Err(stopped.into()),
            Err(_) => self.give_up_leading(before.term).await?,
        }
        Err(TransferError::TimedOut { to, waited: waits })
    }

    /// Ends the leadership of `term` that its heir has not taken. openraft's leader takes nothing
    /// in and sends no heartbeat from the moment on in which it hands over, for good, and does not
    /// stand for election, as it leads. So this member votes for nobody in the next term, and
    /// thereby follows; whoever may leads the one after it. A vote for the heir would spread, and a
    /// member that hears of a vote for itself takes it for one of its own.
    async fn give_up_leading(&self, term: u64) -> Result<(), Stopped> {
        let last = self.inner.with_raft_state(|state| state.log_ids.last().copied());
        let mut request = VoteRequest::new(Vote::new(term + 1, NOBODY), last.await.map_err(|_| Stopped)?);
        request.leadership_transfer = true;
        // It follows before the vote is on disk, which may take as long as the disk is full.
        let voted = Types::<RT>::timeout(GIVES_UP, self.inner.vote(request)).await;
        voted.map_or(Ok(()), |vote| vote.map(drop).map_err(|_| Stopped))
    }

    /// Whether this member stands for election when it misses a leader. It votes in any case, and a
    /// leader that hands over to it makes it stand.
    pub fn stand(&self, stands: bool) {
        self.stands.store(stands, Ordering::Relaxed);
        self.inner.runtime_config().elect(stands);
    }

    pub(crate) fn stands(&self) -> bool {
        self.stands.load(Ordering::Relaxed)
    }

    /// Makes the present position the one up to which the log may be removed; entries beyond
    /// [`Settings::log_entries_to_keep`] go.
    ///
    /// # Errors
    /// The member has stopped.
    pub async fn trigger_snapshot(&self) -> Result<(), Stopped> {
        self.inner.trigger().snapshot().await.map_err(|_| Stopped)
    }

    /// Removes entries up to `index` from the log, as far as a snapshot covers them and no peer is
    /// just reading them.
    ///
    /// # Errors
    /// The member has stopped.
    pub async fn purge(&self, index: u64) -> Result<(), Stopped> {
        self.inner.trigger().purge_log(index).await.map_err(|_| Stopped)
    }

    /// Stops the member and waits until its core has ended. What was proposed and not answered yet
    /// is of unknown outcome.
    pub async fn shutdown(&self) {
        if let Err(error) = self.inner.shutdown().await {
            tracing::error!(%error, "the consensus did not end in order");
        }
    }

    /// Waits until the member has stopped: `Ok` after a shutdown, otherwise what broke it.
    ///
    /// # Errors
    /// What broke the member. The process is to end: what it knows of its disk is not certain any
    /// more.
    pub async fn stopped(&self) -> Result<(), Fatal> {
        match self.watches.clone().stopped().await {
            Running::Broken(fatal) => Err(fatal),
            Running::ShutDown | Running::Yes => Ok(()),
        }
    }

    /// Whether the member runs.
    pub fn is_running(&self) -> bool {
        self.watches.running() == Running::Yes
    }
}

/// What the log was purged up to, as its store says.
fn purged_index<L: LogStore>(log: L) -> Purged {
    Arc::new(move || {
        let purged = log.purged().ok()??;
        codec::decode_id(&purged).ok().map(|id| id.index)
    })
}

async fn is_only_voter<RT: AsyncRuntime, S: StateStore, A: Applier>(
    raft: &openraft::Raft<Types<RT>, StateMachine<RT, S, A>>,
    id: MemberId,
) -> bool {
    let voters = raft
        .with_raft_state(|state| state.membership_state.effective().voter_ids().collect::<Vec<u64>>())
        .await;
    voters.is_ok_and(|voters| voters == [id.0])
}
