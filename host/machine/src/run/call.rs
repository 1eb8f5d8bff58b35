//! Calls into recipes: finds the module, runs it with its whole fuel, and tells what became of it.
//!
//! What a rejected call wrote is undone here, and its instance dropped if it wrote anything,
//! because its memory may remember that. What belongs to sessions is in `request`, hooks are in
//! `hook`, what calls emit and send is delivered by `delivery`.
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use synod_abi::schema::{Hooks, Schema};
use synod_abi::{Blob, Context, EntryPoint, Fault, ModuleHash, OperationId, SpaceId, limits};

use crate::apply::{Carried, Decided, Machine, Turn};
use crate::draft::draft::{Mark, Workspace};
use crate::log::command::{Call, OnFailure};
use crate::log::outcome::Reply;
use crate::log::rejection::Rejection;
use crate::ports::{Completion, Fatal, Invocation, StateView, Vm};
use crate::rows::directory;

/// What of a recipe can be entered.
#[derive(Debug)]
pub(crate) struct Interface {
    /// Ascending.
    operations: Vec<OperationId>,
    pub(crate) on_session_end: bool,
    pub(crate) on_timer: bool,
    pub(crate) on_cancel: bool,
    pub(crate) on_event: bool,
}

impl Interface {
    fn of(schema: &Schema) -> Self {
        let mut operations: Vec<OperationId> = schema.operations.iter().map(|point| point.id()).collect();
        operations.sort_unstable();
        let Hooks { session_end, cancel, timer, event } = &schema.hooks;
        Self {
            operations,
            on_session_end: *session_end,
            on_timer: timer.is_some(),
            on_cancel: *cancel,
            on_event: *event,
        }
    }

    /// Whether it can be entered there, by a command.
    pub(crate) fn has(&self, entry_point: EntryPoint) -> bool {
        match entry_point {
            EntryPoint::Operation(operation) => self.operations.binary_search(&operation).is_ok(),
            EntryPoint::Query(_) => false,
            EntryPoint::SessionEnd => self.on_session_end,
            EntryPoint::Timer => self.on_timer,
            EntryPoint::Cancel => self.on_cancel,
            EntryPoint::Event => self.on_event,
        }
    }
}

/// Where calls of a space go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) module: ModuleHash,
    pub(crate) interface: Arc<Interface>,
}

impl Target {
    /// The call, with its whole fuel.
    pub(crate) fn operation<'a>(&self, call: &'a Call, context: &'a Context) -> Invocation<'a> {
        let entry_point = EntryPoint::Operation(call.operation);
        Invocation {
            space: call.space,
            module: self.module,
            entry_point,
            context,
            args: &call.args,
            fuel: limits::CALL_FUEL,
        }
    }
}

/// What a recipe answers.
#[derive(Debug)]
pub(crate) enum Answered {
    /// A result, and whether the recipe can take it back.
    Result { result: Blob, reversible: bool },
    /// It will answer.
    Later,
}

