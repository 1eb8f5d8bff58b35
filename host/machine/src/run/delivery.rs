//! Deliveries: what a call or a hook emitted and sent reaches handlers and other spaces, within its
//! command.
//!
//! The cause has its result before the first delivery runs. They run in the order of emits and
//! sends, and what they emit and send themselves joins the end of the same queue, one deeper.
//! Depth, number and waiting bytes are bounded, fuel is shared, and none begins once its command
//! has written `limits::ENTRY_WRITE_BYTES`.
//!
//! Where a call is the cause, a failure rejects the whole command, unless the binding says that the
//! handler is skipped, or whatever set off what failed may be skipped itself. Commands of the
//! system can't be rejected: there everything is skipped that fails. It leaves nothing but a count
//! in the row of the handler's space, or of the space that sent it. What exceeds the bounds is
//! counted once a cause.
use alloc::vec::Vec;

use synod_abi::{EntryPoint, Fault, SpaceId, costs, limits};
use synod_planted::{Bug, is_planted};

use crate::draft::draft::Draft;
use crate::draft::emission::Outgoing;
use crate::draft::stop::Stop;
use crate::log::command::OnFailure;
use crate::log::rejection::{DeliveryFailure, Rejection};
use crate::ports::{Completion, Fatal, StateView, Vm};
use crate::run::call::{Answered, answered};
use crate::run::round::{Delivery, Round, To};
use crate::run::run::{Entering, Run};
use crate::run::targets::{Source, Target};

