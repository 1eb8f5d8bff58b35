//! What the handles of a session and its two tasks share: the requests and who waits for them, the
//! lifetime, the states.
//!
//! Whoever has news carries it out at once, under one lock: a caller sends its own request, the
//! reader of a stream hands over the answer and sends what that made possible. The task in
//! [`pump`](super::pump) is there for what takes time: connecting, waiting for room, pauses,
//! cancels.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prost::Message;
use synod_abi::SessionId;
use synod_api::v1::{CallReply, CallRequest, Context};
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::clock;
use crate::core::{Landed, Lifetime, MAX_RUNNING, Patience, Requests, Sending, SessionState, Step, Trouble};
use crate::shell::client::Client;
use crate::shell::flights::{Ground, Key, Landing, Ticket};
use crate::shell::link::{Link, check_size};
use crate::{Error, api};

/// A slot of the queue of a link's call stream.
pub(super) type Slot = OwnedPermit<CallRequest>;

/// What a request's context adds to its bytes, at most.
const CONTEXT_BYTES: usize = 8 * 1_024;

/// A session, as its handles and tasks see it.
pub(crate) struct Shared {
    pub(super) client: Client,
    pub(super) id: SessionId,
    pub(super) secret: [u8; 16],
    calls: Mutex<Calls>,
    life: Mutex<Lifetime>,
    states: watch::Sender<SessionState>,
    permits: Arc<Semaphore>,
    /// Wakes the task that pumps.
    pub(super) pump: Notify,
    /// Wakes the task that keeps alive.
    pub(super) alive: Notify,
}

struct Calls {
    requests: Requests,
    waiting: HashMap<u64, Waiting>,
    lane: Option<Aboard>,
    /// Whether the router was told in this round that its member answers.
    praised: bool,
    /// Whether something could be sent if the queue had room.
    crowded: bool,
    /// For whose queue the pump stands in line, as far as it was told.
    line: Option<Arc<Link>>,
    /// When the pump wakes.
    wakes_ms: u64,
    over: Option<Over>,
}

/// The member of a round.
#[derive(Clone)]
struct Aboard {
    address: Arc<str>,
    link: Arc<Link>,
}

struct Waiting {
    request: CallRequest,
    answer: Option<oneshot::Sender<Result<CallReply, Error>>>,
    permit: Option<OwnedSemaphorePermit>,
    flight: Option<Flight>,
}

struct Flight {
    round: u64,
    ticket: Ticket<CallReply>,
    aboard: Aboard,
}

/// How a session ended, for its client.
#[derive(Clone, Debug)]
struct Over {
    why: String,
    close: bool,
}

/// What the pump has to do.
pub(super) struct Turn {
    pub(super) over: bool,
    pub(super) connect: bool,
    pub(super) crowded: Option<Arc<Link>>,
    pub(super) cancels: Vec<u64>,
    pub(super) wake_ms: Option<u64>,
}

impl Shared {
    pub(super) fn new(
        client: Client,
        id: SessionId,
        secret: [u8; 16],
        next_request_id: u64,
        life: Lifetime,
    ) -> Arc<Self> {
        let options = client.options();
        let patience = Patience { policy: options.policy, attempt_ms: options.attempt_timeout_ms };
        let calls = Calls {
            requests: Requests::new(next_request_id, patience),
            waiting: HashMap::new(),
            lane: None,
            praised: false,
            crowded: false,
            line: None,
            wakes_ms: u64::MAX,
            over: None,
        };
        Arc::new(Self {
            client,
            id,
            secret,
            calls: Mutex::new(calls),
            states: watch::Sender::new(life.state()),
            life: Mutex::new(life),
            permits: Arc::new(Semaphore::new(MAX_RUNNING)),
            pump: Notify::new(),
            alive: Notify::new(),
        })
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at or changes the lifetime, and tells the owner if its state changed.
    pub(super) fn life<T>(&self, change: impl FnOnce(&mut Lifetime) -> T) -> T {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut life);
        let state = life.state();
        self.states.send_if_modified(|told| std::mem::replace(told, state) != state);
        result
    }

    pub(super) fn states(&self) -> watch::Receiver<SessionState> {
        self.states.subscribe()
    }

    pub(super) fn remaining(&self) -> Duration {
        Duration::from_millis(self.life(|life| life.remaining_ms(clock::now_ms())))
    }

    pub(super) fn next_request_id(&self) -> u64 {
        self.calls().requests.next_id()
    }

    fn expired(&self, over: Option<&Over>) -> Error {
        Error::SessionExpired(over.map_or_else(
            || "its deadline passed without contact to the cluster".to_owned(),
            |over| over.why.clone(),
        ))
    }

