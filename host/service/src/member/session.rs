//! Sessions and what is called in them: opened, touched and closed; calls with effect once per
//! request; calls that wait.
//!
//! A session's secret is checked here, on the member that the client talks to, before anything is
//! proposed: the log and the other members see only its hash. Everything else is decided by the
//! machine.
use std::fmt;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use synod_abi::{RequestId, Revision, SessionId, SpaceName, Time};
use synod_machine::directory::Page;
use synod_machine::sessions::{self, SessionRecord};
use synod_machine::{
    Action, Caller, Cancelled, EndCause, OpenSession, Outcome, Rejection, Reply, Request, SessionBounds,
    SessionCall, TtlPolicy,
};

use super::administer::failed;
use super::call::{Target, space_name};
use super::{Args, Asker, CallAnswer, Member, rejected};
use crate::failure::{CallFailure, Reason, Rejected, UnavailableReason};
use crate::parked::{Place, Resolution};
use crate::ports::{Monotonic, Ports, Runtime, Touched, Unavailable};
use crate::propose::{Room, deliver};
use crate::read::Consistency;
use crate::read::Kind;
use crate::sessions::{SessionKey, Verified, hash_of};

/// How long one attempt of a waiting call to be proposed again lasts.
const ASK_AGAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it waits in between, and a touch of a session of which nothing can be said yet.
const ASK_AGAIN_PAUSE: Duration = Duration::from_millis(50);

/// A session to open.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Drawn by the client, once: opening again with it is the same session.
    pub nonce: [u8; 16],
    /// Drawn by the client: takes the session up on any member.
    pub secret: [u8; 16],
    /// Wanted time to live, in milliseconds; 0: the default.
    pub ttl_ms: u64,
    /// What becomes of one that is out of bounds.
    pub ttl_policy: TtlPolicy,
    /// For people.
    pub label: String,
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession")
            .field("ttl_ms", &self.ttl_ms)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

/// A session that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOpened {
    /// Which.
    pub session: SessionId,
    /// Its time to live, in milliseconds.
    pub ttl_ms: u64,
    /// Whether it was opened before, with this nonce.
    pub already: bool,
    /// Revision of the command.
    pub revision: Revision,
    /// Cluster time.
    pub time: Time,
}

/// What a touch has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The session lives for `ttl_ms` more, counted from when its client sent the touch.
    Alive {
        /// Its time to live, in milliseconds.
        ttl_ms: u64,
    },
    /// It ended, or never was.
    Ended,
}

/// A request of a session, and who of those that have its secret makes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRequest {
    /// Drawn by the user; 0: nobody tells users of the session apart.
    pub user: u64,
    /// The request.
    pub request: Request,
}

/// How far a session's call is.
#[derive(Debug)]
pub enum SessionAnswer {
    /// It has its outcome.
    Done(CallAnswer),
    /// It waits.
    Parked(Waiting),
}

/// A call that waits. Dropping it ends the waiting here; the call stays parked.
#[must_use = "a parked call is waited for with `answer`"]
pub struct Waiting {
    revision: Revision,
    answer: BoxFuture<'static, Result<CallAnswer, CallFailure>>,
}

impl Waiting {
    /// Revision of the command that parked the call.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The answer, whenever it comes: there is no time-out but the one that the call was made with.
    ///
    /// # Errors
    /// [`CallFailure`]; outcome unknown if this member stops, or cannot do its work any more: the
    /// same request on another one waits on.
    pub async fn answer(self) -> Result<CallAnswer, CallFailure> {
        self.answer.await
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("revision", &self.revision).finish_non_exhaustive()
    }
}

struct ParkedCall {
    name: SpaceName,
    operation: String,
    target: Target,
    action: Action,
    caller: Caller,
    room: Room,
}

impl<P: Ports> Member<P> {
    /// Opens a session of the caller's principal. One that was open already is touched, so that the
    /// client may count its time from when it sent this, like that of a new one.
    ///
    /// # Errors
    /// [`CallFailure`]; trying again with the same nonce does no harm.
    pub async fn open_session(
        &self,
        new: NewSession,
        caller: Caller,
        timeout: Duration,
    ) -> Result<SessionOpened, CallFailure> {
        let deadline = self.deadline(timeout);
        let NewSession { nonce, secret, ttl_ms, ttl_policy, label } = new;
        let action = Action::OpenSession(OpenSession {
            nonce,
            secret_hash: hash_of(&secret),
            ttl_ms,
            ttl_policy,
            label,
        });
        let outcome = self.propose(action, caller, deadline).await?;
        let Ok(Reply::Session { session, ttl_ms, already }) = outcome.result else { return failed(&outcome) };
        if already {
            let left = deadline.since(self.0.runtime.now());
            if self.touch(SessionKey { session, secret }, left).await? == Lease::Ended {
                return rejected(Rejected::of(&Rejection::SessionEnded));
            }
        }
        Ok(SessionOpened { session, ttl_ms, already, revision: outcome.revision, time: outcome.time })
    }

