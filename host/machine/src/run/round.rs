//! The deliveries of one cause that are to run, and the bounds that they share.
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use synod_abi::{Blob, Fault, OperationId, SpaceId, SpaceName, limits};

use crate::log::command::OnFailure;

/// A handler or a sent operation that is to run.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) from: SpaceId,
    pub(crate) depth: u32,
    /// What it counts of the bytes that wait.
    pub(crate) bytes: usize,
    /// Whether it rejects the command if it fails.
    pub(crate) on_failure: OnFailure,
    pub(crate) to: To,
}

#[derive(Debug)]
pub(crate) enum To {
    /// Reacts to the event at this place in the list of the entry's events.
    Handler { space: SpaceId, event: usize },
    /// Runs an operation; `None`, if that is no name of a space.
    Operation { space: Option<SpaceName>, operation: OperationId, args: Blob },
}

/// The deliveries of one cause.
#[derive(Debug)]
pub(crate) struct Round {
    queue: VecDeque<Delivery>,
    /// What is left of the fuel that they share.
    pub(crate) fuel: u64,
    /// How many were set off.
    set_off: usize,
    waiting_bytes: usize,
    /// Whether one that exceeded the bounds was counted.
    exceeded: bool,
    /// Where they ran.
    pub(crate) ran_in: BTreeSet<SpaceId>,
    /// The arguments of handlers of the event at this place.
    pub(crate) encoded: Option<(usize, Vec<u8>)>,
}

impl Round {
    /// What a cause in `space` sets off, on `fuel`.
    pub(crate) fn new(space: SpaceId, fuel: u64) -> Self {
        Self {
            queue: VecDeque::new(),
            fuel,
            set_off: 0,
            waiting_bytes: 0,
            exceeded: false,
            ran_in: BTreeSet::from([space]),
            encoded: None,
        }
    }

    /// Takes `cost` from the fuel, as far as there is some, and returns how much that was.
    pub(crate) fn pay(&mut self, cost: u64) -> u64 {
        let paid = cost.min(self.fuel);
        self.fuel -= paid;
        paid
    }

    /// Why `delivery` may not wait to run.
    pub(crate) fn refuses(&self, delivery: &Delivery) -> Option<Fault> {
        if delivery.depth > limits::DELIVERY_DEPTH {
            return Some(Fault::TooDeepDelivery);
        }
        let too_many = self.set_off >= limits::CAUSE_DELIVERIES
            || self.waiting_bytes + delivery.bytes > limits::CAUSE_DELIVERY_BYTES;
        too_many.then_some(Fault::TooManyDeliveries)
    }

    /// Queues `delivery`; the bounds were checked with [`Round::refuses`].
    pub(crate) fn push(&mut self, delivery: Delivery) {
        self.set_off += 1;
        self.waiting_bytes += delivery.bytes;
        self.queue.push_back(delivery);
    }

    /// The delivery that runs next.
    pub(crate) fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.queue.pop_front()?;
        self.waiting_bytes -= delivery.bytes;
        Some(delivery)
    }

    /// Whether an exceeded bound is the first of this round, which is the one that is counted.
    pub(crate) fn is_first_excess(&mut self) -> bool {
        !core::mem::replace(&mut self.exceeded, true)
    }
}
