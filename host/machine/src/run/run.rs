//! [`Run`]: what a command is carried out with, and the one place where a recipe is entered.
use synod_abi::{Context, EntryPoint, Fault, Revision, SessionId, SpaceId, costs, limits};

use crate::draft::budget::EntryUse;
use crate::draft::draft::{Draft, Mark};
use crate::draft::numbers::Numbers;
use crate::log::command::Caller;
use crate::log::outcome::{Outcome, Reply};
use crate::log::rejection::Rejection;
use crate::ports::{Completion, Fatal, Invocation, StateView, Vm};
use crate::run::lend::Lent;
use crate::run::machine::Machine;
use crate::run::targets::{Target, load};

/// What a command does if it isn't rejected.
#[derive(Debug)]
pub(crate) enum Decided {
    /// It takes its revision, and what it wrote stays.
    Done(Reply),
    /// It has this outcome and takes no revision of its own; what it wrote stays. A session's
    /// request has it from now on or since it first ran; a checkpoint changes nothing that users
    /// see.
    Recorded(Outcome),
}

/// A command that is carried out.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) caller: Caller,
    /// Which it takes, unless it is rejected.
    pub(crate) revision: Revision,
    /// Hooks and deliveries that it has run: numbers them for their seeds.
    pub(crate) reactions: u32,
    /// Fuel that it has used, the same whatever else is in its entry.
    pub(crate) fuel: u64,
}

impl Turn {
    pub(crate) fn new(caller: Caller, revision: Revision) -> Self {
        Self { caller, revision, reactions: 0, fuel: 0 }
    }
}

/// What the commands of an entry are carried out with.
pub(crate) struct Run<'a, S, V> {
    pub(crate) machine: &'a mut Machine,
    pub(crate) vm: &'a mut V,
    /// The engine is lent it while a recipe runs.
    pub(crate) draft: Lent<Draft<S>>,
    /// The present command.
    pub(crate) turn: Turn,
    /// What the commands before it have used.
    pub(crate) entry_use: EntryUse,
}

/// What a command has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    written_bytes: usize,
    fuel: u64,
    reactions: u32,
}

/// An entry point of a recipe, with what it is entered with.
pub(crate) struct Entering<'a> {
    pub(crate) space: SpaceId,
    pub(crate) target: &'a Target,
    pub(crate) entry_point: EntryPoint,
    pub(crate) args: &'a [u8],
    pub(crate) session: Option<SessionId>,
    pub(crate) may_wait: bool,
    pub(crate) fuel: u64,
}

impl<'a, S: StateView, V: Vm<Draft<S>>> Run<'a, S, V> {
    /// For the commands of an entry, on the rows in `view`.
    pub(crate) fn for_entry(machine: &'a mut Machine, vm: &'a mut V, view: S) -> Self {
        let draft = Lent::new(Draft::for_entry(view, Numbers::of(&machine.head)));
        let turn = Turn::new(Caller::default(), machine.head.revision);
        Self { machine, vm, draft, turn, entry_use: EntryUse::default() }
    }

    /// What the present command has used.
    pub(crate) fn used(&self) -> Used {
        let Turn { fuel, reactions, .. } = self.turn;
        Used { written_bytes: self.draft.written_by_command(), fuel, reactions }
    }

    /// Whether the command has, since `began`, run or written its share of what an entry should:
    /// one of `shares`.
    pub(crate) fn did_enough(&self, began: Used, shares: usize) -> bool {
        let Used { written_bytes, fuel, reactions } = self.used();
        written_bytes - began.written_bytes >= limits::ENTRY_WRITE_BYTES / shares
            || fuel - began.fuel >= limits::ENTRY_FUEL / shares as u64
            || (reactions - began.reactions) as usize >= limits::CAUSE_DELIVERIES / shares
    }

    /// Enters a recipe, with the budgets of a call. What it is entered with and what it answers are
    /// paid for from its fuel as well.
    pub(crate) fn invoke(&mut self, entering: &Entering<'_>) -> Result<Completion, Fatal> {
        let Entering { space, target, entry_point, args, session, may_wait, fuel } = *entering;
        let entering = costs::ENTER + args.len() as u64 * costs::ARGUMENT_BYTE;
        let left = fuel.saturating_sub(entering);
        if left == 0 {
            self.turn.fuel += fuel;
            return Ok(Completion::Faulted(Fault::OutOfFuel));
        }
        let context = self.context(session, may_wait);
        let invocation =
            Invocation { space, module: target.module, entry_point, context: &context, args, fuel: left };
        load(&*self.draft, self.vm, target.module)?;
        self.draft.begin_call(space, entry_point, left);
        let (draft, completion) = self.vm.invoke(invocation, self.draft.lend())?;
        self.draft.give_back(draft);
        self.draft.check()?;
        let used = entering + self.vm.fuel_used() + completion.answer_bytes() * costs::RESULT_BYTE;
        self.turn.fuel += used.min(fuel);
        Ok(if used > fuel { Completion::Faulted(Fault::OutOfFuel) } else { completion })
    }

    /// The seed is made from the cluster's name, the command's number and that of the reaction in
    /// it, so that it depends neither on the entry that the command was packed into, nor on its
    /// place there.
    fn context(&self, session: Option<SessionId>, may_wait: bool) -> Context {
        let Self { machine: Machine { head, .. }, turn, .. } = self;
        let mut input = [0; 28];
        input[..16].copy_from_slice(&head.cluster.unwrap_or_default().0);
        input[16..24].copy_from_slice(&head.commands.to_le_bytes());
        input[24..].copy_from_slice(&turn.reactions.to_le_bytes());
        let input = if turn.reactions == 0 { &input[..24] } else { &input[..] };
        let mut seed = [0; 16];
        seed.copy_from_slice(&blake3::hash(input).as_bytes()[..16]);
        Context { revision: turn.revision, now: head.time, session, may_wait, seed }
    }

    /// Undoes what a rejected call wrote since `mark`. Its instance is dropped if it wrote
    /// anything, because its memory may remember that.
    pub(crate) fn undo(&mut self, space: SpaceId, mark: &Mark, rejection: &Rejection) {
        if matches!(rejection, Rejection::Fault(_)) || self.draft.changed_since(mark) {
            self.vm.discard(space);
        }
        self.draft.rollback(mark);
    }
}
