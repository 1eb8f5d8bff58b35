//! What a member knows of sessions without reading its store: their secrets' hashes, the next
//! timer, and, while it leads, when each session was last heard of.
//!
//! The [`executor`](crate::apply) tells what was opened and ended before it publishes the index,
//! so whoever waited for an index finds everything up to it here. Deadlines are the [`clock`]'s;
//! the [`driver`] turns them into commands; [`touches`] carries what clients say to the leader.
//!
//! Why a deposed leader cannot prolong a session: it notes a touch when it arrives, and answers
//! only after a read index that was asked for later, in the same term. So no other member led when
//! the touch arrived, and each later leader gives the session its whole time after that. The client
//! counts from when it sent the touch, which was before.
pub(crate) mod clock;
pub(crate) mod driver;
pub(crate) mod touches;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use synod_abi::{SessionId, Time};
use synod_machine::{Fatal, SessionChange, StateView, sessions};

use crate::lead::Standing;
use crate::ports::{Monotonic, Touched};
use crate::progress::{Signal, lock};
use clock::{Life, SessionClock};

/// Records of sessions that one read takes.
const PAGE: usize = 1_024;

/// What takes a session up, on any member.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionKey {
    /// Which.
    pub session: SessionId,
    /// The secret that it was opened with.
    pub secret: [u8; 16],
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey").field("session", &self.session).finish_non_exhaustive()
    }
}

/// What a secret is kept as.
pub(crate) fn hash_of(secret: &[u8; 16]) -> [u8; 32] {
    *blake3::hash(secret).as_bytes()
}

/// Whether a key opens its session, as far as this member knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verified {
    Yes,
    WrongSecret,
    UnknownHere,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    secret_hash: blake3::Hash,
    ttl_ms: u64,
}

impl Known {
    fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<SessionId, Known>,
    next_timer: Option<Time>,
    standing: Standing,
    clock: SessionClock,
}

struct Shared {
    state: Mutex<State>,
    signal: Signal,
    now: Box<dyn Fn() -> Monotonic + Send + Sync>,
}

/// The sessions of a member. Clones share them.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Shared>);

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

impl Sessions {
    pub(crate) fn new(applied_term: u64, now: impl Fn() -> Monotonic + Send + Sync + 'static) -> Self {
        let state = State { standing: Standing::after(applied_term), ..State::default() };
        Self(Arc::new(Shared { state: Mutex::new(state), signal: Signal::default(), now: Box::new(now) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// Reads everything from `view` again, which is as of an entry of `term`. The clock starts
    /// anew.
    pub(crate) fn reload(&self, view: &impl StateView, term: Option<u64>) -> Result<(), Fatal> {
        let (mut known, mut after) = (HashMap::new(), None);
        loop {
            let page = sessions::sessions(view, after, PAGE)?;
            after = page.items.last().map(|(id, _)| *id);
            known.extend(page.items.into_iter().map(|(id, record)| {
                (
                    id,
                    Known {
                        secret_hash: blake3::Hash::from_bytes(record.secret_hash),
                        ttl_ms: record.ttl_ms,
                    },
                )
            }));
            if !page.more {
                break;
            }
        }
        let next_timer = sessions::next_timer(view)?;
        {
            let mut state = self.state();
            let state = &mut *state;
            (state.known, state.next_timer, state.clock) = (known, next_timer, SessionClock::default());
            state.standing.reloaded(term);
        }
        self.0.signal.raise();
        Ok(())
    }

    /// An entry of `term` was applied; to be called before its index is published. `next_timer` is
    /// that after it, if it had commands.
    pub(crate) fn applied(&self, term: u64, changes: &[SessionChange], next_timer: Option<Option<Time>>) {
        let mut changed = !changes.is_empty();
        {
            let mut state = self.state();
            let state = &mut *state;
            changed |= state.standing.applied(term) | next_timer.is_some_and(|next| next != state.next_timer);
            state.next_timer = next_timer.unwrap_or(state.next_timer);
            for change in changes {
                match *change {
                    SessionChange::Opened { session, ttl_ms, secret_hash } => {
                        let known = Known { secret_hash: blake3::Hash::from_bytes(secret_hash), ttl_ms };
                        state.known.insert(session, known);
                        if state.standing.leading.is_some() {
                            state.clock.opened(session, known.ttl(), (self.0.now)());
                        }
                    }
                    SessionChange::Ended { session } => {
                        state.known.remove(&session);
                        state.clock.ended(session);
                    }
                }
            }
        }
        if changed {
            self.0.signal.raise();
        }
    }

    pub(crate) fn verify(&self, key: &SessionKey) -> Verified {
        let known = self.state().known.get(&key.session).copied();
        match known {
            None => Verified::UnknownHere,
            Some(known) if known.secret_hash == blake3::hash(&key.secret) => Verified::Yes,
            Some(_) => Verified::WrongSecret,
        }
    }

    pub(crate) fn knows(&self, session: SessionId) -> bool {
        self.state().known.contains_key(&session)
    }

    /// Notes that touches of `sessions` have arrived; the term that this member leads, if it does.
    pub(crate) fn arrived(&self, touched: &[SessionId]) -> Option<u64> {
        let mut state = self.state();
        let (term, now) = (state.standing.leading?, (self.0.now)());
        touched.iter().for_each(|session| state.clock.touch(*session, now));
        Some(term)
    }

    /// The answer to touches that arrived in `term`, if this member leads it still and has applied
    /// no entry of a later one.
    pub(crate) fn answers(&self, term: u64, touched: &[SessionId]) -> Option<Vec<Touched>> {
        let state = self.state();
        if state.standing.leading != Some(term) || state.standing.applied_term > term {
            return None;
        }
        let answer = |session: &SessionId| match state.clock.life(*session) {
            Life::Alive { ttl } => {
                Touched::Alive { ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX) }
            }
            Life::Ending => Touched::Ending,
            Life::Unknown => Touched::Ended,
        };
        Some(touched.iter().map(answer).collect())
    }

    /// Ends the driver, and refuses touches.
    pub(crate) fn close(&self) {
        {
            let mut state = self.state();
            state.standing.close();
            state.clock = SessionClock::default();
        }
        self.0.signal.raise();
    }

    #[cfg(test)]
    pub(crate) fn known(&self) -> usize {
        self.state().known.len()
    }
}
