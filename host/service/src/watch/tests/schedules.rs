//! Random schedules of events, changes of leaders, restarts, snapshots, compaction, dropped
//! streams, overflow and slow readers. Whatever happens, a watch that resumes where it was gets
//! every event it wants once, in order, those of a revision together; progress marks are true; only
//! compacted events are missing, and the watch gets that reported.
//!
//! The properties are etcd's, by their names: a test each, and one that holds everything against a
//! replay of the log.
use std::time::Duration;

use proptest::prelude::*;
use synod_abi::{Revision, TopicFilter};
use synod_machine::Caller;

use super::{exact, prefix};
use crate::WatchStart;
use crate::failure::{CallFailure, Reason};
use crate::testing::cluster::{Cluster, TIMEOUT};
use crate::testing::oracle::Oracle;
use crate::testing::watching::{Pulled, Seen, TestStream, Told, told, watch};
use crate::watch::{WatchLimits, WatchUpdate};

const MEMBERS: u64 = 3;
const TOPICS: [&str; 5] = ["a", "a/b", "a/c", "b", "b/c"];

#[derive(Clone, Debug)]
enum Happening {
    /// Emits about these topics, so large.
    Emit(u64, Vec<usize>, usize),
    Run,
    Wait(u64),
    Elect(u64),
    Depose,
    HoldCommits(bool),
    HoldApply(u64, bool),
    StopTasks(u64, bool),
    Snapshot(u64, u64),
    Restart(u64),
    /// Forgets so many percent of the revisions.
    Compact(u64),
    /// Drops a client's stream; it comes back on another member.
    Move(usize, u64),
    Pull(usize),
    Drain(usize),
    Progress(usize),
    Cancel(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    let (member, client) = (|| 1..=MEMBERS, || 0..FILTERS);
    let topics = || proptest::collection::vec(0..TOPICS.len(), 1..6);
    let size = prop_oneof![9 => 0_usize..40, 1 => Just(200_000)];
    let emit = (member(), topics(), size);
    prop_oneof![
        14 => emit.prop_map(|(at, topics, size)| Happening::Emit(at, topics, size)),
        5 => Just(Happening::Run),
        3 => (1_u64..3_000).prop_map(Happening::Wait),
        2 => member().prop_map(Happening::Elect),
        1 => Just(Happening::Depose),
        1 => any::<bool>().prop_map(Happening::HoldCommits),
        2 => (member(), any::<bool>()).prop_map(|(member, held)| Happening::HoldApply(member, held)),
        2 => (member(), any::<bool>()).prop_map(|(member, stopped)| Happening::StopTasks(member, stopped)),
        1 => (member(), member()).prop_map(|(from, to)| Happening::Snapshot(from, to)),
        1 => member().prop_map(Happening::Restart),
        1 => (0_u64..=100).prop_map(Happening::Compact),
        3 => (client(), member()).prop_map(|(client, member)| Happening::Move(client, member)),
        5 => client().prop_map(Happening::Pull),
        3 => client().prop_map(Happening::Drain),
        2 => client().prop_map(Happening::Progress),
        1 => client().prop_map(Happening::Cancel),
    ]
}

/// Enough for everything, or so little that all of it overflows at times.
fn limits() -> impl Strategy<Value = WatchLimits> {
    let few = (2_usize..12, 400_usize..8_000, 60_usize..2_000, 60_usize..1_000);
    let few = few.prop_map(|(feed_events, tail_bytes, page_bytes, update_bytes)| WatchLimits {
        feed_events,
        tail_bytes,
        page_bytes,
        update_bytes,
        ..WatchLimits::default()
    });
    prop_oneof![1 => Just(WatchLimits::default()), 3 => few]
}

const FILTERS: usize = 4;

fn filters() -> [TopicFilter; FILTERS] {
    [exact("a/b"), prefix("a"), TopicFilter::all(), prefix("b/")]
}

/// A client that follows one filter, and comes back where it was.
struct Client {
    filter: TopicFilter,
    stream: TestStream,
    member: u64,
    /// Its number of watches: each has its number as id.
    watches: u64,
    /// Behind which revision it began.
    base: Option<Revision>,
    got: Vec<Seen>,
    /// Parts of a revision that is not whole yet.
    parts: Vec<Seen>,
    /// The revision that it would come back at.
    next: Revision,
    /// First and last revisions of what was forgotten before it came back.
    lost: Vec<(Revision, Revision)>,
    /// Progress marks, and how much it had then.
    marks: Vec<(Revision, usize)>,
    /// The revisions that it began or came back with, and how much it had then.
    resumed: Vec<(Revision, usize)>,
    created: bool,
    gone: bool,
}

impl Client {
    fn new(cluster: &Cluster, filter: TopicFilter, member: u64) -> Self {
        let stream = TestStream::on(cluster, member);
        let mut client = Self {
            filter,
            stream,
            member,
            watches: 0,
            base: None,
            got: Vec::new(),
            parts: Vec::new(),
            next: Revision(0),
            lost: Vec::new(),
            marks: Vec::new(),
            resumed: Vec::new(),
            created: false,
            gone: false,
        };
        client.watch(cluster);
        client
    }

