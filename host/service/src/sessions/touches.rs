//! Touches of this member's clients on their way to the leader, in bundles: one is under way, the
//! next gathers meanwhile. No lingering: a bundle is as large as the load makes it.
//!
//! A bundle that was not answered is sent again, to the leader of then, for those who still wait. A
//! client counts its deadline from when it sent its touch, so an answer that comes late promises it
//! no more than it may have.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{self, Either};
use synod_abi::SessionId;

use super::Sessions;
use crate::failure::{CallFailure, UnavailableReason};
use crate::ports::{Replication, Role, Runtime, Touched, Unavailable};
use crate::progress::lock;
use crate::propose::Proposer;
use crate::read::Reader;

/// Most sessions in one bundle.
pub const TOUCHES_PER_BUNDLE: usize = 4_096;
/// Most touches that wait on one member.
pub const WAITING_TOUCHES: usize = 131_072;
/// How long a bundle may be under way, and how long the leader tries to answer it.
const BUNDLE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a bundle that was not answered waits, unless the leader changes first.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Answers bundles, on the leader. Clones share what it knows.
#[derive(Clone, Debug)]
pub(crate) struct TouchServer<R, N> {
    pub(crate) sessions: Sessions,
    pub(crate) proposer: Proposer,
    pub(crate) reader: Reader<R, N>,
    pub(crate) runtime: R,
    pub(crate) replication: N,
}

impl<R: Runtime, N: Replication> TouchServer<R, N> {
    /// Notes that the clients of `touched` live; the answer comes after a read index that was asked
    /// for after they arrived, and does not wait until that is applied here.
    pub(crate) async fn serve(&self, touched: Vec<SessionId>) -> Result<Vec<Touched>, Unavailable> {
        if touched.len() > TOUCHES_PER_BUNDLE {
            return Err(Unavailable(format!(
                "a bundle of {} touches, the limit is {TOUCHES_PER_BUNDLE}; send less at once",
                touched.len()
            )));
        }
        let not_leading = || Unavailable("this member does not lead, or not any more".to_owned());
        let leads = |term: u64| {
            let leadership = self.replication.leadership();
            leadership.role == Role::Leader && leadership.term == term
        };
        let term = self.sessions.arrived(&touched).filter(|term| leads(*term)).ok_or_else(not_leading)?;
        let deadline = self.runtime.now().after(BUNDLE_TIMEOUT);
        let confirmed = self.reader.confirmed(deadline).await;
        let index = confirmed.map_err(|failure| Unavailable(failure.to_string()))?;
        let is_fresh = self.reader.has_applied(index);
        let unsettled = self.proposer.unsettled_ends(&touched);
        let answers = self.sessions.answers(term, &touched, &unsettled, is_fresh);
        answers.filter(|_| leads(term)).ok_or_else(not_leading)
    }
}

type Waiting = (SessionId, oneshot::Sender<Touched>);

#[derive(Debug, Default)]
struct State {
    sending: bool,
    waiting: VecDeque<Waiting>,
}

/// The touches that wait on this member. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touches(Arc<Mutex<State>>);

impl Touches {
    /// Sends a touch; resolves with the leader's answer, or with nothing when the member ends.
    pub(crate) fn send<R: Runtime, N: Replication>(
        &self,
        session: SessionId,
        server: &TouchServer<R, N>,
    ) -> Result<oneshot::Receiver<Touched>, CallFailure> {
        let (reply, answer) = oneshot::channel();
        let start = {
            let mut state = lock(&self.0);
            if state.waiting.len() >= WAITING_TOUCHES {
                let message = format!(
                    "{WAITING_TOUCHES} touches wait on this member, which is its limit; \
                        try again later or on another member"
                );
                return Err(CallFailure::unavailable(UnavailableReason::Busy, message));
            }
            state.waiting.push_back((session, reply));
            !std::mem::replace(&mut state.sending, true)
        };
        if start {
            server.runtime.spawn(send_until_none_waits(self.clone(), server.clone()).boxed());
        }
        Ok(answer)
    }

    fn next_bundle(&self) -> Option<Vec<Waiting>> {
        let mut state = lock(&self.0);
        let mut bundle = Vec::new();
        while bundle.len() < TOUCHES_PER_BUNDLE
            && let Some(touch) = state.waiting.pop_front()
        {
            if !touch.1.is_canceled() {
                bundle.push(touch);
            }
        }
        state.sending = !bundle.is_empty();
        (!bundle.is_empty()).then_some(bundle)
    }

    fn put_back(&self, bundle: Vec<Waiting>) {
        let mut state = lock(&self.0);
        bundle.into_iter().rev().for_each(|touch| state.waiting.push_front(touch));
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.0).waiting.len()
    }
}

async fn send_until_none_waits<R: Runtime, N: Replication>(touches: Touches, server: TouchServer<R, N>) {
    let TouchServer { sessions, runtime, replication, .. } = &server;
    let observer = &sessions.0.observer;
    while let Some(bundle) = touches.next_bundle() {
        let touched: Vec<SessionId> = bundle.iter().map(|(session, _)| *session).collect();
        let leadership = observer.leadership();
        let answers = match leadership.leader {
            _ if leadership.role == Role::Leader => server.serve(touched).boxed(),
            Some(leader) if leader != leadership.me => replication.touch(leader, touched),
            _ => future::ready(Err(Unavailable("the cluster has no leader at present".to_owned()))).boxed(),
        };
        let changed = observer.changed(leadership).boxed();
        let given_up = future::select(runtime.sleep(BUNDLE_TIMEOUT), changed);
        let error = match future::select(answers, given_up).await {
            Either::Left((Ok(answers), _)) if answers.len() == bundle.len() => {
                for ((_, reply), touched) in bundle.into_iter().zip(answers) {
                    let _ = reply.send(touched);
                }
                continue;
            }
            Either::Left((Ok(answers), _)) => {
                format!("{} answers to {} touches", answers.len(), bundle.len())
            }
            Either::Left((Err(Unavailable(message)), _)) => message,
            Either::Right(_) => "the leader changed, or did not answer in time".to_owned(),
        };
        tracing::debug!(error, touches = bundle.len(), "a bundle of touches is sent again");
        touches.put_back(bundle);
        future::select(runtime.sleep(RETRY_PAUSE), observer.changed(leadership).boxed()).await;
    }
}
