//! Members that start, run, crash and come back on what their disks had.
//!
//! A member is the real consensus, service, machine and engine in a process of its own, over a
//! store in memory that tells written from durable. What the node adds in tasks of its own is here
//! only as far as a cluster needs it to work: setting it up, watching the disk, keeping digests
//! compared.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, select};
use synod_abi::{ClusterId, MemberId};
use synod_consensus::{EntryId, MemberInfo, Raft, Role, Settings};
use synod_machine::{Caller as CommandCaller, Fatal, Principal};
use synod_service::ports::{Replication, Role as Leads, Store};
use synod_service::{
    CallFailure, Consistency, MachineReplica, Member, MemberParts, NewSpace, ProposerLimits, Reason,
    ScrubPace,
};
use synod_storage::{Health, LogStore, MemoryStore, StateStore};
use synod_world::{Dice, Process, World};

use crate::applier::{Pace, SimApplier};
use crate::engines::Engines;
use crate::events::encode_event;
use crate::fail_over;
use crate::members;
use crate::net::{Net, Site};
use crate::observe::Observer;
use crate::peers::{Caller, Live, Peers, Roster, SimMember};
use crate::ports::{InlineQueries, OwnPreparer, Rows, SimReplication};
use crate::runtime::{SimRuntime, Tasks};

/// The cluster's id.
pub const CLUSTER: ClusterId = ClusterId([13; 16]);
/// The cluster's own caller.
pub const SYSTEM: CommandCaller = CommandCaller { principal: Principal::System, session: None };
/// How long a command of the cluster itself may take.
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(200);
/// How often the health of a disk is looked at.
const DISK_EVERY: Duration = Duration::from_millis(200);

/// Least and longest time of an fsync, of a member's disk.
pub type DiskSpeed = (Duration, Duration);

/// A member, whether it runs or not.
pub struct Node {
    /// What it is called: as the member that it replaces.
    name: String,
    /// Whether it was not there when the cluster was formed.
    joins: bool,
    /// Its disk.
    pub store: MemoryStore,
    /// How fast its disk is.
    pub disk: Arc<Mutex<DiskSpeed>>,
    /// How fast it applies.
    pub pace: Arc<Pace>,
    /// Its process, if it runs.
    pub process: Option<Process>,
    replication: Option<SimReplication>,
    starts: u64,
}

/// The members of one cluster.
pub struct Cluster {
    /// The world.
    pub world: World,
    /// The network.
    pub net: Net,
    /// Who can be connected to.
    pub roster: Roster,
    /// What is seen.
    pub observer: Observer,
    /// All members, by id.
    pub nodes: BTreeMap<MemberId, Node>,
    engines: Engines,
    settings: Settings,
    disk: DiskSpeed,
    dice: Dice,
    ended: Ended,
}

/// Members whose processes have ended of themselves, and why.
type Ended = Arc<Mutex<Vec<(MemberId, String)>>>;

/// What a member is started with.
struct Parts {
    me: MemberId,
    incarnation: u64,
    process: Process,
    store: MemoryStore,
    pace: Arc<Pace>,
    replication: SimReplication,
    peers: Peers,
    settings: Settings,
    engines: Engines,
    observer: Observer,
}

impl Node {
    fn new(name: String, disk: DiskSpeed, dice: Dice) -> Self {
        Self {
            name,
            joins: false,
            store: MemoryStore::manual(),
            disk: Arc::new(Mutex::new(disk)),
            pace: Pace::new(dice, Duration::from_micros(500)),
            process: None,
            replication: None,
            starts: 0,
        }
    }

    fn info(&self, id: MemberId) -> MemberInfo {
        let address = format!("m{id}");
        MemberInfo { name: self.name.clone(), peer_address: address.clone(), client_addresses: vec![address] }
    }
}

impl Cluster {
    /// `count` members with empty disks; none runs yet.
    pub fn new(
        (world, net, observer): (World, Net, Observer),
        count: u64,
        (settings, disk): (Settings, DiskSpeed),
        engines: Engines,
        mut dice: Dice,
    ) -> Self {
        let node = |id| (MemberId(id), Node::new(format!("m{id}"), disk, dice.fork()));
        let nodes = (1..=count).map(node).collect();
        let (roster, ended) = (Roster::default(), Ended::default());
        Self { world, net, roster, observer, nodes, engines, settings, disk, dice, ended }
    }