    /// Ends a session. Who may is decided by its id, not its secret: operators close sessions too.
    ///
    /// # Errors
    /// [`CallFailure`]; `Reason::SessionExpired` if there was none when this began.
    pub async fn close_session(
        &self,
        session: SessionId,
        caller: Caller,
        timeout: Duration,
    ) -> Result<(), CallFailure> {
        let deadline = self.deadline(timeout);
        if !self.0.sessions.knows(session) {
            self.0.reader.ready(Consistency::Linearizable, 0, deadline).await?;
            if !self.0.sessions.knows(session) {
                return rejected(Rejected::of(&Rejection::SessionEnded));
            }
        }
        let outcome =
            self.propose(Action::EndSession { session, cause: EndCause::Closed }, caller, deadline).await?;
        match &outcome.result {
            Ok(_) | Err(Rejection::SessionEnded) => Ok(()),
            Err(_) => failed(&outcome),
        }
    }

    /// Tells the leader that the session's client lives. The answer counts from when the client
    /// sent it.
    ///
    /// # Errors
    /// [`CallFailure`]; unavailable if no leader confirmed it in time, however often it was sent.
    pub async fn touch(&self, key: SessionKey, timeout: Duration) -> Result<Lease, CallFailure> {
        if let Some(problem) = self.0.standing.get().refuses_touches() {
            return Err(problem.into());
        }
        let deadline = self.deadline(timeout);
        match self.verify(&key, deadline).await {
            Err(CallFailure::Rejected(rejected)) if rejected.reason == Reason::SessionExpired => {
                return Ok(Lease::Ended);
            }
            verified => verified?,
        }
        let touched = async {
            loop {
                let answer = self.0.touches.send(key.session, &self.0.touch_server)?;
                match answer.await {
                    Ok(Touched::Unsettled) => self.0.runtime.sleep(ASK_AGAIN_PAUSE).await,
                    Ok(Touched::Alive { ttl_ms }) => return Ok(Lease::Alive { ttl_ms }),
                    Ok(Touched::Ended) => return Ok(Lease::Ended),
                    Err(_) => {
                        return Err(CallFailure::unavailable(
                            UnavailableReason::ShuttingDown,
                            "this member is stopping; use another one",
                        ));
                    }
                }
            }
        };
        self.0.reader.by(deadline, touched).await.unwrap_or_else(|_| {
            let message = "no leader has confirmed in time that the session lives; try again, here or on \
                another member";
            Err(CallFailure::unavailable(UnavailableReason::NoLeader, message))
        })
    }

    /// Answers another member's bundle of touches, on the leader: one answer per session, in order.
    ///
    /// # Errors
    /// This member does not lead, or could not prove in time that it does.
    pub async fn serve_touches(&self, sessions: Vec<SessionId>) -> Result<Vec<Touched>, Unavailable> {
        self.0.touch_server.serve(sessions).await
    }

