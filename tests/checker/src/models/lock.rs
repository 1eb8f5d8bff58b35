//! A lock of the recipe `lock`: held by one owner of one session, with a token that grows from
//! grant to grant.
//!
//! Waiting for a lock takes effect when it is granted. In which order those that wait are served is
//! not checked. A call that gave up waiting may have held the lock for a moment without knowing:
//! record it as an unknown `Acquire` and an unknown `Release`.
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{Call, Model};

/// Who holds: an owner within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The session.
    pub session: u64,
    /// Who in it.
    pub name: u32,
}

/// What a lock can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Input {
    /// Hold it, once more if the owner does already; wait while another one holds it.
    Acquire(Owner),
    /// Hold it unless another one does.
    TryAcquire(Owner),
    /// Give it up once.
    Release(Owner),
    /// The session ends: by its client, or at an unknown time by itself.
    End(u64),
    /// Who holds it.
    Holder,
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Output {
    /// To `Acquire` and `TryAcquire`.
    Held {
        /// The token of the grant.
        token: u64,
        /// How often the owner holds it now.
        count: u32,
    },
    /// To `TryAcquire`: another one holds it.
    Busy,
    /// To `Release`: the owner holds it no more.
    Released,
    /// To `Release`.
    StillHeld {
        /// How often.
        count: u32,
    },
    /// To `Release`: the owner does not hold it.
    NotHeld,
    /// To `End`.
    Ended,
    /// To `Holder`: the owner and the token of its grant, unless the lock is free.
    Holder(Option<(Owner, u64)>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Holder {
    owner: Owner,
    /// `None`: above the state's `floor`, and no answer told.
    token: Option<u64>,
    count: u32,
}

/// What is known of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    holder: Option<Holder>,
    /// The largest token that an answer told.
    floor: u64,
    ended: BTreeSet<u64>,
}

/// A lock, free at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lock;

impl State {
    fn holds(&self, owner: Owner) -> Option<&Holder> {
        self.holder.as_ref().filter(|holder| holder.owner == owner)
    }

    fn is_busy_for(&self, owner: Owner) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.owner != owner)
    }

    /// The state after a grant, with its token and count if they are known; `None` if it cannot be.
    fn acquired(&self, owner: Owner, told: Option<(u64, u32)>) -> Option<Self> {
        if self.is_busy_for(owner) || self.ended.contains(&owner.session) {
            return None;
        }
        let before = self.holds(owner);
        let count = before.map_or(0, |holder| holder.count) + 1;
        let known = before.and_then(|holder| holder.token);
        if let Some((token, told_count)) = told {
            let fits = known.map_or(token > self.floor, |known| known == token);
            if !fits || told_count != count {
                return None;
            }
        }
        let token = told.map(|(token, _)| token).or(known);
        let holder = Some(Holder { owner, token, count });
        Some(Self { holder, floor: token.unwrap_or(self.floor), ended: self.ended.clone() })
    }

    /// The state after one release of an owner that holds it.
    fn released(&self, holder: &Holder) -> Self {
        let count = holder.count - 1;
        let holder = (count > 0).then(|| Holder { count, ..holder.clone() });
        Self { holder, ..self.clone() }
    }

    /// This state, with what a read told of the holder.
    fn shown(&self, shown: Option<(Owner, u64)>) -> Option<Self> {
        let (Some(holder), Some((owner, token))) = (&self.holder, shown) else {
            return (self.holder.is_none() && shown.is_none()).then(|| self.clone());
        };
        let fits = holder.token.map_or(token > self.floor, |known| known == token);
        if holder.owner != owner || !fits {
            return None;
        }
        let holder = Some(Holder { token: Some(token), ..holder.clone() });
        Some(Self { holder, floor: token, ended: self.ended.clone() })
    }

    fn without(&self, session: u64) -> Self {
        let mut state = self.clone();
        state.holder = state.holder.filter(|holder| holder.owner.session != session);
        state.ended.insert(session);
        state
    }
}

impl Model for Lock {
    type State = State;
    type Input = Input;
    type Output = Output;
    type Mark = ();

    fn initial(&self) -> State {
        State { holder: None, floor: 0, ended: BTreeSet::new() }
    }

