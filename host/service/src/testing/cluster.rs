//! Members on one in-memory log whose leader, commits, refusals and links a test decides about.
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream};
use futures::{FutureExt, StreamExt};
use synod_abi::{
    AdmissionError, Blob, ClusterId, MemberId, ModuleHash, OperationId, Revision, SessionId, SpaceId,
};
use synod_machine::{
    Action, Admitted, Answer, Call, Caller, Command, Entry, Environment, Fatal, MemoryState, Query,
    SessionCall, StateView, Table, Write,
};

use super::oracle::Oracle;
use super::recipe::{self, TestVm};
use super::sim::Sim;
use super::watching;
use crate::ports::*;
use crate::progress::lock;
use crate::watch::WatchLimits;
use crate::{
    Args, CallAnswer, CallFailure, Committed, Executor, MachineReplica, Member, MemberParts, NewSpace,
    Payload, ProposerLimits, UnavailableReason,
};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const ENVIRONMENT: Environment = Environment { semantics: 1, engine: [7; 32] };

/// How the log answers proposals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Accept,
    Refuse,
    /// Appends, and says that it does not know.
    UnknownKept,
    /// Does not append, and says that it does not know.
    UnknownLost,
}

#[derive(Default)]
struct Log {
    term: u64,
    leader: Option<MemberId>,
    leader_ready: bool,
    entries: Vec<(u64, Payload)>,
    committed: usize,
    hold_commits: bool,
    mood: Mood,
    changed: Vec<Waker>,
    gates: Vec<Arc<Mutex<GateState>>>,
    deaf: bool,
    links_opened: usize,
    read_indexes: Vec<(MemberId, oneshot::Sender<Result<u64, Unavailable>>)>,
    read_indexes_asked: usize,
    members: BTreeMap<MemberId, (Member<TestPorts>, Sim)>,
    /// Members that hear nothing, with the leadership that they believe in.
    isolated: BTreeMap<MemberId, Leadership>,
    bundles: Vec<usize>,
}

#[derive(Default)]
struct GateState {
    cut: bool,
    deaf: bool,
    waker: Option<Waker>,
}

/// A stream that a test can hold up, and cut with what is still in it.
struct Gate {
    state: Arc<Mutex<GateState>>,
    inner: BoxStream<'static, Vec<u8>>,
}

impl Stream for Gate {
    type Item = Vec<u8>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        {
            let mut state = lock(&self.state);
            if state.cut {
                return Poll::Ready(None);
            }
            state.waker = Some(cx.waker().clone());
            if state.deaf {
                return Poll::Pending;
            }
        }
        self.inner.poll_next_unpin(cx)
    }
}

#[derive(Clone)]
pub(crate) struct TestLog {
    me: MemberId,
    log: Arc<Mutex<Log>>,
}

fn known(log: &Log, me: MemberId) -> Leadership {
    if let Some(believed) = log.isolated.get(&me) {
        return *believed;
    }
    let role = if log.leader == Some(me) && log.leader_ready { Role::Leader } else { Role::Follower };
    Leadership { me, term: log.term, leader: log.leader, role }
}

impl Replication for TestLog {
    fn leadership(&self) -> Leadership {
        known(&lock(&self.log), self.me)
    }