    /// All members, by id.
    pub fn ids(&self) -> Vec<MemberId> {
        self.nodes.keys().copied().collect()
    }

    fn members(&self) -> BTreeMap<MemberId, MemberInfo> {
        self.nodes.iter().map(|(id, node)| (*id, node.info(*id))).collect()
    }

    /// Starts all members, and has the first form a cluster of them.
    pub fn form(&mut self) {
        for id in self.ids() {
            self.start(id);
        }
        let (roster, members) = (self.roster.clone(), self.members());
        let first = *members.keys().next().expect("a cluster has members");
        let process = self.nodes[&first].process.clone().expect("it runs");
        let own = process.clone();
        let form = async move {
            loop {
                if let Some(live) = roster.get(first) {
                    let _formed_before = live.raft.initialize(members).await;
                    return;
                }
                own.sleep(Duration::from_millis(1)).await;
            }
        };
        process.spawn(form.boxed());
    }

    /// A member is lost with its disk, and a new one starts in its place. None: the last one that
    /// did is still on its way.
    pub fn replace(&mut self, lost: MemberId) -> Option<MemberId> {
        let may_be_lost = match self.damaged() {
            Some(damaged) => damaged == lost,
            None => !self.is_replacing(),
        };
        if !may_be_lost {
            return None;
        }
        let new = MemberId(self.nodes.last_key_value()?.0.0 + 1);
        self.kill(lost, 0);
        let name = self.nodes.remove(&lost)?.name;
        let node = Node { joins: true, ..Node::new(name, self.disk, self.dice.fork()) };
        self.nodes.insert(new, node);
        self.start(new);
        Some(new)
    }

    /// Flips a bit of a row of a member. Returns false, and does nothing, if no further member may
    /// be lost now.
    pub fn flip(&mut self, id: MemberId, chance: u64) -> bool {
        !self.is_replacing() && self.damaged().is_none() && self.nodes[&id].store.flip(chance)
    }

    /// The member that has a row with a flipped bit: at most one at a time.
    pub fn damaged(&self) -> Option<MemberId> {
        self.nodes.iter().find(|(_, node)| node.store.is_flipped()).map(|(id, _)| *id)
    }

    /// Whether a member that is to replace a lost one has no vote yet.
    pub fn is_replacing(&self) -> bool {
        let votes = |id: MemberId| {
            let status = self.roster.get(id).map(|live| live.raft.status());
            status.is_some_and(|status| status.voters.contains_key(&id) && !status.is_changing)
        };
        self.nodes.last_key_value().is_some_and(|(id, node)| node.joins && !votes(*id))
    }

