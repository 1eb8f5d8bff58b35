//! A call of an operation: finds the module, runs it with its whole fuel, and tells what became of it.
//!
//! Whether its writes stay is decided by the caller of this; here the instance is dropped when they do not, because its
//! memory may remember them.
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use synod_abi::{Context, EntryPoint, Fault, ModuleHash, OperationId, SpaceId, limits};

use crate::apply::{Machine, Target};
use crate::outcome::{Rejection, Reply};
use crate::workspace::Workspace;
use crate::{Call, Completion, Fatal, Invocation, StateView, Vm, directory};

impl Machine {
    pub(crate) fn call<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        call: &Call,
        context: &Context,
    ) -> Result<(Workspace<S>, Result<Reply, Rejection>), Fatal> {
        let module = match self.find(&workspace, call)? {
            Ok(module) => module,
            Err(rejection) => return Ok((workspace, Err(rejection))),
        };
        load(&workspace, vm, module)?;
        let tokens = workspace.tokens();
        workspace.begin_call(call.space);
        let entry_point = EntryPoint::Operation(call.operation);
        let invocation = Invocation { space: call.space, module, entry_point, context, args: &call.args, fuel: limits::CALL_FUEL };
        let (mut workspace, completion) = vm.invoke(invocation, workspace)?;
        workspace.check()?;
        let result = completed(completion);
        let discarded = match &result {
            Ok(_) => false,
            Err(Rejection::Fault(_)) => true,
            Err(_) => workspace.call_wrote() || workspace.tokens() != tokens,
        };
        if discarded {
            vm.discard(call.space);
        }
        Ok((workspace, result.map(|bytes| Reply::Result(bytes.into()))))
    }

    fn find<S: StateView>(&mut self, workspace: &Workspace<S>, call: &Call) -> Result<Result<ModuleHash, Rejection>, Fatal> {
        if !self.targets.contains_key(&call.space) {
            let Some(record) = directory::space_by_id(workspace, call.space)? else { return Ok(Err(Rejection::UnknownSpace)) };
            let operations = self.operations_of(workspace, record.module)?;
            self.targets.insert(call.space, Target { module: record.module, operations });
        }
        let Some(target) = self.targets.get(&call.space) else { return Ok(Err(Rejection::UnknownSpace)) };
        Ok(if target.operations.binary_search(&call.operation).is_err() {
            Err(Rejection::UnknownOperation)
        } else if call.args.len() > limits::ARGS_BYTES {
            Err(Rejection::ArgumentsTooLong)
        } else {
            Ok(target.module)
        })
    }

    fn operations_of<S: StateView>(&mut self, workspace: &Workspace<S>, module: ModuleHash) -> Result<Arc<[OperationId]>, Fatal> {
        if let Some(operations) = self.operations.get(&module) {
            return Ok(operations.clone());
        }
        let schema = directory::schema(workspace, module)?.ok_or_else(|| missing(module))?;
        let mut operations: Vec<OperationId> = schema.operations.iter().map(|point| point.id()).collect();
        operations.sort_unstable();
        let operations: Arc<[OperationId]> = operations.into();
        if self.operations.len() >= limits::RECIPES {
            self.operations.clear();
        }
        self.operations.insert(module, operations.clone());
        Ok(operations)
    }

    /// Forgets where calls of `space` go, and its instance.
    pub(crate) fn forget<S: StateView, V: Vm<Workspace<S>>>(&mut self, vm: &mut V, space: SpaceId) {
        self.targets.remove(&space);
        vm.discard(space);
    }
}

/// Makes `module` callable, from the bytes in the directory.
pub(crate) fn load<S: StateView, V: Vm<Workspace<S>>>(view: &impl StateView, vm: &mut V, module: ModuleHash) -> Result<(), Fatal> {
    if vm.is_loaded(module) {
        return Ok(());
    }
    let bytes = directory::module(view, module)?.ok_or_else(|| missing(module))?;
    vm.load(module, &bytes)
}

/// The result in `completion`; results and errors over the limit are faults, whatever the engine let through.
pub(crate) fn completed(completion: Completion) -> Result<Vec<u8>, Rejection> {
    match completion {
        Completion::Done(result) if result.len() <= limits::REPLY_BYTES => Ok(result),
        Completion::Refused { code, error } if error.len() <= limits::REPLY_BYTES => Err(Rejection::Recipe { code, error: error.into() }),
        Completion::Done(_) | Completion::Refused { .. } => Err(Rejection::Fault(Fault::BadReply)),
        Completion::Faulted(fault) => Err(Rejection::Fault(fault)),
    }
}

fn missing(module: ModuleHash) -> Fatal {
    Fatal(format!(
        "the module {module} of a space is not in the state: the data of this member is damaged; remove its data directory and let it join again"
    ))
}
