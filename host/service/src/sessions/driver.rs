//! Turns a leader's knowledge into commands: sessions that were not touched end, timers that are
//! due fire.
//!
//! It sleeps until the next deadline or timer; while there are sessions it also looks at its clock
//! on a coarse beat, to notice that it was stopped. How decisions are proposed is in
//! [`lead`](crate::lead).
use std::time::Duration;

use synod_abi::SessionId;
use synod_machine::{Action, EndCause, Outcome};

use super::{SessionClock, Sessions};
use crate::lead::{Duty, Round};
use crate::ports::Monotonic;
use crate::progress::Signal;

/// How often a leader with sessions looks whether it was stopped.
const BEAT: Duration = Duration::from_millis(250);
/// Ends of sessions that are proposed at once; further ones follow, and a touch still saves those.
const ENDS_IN_FLIGHT: usize = 256;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Decision {
    End(SessionId),
    Tick,
}

/// See the module.
pub(crate) struct SessionDuty {
    sessions: Sessions,
    ends: usize,
    ticking: bool,
    again: Vec<SessionId>,
}

impl SessionDuty {
    pub(crate) fn new(sessions: Sessions) -> Self {
        Self { sessions, ends: 0, ticking: false, again: Vec::new() }
    }
}

impl Duty for SessionDuty {
    type Decision = Decision;

    fn signal(&self) -> &Signal {
        &self.sessions.0.signal
    }

    /// A new clock grants every session its complete time to live.
    fn take_up(&mut self, leading: Option<u64>, now: Monotonic) -> bool {
        let mut state = self.sessions.state();
        if std::mem::replace(&mut state.lead, leading) == leading {
            return false;
        }
        state.clock = match leading {
            Some(_) => SessionClock::granting(state.known.iter().map(|(id, known)| (*id, known.ttl())), now),
            None => SessionClock::default(),
        };
        self.ends = 0;
        self.ticking = false;
        self.again.clear();
        true
    }

    fn decide(&mut self, round: &mut Round<'_, Decision>) -> Option<Monotonic> {
        let now = round.now;
        let room = if round.is_paused() { 0 } else { ENDS_IN_FLIGHT - self.ends };
        let again = self.again.split_off(self.again.len().saturating_sub(room));
        let (due, next_timer) = {
            let mut state = self.sessions.state();
            let due = state.clock.due(now, room - again.len());
            (due, state.next_timer)
        };
        for session in again.into_iter().chain(due) {
            self.ends += 1;
            round.propose(Decision::End(session), Action::EndSession { session, cause: EndCause::Expired });
        }
        let mut timer = None;
        if let Some(at) = next_timer.filter(|_| !round.is_paused() && !self.ticking)
            && let Some(stamp) = round.stamp()
        {
            if stamp >= at {
                self.ticking = true;
                round.propose(Decision::Tick, Action::Tick);
            } else {
                timer = Some(now.after(Duration::from_millis(at.since_ms(stamp))));
            }
        }
        let mut state = self.sessions.state();
        let beat = (!state.clock.is_empty()).then(|| now.after(BEAT));
        let check = state.clock.next_check().filter(|_| !round.is_paused() && self.ends < ENDS_IN_FLIGHT);
        let wake = [beat, check, timer, round.paused_until].into_iter().flatten().min();
        if let Some(wake) = wake.filter(|_| beat.is_some()) {
            state.clock.plan(wake);
        }
        wake
    }

    fn resolved(&mut self, decision: Decision, outcome: Option<&Outcome>, _: Monotonic) {
        match decision {
            Decision::Tick => self.ticking = false,
            Decision::End(session) => {
                self.ends -= 1;
                if outcome.is_none() {
                    self.again.push(session);
                }
            }
        }
    }
}