    /// Makes a call, and waits for its outcome. Dropping the future gives the call up.
    pub(super) async fn call(self: &Arc<Self>, request: CallRequest) -> Result<CallReply, Error> {
        if let Err(Trouble::Answered(failure)) = check_size(request.encoded_len() + CONTEXT_BYTES) {
            return Err(Error::from(*failure));
        }
        let permit = self.permit().await?;
        let (id, answer) = self.make(request, permit)?;
        let mut guard = Guard { session: self, id, taken: false };
        let answer = answer.await;
        guard.taken = true;
        drop(guard);
        answer.unwrap_or_else(|_| Err(self.expired(self.calls().over.as_ref())))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        loop {
            let acquire = Arc::clone(&self.permits).acquire_owned();
            let patience = Duration::from_millis(self.client.options().policy.give_up_ms.max(1));
            match tokio::time::timeout(patience, acquire).await {
                Ok(Ok(permit)) => return Ok(permit),
                Ok(Err(_closed)) => return Err(self.expired(self.calls().over.as_ref())),
                Err(_) => {
                    if let Some(why) = self.calls().requests.is_silent(self.client.now_ms()) {
                        return Err(Error::Unavailable(why.to_owned()));
                    }
                }
            }
        }
    }

    fn make(
        self: &Arc<Self>,
        request: CallRequest,
        permit: OwnedSemaphorePermit,
    ) -> Result<(u64, oneshot::Receiver<Result<CallReply, Error>>), Error> {
        let mut calls = self.calls();
        if calls.over.is_some() || self.remaining().is_zero() {
            self.alive.notify_one();
            return Err(self.expired(calls.over.as_ref()));
        }
        let id = calls.requests.add(self.client.now_ms())?;
        let (sender, answer) = oneshot::channel();
        calls
            .waiting
            .insert(id, Waiting { request, answer: Some(sender), permit: Some(permit), flight: None });
        self.go_on(&mut calls);
        Ok((id, answer))
    }

    /// Sends what can be sent, and wakes the pump if there is something for it to do.
    fn go_on(self: &Arc<Self>, calls: &mut Calls) {
        self.send(calls, None);
        let now_ms = self.client.now_ms();
        let wake_ms = calls.requests.wake_at(now_ms).unwrap_or(u64::MAX);
        let stands = calls
            .crowded_by()
            .is_none_or(|link| calls.line.as_ref().is_some_and(|line| Arc::ptr_eq(line, link)));
        if wake_ms < calls.wakes_ms
            || !stands
            || calls.requests.has_cancels()
            || calls.requests.wants_round(now_ms)
        {
            self.pump.notify_one();
        }
    }

    /// Sends what can be sent, the first of it with `slot`. While others stand in line for slots,
    /// there is none but that.
    fn send(self: &Arc<Self>, calls: &mut Calls, mut slot: Option<Slot>) {
        calls.crowded = false;
        if calls.requests.has_work()
            && calls.requests.is_idle()
            && let Some(aboard) = &calls.lane
            && !self.client.prefers(&aboard.address)
        {
            calls.lane = None;
            calls.requests.part();
        }
        while calls.requests.has_work()
            && let Some(aboard) = calls.lane.clone()
        {
            let lane = aboard.link.calls();
            let own = slot.take().filter(|slot| slot.same_channel_as_sender(&lane.queue));
            let room = match own.map_or_else(|| lane.queue.clone().try_reserve_owned(), Ok) {
                Ok(room) => room,
                Err(TrySendError::Full(_)) => {
                    calls.crowded = true;
                    return;
                }
                Err(TrySendError::Closed(_)) => {
                    let why = "the stream ended".to_owned();
                    calls.requests.failed(why.clone(), 0, self.client.now_ms(), self.client.jitter());
                    self.leave(calls, Trouble::NotSent(why));
                    return;
                }
            };
            if self.remaining().is_zero() {
                self.alive.notify_one();
                return;
            }
            let Some(sending) = calls.requests.next_to_send(self.client.now_ms()) else { return };
            let key = Key { id: sending.id, round: sending.round };
            let Some(waiting) = calls.waiting.get_mut(&key.id) else { continue };
            match lane.flights.enter_for(Arc::clone(self) as Arc<dyn Ground<CallReply>>, key) {
                Ok(ticket) => {
                    let tag = ticket.tag;
                    waiting.flight = Some(Flight { round: key.round, ticket, aboard: aboard.clone() });
                    let context = Some(self.context(sending));
                    room.send(CallRequest { context, tag, ..waiting.request.clone() });
                }
                Err(trouble) => self.carry_out(calls, key, Err(trouble)),
            }
        }
    }