    fn leadership_changed(&self, seen: Leadership) -> BoxFuture<'static, ()> {
        let (log, me) = (self.log.clone(), self.me);
        std::future::poll_fn(move |cx| {
            let mut log = lock(&log);
            if known(&log, me) != seen {
                return Poll::Ready(());
            }
            log.changed.push(cx.waker().clone());
            Poll::Pending
        })
        .boxed()
    }

    fn propose(&self, term: u64, entry: Vec<u8>) -> BoxFuture<'static, Result<(), ProposeError>> {
        let mut log = lock(&self.log);
        if let Some(believed) = log.isolated.get(&self.me) {
            let leads = believed.role == Role::Leader && believed.term == term;
            let result =
                if leads { Ok(()) } else { Err(ProposeError::Refused("not the leader of that term".into())) };
            return futures::future::ready(result).boxed();
        }
        let leads = log.leader == Some(self.me) && log.term == term;
        let result = match log.mood {
            _ if !leads => Err(ProposeError::Refused("not the leader of that term".into())),
            Mood::Refuse => Err(ProposeError::Refused("no majority".into())),
            Mood::UnknownLost => Err(ProposeError::Unknown("lost".into())),
            mood => {
                log.entries.push((term, Payload::Entry(entry.into())));
                if mood == Mood::UnknownKept { Err(ProposeError::Unknown("kept".into())) } else { Ok(()) }
            }
        };
        futures::future::ready(result).boxed()
    }

    fn read_index(&self) -> BoxFuture<'static, Result<u64, Unavailable>> {
        let (reply, index) = oneshot::channel();
        let mut log = lock(&self.log);
        log.read_indexes.push((self.me, reply));
        log.read_indexes_asked += 1;
        async move { index.await.unwrap_or_else(|_| Err(Unavailable("the log has ended".into()))) }.boxed()
    }

    fn forward(&self, leader: MemberId) -> BoxFuture<'static, Result<ForwardLink, Unavailable>> {
        let mut log = lock(&self.log);
        let Some((member, sim)) = log.members.get(&leader).cloned().filter(|_| log.connects(self.me, leader))
        else {
            return futures::future::ready(Err(Unavailable("no such member".into()))).boxed();
        };
        log.links_opened += 1;
        let mut end = || {
            let (outgoing, incoming) = mpsc::channel(8);
            let state = Arc::new(Mutex::new(GateState { deaf: log.deaf, ..GateState::default() }));
            log.gates.push(state.clone());
            (outgoing, Gate { state, inner: incoming.boxed() }.boxed())
        };
        let ((to_leader, from_follower), (to_follower, from_leader)) = (end(), end());
        drop(log);
        sim.spawn(
            async move {
                let _ = member
                    .serve_forward(ForwardLink { outgoing: to_follower, incoming: from_follower })
                    .await;
            }
            .boxed(),
        );
        futures::future::ready(Ok(ForwardLink { outgoing: to_leader, incoming: from_leader })).boxed()
    }

    fn touch(
        &self,
        leader: MemberId,
        sessions: Vec<SessionId>,
    ) -> BoxFuture<'static, Result<Vec<Touched>, Unavailable>> {
        let mut log = lock(&self.log);
        log.bundles.push(sessions.len());
        let Some((member, sim)) = log.members.get(&leader).cloned().filter(|_| log.connects(self.me, leader))
        else {
            return futures::future::pending().boxed();
        };
        drop(log);
        let answer = sim.start(async move { member.serve_touches(sessions).await });
        async move { answer.await.unwrap_or_else(|_| Err(Unavailable("the member is gone".into()))) }.boxed()
    }
}

impl Log {
    fn connects(&self, one: MemberId, other: MemberId) -> bool {
        !self.isolated.contains_key(&one) && !self.isolated.contains_key(&other)
    }
}

#[derive(Clone, Default)]
pub(crate) struct TestStore {
    rows: Arc<Mutex<MemoryState>>,
    full: Arc<Mutex<usize>>,
}

impl Store for TestStore {
    type View = MemoryState;
    type Mark = u64;
    fn view(&self) -> Result<MemoryState, Fatal> {
        Ok(lock(&self.rows).clone())
    }
    fn wait_written(&self, _: u64) -> Result<(), Fatal> {
        Ok(())
    }
    fn commit(&self, writes: &[Write], _: &u64) -> Result<(), StoreError> {
        if *lock(&self.full) > 0 {
            return Err(StoreError::Full("no space left".into()));
        }
        lock(&self.rows).commit(writes);
        Ok(())
    }
    fn wait_for_space(&self) -> Result<(), Fatal> {
        *lock(&self.full) -= 1;
        Ok(())
    }
}

impl TestStore {
    pub(crate) fn fill(&self, times: usize) {
        *lock(&self.full) = times;
    }
}

pub(crate) struct TestQueries;

