//! How a member is put together, and started.
use std::sync::{Arc, Mutex};

use synod_abi::MemberId;
use synod_machine::Fatal;

use super::{Inner, Member};
use crate::agreement::scrubs::Scrubs;
use crate::apply::{Executor, Listeners};
use crate::availability::Standing;
use crate::clocks::Clocks;
use crate::lead::{LeaderTask, Observer, RetentionDuty};
use crate::ports::{Ports, Replica, Runtime, Store};
use crate::progress::Progress;
use crate::propose::{Proposer, ProposerLimits};
use crate::read::Reader;
use crate::sessions::Sessions;
use crate::sessions::driver::SessionDuty;
use crate::sessions::touches::{TouchServer, Touches};
use crate::watch::{Delivery, EncodeEvent, Hub, WatchLimits};

/// What a member is made of.
#[derive(Debug)]
pub struct MemberParts<P: Ports, R> {
    /// Who it is.
    pub member: MemberId,
    /// Another number for each start of it.
    pub incarnation: u64,
    /// How much its proposer holds.
    pub limits: ProposerLimits,
    /// Index of the last applied entry; 0 before the first.
    pub applied_index: u64,
    /// Its term.
    pub applied_term: u64,
    /// Tasks and timers.
    pub runtime: P::Runtime,
    /// The wall clock.
    pub clock: Arc<P::Clock>,
    /// The log.
    pub replication: P::Replication,
    /// The rows.
    pub store: P::Store,
    /// The machine and what runs its recipes.
    pub replica: R,
    /// Query threads.
    pub queries: Arc<P::Queries>,
    /// Compilation across members.
    pub preparer: Arc<P::Preparer>,
    /// Encodes events for clients.
    pub encode_event: EncodeEvent,
}

impl<P: Ports> Member<P> {
    /// Starts a member, and the executor that the node's apply thread drives.
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read.
    pub fn start<R: Replica<<P::Store as Store>::View>>(
        parts: MemberParts<P, R>,
    ) -> Result<(Self, Executor<P::Store, R>), Fatal> {
        Self::start_with(parts, WatchLimits::default())
    }

    pub(crate) fn start_with<R: Replica<<P::Store as Store>::View>>(
        parts: MemberParts<P, R>,
        watch_limits: WatchLimits,
    ) -> Result<(Self, Executor<P::Store, R>), Fatal> {
        let MemberParts { member, incarnation, limits, applied_index, applied_term, .. } = parts;
        let MemberParts { runtime, clock, replication, store, replica, .. } = parts;
        let MemberParts { queries, preparer, encode_event, .. } = parts;
        let applied_time = replica.head().time;
        let clocks = Clocks::new((member, incarnation), runtime.clone(), clock);
        let observer =
            Observer::start(&runtime, replication.clone(), clocks.clone(), applied_term, applied_time);
        let standing = Standing::new();
        let proposer = Proposer::start(
            (member, incarnation),
            limits,
            &runtime,
            replication.clone(),
            (observer.clone(), standing.clone()),
        );
        let now = runtime.clone();
        let sessions = Sessions::new(observer.clone(), move || now.now());
        let watches = Hub::new(watch_limits);
        let listeners = Listeners::new(
            standing.clone(),
            observer.clone(),
            proposer.clone(),
            sessions.clone(),
            watches.clone(),
        );
        let executor = Executor::new(store.clone(), replica, applied_index, listeners.clone())?;
        let Listeners { directory, applied, logs, parked, retention, checkpoints, agreement, .. } = listeners;
        let reader = Reader::new(runtime.clone(), replication.clone(), applied.clone(), standing.clone());
        watches.start(runtime.clone(), reader.clone());
        let ends = SessionDuty::new(sessions.clone());
        LeaderTask::start(ends, observer.clone(), proposer.clone(), &runtime);
        let compactions = RetentionDuty::new(retention, store.clone(), runtime.clone());
        LeaderTask::start(compactions, observer.clone(), proposer.clone(), &runtime);
        let touch_server = TouchServer {
            sessions: sessions.clone(),
            proposer: proposer.clone(),
            reader: reader.clone(),
            runtime: runtime.clone(),
            replication,
        };
        let delivery = Delivery {
            hub: watches.clone(),
            runtime: runtime.clone(),
            store: store.clone(),
            directory: directory.clone(),
            encode: encode_event,
        };
        let inner = Inner {
            runtime,
            standing,
            clocks,
            agreement,
            scrubs: Scrubs::default(),
            checkpoints,
            observer,
            store,
            queries,
            preparer,
            proposer,
            reader,
            directory,
            applied,
            logs,
            sessions,
            parked,
            touches: Touches::default(),
            touch_server,
            watches,
            delivery,
            failure: Mutex::new(None),
            failed: Progress::default(),
        };
        Ok((Self(Arc::new(inner)), executor))
    }
}