    /// Watches, from where it is.
    fn watch(&mut self, cluster: &Cluster) {
        self.watches += 1;
        (self.created, self.gone) = (false, false);
        self.parts.clear();
        let start = if self.base.is_some() { WatchStart::Revision(self.next) } else { WatchStart::Now };
        let _pending = self.stream.start(cluster, watch(self.watches, self.filter.clone(), start));
    }

    fn move_to(&mut self, cluster: &Cluster, member: u64) {
        self.member = member;
        self.stream = TestStream::on(cluster, member);
        self.watch(cluster);
    }

    fn pull(&mut self) -> bool {
        match self.stream.pull() {
            Pulled::Updates(updates) => updates.into_iter().for_each(|update| self.take(update)),
            Pulled::Nothing => return false,
            Pulled::End => self.gone = true,
        }
        true
    }

    fn take(&mut self, update: WatchUpdate) {
        if let WatchUpdate::Progress { revision, .. } = update {
            if self.created {
                self.marks.push((revision, self.got.len()));
                self.next = self.next.max(Revision(revision.0 + 1));
            }
            return;
        }
        match told(update, self.watches) {
            Some(Told::Created(revision, ..)) => {
                assert!(self.base.is_none() || self.next.0 == revision.0 + 1);
                self.created = true;
                self.base.get_or_insert(revision);
                self.next = Revision(revision.0 + 1);
                self.resumed.push((self.next, self.got.len()));
            }
            Some(Told::Events(events, partial)) => {
                if let (Some(open), Some(first)) = (self.parts.last(), events.first()) {
                    assert_eq!(open.revision, first.revision, "nothing interrupts the parts of a revision");
                }
                self.parts.extend(events);
                if !partial {
                    if let (Some(last), Some(first)) = (self.got.last(), self.parts.first()) {
                        assert!(
                            last.revision < first.revision,
                            "revision {} came in two updates",
                            first.revision
                        );
                    }
                    self.got.append(&mut self.parts);
                    self.next = self.next.max(Revision(self.got.last().map_or(0, |last| last.revision + 1)));
                }
            }
            Some(Told::Cancelled(failure, resume, compacted)) => {
                (self.created, self.gone) = (false, true);
                self.parts.clear();
                if let (Some(through), Some(resume)) = (compacted, resume) {
                    self.lost.push((self.next, through));
                    assert_eq!(resume.0, through.0 + 1);
                    self.next = resume;
                    if self.base.is_none() {
                        self.base = Some(through);
                    }
                }
                match failure {
                    None | Some(CallFailure::Unavailable { .. }) => {}
                    Some(CallFailure::Rejected(rejected)) => {
                        assert!(
                            matches!(
                                rejected.reason,
                                Reason::Compacted | Reason::WatchTooSlow | Reason::UnknownWatch
                            ),
                            "{rejected}"
                        )
                    }
                    Some(other) => panic!("{other}"),
                }
                if let (None, Some(resume), true) = (compacted, resume, self.base.is_some()) {
                    assert!(resume >= self.next);
                    self.next = resume;
                }
            }
            None => {}
        }
    }