impl QueryRunner<MemoryState> for TestQueries {
    fn run(&self, view: MemoryState, call: QueryCall) -> BoxFuture<'static, Result<Answer, QueryError>> {
        let query = Query { space: &call.space, query: call.query, args: &call.args, session: call.session };
        let answer = synod_machine::query(&view, &mut TestVm::default(), query).map_err(QueryError::Fatal);
        futures::future::ready(answer).boxed()
    }
}

#[derive(Default)]
pub(crate) struct TestPreparer {
    pub(crate) ready: Mutex<Option<Unavailable>>,
}

impl Preparer for TestPreparer {
    fn admit(&self, module: Arc<[u8]>) -> BoxFuture<'static, Result<Admitted, AdmissionError>> {
        futures::future::ready(recipe::admit(&module)).boxed()
    }
    fn prepare(&self, _: ModuleHash, _: Arc<[u8]>) -> BoxFuture<'static, Result<(), Unavailable>> {
        futures::future::ready(lock(&self.ready).clone().map_or(Ok(()), Err)).boxed()
    }
}

pub(crate) struct TestPorts;

impl Ports for TestPorts {
    type Runtime = Sim;
    type Clock = Sim;
    type Replication = TestLog;
    type Store = TestStore;
    type Queries = TestQueries;
    type Preparer = TestPreparer;
}

pub(crate) struct Node {
    pub(crate) member: Member<TestPorts>,
    pub(crate) store: TestStore,
    pub(crate) preparer: Arc<TestPreparer>,
    pub(crate) vm: TestVm,
    sim: Sim,
    executor: Executor<TestStore, MachineReplica<TestVm>>,
    applied: usize,
    held: bool,
    start: u64,
}

/// Members 1 to n, of which none leads yet.
pub(crate) struct Cluster {
    pub(crate) sim: Sim,
    log: Arc<Mutex<Log>>,
    nodes: Vec<Node>,
    watch_limits: WatchLimits,
}

pub(crate) type Pending<T> = oneshot::Receiver<Result<T, CallFailure>>;

impl Cluster {
    pub(crate) fn new(members: u64) -> Self {
        Self::with_limits(members, ProposerLimits::default())
    }

    pub(crate) fn with_limits(members: u64, limits: ProposerLimits) -> Self {
        Self::new_with(members, limits, WatchLimits::default())
    }

    fn new_with(members: u64, limits: ProposerLimits, watch_limits: WatchLimits) -> Self {
        let mut cluster = Self { sim: Sim::default(), log: Arc::default(), nodes: Vec::new(), watch_limits };
        for number in 1..=members {
            let node = cluster.start_node(number, 1, limits, TestStore::default(), 0);
            cluster.nodes.push(node);
        }
        cluster
    }

    /// A member that goes on where its store is.
    fn start_node(
        &self,
        number: u64,
        start: u64,
        limits: ProposerLimits,
        store: TestStore,
        applied: usize,
    ) -> Node {
        let (preparer, vm) = (Arc::new(TestPreparer::default()), TestVm::default());
        let (member, sim) = (MemberId(number), self.sim.process());
        let replica =
            MachineReplica::load(&lock(&store.rows).clone(), ENVIRONMENT, vm.clone()).expect("a good state");
        let applied_term = applied.checked_sub(1).map_or(0, |last| lock(&self.log).entries[last].0);
        let parts = MemberParts::<TestPorts, _> {
            member,
            incarnation: 40 * start + number,
            limits,
            applied_index: applied as u64,
            applied_term,
            runtime: sim.clone(),
            clock: Arc::new(sim.clone()),
            replication: TestLog { me: member, log: self.log.clone() },
            store: store.clone(),
            replica,
            queries: Arc::new(TestQueries),
            preparer: preparer.clone(),
            encode_event: watching::encode_event,
        };
        let (member, executor) = Member::start_with(parts, self.watch_limits).expect("a good state");
        lock(&self.log).members.insert(MemberId(number), (member.clone(), sim.clone()));
        Node { member, store, preparer, vm, sim, executor, applied, held: false, start }
    }

    /// Stops `number`, and starts it again on what it had written.
    pub(crate) fn restart(&mut self, number: u64) {
        let node = self.node(number);
        node.member.fail(Fatal("restarted".into()));
        let (store, applied, start) = (node.store.clone(), node.applied, node.start + 1);
        let node = self.start_node(number, start, ProposerLimits::default(), store, applied);
        self.nodes[number as usize - 1] = node;
        self.tell();
    }

