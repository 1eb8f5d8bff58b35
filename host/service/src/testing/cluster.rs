//! Members on one in-memory log whose leader, commits, refusals and links a test decides about.
mod faults;
mod log;
mod ports;

use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use synod_abi::{Blob, ClusterId, MemberId, OperationId, Revision, SpaceId};
use synod_machine::directory::Head;
use synod_machine::{
    Action, Call, Caller, Command, Entry, Environment, Fatal, SessionCall, StateView, Table,
};

use super::oracle::Oracle;
use super::recipe::{self, TestVm};
use super::sim::{Sim, where_blocking_is_allowed};
use super::watching;
use crate::progress::lock;
use crate::watch::WatchLimits;
use crate::{
    Args, CallAnswer, CallFailure, Executor, MachineReplica, Member, MemberParts, NewSpace, ProposerLimits,
    QueryOptions, UnavailableReason,
};
use log::{Log, TestLog};
use ports::{TestPreparer, TestQueries, TestStore};

pub(crate) use log::Mood;
pub(crate) use ports::TestPorts;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const ENVIRONMENT: Environment = Environment { semantics: 1, engine: [7; 32] };

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
        let replica = MachineReplica::load(&lock(&store.rows).clone(), &[ENVIRONMENT], vm.clone())
            .expect("a good state");
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
        let begin = || Member::start_with(parts, self.watch_limits).expect("a good state");
        let (member, executor) = where_blocking_is_allowed(begin);
        member.clocks().set_voters([MemberId(number)].into());
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

    /// The same members, formed: member 1 leads, with the space `counter`.
    pub(crate) fn formed(self) -> Self {
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

    /// The process of `number`.
    pub(crate) fn node_sim(&self, number: u64) -> Sim {
        self.node(number).sim.clone()
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
            log.entries.push((term, None));
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

    /// Appends commands that emit about topics, padded to so many bytes, one an entry.
    pub(crate) fn append_emits(&self, commands: &[([&str; 3], usize)]) {
        let mut log = lock(&self.log);
        let term = log.term;
        for (topics, bytes) in commands {
            let args = Blob(synod_abi::encode(&(topics.as_slice(), *bytes as u64)));
            let action = Action::Call(Call { space: SpaceId(1), operation: OperationId::of("emit"), args });
            let command = Command { origin: Default::default(), caller: Caller::default(), action };
            let entry = Entry { stamp: Default::default(), commands: vec![command] };
            log.entries.push((term, Some(synod_abi::encode(&entry).into())));
        }
    }

    /// Sizes of the bundles of touches that followers have sent.
    pub(crate) fn bundles(&self) -> Vec<usize> {
        lock(&self.log).bundles.clone()
    }

    /// The head of the state of `number`.
    pub(crate) fn head(&self, number: u64) -> Head {
        self.member(number).status().head
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
    pub(crate) fn committed_payloads(&self) -> Vec<(u64, Option<Bytes>)> {
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
            .filter_map(|(_, entry)| entry.as_deref())
            .map(|entry| synod_abi::decode(entry).expect("entries decode"))
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
                | Action::UserCall { call: SessionCall { call: Call { operation, args, .. }, .. }, .. }
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

    pub(crate) fn start_get(&self, number: u64, options: QueryOptions) -> Pending<CallAnswer> {
        let (member, args) = (self.member(number), Args::Json("{\"key\":\"k\"}".into()));
        self.sim.start(async move {
            member.query("counter", "get", args, options, TIMEOUT).await.map(|(answer, _)| answer)
        })
    }

    pub(crate) fn start_fill(&self, number: u64) -> Pending<CallAnswer> {
        let member = self.member(number);
        self.sim.start(async move {
            member.call("counter", "fill", Args::Json(String::new()), Caller::default(), TIMEOUT).await
        })
    }

    pub(crate) fn assert_members_agree(&self) {
        let digests: Vec<_> = self.nodes.iter().map(|node| node.member.applied().digest()).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
    }
}

/// Commits, unless commits are held, and answers the read indexes of members that are not cut off;
/// whether there was anything.
fn commit(log: &Mutex<Log>) -> bool {
    let mut log = lock(log);
    let before = log.committed;
    if !log.hold_commits {
        log.committed = log.entries.len();
    }
    let mut worked = before != log.committed;
    if log.leader.is_some() && !log.hold_commits {
        let readers = std::mem::take(&mut log.read_indexes);
        let (cut_off, readers): (Vec<_>, Vec<_>) =
            readers.into_iter().partition(|(member, _)| log.isolated.contains_key(member));
        log.read_indexes = cut_off;
        let committed = log.committed as u64;
        drop(log);
        worked |= !readers.is_empty();
        for (_, reader) in readers {
            let _ = reader.send(Ok(committed));
        }
    }
    worked
}

/// Commits, and applies what is committed; whether there was anything.
fn pump(log: &Mutex<Log>, nodes: &mut [Node]) -> bool {
    let mut worked = commit(log);
    let isolated: Vec<MemberId> = lock(log).isolated.keys().copied().collect();
    for (number, node) in (1..).zip(nodes) {
        if node.held || isolated.contains(&MemberId(number)) {
            continue;
        }
        let entries = {
            let log = lock(log);
            let from = node.applied.min(log.committed);
            log.entries[from..log.committed].to_vec()
        };
        worked |= !entries.is_empty();
        for (term, payload) in entries {
            node.applied += 1;
            let index = node.applied as u64;
            let apply = || node.executor.apply(index, term, &index, payload.as_deref());
            where_blocking_is_allowed(apply).expect("entries apply");
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
