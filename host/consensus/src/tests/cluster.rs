//! A cluster in one process: members over stores that outlive them, and a network of channels whose
//! links can be cut.
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, future};
use synod_abi::MemberId;
use synod_machine::{RangeLimit, StateView, Table, Write};
use synod_storage::{Fatal, StateStore};
use tokio::sync::watch;

use super::disk::Disk;
use crate::{
    Applier, CommittedEntry, CommittedPayload, EntryId, MemberInfo, Peer, PeerError, PeerNetwork,
    ProposalOutcome, Raft, ServeError, Settings, TokioRuntime,
};

/// How long a test waits for anything.
pub(super) const DEADLINE: Duration = Duration::from_secs(40);

pub(super) type TestRaft<D> = Raft<TokioRuntime, <D as Disk>::State, Rows<<D as Disk>::State>>;

/// Waits until `condition` holds.
pub(super) async fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Applies a command by keeping its payload under its index.
pub(super) struct Rows<S> {
    state: S,
    pub(super) restored: AtomicUsize,
    pub(super) broken: AtomicBool,
    /// The next state that another member sends is not what it says.
    pub(super) unlike: AtomicBool,
}

impl<S: StateStore> Rows<S> {
    pub(super) fn new(state: S) -> Self {
        let [broken, unlike] = [AtomicBool::new(false), AtomicBool::new(false)];
        Self { state, restored: AtomicUsize::new(0), broken, unlike }
    }
}