    /// A formed cluster led by member 1, with the space `counter`.
    pub(crate) fn ready(members: u64) -> Self {
        Self::ready_with(members, ProposerLimits::default())
    }

    pub(crate) fn ready_with(members: u64, limits: ProposerLimits) -> Self {
        Self::with_limits(members, limits).formed()
    }

    /// The same, of members that hold as much of events as `watch_limits` says.
    pub(crate) fn ready_to_hold(members: u64, watch_limits: WatchLimits) -> Self {
        Self::new_with(members, ProposerLimits::default(), watch_limits).formed()
    }

    fn formed(self) -> Self {
        let mut cluster = self;
        cluster.elect(1);
        let member = cluster.member(1);
        cluster
            .wait(async move {
                member.form_cluster(ClusterId([3; 16]), Caller::default(), TIMEOUT).await?;
                member.set_environment(ENVIRONMENT, Caller::default(), TIMEOUT).await?;
                member.install(recipe::module(1), false, NewSpace::OfRecipe, Caller::default(), TIMEOUT).await
            })
            .expect("a recipe can be installed");
        cluster
    }

    pub(crate) fn member(&self, number: u64) -> Member<TestPorts> {
        self.node(number).member.clone()
    }

    pub(crate) fn node(&self, number: u64) -> &Node {
        &self.nodes[number as usize - 1]
    }

    /// A new term led by `number`; entries that are not committed are lost, as if it never had
    /// them.
    pub(crate) fn elect(&mut self, number: u64) {
        self.depose();
        {
            let mut log = lock(&self.log);
            log.leader = Some(MemberId(number));
            log.leader_ready = true;
            let (term, committed) = (log.term, log.committed);
            log.entries.truncate(committed);
            log.entries.push((term, Payload::Blank));
        }
        self.tell();
        self.run();
    }

    /// A new term that nobody leads yet.
    pub(crate) fn depose(&mut self) {
        {
            let mut log = lock(&self.log);
            log.term += 1;
            log.leader = None;
            log.leader_ready = false;
        }
        self.tell();
        self.sim.settle();
    }