    /// Calls an operation in a session, with effect once per request id, whoever repeats it.
    /// `timeout` covers what happens until it is done or parked. Of calls that are first polled in
    /// some order, those to sessions and spaces that are known here are proposed in it.
    ///
    /// # Errors
    /// [`CallFailure`]; the same request may be sent again after any of them, to any member.
    #[allow(
        clippy::too_many_arguments,
        reason = "a call is what, where, in which session, as which request, and in whose name"
    )]
    pub async fn call_in_session(
        &self,
        space: &str,
        operation: &str,
        args: Args,
        key: SessionKey,
        UserRequest { user, request }: UserRequest,
        asker: impl Into<Asker>,
        timeout: Duration,
    ) -> Result<SessionAnswer, CallFailure> {
        let Asker { caller, room } = asker.into();
        let deadline = self.deadline(timeout);
        let name = space_name(space)?;
        let id = request.id;
        self.verify(&key, deadline).await?;
        let (target, call) = self.target(&name, operation, args, deadline).await?;
        let bytes = call.args.0.len();
        let place =
            match Kind::Operation.find(&target.entry.schema, operation).is_some_and(|point| point.waits) {
                true => Some(self.0.parked.wait(key.session, id, bytes, room.clone())?),
                false => None,
            };
        let caller = Caller { session: Some(key.session), ..caller };
        let call = SessionCall { call, request };
        let action = if user == 0 { Action::SessionCall(call) } else { Action::UserCall { user, call } };
        let now = self.0.runtime.now();
        let outcome = self.0.proposer.propose_for(room.clone(), &action, caller, deadline, now).await?;
        if !matches!(outcome.result, Ok(Reply::Parked { .. })) {
            return self.answer(&name, operation, &target, &outcome).await.map(SessionAnswer::Done);
        }
        let place = match place {
            Some(place) => place,
            None => self.late_place(key.session, id, bytes, &room).boxed().await?,
        };
        let call = ParkedCall { name, operation: operation.to_owned(), target, action, caller, room };
        let member = self.clone();
        Ok(SessionAnswer::Parked(Waiting {
            revision: outcome.revision,
            answer: async move { member.wait_for(place, call).await }.boxed(),
        }))
    }

    /// A place for a call that parked although the schema that was known here says that it never
    /// does.
    async fn late_place(
        &self,
        session: SessionId,
        request: RequestId,
        bytes: usize,
        room: &Room,
    ) -> Result<Place, CallFailure> {
        let place = self
            .0
            .parked
            .wait(session, request, bytes, room.clone())
            .map_err(|busy| CallFailure::OutcomeUnknown(busy.to_string()))?;
        let parked = self.0.parked.clone();
        self.read(move |view| parked.look_up(view, session, request)).await?;
        Ok(place)
    }

    async fn wait_for(self, mut place: Place, call: ParkedCall) -> Result<CallAnswer, CallFailure> {
        let outcome = loop {
            match place.resolution().await {
                Some(Resolution::Outcome(outcome)) => break outcome?,
                Some(Resolution::Lost) => {
                    place.renew();
                    if let Some(outcome) = self.ask_again(&call).await? {
                        break deliver(Ok(outcome), &call.room)?;
                    }
                }
                None => return Err(stopped_waiting()),
            }
        };
        self.answer(&call.name, &call.operation, &call.target, &outcome).await
    }

    /// Proposes a parked call again, for as long as it takes; its outcome, if it has one.
    async fn ask_again(
        &self,
        ParkedCall { action, caller, .. }: &ParkedCall,
    ) -> Result<Option<Outcome>, CallFailure> {
        loop {
            let deadline = self.deadline(ASK_AGAIN_TIMEOUT);
            let proposed = self.0.proposer.propose(action, *caller, deadline, self.0.runtime.now());
            match proposed.await.map_err(CallFailure::from) {
                Ok(outcome) if matches!(outcome.result, Ok(Reply::Parked { .. })) => return Ok(None),
                Ok(outcome) => return Ok(Some(outcome)),
                Err(_) if self.0.standing.get().leaves_clients().is_some() => return Err(stopped_waiting()),
                Err(_) => self.0.runtime.sleep(ASK_AGAIN_PAUSE).await,
            }
        }
    }

    /// Gives a request up: it never runs, stops waiting, or gives back what it was granted.
    ///
    /// # Errors
    /// [`CallFailure`]; trying again does no harm, but may fail because the outcome is final.
    pub async fn cancel_request(
        &self,
        key: SessionKey,
        request: RequestId,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Cancelled, CallFailure> {
        let deadline = self.deadline(timeout);
        self.verify(&key, deadline).await?;
        let caller = Caller { session: Some(key.session), ..caller };
        let outcome = self.propose(Action::CancelRequest { request }, caller, deadline).await?;
        match &outcome.result {
            Ok(Reply::Cancelled { was }) => Ok(*was),
            _ => failed(&outcome),
        }
    }

    /// A session.
    ///
    /// # Errors
    /// [`CallFailure`]; `Reason::SessionExpired` if there is none; never outcome unknown.
    pub async fn session(&self, session: SessionId, timeout: Duration) -> Result<SessionRecord, CallFailure> {
        self.0.reader.ready(Consistency::Linearizable, 0, self.deadline(timeout)).await?;
        let record = self.read(move |view| sessions::session(view, session)).await?;
        record.ok_or_else(|| Rejected::of(&Rejection::SessionEnded).into())
    }

    /// At most `limit` sessions after `after`, oldest first.
    ///
    /// # Errors
    /// [`CallFailure`]; never outcome unknown.
    pub async fn sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
        timeout: Duration,
    ) -> Result<Page<(SessionId, SessionRecord)>, CallFailure> {
        self.0.reader.ready(Consistency::Linearizable, 0, self.deadline(timeout)).await?;
        self.read(move |view| sessions::sessions(view, after, limit)).await
    }

    /// Sets between which times to live sessions are opened from now on.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub async fn set_session_bounds(
        &self,
        bounds: SessionBounds,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Revision, CallFailure> {
        self.done(Action::SetSessionBounds { bounds }, caller, timeout).await
    }

    /// Between which times to live sessions are opened.
    ///
    /// # Errors
    /// [`CallFailure`]; never outcome unknown.
    pub async fn session_bounds(&self, timeout: Duration) -> Result<SessionBounds, CallFailure> {
        self.0.reader.ready(Consistency::Linearizable, 0, self.deadline(timeout)).await?;
        self.read(sessions::bounds).await
    }

    /// Whether `key` opens its session. A session that is not known here is looked for once this
    /// member is up to date.
    pub(super) async fn verify(&self, key: &SessionKey, deadline: Monotonic) -> Result<(), CallFailure> {
        let mut verified = self.0.sessions.verify(key);
        if verified == Verified::UnknownHere {
            self.0.reader.ready(Consistency::Linearizable, 0, deadline).boxed().await?;
            verified = self.0.sessions.verify(key);
        }
        match verified {
            Verified::Yes => Ok(()),
            Verified::WrongSecret => rejected(Rejected::wrong_secret()),
            Verified::UnknownHere => rejected(Rejected::of(&Rejection::SessionEnded)),
        }
    }
}

fn stopped_waiting() -> CallFailure {
    CallFailure::OutcomeUnknown(
        "this member stops serving while the call waits; send the same request to another one, which waits \
            on"
        .to_owned(),
    )
}