    /// Starts a member on what its disk has, unless it runs or was replaced.
    pub fn start(&mut self, id: MemberId) {
        let (sync_dice, observer) = (self.dice.fork(), self.observer.clone());
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.process.is_none()) else { return };
        node.starts += 1;
        let process = self.world.process();
        let (net, roster) = (self.net.clone(), self.roster.clone());
        let caller = Caller { site: Site::Member(id), process: process.clone(), net, roster };
        let peers = Peers::new(id, caller.clone());
        let replication = SimReplication::new(id, peers.clone());
        node.process = Some(process.clone());
        node.replication = Some(replication.clone());
        let parts = Parts {
            me: id,
            incarnation: node.starts,
            process: process.clone(),
            store: node.store.clone(),
            pace: node.pace.clone(),
            replication,
            peers,
            settings: self.settings.clone(),
            engines: self.engines.clone(),
            observer: observer.clone(),
        };
        observer.tell(Site::Member(id), format_args!("start number {}", node.starts));
        process.spawn(keep_disk(process.clone(), node.store.clone(), node.disk.clone(), sync_dice).boxed());
        process.spawn(live(parts, self.roster.clone(), self.ended.clone()).boxed());
        if node.joins {
            process.spawn(members::join(caller, id, node.info(id)).boxed());
        }
    }

    /// Ends a member at once. Of what its disk was told and had not synced, the first `kept`
    /// changes are there when it comes back.
    pub fn kill(&mut self, id: MemberId, kept: usize) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(process) = node.process.take() else { return };
        self.roster.all().remove(&id);
        process.kill();
        fail_over::tell(id, &self.roster, &self.net, &self.observer);
        if let Some(replication) = node.replication.take() {
            replication.unbind();
        }
        node.store = node.store.crash(kept);
    }

    /// A crash that loses a part of what was not synced.
    pub fn crash(&mut self, id: MemberId) {
        let Some(node) = self.nodes.get(&id) else { return };
        let pending = node.store.pending() as u64;
        let kept = self.dice.between(0, pending);
        self.observer
            .tell(Site::Member(id), format_args!("crashes; {kept} of {pending} changes were written"));
        self.kill(id, kept as usize);
    }

    /// Buries the members that ended of themselves; why, by member.
    pub fn bury(&mut self) -> Vec<(MemberId, String)> {
        let ended = std::mem::take(&mut *self.ended.lock().expect("nobody panicked with it"));
        for (id, why) in &ended {
            self.observer.tell(Site::Member(*id), format_args!("ends: {why}"));
            self.crash(*id);
        }
        ended
    }

    /// The members that run.
    pub fn running(&self) -> Vec<MemberId> {
        self.nodes.iter().filter(|(_, node)| node.process.is_some()).map(|(id, _)| *id).collect()
    }

    /// The established leader of the newest term, if there is one.
    pub fn leader(&self) -> Option<MemberId> {
        let roster = self.roster.all();
        let leads =
            roster.iter().filter_map(|(id, live)| Some((live.raft.term_state().established_term()?, *id)));
        leads.max().map(|(_, id)| id)
    }

    /// Drops everything: a world that ended keeps nothing.
    pub fn end(&mut self) {
        for id in self.ids() {
            self.kill(id, usize::MAX);
        }
        self.world.end();
    }
}

/// Syncs what the store was told, as long as the process lives.
async fn keep_disk(process: Process, store: MemoryStore, speed: Arc<Mutex<DiskSpeed>>, mut dice: Dice) {
    loop {
        store.changed().await;
        let (least, most) = *speed.lock().expect("nobody panicked with it");
        process.sleep(dice.duration(least, most)).await;
        store.sync();
        if store.pending() > 0 {
            process.sleep(DISK_EVERY).await;
        }
    }
}

/// A member's life, until it breaks.
async fn live(parts: Parts, roster: Roster, ended: Ended) {
    let (me, observer, store) = (parts.me, parts.observer.clone(), parts.store.clone());
    let why = match build(parts).await {
        Err(fatal) => fatal.0,
        Ok((live, replication, engines)) => {
            roster.all().insert(me, live.clone());
            start_duties(&live, store, replication, engines, observer);
            let (raft, member) = (live.raft.clone(), live.member.clone());
            drop(live);
            match select(Box::pin(raft.stopped()), Box::pin(member.failed())).await {
                Either::Left((Ok(()), _)) => "its consensus was stopped".to_owned(),
                Either::Left((Err(fatal), _)) | Either::Right((fatal, _)) => fatal.0,
            }
        }
    };
    ended.lock().expect("nobody panicked with it").push((me, why));
}

async fn build(parts: Parts) -> Result<(Live, SimReplication, Engines), Fatal> {
    let fatal = |error: &dyn std::fmt::Display| Fatal(error.to_string());
    let Parts { me, incarnation, process, store, pace, replication, peers, settings, engines, observer } =
        parts;
    let rows = Rows(store.clone());
    let mark = store.applied().map_err(|error| fatal(&error))?;
    let applied = EntryId::of_mark(&mark).map_err(|error| fatal(&error))?;
    let view = rows.view()?;
    let replica = MachineReplica::load(&view, &[engines.environment()], engines.vm())?;
    drop(view);
    let member_parts = MemberParts {
        member: me,
        incarnation,
        limits: ProposerLimits::default(),
        applied_index: applied.map_or(0, |entry| entry.index),
        applied_term: applied.map_or(0, |entry| entry.term),
        runtime: Tasks(process.clone()),
        clock: Arc::new(Tasks(process.clone())),
        replication: replication.clone(),
        store: rows,
        replica,
        queries: Arc::new(InlineQueries(engines.queries())),
        preparer: Arc::new(OwnPreparer(engines.editions())),
        encode_event,
    };
    let (member, executor) = Member::start(member_parts)?;
    let applier = SimApplier::new((me, process.clone()), (store.clone(), executor), CLUSTER, observer, pace);
    let raft = Raft::<SimRuntime, _, _>::start(me, settings, store.clone(), store, Arc::new(applier), peers);
    let raft = raft.await.map_err(|error| fatal(&error))?;
    replication.bind(raft.clone());
    Ok((Live { process, raft, member }, replication, engines))
}