impl<S: StateStore> Applier for Rows<S> {
    async fn apply(&self, entries: Vec<CommittedEntry>) -> Result<(), Fatal> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Fatal("the test broke it".to_owned()));
        }
        let state = self.state.clone();
        let work = move || {
            for entry in entries {
                let writes = match entry.payload {
                    CommittedPayload::Command(payload) => {
                        vec![Write::Put {
                            table: Table::State,
                            key: entry.index.to_be_bytes().to_vec(),
                            value: payload.to_vec(),
                        }]
                    }
                    CommittedPayload::Blank | CommittedPayload::Membership => Vec::new(),
                };
                state.commit(&writes, &entry.mark).map_err(|error| Fatal(error.to_string()))?;
            }
            Ok(())
        };
        tokio::task::spawn_blocking(work).await.unwrap()
    }

    fn verify(&self, _: &impl StateView) -> Result<(), String> {
        if self.unlike.swap(false, Ordering::SeqCst) { Err("the test says so".to_owned()) } else { Ok(()) }
    }

    async fn restored(&self) -> Result<(), Fatal> {
        self.restored.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Which links work, and who is there.
pub(super) struct Hub<D: Disk> {
    members: Mutex<BTreeMap<MemberId, TestRaft<D>>>,
    cut: Mutex<BTreeSet<MemberId>>,
    /// Milliseconds that each frame of a new stream to a member takes.
    slow: Mutex<BTreeMap<MemberId, u64>>,
    pub(super) damage_next_snapshot: AtomicBool,
    /// So many frames of the next snapshot arrive, then the link breaks.
    pub(super) break_next_snapshot: AtomicUsize,
    /// Whether the frames of snapshots pass that follow the header.
    pub(super) snapshots_pass: watch::Sender<bool>,
    pub(super) snapshots_sent: AtomicUsize,
    /// Attempts to reach a member that was not there.
    pub(super) refused: AtomicUsize,
}

/// One member's end of the hub.
pub(super) struct Link<D: Disk> {
    hub: Arc<Hub<D>>,
    from: MemberId,
}

impl<D: Disk> Clone for Link<D> {
    fn clone(&self) -> Self {
        Self { hub: self.hub.clone(), from: self.from }
    }
}

impl<D: Disk> Link<D> {
    fn works(&self, to: MemberId) -> bool {
        let cut = self.hub.cut.lock().unwrap();
        !cut.contains(&self.from) && !cut.contains(&to)
    }

    /// How long a frame is on its way to a member.
    fn slowness(&self, to: MemberId) -> Duration {
        let slow = self.hub.slow.lock().unwrap();
        Duration::from_millis(slow.get(&to).copied().unwrap_or(0))
    }

    fn reach(&self, peer: &Peer) -> Result<TestRaft<D>, PeerError> {
        let there =
            self.works(peer.id).then(|| self.hub.members.lock().unwrap().get(&peer.id).cloned()).flatten();
        there.ok_or_else(|| {
            self.hub.refused.fetch_add(1, Ordering::SeqCst);
            PeerError::Unreachable(format!("member {} is not there", peer.id))
        })
    }
}

fn failed(error: ServeError) -> PeerError {
    match error {
        ServeError::BadState(why) => PeerError::BadSnapshot(why),
        error => PeerError::Failed(error.to_string()),
    }
}

impl<D: Disk> PeerNetwork for Link<D> {
    async fn vote(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        self.reach(peer)?.serve_vote(request).await.map_err(failed)
    }

    async fn pre_vote(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        self.reach(peer)?.serve_pre_vote(request).await.map_err(failed)
    }

    async fn append(
        &self,
        peer: &Peer,
        requests: BoxStream<'static, Bytes>,
    ) -> Result<BoxStream<'static, Result<Bytes, PeerError>>, PeerError> {
        let (there, here, to) = (self.clone(), self.clone(), peer.id);
        let slowness = self.slowness(to);
        let requests = requests.take_while(move |_| future::ready(there.works(to)));
        let requests = requests.then(move |request| async move {
            tokio::time::sleep(slowness).await;
            request
        });
        let answers = self.reach(peer)?.serve_append(requests).map(move |answer| {
            if here.works(to) {
                answer.map_err(failed)
            } else {
                Err(PeerError::Failed("the link is cut".to_owned()))
            }
        });
        Ok(answers.boxed())
    }

    async fn offer_snapshot(&self, peer: &Peer, header: Bytes) -> Result<Bytes, PeerError> {
        self.reach(peer)?.serve_snapshot_offer(&header).await.map_err(failed)
    }

    async fn send_snapshot(
        &self,
        peer: &Peer,
        frames: BoxStream<'static, Bytes>,
    ) -> Result<Bytes, PeerError> {
        let raft = self.reach(peer)?;
        self.hub.snapshots_sent.fetch_add(1, Ordering::SeqCst);
        let damaged = self.hub.damage_next_snapshot.swap(false, Ordering::SeqCst);
        let whole = self.hub.break_next_snapshot.swap(usize::MAX, Ordering::SeqCst);
        let pass = self.hub.snapshots_pass.subscribe();
        let slowness = self.slowness(peer.id);
        let frames = frames.take(whole).enumerate().then(move |(place, frame)| {
            let mut pass = pass.clone();
            async move {
                if place > 0 {
                    pass.wait_for(|pass| *pass).await.unwrap();
                    tokio::time::sleep(slowness).await;
                }
                let mut bytes = frame.to_vec();
                if damaged && place == 1 {
                    *bytes.last_mut().unwrap() ^= 1;
                }
                Bytes::from(bytes)
            }
        });
        raft.serve_snapshot(frames.boxed()).await.map_err(failed)
    }

    async fn transfer_leader(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        self.reach(peer)?.serve_transfer(request).await.map_err(failed)
    }
}

/// Members 1 to n.
pub(super) struct Cluster<D: Disk> {
    pub(super) hub: Arc<Hub<D>>,
    pub(super) disks: BTreeMap<MemberId, D>,
    pub(super) appliers: BTreeMap<MemberId, Arc<Rows<D::State>>>,
    settings: Settings,
}

impl<D: Disk> Cluster<D> {
    /// Stores for `count` members; none runs yet.
    pub(super) fn new(count: u64, settings: Settings) -> Self {
        let hub = Hub {
            members: Mutex::default(),
            cut: Mutex::default(),
            slow: Mutex::default(),
            damage_next_snapshot: AtomicBool::new(false),
            break_next_snapshot: AtomicUsize::new(usize::MAX),
            snapshots_pass: watch::Sender::new(true),
            snapshots_sent: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        };
        let disks = (1..=count).map(|id| (MemberId(id), D::blank())).collect();
        Self { hub: Arc::new(hub), disks, appliers: BTreeMap::new(), settings }
    }

    /// A cluster of three that has a leader.
    pub(super) async fn of_three(settings: Settings) -> Self {
        let mut cluster = Self::new(3, settings);
        for id in 1..=3 {
            cluster.start(MemberId(id)).await;
        }
        cluster.raft(MemberId(1)).initialize(cluster.all_members()).await.unwrap();
        cluster.leader().await;
        cluster
    }

