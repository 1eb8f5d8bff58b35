//! A client: the real library's choice of members and its typed calls, over the simulated network.
//!
//! What the library's shell does with tasks, streams and tonic is simpler here: one request at a
//! time, asked again elsewhere by the same rules. A call without a session that was sent stays
//! unknown if its answer is lost; in a session it is sent again until it has its outcome.
mod operator;
mod session;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use synod_abi::{CallError, EncodedError, MemberId, RawCall, RawError, RawQuery, RawReply, Transport};
use synod_client::core::{Backoff, Follow, Router};
use synod_machine::Caller as Who;
use synod_service::{Args, CallAnswer, CallFailure, Consistency, QueryOptions, Reason, Rejected, Value};
use synod_world::{Dice, Process};

pub use session::SimSession;

use crate::finding::Check;
use crate::observe::Observer;
use crate::peers::{Caller, Live, NoAnswer, Served, SimMember};

/// How long a client asks again before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits for one member.
const ATTEMPT: Duration = Duration::from_secs(2);
/// What it tells that member: an answer has to come back, too.
const DEADLINE: Duration = Duration::from_millis(1_500);
/// How long it waits for a call that may wait.
const WAITING_ATTEMPT: Duration = Duration::from_secs(4);
/// How often it asks who the members are.
const LEARNS_EVERY: Duration = Duration::from_secs(4);
/// Longest pause before it asks again.
const PAUSE_MS: u64 = 100;

/// What may be done about a request whose answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// Nothing: it may have been done.
    Never,
    /// It is sent again.
    Always,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failed {
    /// The cluster refused.
    Rejected(Box<Rejected>),
    /// It surely was not done.
    NotDone,
    /// It may have been done.
    Unknown,
}

/// A client. Clones are the same.
#[derive(Clone)]
pub struct SimClient(Arc<Inner>, Consistency);

struct Inner {
    number: u32,
    caller: Caller,
    observer: Observer,
    state: Mutex<State>,
}

struct State {
    router: Router,
    dice: Dice,
    seen: u64,
    last: u64,
}

impl SimClient {
    /// Client `number`, which knows `members`.
    pub fn new(
        number: u32,
        caller: Caller,
        members: &[MemberId],
        follow: Follow,
        observer: Observer,
        dice: Dice,
    ) -> Self {
        let addresses = members.iter().map(|id| format!("m{id}")).collect();
        let mut router = Router::new(addresses, follow, Backoff::default());
        let places: Vec<_> = members.iter().map(|id| (id.0, format!("m{id}"))).collect();
        router.learn(0, None, &places);
        let state = Mutex::new(State { router, dice, seen: 0, last: 0 });
        let inner = Arc::new(Inner { number, caller, observer, state });
        let client = Self(inner, Consistency::Linearizable);
        let learning = client.clone();
        client.process().spawn(async move { learning.keep_learning().await }.boxed());
        client
    }

    /// Asks who the members are and who leads, again and again.
    async fn keep_learning(&self) {
        loop {
            let (id, address) = self.next_member();
            let serve = |live: Live| async move { (live.raft.term_state(), live.raft.status()) }.boxed();
            match self.0.caller.request(id, ATTEMPT, false, serve).await {
                Ok((term, status)) => {
                    let members = status.voters.keys().chain(status.learners.keys());
                    let places: Vec<_> = members.map(|id| (id.0, format!("m{id}"))).collect();
                    self.state().router.learn(term.term, term.leader.map(|id| id.0), &places);
                }
                Err(answer) => {
                    self.avoid(&address, answer);
                    // A member in place of a lost one is found by its name, as by DNS.
                    let listening = self.0.caller.roster.all();
                    let places: Vec<_> = listening.keys().map(|id| (id.0, format!("m{id}"))).collect();
                    drop(listening);
                    self.state().router.learn(0, None, &places);
                }
            }
            let pause = self.draw(|dice| dice.duration(LEARNS_EVERY / 2, LEARNS_EVERY));
            self.process().sleep(pause).await;
        }
    }

    /// The same client, whose queries see what their member has: never less than the client has
    /// seen.
    pub fn reading_here(&self) -> Self {
        Self(self.0.clone(), Consistency::Serializable)
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.0.caller.process
    }

    /// How it sends requests.
    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// What is seen of it.
    pub fn observer(&self) -> &Observer {
        &self.0.observer
    }

    /// Time in the world, in nanoseconds: for the record, the client itself does not know it.
    pub fn stamp(&self) -> u64 {
        self.process().world().elapsed().as_nanos() as u64
    }

    /// Revision that its last answered request was told.
    pub fn last_revision(&self) -> u64 {
        self.state().last
    }

