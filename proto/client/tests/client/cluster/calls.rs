//! Calls: what a member does with them, and the ledger of what arrived and what was done.
use std::collections::{BTreeMap, HashMap};

use synod_abi::UnavailableReason;
use synod_api::v1::failure::Kind;
use synod_api::v1::{CallReply, CallRequest, Context, Failure, Value};
use tokio::sync::mpsc;
use tonic::Status;

use super::{Member, SESSION, failure};

/// Where replies of a call stream go.
pub(super) type CallReplies = mpsc::Sender<Result<CallReply, Status>>;

/// What a member does with calls, and with queries if it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Runs those of the session once per id and answers with the arguments; `park` parks.
    Serve,
    /// Runs them, and breaks the stream instead of answering the one with this id.
    RunAndHangUpAt(u64),
    /// Ends the stream at the first one, which it does not run.
    HangUp,
    /// Takes them and does nothing.
    Ignore,
    /// Fails them: surely not applied.
    NoLeader,
    /// Refuses them, because its disk is full.
    DiskFull,
    /// Rejects them.
    Reject,
    /// Answers all, of whichever session, with the arguments, and notes only that they arrived.
    /// Every session that is opened is another.
    ServeAny,
}

/// What was seen of a session's call on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) member: u64,
    pub(crate) id: u64,
    pub(crate) after: u64,
    pub(crate) below: u64,
    pub(crate) acknowledged: Vec<u64>,
    pub(crate) wait_ms: Option<u64>,
}

/// What the members keep of sessions and calls.
#[derive(Default)]
pub(crate) struct Ledger {
    /// How often the status of all members was asked for.
    pub(crate) statuses: u64,
    pub(crate) ttl_ms: u64,
    /// Whether the session lives.
    pub(crate) alive: bool,
    pub(crate) seen: Vec<Seen>,
    pub(crate) ran: Vec<u64>,
    /// Which request of which session, at [`Calls::ServeAny`].
    pub(crate) arrived: Vec<(Vec<u8>, u64)>,
    /// The context of each query.
    pub(crate) asked: Vec<Context>,
    pub(crate) opened: Vec<Vec<u8>>,
    /// The member of each touch.
    pub(crate) touched: Vec<u64>,
    pub(crate) closed: usize,
    pub(crate) cancelled: Vec<u64>,
    /// How many calls and queries each member received.
    pub(super) received: BTreeMap<u64, u64>,
    pub(super) outcomes: HashMap<u64, Result<Value, Failure>>,
    /// Where parked calls wait, with the tags of their requests.
    pub(super) parked: BTreeMap<u64, Vec<(CallReplies, u64)>>,
}

impl Ledger {
    /// Records the result of a parked call, and returns where it is waited for.
    pub(super) fn complete(&mut self, id: u64, value: Value) -> Vec<(CallReplies, u64)> {
        self.outcomes.insert(id, Ok(value));
        self.parked.remove(&id).unwrap_or_default()
    }
}

/// What happens on the stream of a call.
pub(super) enum Taken {
    Reply(Box<CallReply>),
    Nothing,
    /// The stream ends.
    End,
    /// The stream breaks.
    Break,
}

pub(super) fn expired() -> Failure {
    failure(Kind::Rejected, "SESSION_EXPIRED")
}

impl Member {
    /// Takes a call as it is told to.
    pub(super) fn take(&self, request: CallRequest, replies: &CallReplies) -> Taken {
        let calls = self.behaviour().calls;
        let reply = CallReply { header: self.header(), tag: request.tag, ..CallReply::default() };
        let failed = |failure| Taken::Reply(Box::new(CallReply { failure: Some(failure), ..reply.clone() }));
        let context = request.context.clone().unwrap_or_default();
        self.note(&context, &request, calls);
        match calls {
            Calls::ServeAny => Taken::Reply(Box::new(CallReply { result: request.args, ..reply })),
            Calls::NoLeader => failed(failure(Kind::Unavailable, "NO_LEADER")),
            Calls::DiskFull => {
                let retry_after_ms = UnavailableReason::DiskFull.retry_after_ms();
                failed(Failure { retry_after_ms, ..failure(Kind::Unavailable, "DISK_FULL") })
            }
            Calls::Reject => failed(failure(Kind::Rejected, "UNKNOWN_SPACE")),
            Calls::Ignore => Taken::Nothing,
            Calls::HangUp => Taken::End,
            Calls::Serve | Calls::RunAndHangUpAt(_) => {
                let hangs_up = calls == Calls::RunAndHangUpAt(context.request_id);
                let reply = self.run(&context, request, reply, replies);
                if hangs_up { Taken::Break } else { Taken::Reply(Box::new(reply)) }
            }
        }
    }

    fn note(&self, context: &Context, request: &CallRequest, calls: Calls) {
        let mut ledger = self.ledger();
        *ledger.received.entry(self.id).or_default() += 1;
        if calls == Calls::ServeAny {
            ledger.arrived.push((context.session.clone(), context.request_id));
        } else if !context.session.is_empty() {
            assert_eq!(context.session, SESSION);
            ledger.seen.push(Seen {
                member: self.id,
                id: context.request_id,
                after: context.after,
                below: context.acknowledged_below,
                acknowledged: context.acknowledged.clone(),
                wait_ms: request.wait_ms,
            });
        }
    }

    /// Runs a call of the session, once.
    fn run(
        &self,
        context: &Context,
        request: CallRequest,
        reply: CallReply,
        replies: &CallReplies,
    ) -> CallReply {
        let Context { request_id: id, after, acknowledged_below: below, .. } = *context;
        let mut ledger = self.ledger();
        let answer = |outcome| match outcome {
            Ok(value) => CallReply { result: Some(value), ..reply.clone() },
            Err(failure) => CallReply { failure: Some(failure), ..reply.clone() },
        };
        if !ledger.alive {
            return answer(Err(expired()));
        }
        if let Some(outcome) = ledger.outcomes.get(&id) {
            return answer(outcome.clone());
        }
        if !ledger.parked.contains_key(&id) {
            let must_wait = after > 0 && after >= below;
            if must_wait && !ledger.ran.contains(&after) && !ledger.cancelled.contains(&after) {
                return answer(Err(failure(Kind::Unavailable, "OUT_OF_ORDER")));
            }
            ledger.ran.push(id);
        }
        if request.operation == "park" {
            ledger.parked.entry(id).or_default().push((replies.clone(), request.tag));
            return CallReply { parked: true, ..reply };
        }
        let outcome = match request.operation.as_str() {
            "wait" => Err(failure(Kind::Rejected, "WAIT_TIMEOUT")),
            _ => Ok(request.args.unwrap_or_default()),
        };
        ledger.outcomes.insert(id, outcome.clone());
        answer(outcome)
    }
}