    pub(super) fn all_members(&self) -> BTreeMap<MemberId, MemberInfo> {
        let member = |id: MemberId| MemberInfo {
            name: format!("m{id}"),
            peer_address: format!("hub:{id}"),
            client_addresses: Vec::new(),
        };
        self.disks.keys().map(|id| (*id, member(*id))).collect()
    }

    pub(super) async fn start(&mut self, id: MemberId) {
        let (log, state) = self.disks[&id].open().await;
        let applier = Arc::new(Rows::new(state.clone()));
        let link = Link { hub: self.hub.clone(), from: id };
        let raft = Raft::start(id, self.settings.clone(), log, state, applier.clone(), link).await.unwrap();
        self.appliers.insert(id, applier);
        self.hub.members.lock().unwrap().insert(id, raft);
    }

    /// Stops a member; its store stays.
    pub(super) async fn stop(&mut self, id: MemberId) {
        let raft = self.hub.members.lock().unwrap().remove(&id).unwrap();
        raft.shutdown().await;
        self.appliers.remove(&id);
    }

    pub(super) fn cut(&self, id: MemberId) {
        self.hub.cut.lock().unwrap().insert(id);
    }

    pub(super) fn heal(&self, id: MemberId) {
        self.hub.cut.lock().unwrap().remove(&id);
    }

    /// Has each frame to a member take so long, once its present streams have ended.
    pub(super) fn slow(&self, id: MemberId, milliseconds: u64) {
        self.hub.slow.lock().unwrap().insert(id, milliseconds);
    }

    pub(super) fn raft(&self, id: MemberId) -> TestRaft<D> {
        self.hub.members.lock().unwrap()[&id].clone()
    }

    fn running(&self) -> Vec<TestRaft<D>> {
        let cut = self.hub.cut.lock().unwrap().clone();
        self.hub
            .members
            .lock()
            .unwrap()
            .iter()
            .filter(|(id, _)| !cut.contains(id))
            .map(|(_, raft)| raft.clone())
            .collect()
    }

    /// The established leader among those that run and are connected, once there is one.
    pub(super) async fn leader(&self) -> TestRaft<D> {
        let leads = |raft: &TestRaft<D>| raft.term_state().established_term().is_some();
        eventually("there is a leader", || self.running().into_iter().find(leads)).await
    }

    /// Proposes on whoever leads until it is committed.
    pub(super) async fn write(&self, payload: &str) -> EntryId {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < DEADLINE, "nobody takes {payload} in");
            let raft = self.leader().await;
            let term = raft.term_state().term;
            match propose(&raft, term, payload).await {
                ProposalOutcome::Committed(id) => return id,
                ProposalOutcome::Refused { .. } => tokio::time::sleep(Duration::from_millis(5)).await,
                ProposalOutcome::Unknown => panic!("the outcome of {payload} is unknown"),
            }
        }
    }

    /// Waits until every running member has applied the entry.
    pub(super) async fn applied_everywhere(&self, id: EntryId) {
        for raft in self.running() {
            within("the entry is applied", raft.wait_applied(id.index)).await.unwrap();
        }
    }

    /// The payloads that a member has applied.
    pub(super) fn rows(&self, id: MemberId) -> Vec<String> {
        rows_of(&*self.raft(id).state)
    }

    pub(super) async fn shut_down(mut self) {
        let ids: Vec<MemberId> = self.hub.members.lock().unwrap().keys().copied().collect();
        for id in ids {
            self.stop(id).await;
        }
    }
}

pub(super) fn rows_of(state: &impl StateStore) -> Vec<String> {
    let limit = RangeLimit { rows: 1_000_000, bytes: 1 << 30 };
    let (rows, _) =
        state.view().unwrap().range(Table::State, &[], &[], synod_abi::Direction::Forward, limit).unwrap();
    rows.into_iter().map(|(_, value)| String::from_utf8(value).unwrap()).collect()
}

pub(super) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("still not so: {what}"))
}

pub(super) async fn propose<S: StateStore>(
    raft: &Raft<TokioRuntime, S, Rows<S>>,
    term: u64,
    payload: &str,
) -> ProposalOutcome {
    let proposal = raft.propose(term, Bytes::copy_from_slice(payload.as_bytes())).await.unwrap();
    within("the proposal has an outcome", proposal.outcome()).await
}