    fn context(&self, sending: Sending) -> Context {
        Context {
            session: self.id.0.to_vec(),
            secret: self.secret.to_vec(),
            request_id: sending.id,
            acknowledged_below: sending.acknowledged_below,
            after: sending.after,
            acknowledged: sending.acknowledged,
            at_least_revision: 0,
        }
    }

    fn carry_out(self: &Arc<Self>, calls: &mut Calls, key: Key, landing: Landing<CallReply>) {
        let (landed, reply) = match landing {
            Ok(reply) if reply.parked => (Landed::Parked, Ok(reply)),
            Ok(reply) => (Landed::Result, Ok(reply)),
            Err(trouble) => (Landed::Failed(trouble.clone()), Err(trouble)),
        };
        let interim = landed == Landed::Parked;
        let step =
            calls.requests.landed(key.id, key.round, landed, self.client.now_ms(), self.client.jitter());
        if let Ok(reply) = &reply {
            self.client.heard(reply.header.as_ref());
            self.praise(calls, key.round);
        }
        if !interim && let Some(waiting) = calls.waiting.get_mut(&key.id) {
            waiting.flight.take_if(|flight| flight.round == key.round);
        }
        match (step, reply) {
            (Step::Nothing, _) => {}
            (Step::Parked, _) => {
                if let Some(waiting) = calls.waiting.get_mut(&key.id) {
                    waiting.permit = None;
                }
            }
            (Step::Deliver, Ok(reply)) => answer(calls.waiting.remove(&key.id), Ok(reply)),
            (Step::Fail(error), _) => answer(calls.waiting.remove(&key.id), Err(error)),
            (Step::Leave, Err(trouble)) => self.leave(calls, trouble),
            (Step::Over(error), _) => {
                answer(calls.waiting.remove(&key.id), Err(error));
                self.end(
                    calls,
                    "the cluster has no such session any more: it was closed, or it expired",
                    false,
                );
            }
            (Step::Deliver | Step::Leave, _) => {}
        }
    }

    fn praise(&self, calls: &mut Calls, round: u64) {
        if !calls.praised
            && calls.requests.round() == Some(round)
            && let Some(aboard) = &calls.lane
        {
            self.client.answered(&aboard.address);
            calls.praised = true;
        }
    }

    /// The round is over: whatever runs is taken back.
    fn leave(&self, calls: &mut Calls, trouble: Trouble) {
        for id in calls.requests.in_flight() {
            ground(calls, id);
        }
        if let Some(aboard) = calls.lane.take() {
            self.client.noted(&aboard.address, trouble);
        }
    }

    /// The member at `address` does not answer sessions' touches: what was sent there is sent
    /// elsewhere, parked calls too.
    pub(super) fn suspect(self: &Arc<Self>, address: &str, why: &str) {
        let mut calls = self.calls();
        let there = |waiting: &Waiting| {
            waiting.flight.as_ref().is_some_and(|flight| &*flight.aboard.address == address)
        };
        let ids: Vec<u64> =
            calls.waiting.iter().filter(|(_, waiting)| there(waiting)).map(|(id, _)| *id).collect();
        for id in ids {
            ground(&mut calls, id);
        }
        if calls.lane.as_ref().is_some_and(|aboard| &*aboard.address == address) {
            calls.requests.failed(why.to_owned(), 0, self.client.now_ms(), self.client.jitter());
            calls.lane = None;
        }
        self.go_on(&mut calls);
    }

    /// A round can begin at `address`, or not.
    pub(super) fn connected(self: &Arc<Self>, address: String, link: Result<Arc<Link>, Trouble>) {
        let mut calls = self.calls();
        if calls.over.is_some() || calls.lane.is_some() {
            return;
        }
        match link {
            Ok(link) => {
                calls.lane = Some(Aboard { address: address.into(), link });
                calls.praised = false;
                calls.requests.begin_round();
                self.go_on(&mut calls);
            }
            Err(trouble) => {
                let trouble = self.client.noted(&address, trouble);
                calls.requests.failed(
                    trouble.why().to_owned(),
                    0,
                    self.client.now_ms(),
                    self.client.jitter(),
                );
            }
        }
    }

    /// What the pump has to do now. `cancels`: for how many cancels there is room; `slot`: what it
    /// has got from standing in line.
    pub(super) fn turn(self: &Arc<Self>, cancels: usize, slot: Option<Slot>) -> Turn {
        let mut calls = self.calls();
        let now_ms = self.client.now_ms();
        if let Some(why) = calls.requests.overdue(now_ms, self.client.jitter()) {
            self.leave(&mut calls, Trouble::NoAnswer(why));
        }
        for (id, error) in calls.requests.given_up(now_ms) {
            if let Some(waiting) = calls.waiting.get_mut(&id) {
                waiting.flight = None;
                if let Some(sender) = waiting.answer.take() {
                    let _nobody_waits = sender.send(Err(error));
                }
            }
            forget(&mut calls, id);
        }
        self.send(&mut calls, slot);
        calls.line = calls.crowded_by().cloned();
        let cancels = std::iter::from_fn(|| calls.requests.next_cancel()).take(cancels).collect();
        let wake_ms = calls.requests.wake_at(now_ms);
        calls.wakes_ms = wake_ms.unwrap_or(u64::MAX);
        Turn {
            over: calls.over.is_some(),
            connect: calls.requests.wants_round(now_ms),
            crowded: calls.line.clone(),
            cancels,
            wake_ms,
        }
    }

