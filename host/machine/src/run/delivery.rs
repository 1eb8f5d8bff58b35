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
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use synod_abi::{Blob, EntryPoint, Fault, OperationId, Revision, SpaceId, SpaceName, limits};

use crate::apply::{Carried, Machine, Stop, Turn, rejected};
use crate::commands::bindings::Source;
use crate::draft::draft::Workspace;
use crate::draft::emission::Outgoing;
use crate::log::command::OnFailure;
use crate::log::rejection::{DeliveryFailure, Rejection};
use crate::ports::{Completion, Fatal, Invocation, StateView, Table, Vm};
use crate::rows::directory::{HookFailures, StoredSpace, hook_failures_key, space_key};
use crate::run::call::{Answered, Target, answered, invoke};

/// A handler or a sent operation that is to run.
#[derive(Debug)]
struct Delivery {
    from: SpaceId,
    depth: u32,
    /// What it counts of the bytes that wait.
    bytes: usize,
    /// Whether it rejects the command if it fails.
    on_failure: OnFailure,
    to: To,
}

#[derive(Debug)]
enum To {
    /// Reacts to the event at this place in the list of the entry's events.
    Handler { space: SpaceId, event: usize },
    /// Runs an operation; `None`, if that is no name of a space.
    Operation { space: Option<SpaceName>, operation: OperationId, args: Blob },
}

/// The deliveries of one cause.
#[derive(Debug)]
struct Round {
    queue: VecDeque<Delivery>,
    /// What is left of the fuel that they share.
    fuel: u64,
    /// How many were set off.
    set_off: usize,
    waiting_bytes: usize,
    /// Whether one that exceeded the bounds was counted.
    exceeded: bool,
    /// Where they ran.
    ran_in: BTreeSet<SpaceId>,
    /// The arguments of handlers of the event at this place.
    encoded: Option<(usize, Vec<u8>)>,
}

impl Round {
    /// Why `delivery` may not wait to run.
    fn refuses(&self, delivery: &Delivery) -> Option<Fault> {
        if delivery.depth > limits::DELIVERY_DEPTH {
            return Some(Fault::TooDeepDelivery);
        }
        let too_many = self.set_off >= limits::CAUSE_DELIVERIES
            || self.waiting_bytes + delivery.bytes > limits::CAUSE_DELIVERY_BYTES;
        too_many.then_some(Fault::TooManyDeliveries)
    }

    /// What becomes of a failure: where it is counted, or what it rejects the command with.
    fn failed<S: StateView>(
        &self,
        workspace: &mut Workspace<S>,
        Delivery { from, to, on_failure, .. }: &Delivery,
        why: DeliveryFailure,
    ) -> Result<SpaceId, Stop> {
        match (on_failure, to) {
            (OnFailure::Skip, To::Handler { space, .. }) => Ok(*space),
            (OnFailure::Skip, To::Operation { .. }) => Ok(*from),
            (OnFailure::Reject, To::Handler { space, .. }) => {
                Err(Rejection::Handler { space: *space, why }.into())
            }
            (OnFailure::Reject, To::Operation { space, .. }) => {
                let space = workspace.space_called(space.as_ref())?;
                Err(Rejection::Send { space, why }.into())
            }
        }
    }
}

