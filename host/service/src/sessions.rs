//! What a member knows of sessions without reading its store: their secrets' hashes, the next
//! timer, and, while it leads, when each session was last touched.
//!
//! An opened session is here, and an ended one gone, before the index of the entry is published, so
//! a read that waited for an index finds everything up to it. Deadlines are the [`clock`]'s; the
//! [`driver`] turns them into commands; [`touches`] carries clients' touches to the leader.
//!
//! Why a deposed leader cannot prolong a session: it notes a touch when it arrives, and answers
//! only after a read index that was asked for later, in the same term. So no other member led when
//! the touch arrived, and each later leader gives the session its complete time after that. The
//! client counts from when it sent the touch, which was before.
//!
//! A leader need not have applied what is committed to answer: a slow disk costs no session. What
//! earlier leaders committed it has applied when it begins to answer; of what it committed itself,
//! ends of sessions count from when they are packed, and a session that is not here yet may still
//! be opened by what it has not applied.
pub(crate) mod clock;
pub(crate) mod driver;
pub(crate) mod touches;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use synod_abi::{SessionId, Time};
use synod_machine::sessions::{self, SessionRecord};
use synod_machine::{Fatal, SessionChange, StateView};

use crate::lead::Observer;
use crate::ports::{Monotonic, Touched};
use crate::progress::{Signal, lock};
use crate::read::paged;
use clock::{Life, SessionClock};

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
    /// The term that this member leads and that `clock` is of.
    lead: Option<u64>,
    clock: SessionClock,
}

struct Shared {
    state: Mutex<State>,
    signal: Signal,
    observer: Observer,
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
    pub(crate) fn new(observer: Observer, now: impl Fn() -> Monotonic + Send + Sync + 'static) -> Self {
        let (state, signal) = (Mutex::default(), Signal::default());
        Self(Arc::new(Shared { state, signal, observer, now: Box::new(now) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// Reads everything from `view` again; a leader's clock starts again.
    pub(crate) fn reload(&self, view: &impl StateView) -> Result<(), Fatal> {
        let all = paged(
            None,
            |after: Option<&SessionId>, limit| sessions::sessions(view, after.copied(), limit),
            |(session, _)| *session,
        );
        let known = |(session, record): (SessionId, SessionRecord)| {
            let secret_hash = blake3::Hash::from_bytes(record.secret_hash);
            (session, Known { secret_hash, ttl_ms: record.ttl_ms })
        };
        let known = all.map(|session| session.map(known)).collect::<Result<_, _>>()?;
        let next_timer = sessions::next_timer(view)?;
        *self.state() = State { known, next_timer, ..State::default() };
        self.0.signal.raise();
        Ok(())
    }

    /// An entry with commands was applied; call it before its index is published. `next_timer` is
    /// the one after it.
    pub(crate) fn applied(&self, changes: &[SessionChange], next_timer: Option<Time>) {
        let mut changed = !changes.is_empty();
        {
            let mut state = self.state();
            let state = &mut *state;
            changed |= next_timer != state.next_timer;
            state.next_timer = next_timer;
            for change in changes {
                match *change {
                    SessionChange::Opened { session, ttl_ms, secret_hash } => {
                        let known = Known { secret_hash: blake3::Hash::from_bytes(secret_hash), ttl_ms };
                        state.known.insert(session, known);
                        if state.lead.is_some() {
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
        let term = self.leading(&state)?;
        let now = (self.0.now)();
        touched.iter().for_each(|session| state.clock.touch(*session, now));
        Some(term)
    }

    /// The answer to touches that arrived in `term`, if this member leads it still and has applied
    /// no entry of a later one. `unsettled`: whose end is packed; `is_fresh`: whether everything
    /// is applied here that was committed when the touches arrived. Both were asked before this.
    pub(crate) fn answers(
        &self,
        term: u64,
        touched: &[SessionId],
        unsettled: &HashSet<SessionId>,
        is_fresh: bool,
    ) -> Option<Vec<Touched>> {
        let state = self.state();
        if self.leading(&state) != Some(term) || self.0.observer.applied_term() > term {
            return None;
        }
        let answer = |session: &SessionId| match state.clock.life(*session) {
            Life::Alive { ttl } if !unsettled.contains(session) => {
                Touched::Alive { ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX) }
            }
            Life::Unknown if is_fresh => Touched::Ended,
            Life::Alive { .. } | Life::Ending | Life::Unknown => Touched::Unsettled,
        };
        Some(touched.iter().map(answer).collect())
    }

    /// The term that this member leads, if its clock is of that term.
    fn leading(&self, state: &State) -> Option<u64> {
        state.lead.filter(|term| self.0.observer.leading() == Some(*term))
    }

    #[cfg(test)]
    pub(crate) fn known(&self) -> usize {
        self.state().known.len()
    }
}