/// Where a delivery runs.
struct Prepared {
    space: SpaceId,
    target: Target,
    entry_point: EntryPoint,
}

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    /// Runs what was emitted and sent in `space` since its outbox was last emptied, and what that
    /// sets off, on `fuel`. With [`OnFailure::Skip`], as commands of the system want it, nothing is
    /// rejected. After a rejection the caller rolls back; the instances that deliveries used are
    /// dropped already.
    pub(crate) fn deliver(&mut self, space: SpaceId, on_failure: OnFailure, fuel: u64) -> Result<(), Stop> {
        let mut round = Round::new(space, fuel);
        let delivered = self.run_round(&mut round, space, on_failure);
        if matches!(delivered, Err(Stop::Rejected(_))) {
            round.ran_in.into_iter().for_each(|space| self.vm.discard(space));
        }
        delivered
    }

    fn run_round(&mut self, round: &mut Round, space: SpaceId, on_failure: OnFailure) -> Result<(), Stop> {
        self.collect(round, space, 1, on_failure)?;
        while let Some(delivery) = round.pop() {
            self.run_delivery(round, &delivery)?;
        }
        Ok(())
    }

    /// Queues what `from` emitted and sent; with [`OnFailure::Skip`] all of it may fail.
    fn collect(
        &mut self,
        round: &mut Round,
        from: SpaceId,
        depth: u32,
        on_failure: OnFailure,
    ) -> Result<(), Stop> {
        for outgoing in self.draft.emissions().take_outbox() {
            match outgoing {
                Outgoing::Send { space, operation, args } => {
                    let bytes = args.len();
                    let to = To::Operation { space, operation, args };
                    self.queue(round, Delivery { from, depth, bytes, on_failure, to })?;
                }
                Outgoing::Event(at) => {
                    let Some(source) = self.source(from)? else { continue };
                    let Some(emitted) = self.draft.emissions().event(at) else { continue };
                    let mut bytes = emitted.event.topic.len() + emitted.event.payload.len();
                    let handlers: Vec<_> = source.handlers(&emitted.event.topic).collect();
                    self.turn.fuel += round.pay(source.bindings.len() as u64 * costs::BINDING);
                    for (space, bound) in handlers {
                        if is_planted(Bug::HandlerSkipped) && self.turn.revision.0.is_multiple_of(16) {
                            continue;
                        }
                        let on_failure = if on_failure == OnFailure::Skip { on_failure } else { bound };
                        // The handlers of an event share its bytes: the first one counts them.
                        let bytes = core::mem::take(&mut bytes);
                        let to = To::Handler { space, event: at };
                        self.queue(round, Delivery { from, depth, bytes, on_failure, to })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Queues `delivery`, if the bounds of its cause allow.
    fn queue(&mut self, round: &mut Round, delivery: Delivery) -> Result<(), Stop> {
        let Some(fault) = round.refuses(&delivery) else {
            self.turn.fuel += round.pay(costs::DELIVERY);
            round.push(delivery);
            return Ok(());
        };
        let why = DeliveryFailure::Fault(fault);
        let counted_in = self.failed(&delivery, why)?;
        if round.is_first_excess() {
            self.draft.count_failure(counted_in, self.turn.revision, why)?;
        }
        Ok(())
    }

    fn run_delivery(&mut self, round: &mut Round, delivery: &Delivery) -> Result<(), Stop> {
        let Prepared { space, target, entry_point } = match self.prepare(round, delivery)? {
            Ok(prepared) => prepared,
            Err(why) => return self.skip_or_reject(delivery, why),
        };
        self.turn.reactions += 1;
        let args = match (&delivery.to, &round.encoded) {
            (To::Operation { args, .. }, _) => args,
            (To::Handler { .. }, Some((_, args))) => args.as_slice(),
            (To::Handler { .. }, None) => &[],
        };
        let mark = self.draft.savepoint();
        let used_before = self.turn.fuel;
        let completion = self.invoke(&Entering {
            space,
            target: &target,
            entry_point,
            args,
            session: None,
            may_wait: false,
            fuel: round.fuel,
        })?;
        round.fuel = round.fuel.saturating_sub(self.turn.fuel - used_before);
        round.ran_in.insert(space);
        match failure_of(entry_point, completion) {
            None => self.collect(round, space, delivery.depth + 1, delivery.on_failure),
            Some(why) => {
                self.vm.discard(space);
                self.draft.rollback(&mark);
                self.skip_or_reject(delivery, why)
            }
        }
    }

    /// Where `delivery` runs, and its arguments in `round`, if it is a handler's.
    fn prepare(
        &mut self,
        round: &mut Round,
        delivery: &Delivery,
    ) -> Result<Result<Prepared, DeliveryFailure>, Fatal> {
        let (space, entry_point) = match &delivery.to {
            To::Handler { space, event } => {
                self.encode_event(round, delivery.from, *event)?;
                (Some(*space), EntryPoint::Event)
            }
            To::Operation { space, operation, .. } => {
                (self.draft.space_called(space.as_ref())?, EntryPoint::Operation(*operation))
            }
        };
        let Some(space) = space else { return Ok(Err(DeliveryFailure::Unknown)) };
        let target = self.target(space)?.filter(|target| target.interface.has(entry_point));
        let Some(target) = target else { return Ok(Err(DeliveryFailure::Unknown)) };
        Ok(if round.fuel == 0 {
            Err(DeliveryFailure::Fault(Fault::OutOfFuel))
        } else if self.draft.written_by_command() >= limits::ENTRY_WRITE_BYTES {
            Err(DeliveryFailure::Fault(Fault::TooManyWrites))
        } else {
            Ok(Prepared { space, target, entry_point })
        })
    }

    /// Encodes an event of `from` once for all its handlers.
    fn encode_event(&mut self, round: &mut Round, from: SpaceId, event: usize) -> Result<(), Fatal> {
        if round.encoded.as_ref().is_none_or(|(encoded, _)| *encoded != event) {
            let source = self.source(from)?;
            round.encoded = source.map(|source| (event, self.event_args(&source, event)));
        }
        Ok(())
    }

    /// The arguments of the hook `#[on_event]`: postcard of an [`Event`](synod_abi::Event).
    fn event_args(&mut self, source: &Source, at: usize) -> Vec<u8> {
        let event = self.draft.emissions().event(at).map(|emitted| &emitted.event);
        event.map_or_else(Vec::new, |event| synod_abi::encode(&(&source.name, &event.topic, &event.payload)))
    }

    /// Counts a failure, or rejects the command with it.
    fn skip_or_reject(&mut self, delivery: &Delivery, why: DeliveryFailure) -> Result<(), Stop> {
        let counted_in = self.failed(delivery, why)?;
        Ok(self.draft.count_failure(counted_in, self.turn.revision, why)?)
    }

    /// The space that a failure is counted in, unless it rejects the command.
    fn failed(&mut self, delivery: &Delivery, why: DeliveryFailure) -> Result<SpaceId, Stop> {
        match (delivery.on_failure, &delivery.to) {
            (OnFailure::Skip, To::Handler { space, .. }) => Ok(*space),
            (OnFailure::Skip, To::Operation { .. }) => Ok(delivery.from),
            (OnFailure::Reject, To::Handler { space, .. }) => {
                Err(Rejection::Handler { space: *space, why }.into())
            }
            (OnFailure::Reject, To::Operation { space, .. }) => {
                let space = self.draft.space_called(space.as_ref())?;
                Err(Rejection::Send { space, why }.into())
            }
        }
    }
}

fn failure_of(entry_point: EntryPoint, completion: Completion) -> Option<DeliveryFailure> {
    match (answered(completion), entry_point) {
        (Ok(Answered::Result { reversible: false, .. }), _) => None,
        (Ok(Answered::Result { .. }), EntryPoint::Operation(_)) => None,
        (Ok(Answered::Later { .. }), EntryPoint::Operation(_)) => Some(DeliveryFailure::WouldWait),
        (Err(Rejection::Recipe { code, .. }), EntryPoint::Operation(_)) => {
            Some(DeliveryFailure::Refused { code })
        }
        (Err(Rejection::Fault(fault)), _) => Some(DeliveryFailure::Fault(fault)),
        (Ok(_) | Err(_), _) => Some(DeliveryFailure::Fault(Fault::BadReply)),
    }
}

#[cfg(test)]
mod tests;