impl Machine {
    /// Runs what was emitted and sent in `space` since its outbox was last emptied, and what that
    /// sets off, on `fuel`. With [`OnFailure::Skip`], as commands of the system want it, nothing is
    /// rejected. After a rejection the caller rolls back; the instances that deliveries used are
    /// dropped already.
    pub(crate) fn deliver<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        (on_failure, space, fuel): (OnFailure, SpaceId, u64),
        turn: &mut Turn,
    ) -> Carried<S, Result<(), Rejection>> {
        let mut round = Round {
            queue: VecDeque::new(),
            fuel,
            set_off: 0,
            waiting_bytes: 0,
            exceeded: false,
            ran_in: BTreeSet::from([space]),
            encoded: None,
        };
        let mut delivered = self.collect(&mut workspace, &mut round, (space, 1, on_failure), turn);
        while delivered.is_ok()
            && let Some(delivery) = round.queue.pop_front()
        {
            (workspace, delivered) = self.run_delivery(workspace, vm, &mut round, &delivery, turn)?;
        }
        let delivered = match delivered {
            Ok(()) => Ok(()),
            Err(stop) => {
                round.ran_in.into_iter().for_each(|space| vm.discard(space));
                Err(rejected(stop)?)
            }
        };
        Ok((workspace, delivered))
    }

    /// Queues what `from` emitted and sent; with [`OnFailure::Skip`] all of it may fail.
    fn collect<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        round: &mut Round,
        (from, depth, on_failure): (SpaceId, u32, OnFailure),
        turn: &Turn,
    ) -> Result<(), Stop> {
        for outgoing in workspace.emissions().take_outbox() {
            match outgoing {
                Outgoing::Send { space, operation, args } => {
                    let bytes = args.len();
                    admit(
                        workspace,
                        round,
                        Delivery {
                            from,
                            depth,
                            bytes,
                            on_failure,
                            to: To::Operation { space, operation, args },
                        },
                        turn,
                    )?;
                }
                Outgoing::Event(at) => {
                    let Some(source) = self.source(workspace, from)? else { continue };
                    let Some(emitted) = workspace.emissions().event(at) else { continue };
                    let mut bytes = emitted.event.topic.len() + emitted.event.payload.len();
                    let handlers: Vec<_> = source.handlers(&emitted.event.topic).collect();
                    for (space, bound) in handlers {
                        let on_failure = if on_failure == OnFailure::Skip { on_failure } else { bound };
                        let (bytes, to) = (core::mem::take(&mut bytes), To::Handler { space, event: at });
                        admit(workspace, round, Delivery { from, depth, bytes, on_failure, to }, turn)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn run_delivery<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        round: &mut Round,
        delivery: &Delivery,
        turn: &mut Turn,
    ) -> Carried<S, Result<(), Stop>> {
        round.waiting_bytes = round.waiting_bytes.saturating_sub(delivery.bytes);
        let prepared = self.prepare(&mut workspace, round, delivery)?;
        let (space, target, entry_point) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => {
                let failed = fail(&mut workspace, round, delivery, why, turn);
                return Ok((workspace, failed));
            }
        };
        turn.hooks += 1;
        let context = self.context(turn, None, false);
        let args = match (&delivery.to, &round.encoded) {
            (To::Operation { args, .. }, _) => args,
            (To::Handler { .. }, Some((_, args))) => args.as_slice(),
            (To::Handler { .. }, None) => &[],
        };
        let (mark, fuel) = (workspace.savepoint(), turn.fuel);
        let invocation = Invocation {
            space,
            module: target.module,
            entry_point,
            context: &context,
            args,
            fuel: round.fuel,
        };
        let (mut workspace, completion) = invoke(workspace, vm, invocation, turn)?;
        round.fuel = round.fuel.saturating_sub(turn.fuel - fuel);
        round.ran_in.insert(space);
        let failed = match failure_of(entry_point, completion) {
            None => {
                self.collect(&mut workspace, round, (space, delivery.depth + 1, delivery.on_failure), turn)
            }
            Some(why) => {
                vm.discard(space);
                workspace.rollback(&mark);
                fail(&mut workspace, round, delivery, why, turn)
            }
        };
        Ok((workspace, failed))
    }

    /// Where `delivery` runs, and its arguments in `round`, if it is a handler's.
    fn prepare<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        round: &mut Round,
        delivery: &Delivery,
    ) -> Result<Result<(SpaceId, Target, EntryPoint), DeliveryFailure>, Fatal> {
        let (space, entry_point) = match &delivery.to {
            To::Handler { space, event, .. } => {
                if round.encoded.as_ref().is_none_or(|(encoded, _)| encoded != event) {
                    round.encoded = self
                        .source(workspace, delivery.from)?
                        .map(|source| (*event, event_args(workspace, &source, *event)));
                }
                (Some(*space), EntryPoint::Event)
            }
            To::Operation { space, operation, .. } => {
                (workspace.space_called(space.as_ref())?, EntryPoint::Operation(*operation))
            }
        };
        let Some(space) = space else { return Ok(Err(DeliveryFailure::Unknown)) };
        let target = self.target(workspace, space)?.filter(|target| target.interface.has(entry_point));
        let Some(target) = target else { return Ok(Err(DeliveryFailure::Unknown)) };
        Ok(if round.fuel == 0 {
            Err(DeliveryFailure::Fault(Fault::OutOfFuel))
        } else if workspace.written_by_command() >= limits::ENTRY_WRITE_BYTES {
            Err(DeliveryFailure::Fault(Fault::TooManyWrites))
        } else {
            Ok((space, target, entry_point))
        })
    }
}

impl<S: StateView> Workspace<S> {
    /// The id of a space that a recipe names.
    fn space_called(&mut self, name: Option<&SpaceName>) -> Result<Option<SpaceId>, Fatal> {
        let Some(name) = name else { return Ok(None) };
        let stored: Option<StoredSpace> =
            self.read(Table::System, &space_key(name.as_str()), "the record of a space")?;
        Ok(stored.map(|space| space.id))
    }

    /// Counts a hook or handler of `space` that left nothing, or something that it sent.
    pub(crate) fn count_failure(
        &mut self,
        space: SpaceId,
        revision: Revision,
        why: DeliveryFailure,
    ) -> Result<(), Fatal> {
        let key = hook_failures_key(space);
        let former: Option<HookFailures> =
            self.read(Table::System, &key, "the failures of a space's hooks")?;
        let count = former.map_or(0, |former| former.count) + 1;
        self.overlay().put(Table::System, &key, synod_abi::encode(&HookFailures { count, revision, why }));
        Ok(())
    }
}

/// Queues `delivery`, if the bounds of its cause allow.
fn admit<S: StateView>(
    workspace: &mut Workspace<S>,
    round: &mut Round,
    delivery: Delivery,
    turn: &Turn,
) -> Result<(), Stop> {
    let Some(fault) = round.refuses(&delivery) else {
        round.set_off += 1;
        round.waiting_bytes += delivery.bytes;
        round.queue.push_back(delivery);
        return Ok(());
    };
    let why = DeliveryFailure::Fault(fault);
    let counted_in = round.failed(workspace, &delivery, why)?;
    if !core::mem::replace(&mut round.exceeded, true) {
        workspace.count_failure(counted_in, turn.revision, why)?;
    }
    Ok(())
}

fn fail<S: StateView>(
    workspace: &mut Workspace<S>,
    round: &Round,
    delivery: &Delivery,
    why: DeliveryFailure,
    turn: &Turn,
) -> Result<(), Stop> {
    let counted_in = round.failed(workspace, delivery, why)?;
    Ok(workspace.count_failure(counted_in, turn.revision, why)?)
}

/// The arguments of the hook `#[on_event]`: postcard of an [`Event`](synod_abi::Event).
fn event_args<S: StateView>(workspace: &mut Workspace<S>, source: &Source, at: usize) -> Vec<u8> {
    let event = workspace.emissions().event(at).map(|emitted| &emitted.event);
    event.map_or_else(Vec::new, |event| synod_abi::encode(&(&source.name, &event.topic, &event.payload)))
}

fn failure_of(entry_point: EntryPoint, completion: Completion) -> Option<DeliveryFailure> {
    match (answered(completion), entry_point) {
        (Ok(Answered::Result { reversible: false, .. }), _) => None,
        (Ok(Answered::Result { .. }), EntryPoint::Operation(_)) => None,
        (Ok(Answered::Later), EntryPoint::Operation(_)) => Some(DeliveryFailure::WouldWait),
        (Err(Rejection::Recipe { code, .. }), EntryPoint::Operation(_)) => {
            Some(DeliveryFailure::Refused { code })
        }
        (Err(Rejection::Fault(fault)), _) => Some(DeliveryFailure::Fault(fault)),
        (Ok(_) | Err(_), _) => Some(DeliveryFailure::Fault(Fault::BadReply)),
    }
}

#[cfg(test)]
mod tests;