impl Machine {
    /// A call outside of a session.
    pub(crate) fn call<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        call: &Call,
        turn: &mut Turn,
    ) -> Carried<S, Decided> {
        let target = match self.find(&workspace, call)? {
            Ok(target) => target,
            Err(rejection) => return Ok((workspace, Decided::Rejected(rejection))),
        };
        let context = self.context(turn, None, false);
        let mark = workspace.savepoint();
        workspace.begin_cause();
        let (mut workspace, completion) = invoke(workspace, vm, target.operation(call, &context), turn)?;
        let rejection = match answered(completion) {
            Ok(Answered::Result { result, .. }) if workspace.emissions().is_quiet() => {
                return Ok((workspace, Decided::Done(Reply::Result(result))));
            }
            Ok(Answered::Result { result, .. }) => {
                let (workspace, delivered) = self.deliver_call(workspace, vm, call, &mark, turn)?;
                return Ok((
                    workspace,
                    delivered.map_or_else(Decided::Rejected, |()| Decided::Done(Reply::Result(result))),
                ));
            }
            Ok(Answered::Later) => Rejection::CannotWait,
            Err(rejection) => rejection,
        };
        undo(&mut workspace, vm, call.space, &mark, &rejection);
        Ok((workspace, Decided::Rejected(rejection)))
    }

    /// Delivers what a call emitted and sent, on the fuel that it left. A rejection leaves nothing
    /// of what was done since `mark`.
    pub(crate) fn deliver_call<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        workspace: Workspace<S>,
        vm: &mut V,
        call: &Call,
        mark: &Mark,
        turn: &mut Turn,
    ) -> Carried<S, Result<(), Rejection>> {
        let left = limits::CALL_FUEL.saturating_sub(turn.fuel);
        let (mut workspace, delivered) =
            self.deliver(workspace, vm, (OnFailure::Reject, call.space, left), turn)?;
        if delivered.is_err() {
            workspace.rollback(mark);
        }
        Ok((workspace, delivered))
    }

    /// Where `call` goes.
    pub(crate) fn find<S: StateView>(
        &mut self,
        workspace: &Workspace<S>,
        call: &Call,
    ) -> Result<Result<Target, Rejection>, Fatal> {
        let Some(target) = self.target(workspace, call.space)? else {
            return Ok(Err(Rejection::UnknownSpace));
        };
        Ok(if !target.interface.has(EntryPoint::Operation(call.operation)) {
            Err(Rejection::UnknownOperation)
        } else if call.args.len() > limits::ARGS_BYTES {
            Err(Rejection::ArgumentsTooLong)
        } else {
            Ok(target)
        })
    }

    /// Where calls of `space` go; `None` if it is not there.
    pub(crate) fn target<S: StateView>(
        &mut self,
        workspace: &Workspace<S>,
        space: SpaceId,
    ) -> Result<Option<Target>, Fatal> {
        if let Some(target) = self.targets.get(&space) {
            return Ok(Some(target.clone()));
        }
        let Some(record) = directory::space_by_id(workspace, space)? else { return Ok(None) };
        let interface = self.interface(workspace, record.module)?;
        let target = Target { module: record.module, interface };
        self.targets.insert(space, target.clone());
        Ok(Some(target))
    }

    fn interface<S: StateView>(
        &mut self,
        workspace: &Workspace<S>,
        module: ModuleHash,
    ) -> Result<Arc<Interface>, Fatal> {
        if let Some(interface) = self.interfaces.get(&module) {
            return Ok(interface.clone());
        }
        let schema = directory::schema(workspace, module)?.ok_or_else(|| missing(module))?;
        let interface = Arc::new(Interface::of(&schema));
        if self.interfaces.len() >= limits::RECIPES {
            self.interfaces.clear();
        }
        self.interfaces.insert(module, interface.clone());
        Ok(interface)
    }

    /// Forgets where calls of `space` go, and its instance.
    pub(crate) fn forget<S: StateView, V: Vm<Workspace<S>>>(&mut self, vm: &mut V, space: SpaceId) {
        self.targets.remove(&space);
        vm.discard(space);
    }
}

/// Runs one entry point of a recipe, with the whole budgets of a call.
pub(crate) fn invoke<S: StateView, V: Vm<Workspace<S>>>(
    mut workspace: Workspace<S>,
    vm: &mut V,
    invocation: Invocation<'_>,
    turn: &mut Turn,
) -> Carried<S, Completion> {
    load(&workspace, vm, invocation.module)?;
    workspace.begin_call(invocation.space);
    let (mut workspace, completion) = vm.invoke(invocation, workspace)?;
    workspace.check()?;
    turn.fuel += vm.fuel_used();
    Ok((workspace, completion))
}

/// Undoes what a rejected call wrote since `mark`.
pub(crate) fn undo<S: StateView, V: Vm<Workspace<S>>>(
    workspace: &mut Workspace<S>,
    vm: &mut V,
    space: SpaceId,
    mark: &Mark,
    rejection: &Rejection,
) {
    if matches!(rejection, Rejection::Fault(_)) || workspace.changed_since(mark) {
        vm.discard(space);
    }
    workspace.rollback(mark);
}

/// Makes `module` callable, from the bytes in the directory.
pub(crate) fn load<S: StateView, V: Vm<Workspace<S>>>(
    view: &impl StateView,
    vm: &mut V,
    module: ModuleHash,
) -> Result<(), Fatal> {
    if vm.is_loaded(module) {
        return Ok(());
    }
    let bytes = directory::module(view, module)?.ok_or_else(|| missing(module))?;
    vm.load(module, &bytes)
}

/// The answer in `completion`; results and errors over the limit are faults, whatever the engine
/// let through.
pub(crate) fn answered(completion: Completion) -> Result<Answered, Rejection> {
    match completion {
        Completion::Done(result) if result.len() <= limits::REPLY_BYTES => {
            Ok(Answered::Result { result: result.into(), reversible: false })
        }
        Completion::Now(result) if result.len() <= limits::REPLY_BYTES => {
            Ok(Answered::Result { result: result.into(), reversible: true })
        }
        Completion::Later => Ok(Answered::Later),
        Completion::Refused { code, error } if error.len() <= limits::REPLY_BYTES => {
            Err(Rejection::Recipe { code, error: error.into() })
        }
        Completion::Done(_) | Completion::Now(_) | Completion::Refused { .. } => {
            Err(Rejection::Fault(Fault::BadReply))
        }
        Completion::Faulted(fault) => Err(Rejection::Fault(fault)),
    }
}

fn missing(module: ModuleHash) -> Fatal {
    Fatal(format!(
        "the module {module} of a space is not in the state: the data of this member is damaged; remove its \
            data directory and let it join again"
    ))
}