    /// What it must have by the end.
    fn expected(&self, oracle: &Oracle) -> Vec<Seen> {
        let lost = |seen: &Seen| {
            self.lost.iter().any(|(from, through)| (from.0..=through.0).contains(&seen.revision))
        };
        let all = oracle.matching(&self.filter, self.base.expect("it began"));
        all.into_iter().filter(|seen| !lost(seen)).collect()
    }
}

fn happen(cluster: &mut Cluster, clients: &mut [Client], happening: &Happening) {
    match happening {
        Happening::Emit(member, topics, size) => {
            let topics: Vec<_> = topics.iter().map(|topic| TOPICS[*topic]).collect();
            let _pending = cluster.start_emit(*member, "counter", &topics, *size);
            cluster.sim.settle();
        }
        Happening::Run => cluster.run(),
        Happening::Wait(ms) => cluster.advance(Duration::from_millis(*ms)),
        Happening::Elect(member) => cluster.elect(*member),
        Happening::Depose => cluster.depose(),
        Happening::HoldCommits(hold) => cluster.hold_commits(*hold),
        Happening::HoldApply(member, held) => cluster.hold_apply(*member, *held),
        Happening::StopTasks(member, stopped) => cluster.stop_tasks(*member, *stopped),
        Happening::Snapshot(from, to) => cluster.try_install_snapshot(*from, *to),
        Happening::Restart(member) => cluster.restart(*member),
        Happening::Compact(percent) => {
            let member = cluster.member(1);
            let through = Revision(cluster.head(1).revision.0 * percent / 100);
            let _pending = cluster.sim.start(async move {
                let _ = member.compact_events("counter", Some(through), Caller::default(), TIMEOUT).await;
            });
        }
        Happening::Move(client, member) => clients[*client].move_to(cluster, *member),
        Happening::Pull(client) => drop(clients[*client].pull()),
        Happening::Drain(client) => while clients[*client].pull() && !clients[*client].gone {},
        Happening::Progress(client) => clients[*client].stream.stream.request_progress(),
        Happening::Cancel(client) => {
            let client = &mut clients[*client];
            client.stream.stream.cancel(crate::watch::WatchId(client.watches));
        }
    }
}

/// Lets everything come to rest, while every client comes back until it has everything.
fn calm(cluster: &mut Cluster, clients: &mut [Client]) {
    cluster.hold_commits(false);
    for member in 1..=MEMBERS {
        cluster.hold_apply(member, false);
        cluster.stop_tasks(member, false);
    }
    cluster.elect(1);
    for _ in 0..30 {
        cluster.advance(Duration::from_secs(1));
        for client in &mut *clients {
            let mut idle = 0;
            while idle < 50 && !client.gone {
                idle = if client.pull() { 0 } else { idle + 1 };
            }
            if client.gone {
                let member = client.member % MEMBERS + 1;
                client.move_to(cluster, member);
            }
        }
    }
    cluster.run();
}

/// Lets it all happen, then tells what each client has and what the log says.
fn each_client(limits: WatchLimits, happenings: &[Happening], check: impl Fn(&Client, &Oracle)) {
    let mut cluster = Cluster::ready_to_hold(MEMBERS, limits);
    let mut clients: Vec<_> = filters()
        .into_iter()
        .zip([1, 2, 3, 1])
        .map(|(filter, member)| Client::new(&cluster, filter, member))
        .collect();
    for happening in happenings {
        happen(&mut cluster, &mut clients, happening);
    }
    calm(&mut cluster, &mut clients);
    let oracle = Oracle::of(&cluster);
    clients.iter().for_each(|client| check(client, &oracle));
    cluster.assert_members_agree();
    drop(clients);
    for member in 1..=MEMBERS {
        assert!(cluster.member(member).watch_hub().is_empty());
    }
}

fn place(seen: &Seen) -> (u64, u32) {
    (seen.revision, seen.number)
}

/// Places never go back.
fn ordered(client: &Client, _: &Oracle) {
    assert!(client.got.is_sorted_by_key(place));
}

/// No event comes twice, however often the client came back.
fn unique(client: &Client, _: &Oracle) {
    let places: std::collections::BTreeSet<_> = client.got.iter().map(place).collect();
    assert_eq!(places.len(), client.got.len());
}

/// Of a revision it has all that it wants or nothing: that none comes in two updates,
/// [`Client::take`] sees to.
fn atomic(client: &Client, oracle: &Oracle) {
    assert!(client.parts.is_empty(), "the rest of a revision never came");
    let of = |seen: &[Seen], revision| seen.iter().filter(|seen| seen.revision == revision).count();
    let all = oracle.matching(&client.filter, Revision(0));
    client.got.iter().for_each(|seen| assert_eq!(of(&client.got, seen.revision), of(&all, seen.revision)));
}

/// Nothing is missing but what it was told is forgotten.
fn reliable(client: &Client, oracle: &Oracle) {
    let expected = client.expected(oracle);
    assert_eq!(client.got, expected, "{} from {:?}, lost {:?}", client.filter, client.base, client.lost);
}

/// Coming back with a revision, the first that it gets is the first that it wants from there on.
fn resumable(client: &Client, oracle: &Oracle) {
    let expected = client.expected(oracle);
    for (asked, had) in &client.resumed {
        let before = expected.iter().filter(|seen| seen.revision < asked.0).count();
        assert_eq!(before, *had, "{} came back with {asked}", client.filter);
    }
}

/// Nothing up to a progress mark comes behind it.
fn bookmarkable(client: &Client, oracle: &Oracle) {
    let expected = client.expected(oracle);
    for (revision, had) in &client.marks {
        let before = expected.iter().filter(|seen| seen.revision <= revision.0).count();
        assert!(before <= *had, "the mark {revision} of {}: {had} of {before}", client.filter);
    }
}

/// It gets what its filter matches, and nothing else.
fn filtered(client: &Client, oracle: &Oracle) {
    let all = oracle.matching(&TopicFilter::all(), Revision(0));
    for seen in &client.got {
        assert!(
            client.filter.matches(&seen.topic) && all.contains(seen),
            "{seen:?} is not for {}",
            client.filter
        );
    }
}

fn case(limits: WatchLimits, happenings: &[Happening], checks: &[fn(&Client, &Oracle)]) {
    each_client(limits, happenings, |client, oracle| checks.iter().for_each(|check| check(client, oracle)));
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    proptest::collection::vec(happening(), 1..120)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 3_000, ..ProptestConfig::default() }
}

macro_rules! properties {
    ($cases:literal: $($name:ident = $checks:expr;)*) => {
        proptest! {
            #![proptest_config(config($cases))]
            $(
                #[test]
                fn $name(limits in limits(), happenings in happenings()) {
                    case(limits, &happenings, &$checks);
                }
            )*
        }
    };
}

properties! { 200:
    a_watch_has_everything_once_and_in_order =
        [ordered, unique, atomic, reliable, resumable, bookmarkable, filtered];
}

properties! { 32:
    watches_are_ordered = [ordered];
    watches_are_unique = [unique];
    watches_are_atomic_per_revision = [atomic];
    watches_are_reliable = [reliable];
    watches_are_resumable = [resumable];
    watches_are_bookmarkable = [bookmarkable];
    watches_are_filtered = [filtered];
}