/// What a member does on its own account.
fn start_duties(
    live: &Live,
    store: MemoryStore,
    replication: SimReplication,
    engines: Engines,
    observer: Observer,
) {
    let Live { process, raft, member } = live;
    let kept = member.clone();
    process.spawn(async move { kept.keep_available().await }.boxed());
    member.keep_checkpoints();
    let measuring = member.clone();
    process.spawn(async move { measuring.keep_clocks().await }.boxed());
    let scrubbed = member.clone();
    let pace = ScrubPace { every: None, bytes_per_second: u64::MAX };
    process.spawn(async move { scrubbed.keep_scrubs(pace).await }.boxed());
    let agreeing = member.clone();
    let agree = async move {
        let why = agreeing.diverged().await.to_string();
        agreeing.fail(Fatal(why));
    };
    process.spawn(agree.boxed());
    let (me, told) = (raft.id(), observer.clone());
    let mut terms = raft.term_watch();
    let watch = async move {
        while let Ok(now) = terms.changed().await {
            if matches!(now.role, Role::Leader { .. }) && now.established_term().is_some() {
                told.leads(me, now.term);
            }
        }
    };
    process.spawn(watch.boxed());
    process.spawn(members::keep(process.clone(), raft.clone(), observer.clone()).boxed());
    process.spawn(watch_disk(process.clone(), store, member.clone()).boxed());
    process.spawn(govern(process.clone(), member.clone(), replication, engines, observer).boxed());
}

/// Says whether the disk is full, as the node does.
async fn watch_disk(process: Process, store: MemoryStore, member: SimMember) {
    loop {
        let is_full = match store.health() {
            Health::Ready => false,
            Health::Full => true,
            Health::Failed(error) => return member.fail(Fatal(error.to_string())),
        };
        member.standing().note(|observed| observed.disk_is_full = is_full);
        process.sleep(DISK_EVERY).await;
    }
}

/// Sets the cluster up whenever this member leads: its id, its environment, its recipes.
async fn govern(
    process: Process,
    member: SimMember,
    replication: SimReplication,
    engines: Engines,
    observer: Observer,
) {
    loop {
        let seen = replication.leadership();
        while seen.role == Leads::Leader && replication.leadership() == seen {
            match set_up(&member, &engines).await {
                Ok(()) => break,
                Err(failure) => {
                    observer.tell(Site::Member(seen.me), format_args!("is not set up: {failure}"))
                }
            }
            process.sleep(RETRY).await;
        }
        member.standing().note(|observed| observed.is_set_up = true);
        replication.leadership_changed(seen).await;
    }
}

async fn set_up(member: &SimMember, engines: &Engines) -> Result<(), CallFailure> {
    member.barrier(TIMEOUT).await?;
    let head = member.applied().head();
    if head.cluster.is_none() {
        tolerate(member.form_cluster(CLUSTER, SYSTEM, TIMEOUT).await, Reason::AlreadyFormed)?;
    }
    if head.environment.is_none() {
        member.set_environment(engines.environment(), SYSTEM, TIMEOUT).await?;
    }
    for bundled in synod_bundle::RECIPES {
        if member.describe_recipe(bundled.name, None, Consistency::Serializable, TIMEOUT).await.is_err() {
            let module = bundled.module.to_vec();
            member.install(module, false, NewSpace::OfRecipe, SYSTEM, TIMEOUT).await?;
        }
    }
    Ok(())
}

fn tolerate<T>(result: Result<T, CallFailure>, reason: Reason) -> Result<(), CallFailure> {
    match result {
        Err(CallFailure::Rejected(rejected)) if rejected.reason == reason => Ok(()),
        Err(failure) => Err(failure),
        Ok(_) => Ok(()),
    }
}
