//! Locks and queues that run operations one at a time, written apart from the models.
use std::collections::{BTreeSet, VecDeque};

use synod_checker::models::lock::{self, Lock, Owner};
use synod_checker::models::queue::{self, Queue};

use super::dice::Dice;
use super::objects::{Object, VALUES};

#[derive(Default)]
pub(crate) struct LockObject {
    /// Of the holder's grant the token, and how often it holds the lock.
    holder: Option<(Owner, u64, u32)>,
    last: u64,
    dead: BTreeSet<u64>,
}

impl LockObject {
    fn acquire(&mut self, owner: Owner) -> Option<lock::Output> {
        let (token, count) = match self.holder {
            _ if self.dead.contains(&owner.session) => return None,
            Some((holder, ..)) if holder != owner => return None,
            Some((_, token, count)) => (token, count + 1),
            None => {
                self.last += 2;
                (self.last, 1)
            }
        };
        self.holder = Some((owner, token, count));
        Some(lock::Output::Held { token, count })
    }

    fn release(&mut self, owner: Owner) -> lock::Output {
        match self.holder {
            Some((holder, _, 1)) if holder == owner => {
                self.holder = None;
                lock::Output::Released
            }
            Some((holder, token, count)) if holder == owner => {
                self.holder = Some((holder, token, count - 1));
                lock::Output::StillHeld { count: count - 1 }
            }
            _ => lock::Output::NotHeld,
        }
    }
}

impl Object for LockObject {
    type Model = Lock;
    type Input = lock::Input;
    type Output = lock::Output;

    fn input(dice: &mut Dice) -> lock::Input {
        let owner = Owner { session: dice.below(2), name: dice.below(2) as u32 };
        match dice.below(11) {
            0 => lock::Input::End(owner.session),
            10 => lock::Input::Holder,
            1..=3 => lock::Input::TryAcquire(owner),
            4..=6 => lock::Input::Release(owner),
            _ => lock::Input::Acquire(owner),
        }
    }

    fn run(&mut self, input: &lock::Input) -> Option<lock::Output> {
        match *input {
            lock::Input::Acquire(owner) => self.acquire(owner),
            lock::Input::TryAcquire(owner) => match self.acquire(owner) {
                None if self.dead.contains(&owner.session) => None,
                answer => Some(answer.unwrap_or(lock::Output::Busy)),
            },
            lock::Input::Release(owner) => Some(self.release(owner)),
            lock::Input::Holder => {
                Some(lock::Output::Holder(self.holder.map(|(owner, token, _)| (owner, token))))
            }
            lock::Input::End(session) => {
                self.dead.insert(session);
                self.holder = self.holder.filter(|(owner, ..)| owner.session != session);
                Some(lock::Output::Ended)
            }
        }
    }

    fn corrupt(output: &mut lock::Output, dice: &mut Dice) {
        let other = dice.below(5);
        match output {
            lock::Output::Held { token, .. } if other.is_multiple_of(2) => *token = other,
            lock::Output::Held { count, .. } => *count = other as u32,
            lock::Output::Busy => *output = lock::Output::Held { token: other, count: 1 },
            lock::Output::Released => *output = lock::Output::NotHeld,
            lock::Output::StillHeld { .. } | lock::Output::NotHeld => *output = lock::Output::Released,
            lock::Output::Ended => *output = lock::Output::Busy,
            lock::Output::Holder(Some((_, token))) => *token = other,
            lock::Output::Holder(free) => *free = Some((Owner { session: 0, name: 0 }, other)),
        }
    }
}

#[derive(Default)]
pub(crate) struct QueueObject(VecDeque<u64>);

impl Object for QueueObject {
    type Model = Queue<u64>;
    type Input = queue::Input<u64>;
    type Output = queue::Output<u64>;

    fn input(dice: &mut Dice) -> queue::Input<u64> {
        match dice.below(5) {
            0 => queue::Input::Take,
            1 | 2 => queue::Input::Pop,
            _ => queue::Input::Push(dice.below(VALUES)),
        }
    }

    fn run(&mut self, input: &queue::Input<u64>) -> Option<queue::Output<u64>> {
        match input {
            queue::Input::Push(element) => {
                self.0.push_back(*element);
                Some(queue::Output::Pushed)
            }
            queue::Input::Pop => Some(queue::Output::Popped(self.0.pop_front())),
            queue::Input::Take => self.0.pop_front().map(queue::Output::Taken),
        }
    }

    fn corrupt(output: &mut queue::Output<u64>, dice: &mut Dice) {
        let other = dice.below(VALUES);
        match output {
            queue::Output::Pushed => *output = queue::Output::Taken(other),
            queue::Output::Popped(element) => *element = element.is_none().then_some(other),
            queue::Output::Taken(element) => *element = other,
        }
    }
}