    fn step(&self, state: &State, call: Call<'_, Input, Output>) -> Option<State> {
        match (*call.input, call.output.copied()) {
            (Input::Acquire(owner), None) => state.acquired(owner, None),
            (Input::TryAcquire(owner), None) => state.acquired(owner, None).or_else(|| Some(state.clone())),
            (Input::Acquire(owner) | Input::TryAcquire(owner), Some(Output::Held { token, count })) => {
                state.acquired(owner, Some((token, count)))
            }
            (Input::TryAcquire(owner), Some(Output::Busy)) => state.is_busy_for(owner).then(|| state.clone()),
            (Input::Release(owner), output) => {
                let after = state.holds(owner).map(|holder| state.released(holder));
                let left = after.as_ref().and_then(|after| after.holder.as_ref()).map(|holder| holder.count);
                match output {
                    None => Some(after.unwrap_or_else(|| state.clone())),
                    Some(Output::NotHeld) => after.is_none().then(|| state.clone()),
                    Some(Output::Released) => after.filter(|after| after.holder.is_none()),
                    Some(Output::StillHeld { count }) => after.filter(|_| left == Some(count)),
                    _ => None,
                }
            }
            (Input::End(session), None | Some(Output::Ended)) => Some(state.without(session)),
            (Input::Holder, None) => Some(state.clone()),
            (Input::Holder, Some(Output::Holder(holder))) => state.shown(holder),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Operation;
    use crate::linear::{Steps, Verdict, check};

    type Op = Operation<Input, Output>;
    const ANNE: Owner = Owner { session: 1, name: 0 };
    const BILL: Owner = Owner { session: 2, name: 0 };

    fn acquire(owner: Owner, interval: (u64, u64), token: u64, count: u32) -> Op {
        let client = owner.session as u32;
        Operation::done(client, interval.0, interval.1, Input::Acquire(owner), Output::Held { token, count })
    }

    fn release(owner: Owner, interval: (u64, u64), output: Output) -> Op {
        Operation::done(owner.session as u32, interval.0, interval.1, Input::Release(owner), output)
    }

    fn busy(owner: Owner, interval: (u64, u64)) -> Op {
        let client = owner.session as u32;
        Operation::done(client, interval.0, interval.1, Input::TryAcquire(owner), Output::Busy)
    }

    fn is_good(history: &[Op]) -> bool {
        check(&Lock, history, Steps(10_000)) == Verdict::Linearizable
    }

    #[test]
    fn a_lock_is_handed_on_when_it_is_released() {
        let first = acquire(ANNE, (1, 2), 5, 1);
        let given = release(ANNE, (5, 6), Output::Released);
        assert!(is_good(&[first.clone(), acquire(BILL, (3, 9), 6, 1), busy(BILL, (3, 4)), given.clone()]));
        assert!(!is_good(&[first.clone(), acquire(BILL, (3, 4), 6, 1), given.clone()]));
        assert!(!is_good(&[first.clone(), given, busy(BILL, (7, 8))]), "it is free");
        assert!(!is_good(&[first, release(BILL, (3, 4), Output::Released)]));
    }

    #[test]
    fn tokens_grow() {
        let given = release(ANNE, (3, 4), Output::Released);
        let next = |token| [acquire(ANNE, (1, 2), 5, 1), given.clone(), acquire(BILL, (5, 6), token, 1)];
        assert!(is_good(&next(6)));
        assert!(!is_good(&next(5)));
        assert!(!is_good(&next(4)));
    }

    #[test]
    fn an_owner_holds_it_as_often_as_it_acquired_it() {
        let twice = [acquire(ANNE, (1, 2), 5, 1), acquire(ANNE, (3, 4), 5, 2)];
        let history = |tail: [Op; 2]| twice.iter().cloned().chain(tail).collect::<Vec<_>>();
        let still = release(ANNE, (5, 6), Output::StillHeld { count: 1 });
        assert!(is_good(&history([still.clone(), release(ANNE, (7, 8), Output::Released)])));
        assert!(!is_good(&history([still, acquire(BILL, (7, 8), 6, 1)])));
        assert!(!is_good(&[acquire(ANNE, (1, 2), 5, 1), acquire(ANNE, (3, 4), 6, 2)]));
    }

    #[test]
    fn the_end_of_a_session_frees_what_it_held() {
        let first = acquire(ANNE, (1, 2), 5, 1);
        let end = Operation::done(9, 3, 4, Input::End(1), Output::Ended);
        assert!(is_good(&[first.clone(), end.clone(), acquire(BILL, (5, 6), 6, 1)]));
        assert!(!is_good(&[first.clone(), end.clone(), acquire(ANNE, (5, 6), 6, 1)]), "a dead session");
        assert!(!is_good(&[first.clone(), end, release(ANNE, (5, 6), Output::Released)]));
        let died = Operation::unknown(9, 2, Input::End(1));
        assert!(is_good(&[first.clone(), died.clone(), acquire(BILL, (5, 6), 6, 1)]));
        assert!(is_good(&[first, died, busy(BILL, (5, 6))]));
    }

    #[test]
    fn a_read_tells_who_holds_it() {
        let read = |from, holder| Operation::done(9, from, from + 1, Input::Holder, Output::Holder(holder));
        let first = acquire(ANNE, (1, 2), 5, 1);
        let given = release(ANNE, (5, 6), Output::Released);
        let held = read(3, Some((ANNE, 5)));
        assert!(is_good(&[read(0, None), first.clone(), held.clone(), given.clone(), read(7, None)]));
        assert!(!is_good(&[first.clone(), read(3, None)]));
        assert!(!is_good(&[first.clone(), read(3, Some((ANNE, 6)))]));
        assert!(!is_good(&[first, given, read(7, Some((ANNE, 5)))]), "a stale read");
        let lost = Operation::unknown(1, 1, Input::Acquire(ANNE));
        let next = acquire(BILL, (7, 8), 5, 1);
        let died = Operation::unknown(9, 6, Input::End(1));
        assert!(!is_good(&[lost, held, died, next]), "the token was known to be 5");
    }

    #[test]
    fn one_that_acquired_it_without_knowing_holds_it() {
        let lost = Operation::unknown(1, 1, Input::Acquire(ANNE));
        assert!(is_good(&[lost.clone(), busy(BILL, (3, 4))]));
        assert!(is_good(&[lost.clone(), busy(BILL, (3, 4)), acquire(ANNE, (5, 6), 9, 2)]));
        assert!(!is_good(&[lost, busy(BILL, (3, 4)), acquire(ANNE, (5, 6), 9, 1)]));
    }
}
