//! A log in memory, with one leader at most: what it answers, and what its links carry.
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream};
use futures::{FutureExt, StreamExt};
use synod_abi::{MemberId, SessionId};
use synod_machine::DigestRecord;

use super::ports::TestPorts;
use crate::Member;
use crate::ports::{
    ClockReading, ForwardLink, Leadership, ProposeError, Replication, Role, Runtime, Touched, Unavailable,
};
use crate::progress::lock;
use crate::testing::sim::Sim;

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
pub(super) struct Log {
    pub(super) term: u64,
    pub(super) leader: Option<MemberId>,
    pub(super) leader_ready: bool,
    /// Terms and entries; a term's first entry is none.
    pub(super) entries: Vec<(u64, Option<Bytes>)>,
    pub(super) committed: usize,
    pub(super) hold_commits: bool,
    pub(super) mood: Mood,
    pub(super) changed: Vec<Waker>,
    pub(super) gates: Vec<Arc<Mutex<GateState>>>,
    pub(super) deaf: bool,
    pub(super) links_opened: usize,
    pub(super) read_indexes: Vec<(MemberId, oneshot::Sender<Result<u64, Unavailable>>)>,
    pub(super) read_indexes_asked: usize,
    pub(super) members: BTreeMap<MemberId, (Member<TestPorts>, Sim)>,
    /// Members that hear nothing, with the leadership that they believe in.
    pub(super) isolated: BTreeMap<MemberId, Leadership>,
    pub(super) bundles: Vec<usize>,
}

#[derive(Default)]
pub(super) struct GateState {
    pub(super) cut: bool,
    pub(super) deaf: bool,
    pub(super) waker: Option<Waker>,
}

/// A stream that a test can hold up, and cut with what is still in it.
struct Gate {
    state: Arc<Mutex<GateState>>,
    inner: BoxStream<'static, Bytes>,
}

impl Stream for Gate {
    type Item = Bytes;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
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
    pub(super) me: MemberId,
    pub(super) log: Arc<Mutex<Log>>,
}

pub(super) fn known(log: &Log, me: MemberId) -> Leadership {
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

    fn propose(&self, term: u64, entry: Bytes) -> BoxFuture<'static, Result<(), ProposeError>> {
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
                log.entries.push((term, Some(entry)));
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

    fn digests(
        &self,
        of: MemberId,
        own: DigestRecord,
    ) -> BoxFuture<'static, Result<Option<DigestRecord>, Unavailable>> {
        let log = lock(&self.log);
        let Some((member, sim)) = log.members.get(&of).cloned().filter(|_| log.connects(self.me, of)) else {
            return futures::future::pending().boxed();
        };
        drop(log);
        let answer = sim.start(async move { member.digests_asked(own) });
        async move { answer.await.map_err(|_| Unavailable("the member is gone".into())) }.boxed()
    }

    fn voters(&self) -> BTreeSet<MemberId> {
        lock(&self.log).members.keys().copied().collect()
    }

    fn read_clocks(&self, of: MemberId) -> BoxFuture<'static, Result<ClockReading, Unavailable>> {
        let log = lock(&self.log);
        let Some((member, sim)) = log.members.get(&of).cloned().filter(|_| log.connects(self.me, of)) else {
            return futures::future::pending().boxed();
        };
        drop(log);
        let answer = sim.start(async move { member.read_clocks() });
        async move { answer.await.map_err(|_| Unavailable("the member is gone".into())) }.boxed()
    }
}

impl Log {
    fn connects(&self, one: MemberId, other: MemberId) -> bool {
        !self.isolated.contains_key(&one) && !self.isolated.contains_key(&other)
    }
}