    /// Draws chance.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.state().dice)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.process().now().as_millis() as u64
    }

    /// The member to ask next.
    pub fn next_member(&self) -> (MemberId, String) {
        let address = self.state().router.nearest(self.now_ms()).to_owned();
        let id = address[1..].parse().expect("an address is m and a member's id");
        (MemberId(id), address)
    }

    /// A member failed it, or owed an answer for too long.
    pub fn avoid(&self, address: &str, answer: NoAnswer) {
        let now_ms = self.now_ms();
        let router = &mut self.state().router;
        match answer {
            NoAnswer::Refused | NoAnswer::Lost => router.failed(address, now_ms),
            NoAnswer::Late => router.silent(address, now_ms),
        }
    }

    /// Pauses before it asks again.
    pub async fn pause(&self) {
        let pause_ms = self.draw(|dice| dice.between(1, PAUSE_MS));
        self.process().sleep(Duration::from_millis(pause_ms)).await;
    }

    fn heard(&self, address: &str, revision: u64) {
        let mut state = self.state();
        state.router.succeeded(address);
        state.seen = state.seen.max(revision);
        state.last = revision;
    }

    async fn ask<T: Send + 'static>(
        &self,
        again: Again,
        (attempt, patience): (Duration, Duration),
        serve: impl Fn(SimMember) -> Served<Result<T, CallFailure>> + Send + Sync,
    ) -> Result<(String, T), Failed> {
        let end = self.process().now() + patience;
        let mut was_sent = false;
        loop {
            let (id, address) = self.next_member();
            let answer = self.0.caller.request(id, attempt, false, |live| serve(live.member)).await;
            match answer {
                Ok(Ok(answer)) => return Ok((address, answer)),
                Ok(Err(CallFailure::Rejected(rejected))) => return Err(Failed::Rejected(rejected)),
                Ok(Err(CallFailure::Unavailable { .. })) => self.avoid(&address, NoAnswer::Refused),
                Ok(Err(CallFailure::OutcomeUnknown(_))) => {
                    was_sent = true;
                    self.avoid(&address, NoAnswer::Refused);
                }
                Err(answer) => {
                    was_sent = was_sent || answer != NoAnswer::Refused;
                    self.avoid(&address, answer);
                }
            }
            if was_sent && again == Again::Never {
                return Err(Failed::Unknown);
            }
            if self.process().now() >= end {
                return Err(if was_sent { Failed::Unknown } else { Failed::NotDone });
            }
            self.pause().await;
        }
    }

    fn reply(&self, address: &str, answer: CallAnswer) -> Result<RawReply, RawError> {
        self.heard(address, answer.revision.0);
        match answer.value {
            Value::Postcard(result) => Ok(RawReply { revision: answer.revision, result }),
            Value::Json(_) => panic!("a call in postcard is answered in postcard"),
        }
    }
}

/// What a typed client is told.
fn error_of(failed: Failed) -> RawError {
    match failed {
        Failed::NotDone => CallError::Unavailable("it was not done".to_owned()),
        Failed::Unknown => CallError::OutcomeUnknown("it may have been done".to_owned()),
        Failed::Rejected(rejected) => match *rejected {
            Rejected { code, error: Some(Value::Postcard(error)), .. } if code > 0 => {
                CallError::Rejected(EncodedError { code, error })
            }
            Rejected { reason: Reason::SessionExpired, message, .. } => CallError::SessionExpired(message),
            Rejected { reason: Reason::WaitTimeout, .. } => CallError::WaitTimeout,
            Rejected { fault, message, .. } => CallError::Fault { fault, message },
        },
    }
}

impl Transport for SimClient {
    async fn call(&self, call: RawCall) -> Result<RawReply, RawError> {
        let serve = |member: SimMember| {
            let RawCall { space, operation, signature, args, .. } = call.clone();
            let args = Args::Postcard { bytes: args, signature };
            async move { member.call(&space, operation, args, Who::default(), DEADLINE).await }.boxed()
        };
        let (address, answer) = self.ask(Again::Never, (ATTEMPT, PATIENCE), serve).await.map_err(error_of)?;
        self.reply(&address, answer)
    }

    async fn query(&self, query: RawQuery) -> Result<RawReply, RawError> {
        let (at_least_revision, consistency) = (self.state().seen, self.1);
        let serve = |member: SimMember| {
            let RawQuery { space, query, signature, args } = query.clone();
            let args = Args::Postcard { bytes: args, signature };
            let options = QueryOptions { consistency, at_least_revision, session: None };
            async move {
                let (answer, _) = member.query(&space, query, args, options, DEADLINE).await?;
                Ok(answer)
            }
            .boxed()
        };
        let (address, answer) =
            self.ask(Again::Always, (ATTEMPT, PATIENCE), serve).await.map_err(error_of)?;
        if answer.revision.0 < at_least_revision {
            let (number, revision) = (self.number(), answer.revision);
            let what = format!("c{number} reads revision {revision} after revision {at_least_revision}");
            self.observer().found(Check::Monotonic, what);
        }
        self.reply(&address, answer)
    }
}