    /// A cancel was answered.
    pub(super) fn cancelled(self: &Arc<Self>, id: u64, was: Option<api::Cancelled>) {
        let mut calls = self.calls();
        let told = calls.requests.cancelled(id, was);
        self.cancel_ended(&mut calls, id, told);
    }

    /// A cancel came to nothing; it is sent again.
    pub(super) fn cancel_failed(self: &Arc<Self>, id: u64) {
        let mut calls = self.calls();
        let told = calls.requests.cancel_failed(id);
        self.cancel_ended(&mut calls, id, told);
    }

    fn cancel_ended(self: &Arc<Self>, calls: &mut Calls, id: u64, told: Option<Error>) {
        if let (Some(error), Some(waiting)) = (told, calls.waiting.get_mut(&id))
            && let Some(sender) = waiting.answer.take()
        {
            let _nobody_waits = sender.send(Err(error));
        }
        forget(calls, id);
        self.go_on(calls);
    }

    fn let_go(self: &Arc<Self>, id: u64, taken: bool) {
        let mut calls = self.calls();
        if taken {
            calls.requests.taken(id);
        } else {
            let flight = calls.waiting.get_mut(&id).and_then(|waiting| waiting.flight.take());
            if flight.is_some_and(|flight| !flight.ticket.take_back()) {
                calls.requests.take_back(id);
                calls.requests.not_sent(id);
            }
            calls.requests.abandon(id);
            forget(&mut calls, id);
        }
        self.go_on(&mut calls);
    }

    /// The session is over. With `close`, the task that keeps it alive closes it on the cluster.
    pub(super) fn finish(&self, why: &str, close: bool) {
        let mut calls = self.calls();
        self.end(&mut calls, why, close);
    }

    fn end(&self, calls: &mut Calls, why: &str, close: bool) {
        if calls.over.is_some() {
            return;
        }
        calls.over = Some(Over { why: why.to_owned(), close });
        for (id, error) in calls.requests.over(why) {
            answer(calls.waiting.remove(&id), Err(error));
        }
        calls.waiting.clear();
        calls.lane = None;
        calls.line = None;
        self.permits.close();
        self.life(Lifetime::ended);
        self.pump.notify_one();
        self.alive.notify_one();
    }

    /// Whether it is over for its client; then, whether it is to be closed on the cluster.
    pub(super) fn over(&self) -> Option<bool> {
        self.calls().over.as_ref().map(|over| over.close)
    }
}

impl Calls {
    /// The link whose queue has no room for what could be sent.
    fn crowded_by(&self) -> Option<&Arc<Link>> {
        self.lane.as_ref().filter(|_| self.crowded).map(|aboard| &aboard.link)
    }
}

impl Ground<CallReply> for Shared {
    fn landed(self: Arc<Self>, key: Key, landing: Landing<CallReply>) {
        let mut calls = self.calls();
        if calls.over.is_some() {
            return;
        }
        if self.remaining().is_zero() {
            self.alive.notify_one();
            return;
        }
        self.carry_out(&mut calls, key, landing);
        self.go_on(&mut calls);
    }
}

/// A call that its caller waits for.
struct Guard<'a> {
    session: &'a Arc<Shared>,
    id: u64,
    taken: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.session.let_go(self.id, self.taken);
    }
}

fn answer(waiting: Option<Waiting>, result: Result<CallReply, Error>) {
    if let Some(sender) = waiting.and_then(|waiting| waiting.answer) {
        let _nobody_waits = sender.send(result);
    }
}

/// Takes a request back, to be sent again.
fn ground(calls: &mut Calls, id: u64) {
    calls.requests.take_back(id);
    let flight = calls.waiting.get_mut(&id).and_then(|waiting| waiting.flight.take());
    if flight.is_some_and(|flight| !flight.ticket.take_back()) {
        calls.requests.not_sent(id);
    }
}

/// Drops what is kept for a request, unless it is still to be cancelled.
fn forget(calls: &mut Calls, id: u64) {
    if !calls.requests.is_known(id) {
        calls.waiting.remove(&id);
    }
}
