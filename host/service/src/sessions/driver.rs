//! Turns what only a leader knows into commands: sessions that were not heard of end, timers that are due fire.
//!
//! One task per member. It sleeps until the next deadline or timer; while there are sessions it also looks at its clock on a
//! coarse beat, to notice that it was stopped. What it decides is bound to the term in which it did. It decides nothing
//! while its member follows, or has not applied the first entry of its own term.
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use synod_abi::SessionId;
use synod_machine::{Action, Caller, EndCause, Principal};

use super::{SessionClock, Sessions};
use crate::ledger::REFUSED_PAUSE;
use crate::ports::{Clock, Monotonic, ProposalResult, Replication, Role, Runtime};
use crate::proposer::{Proposal, Proposer};

/// How often a leader with sessions looks whether it was stopped.
const BEAT: Duration = Duration::from_millis(250);
/// Ends of sessions that are proposed at once; further ones follow, and a touch still saves those.
const ENDS_IN_FLIGHT: usize = 256;
/// How long a decision waits for its outcome before it is proposed again.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Decision {
    End(SessionId),
    Tick,
}

struct Decided {
    lead: u64,
    decision: Decision,
    result: ProposalResult,
}

/// See the module.
pub(crate) struct Driver<R, C, N> {
    sessions: Sessions,
    proposer: Proposer,
    runtime: R,
    clock: Arc<C>,
    replication: N,
    leadership_changed: BoxFuture<'static, ()>,
    /// Counts the times that this member took up leading, or gave it up.
    lead: u64,
    decided: FuturesUnordered<BoxFuture<'static, Decided>>,
    ends: usize,
    ticking: bool,
    again: Vec<SessionId>,
    paused_until: Option<Monotonic>,
    timer: Option<(Monotonic, BoxFuture<'static, ()>)>,
}

impl<R: Runtime, C: Clock, N: Replication> Driver<R, C, N> {
    /// Starts the driver's task, which ends when `sessions` are closed.
    pub(crate) fn start(sessions: Sessions, proposer: Proposer, runtime: R, clock: Arc<C>, replication: N) {
        let mut driver = Self {
            leadership_changed: replication.leadership_changed(replication.leadership()),
            sessions,
            proposer,
            runtime: runtime.clone(),
            clock,
            replication,
            lead: 0,
            decided: FuturesUnordered::new(),
            ends: 0,
            ticking: false,
            again: Vec::new(),
            paused_until: None,
            timer: None,
        };
        runtime.spawn(async move { poll_fn(|cx| driver.poll(cx)).await }.boxed());
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            while self.sessions.0.signal.poll_raised(cx).is_ready() {}
            while self.leadership_changed.poll_unpin(cx).is_ready() {
                self.leadership_changed = self.replication.leadership_changed(self.replication.leadership());
            }
            if self.sessions.state().closed {
                return Poll::Ready(());
            }
            let now = self.runtime.now();
            let leading = self.take_up(now);
            let wake = leading.and_then(|term| self.decide(term, now));
            let mut again = false;
            while let Poll::Ready(Some(decided)) = self.decided.poll_next_unpin(cx) {
                self.resolve(decided, now);
                again = true;
            }
            if !again && self.poll_timer(cx, wake, now).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// The term that this member leads, with the clock set for it.
    fn take_up(&mut self, now: Monotonic) -> Option<u64> {
        let leadership = self.replication.leadership();
        let mut state = self.sessions.state();
        let leading = (leadership.role == Role::Leader && state.applied_term >= leadership.term).then_some(leadership.term);
        if state.leading != leading {
            state.clock = match leading {
                Some(_) => SessionClock::granting(state.known.iter().map(|(id, known)| (*id, known.ttl())), now),
                None => SessionClock::default(),
            };
            state.leading = leading;
            (self.ends, self.ticking, self.paused_until) = (0, false, None);
            self.again.clear();
            self.lead += 1;
        }
        leading
    }

    /// What became of a decision; of one of an earlier lead it does not matter any more.
    fn resolve(&mut self, Decided { lead, decision, result }: Decided, now: Monotonic) {
        if lead != self.lead {
            return;
        }
        let failed = !matches!(&result, Ok(outcome) if outcome.result.is_ok());
        if failed {
            tracing::debug!(?decision, ?result, "what the leader decided is proposed again");
            self.paused_until = Some(now.after(REFUSED_PAUSE));
        }
        match decision {
            Decision::Tick => self.ticking = false,
            Decision::End(session) => {
                self.ends -= 1;
                if failed {
                    self.again.push(session);
                }
            }
        }
    }

    /// Proposes what is due in `term`; when there is something to do next.
    fn decide(&mut self, term: u64, now: Monotonic) -> Option<Monotonic> {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
        let paused = self.paused_until.is_some();
        let room = if paused { 0 } else { ENDS_IN_FLIGHT - self.ends };
        let again = self.again.split_off(self.again.len().saturating_sub(room));
        let (due, next_timer) = {
            let mut state = self.sessions.state();
            let due = state.clock.due(now, room - again.len());
            (due, state.next_timer)
        };
        for session in again.into_iter().chain(due) {
            self.ends += 1;
            self.propose(term, Decision::End(session), now);
        }
        let mut timer = None;
        if let Some(at) = next_timer.filter(|_| !paused && !self.ticking) {
            match self.proposer.stamp_in(term, now, || self.clock.wall_ms()) {
                Some(stamp) if stamp >= at => {
                    self.ticking = true;
                    self.propose(term, Decision::Tick, now);
                }
                Some(stamp) => timer = Some(now.after(Duration::from_millis(at.since_ms(stamp)))),
                None => self.paused_until = Some(now.after(REFUSED_PAUSE)),
            }
        }
        let mut state = self.sessions.state();
        let beat = (!state.clock.is_empty()).then(|| now.after(BEAT));
        let check = state.clock.next_check().filter(|_| !paused && self.ends < ENDS_IN_FLIGHT);
        let wake = [beat, check, timer, self.paused_until].into_iter().flatten().min();
        if let Some(wake) = wake.filter(|_| beat.is_some()) {
            state.clock.plan(wake);
        }
        wake
    }

    fn propose(&self, term: u64, decision: Decision, now: Monotonic) {
        let action = match decision {
            Decision::End(session) => Action::EndSession { session, cause: EndCause::Expired },
            Decision::Tick => Action::Tick,
        };
        let caller = Caller { principal: Principal::System, session: None };
        let proposal = Proposal { action, caller, deadline: now.after(OUTCOME_TIMEOUT) };
        let (lead, proposer) = (self.lead, self.proposer.clone());
        let decided = async move { Decided { lead, decision, result: proposer.propose_as_leader(term, &proposal).await } };
        self.decided.push(decided.boxed());
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, wake: Option<Monotonic>, now: Monotonic) -> Poll<()> {
        let Some(wake) = wake else {
            self.timer = None;
            return Poll::Pending;
        };
        if !matches!(&self.timer, Some((at, _)) if *at == wake) {
            self.timer = Some((wake, self.runtime.sleep(wake.since(now))));
        }
        let ready = self.timer.as_mut().is_some_and(|(_, sleep)| sleep.poll_unpin(cx).is_ready());
        if !ready {
            return Poll::Pending;
        }
        self.timer = None;
        Poll::Ready(())
    }
}