    fn tell(&self) {
        let woken = std::mem::take(&mut lock(&self.log).changed);
        woken.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn mood(&self, mood: Mood) {
        lock(&self.log).mood = mood;
    }

    pub(crate) fn hold_commits(&self, hold: bool) {
        lock(&self.log).hold_commits = hold;
    }

    /// `number` applies nothing while it is held.
    pub(crate) fn hold_apply(&mut self, number: u64, held: bool) {
        self.nodes[number as usize - 1].held = held;
    }

    /// `number` does nothing while it is stopped; its clients wait.
    pub(crate) fn stop(&mut self, number: u64, stopped: bool) {
        self.node(number).sim.stop(stopped);
        self.hold_apply(number, stopped);
    }

    /// The tasks of `number` do nothing while they are stopped; its apply thread goes on.
    pub(crate) fn stop_tasks(&self, number: u64, stopped: bool) {
        self.node(number).sim.stop(stopped);
    }

    /// Appends commands that emit about topics, padded to so many bytes, one an entry.
    pub(crate) fn append_emits(&self, commands: &[([&str; 3], usize)]) {
        let mut log = lock(&self.log);
        let term = log.term;
        for (topics, bytes) in commands {
            let args = Blob(synod_abi::encode(&(topics.as_slice(), *bytes as u64)));
            let action = Action::Call(Call { space: SpaceId(1), operation: OperationId::of("emit"), args });
            let command = Command { origin: Default::default(), caller: Caller::default(), action };
            let entry = Entry { stamp: Default::default(), commands: vec![command] };
            log.entries.push((term, Payload::Entry(synod_abi::encode(&entry).into())));
        }
    }

    /// Nothing comes to `number` or from it, and it believes what it knew.
    pub(crate) fn isolate(&mut self, number: u64) {
        let mut log = lock(&self.log);
        let believed = known(&log, MemberId(number));
        log.isolated.insert(MemberId(number), believed);
        drop(log);
        self.cut_links();
    }

    /// Whether `number` is cut off.
    pub(crate) fn is_isolated(&self, number: u64) -> bool {
        lock(&self.log).isolated.contains_key(&MemberId(number))
    }

    /// Ends the isolation of `number`.
    pub(crate) fn reconnect(&mut self, number: u64) {
        lock(&self.log).isolated.remove(&MemberId(number));
        self.tell();
        self.run();
    }

    /// Sizes of the bundles of touches that followers have sent.
    pub(crate) fn bundles(&self) -> Vec<usize> {
        lock(&self.log).bundles.clone()
    }

    /// A row of the space `counter` on `number`.
    pub(crate) fn row(&self, number: u64, key: &str) -> Option<Vec<u8>> {
        let key = [&1_u32.to_be_bytes(), key.as_bytes()].concat();
        lock(&self.node(number).store.rows).get(Table::State, &key).expect("rows in memory")
    }

    /// The same, as the number that it holds.
    pub(crate) fn number(&self, member: u64, key: &str) -> u64 {
        self.row(member, key).map_or(0, |row| u64::from_le_bytes(row.try_into().expect("a number")))
    }

    /// Links deliver nothing while they are deaf.
    pub(crate) fn deafen_links(&self, deaf: bool) {
        self.each_gate(|gate| gate.deaf = deaf);
        lock(&self.log).deaf = deaf;
    }

    /// Ends every link, and loses what is in it.
    pub(crate) fn cut_links(&self) {
        self.each_gate(|gate| gate.cut = true);
        lock(&self.log).gates.clear();
    }

    fn each_gate(&self, change: impl Fn(&mut GateState)) {
        let gates = lock(&self.log).gates.clone();
        for gate in gates {
            let waker = {
                let mut gate = lock(&gate);
                change(&mut gate);
                gate.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        }
    }

    pub(crate) fn links_opened(&self) -> usize {
        lock(&self.log).links_opened
    }

    pub(crate) fn read_indexes_asked(&self) -> usize {
        lock(&self.log).read_indexes_asked
    }

    /// Runs until nothing is left to do without time passing.
    pub(crate) fn run(&mut self) {
        loop {
            self.sim.settle();
            if !self.pump() {
                return;
            }
        }
    }

    /// Commits, applies and answers read indexes; whether there was anything.
    fn pump(&mut self) -> bool {
        pump(&self.log, &mut self.nodes)
    }

    /// Runs `work` to its end.
    pub(crate) fn wait<T: Send + 'static>(&mut self, work: impl Future<Output = T> + Send + 'static) -> T {
        let (sim, log, nodes) = (self.sim.clone(), self.log.clone(), &mut self.nodes);
        sim.block_on(work, || pump(&log, nodes))
    }

    /// Lets `duration` pass.
    pub(crate) fn advance(&mut self, duration: Duration) {
        let end = self.sim.elapsed() + duration;
        loop {
            self.run();
            if !self.sim.jump(end) {
                return self.run();
            }
        }
    }

    /// All committed entries, with their indices.
    pub(crate) fn committed_payloads(&self) -> Vec<(u64, Payload)> {
        let log = lock(&self.log);
        (1..)
            .zip(&log.entries[..log.committed])
            .map(|(index, (_, payload))| (index, payload.clone()))
            .collect()
    }

    /// Commands of all committed entries, entry by entry.
    pub(crate) fn committed(&self) -> Vec<Entry> {
        let log = lock(&self.log);
        let entries = log.entries[..log.committed].iter();
        entries
            .filter_map(|(_, payload)| match payload {
                Payload::Blank => None,
                Payload::Entry(bytes) => Some(synod_abi::decode(bytes).expect("entries decode")),
            })
            .collect()
    }

    /// Revisions of the calls of `add` that were committed and not rejected.
    pub(crate) fn revisions_of_adds(&self) -> Vec<Revision> {
        Oracle::of(self).adds
    }

    /// Calls of `add` in all committed entries, by key, in order.
    pub(crate) fn committed_adds(&self) -> Vec<(String, u64)> {
        let commands = self.committed().into_iter().flat_map(|entry| entry.commands);
        commands
            .filter_map(|command| match command.action {
                Action::Call(Call { operation, args, .. })
                | Action::SessionCall(SessionCall { call: Call { operation, args, .. }, .. })
                    if operation == OperationId::of("add") =>
                {
                    let mut args = &args[..];
                    Some((synod_abi::decode_from(&mut args).ok()?, synod_abi::decode_from(&mut args).ok()?))
                }
                _ => None,
            })
            .collect()
    }

    pub(crate) fn start_add(&self, number: u64, key: &str, n: u64) -> Pending<CallAnswer> {
        self.start_add_for(number, key, n, TIMEOUT)
    }

    pub(crate) fn start_add_for(
        &self,
        number: u64,
        key: &str,
        n: u64,
        timeout: Duration,
    ) -> Pending<CallAnswer> {
        let (member, args) = (self.member(number), Args::Json(format!("{{\"key\":{key:?},\"n\":{n}}}")));
        self.sim.start(async move { member.call("counter", "add", args, Caller::default(), timeout).await })
    }

    pub(crate) fn start_fill(&self, number: u64) -> Pending<CallAnswer> {
        let member = self.member(number);
        self.sim.start(async move {
            member.call("counter", "fill", Args::Json(String::new()), Caller::default(), TIMEOUT).await
        })
    }

    /// A snapshot of `from`'s state is installed on `to`, which jumps over what it has not applied.
    pub(crate) fn install_snapshot(&mut self, from: u64, to: u64) {
        let rows = lock(&self.node(from).store.rows).clone();
        let applied = self.node(from).applied;
        let term = lock(&self.log).entries[applied - 1].0;
        let node = &mut self.nodes[to as usize - 1];
        *lock(&node.store.rows) = rows;
        node.applied = applied;
        node.executor.restored(applied as u64, term).expect("a good snapshot");
        self.run();
    }

    /// The same, if `from` is ahead of `to`.
    pub(crate) fn try_install_snapshot(&mut self, from: u64, to: u64) {
        if self.node(from).applied > self.node(to).applied {
            self.install_snapshot(from, to);
        }
    }

    pub(crate) fn assert_members_agree(&self) {
        let digests: Vec<_> = self.nodes.iter().map(|node| node.member.applied().digest()).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
    }
}

fn pump(log: &Mutex<Log>, nodes: &mut [Node]) -> bool {
    let (mut worked, readers) = {
        let mut log = lock(log);
        let before = log.committed;
        if !log.hold_commits {
            log.committed = log.entries.len();
        }
        let readers = if log.leader.is_some() && !log.hold_commits {
            std::mem::take(&mut log.read_indexes)
        } else {
            Vec::new()
        };
        let (cut_off, readers): (Vec<_>, Vec<_>) =
            readers.into_iter().partition(|(member, _)| log.isolated.contains_key(member));
        log.read_indexes.extend(cut_off);
        (before != log.committed, readers)
    };
    let committed = lock(log).committed as u64;
    for (_, reader) in readers {
        worked = true;
        let _ = reader.send(Ok(committed));
    }
    let isolated: Vec<MemberId> = lock(log).isolated.keys().copied().collect();
    for (_, node) in
        (1..).zip(nodes).filter(|(number, node)| !node.held && !isolated.contains(&MemberId(*number)))
    {
        let entries = {
            let log = lock(log);
            let from = node.applied.min(log.committed);
            log.entries[from..log.committed].to_vec()
        };
        worked |= !entries.is_empty();
        for (term, payload) in entries {
            node.applied += 1;
            let index = node.applied as u64;
            node.executor.apply(Committed { index, term, mark: index, payload }).expect("entries apply");
        }
    }
    worked
}

pub(crate) fn is_unavailable<T>(result: Option<Result<T, CallFailure>>, expected: UnavailableReason) -> bool {
    matches!(result, Some(Err(CallFailure::Unavailable { reason, .. })) if reason == expected)
}

/// What `pending` has, if it has something.
pub(crate) fn look<T>(pending: &mut Pending<T>) -> Option<Result<T, CallFailure>> {
    pending.try_recv().expect("the task is not cancelled")
}
