//! One live instance of a recipe: the way in, and the way its reply comes out.
//!
//! The host never calls a guest's allocator: context and arguments go into the buffer that the
//! guest exports, and the reply lies where the guest says. An instance that failed is not to be
//! used again; its owner drops it.
use std::panic::{AssertUnwindSafe, catch_unwind};

use synod_abi::{
    Access, CONTEXT_BYTES, Context, ENTRY_HOOK, ENTRY_INPUT, ENTRY_MEMORY, ENTRY_OPERATION, ENTRY_QUERY,
    EntryPoint, Fault, HOOK_CANCEL, HOOK_EVENT, HOOK_SESSION_END, HOOK_TIMER, HostCalls, REPLY_BAD_ARGUMENTS,
    REPLY_ERROR, REPLY_LATER, REPLY_MORE, REPLY_NOW, REPLY_RESULT, limits,
};
use synod_machine::{Completion, Fatal};
use wasmtime::{Global, InstancePre, Memory, Store, Trap, TypedFunc};

use crate::instrument::STACK;
use crate::linker::{Call, panic_text};
use crate::pristine::{self, GUEST_BYTES, Pristine, marked_lines};
use crate::trap::{classify, fuel_is_known};

type Entry = TypedFunc<(u32, u32), u64>;

/// Of the host call `log`.
const LEVEL_ERROR: u32 = 1;

/// A recipe, ready to be called.
pub(crate) struct Live<H: 'static> {
    pub(crate) store: Store<Call<H>>,
    memory: Memory,
    stack: Global,
    input: u32,
    operation: Entry,
    query: Entry,
    hook: Option<Entry>,
}

/// How a call ended, whether the instance may serve another one, and whether its fuel counter tells
/// all that was used.
pub(crate) struct Ended {
    pub(crate) completion: Completion,
    pub(crate) reusable: bool,
    pub(crate) fuel_is_known: bool,
}

impl Ended {
    const fn well(completion: Completion) -> Self {
        Self { completion, reusable: true, fuel_is_known: true }
    }
}

impl<H: HostCalls + 'static> Live<H> {
    /// Makes an instance in `store`. A fault is the module's: a data segment that does not fit.
    pub(crate) fn new(
        pre: &InstancePre<Call<H>>,
        mut store: Store<Call<H>>,
    ) -> Result<Result<Self, Fault>, Fatal> {
        let instance = match pre.instantiate(&mut store) {
            Ok(instance) => instance,
            Err(error) => return classify(&error, false).map(Err),
        };
        let lacks = |what: &str| Fatal(format!("an instrumented module lacks its export `{what}`"));
        let memory = instance.get_memory(&mut store, ENTRY_MEMORY).ok_or_else(|| lacks(ENTRY_MEMORY))?;
        let stack = instance.get_global(&mut store, STACK).ok_or_else(|| lacks(STACK))?;
        let input = instance.get_global(&mut store, ENTRY_INPUT).ok_or_else(|| lacks(ENTRY_INPUT))?;
        let input = input.get(&mut store).i32().ok_or_else(|| lacks(ENTRY_INPUT))? as u32;
        let operation =
            instance.get_typed_func(&mut store, ENTRY_OPERATION).map_err(|_| lacks(ENTRY_OPERATION))?;
        let query = instance.get_typed_func(&mut store, ENTRY_QUERY).map_err(|_| lacks(ENTRY_QUERY))?;
        let hook = instance.get_typed_func(&mut store, ENTRY_HOOK).ok();
        store.data_mut().memory = Some(memory);
        Ok(Ok(Self { store, memory, stack, input, operation, query, hook }))
    }

    /// Runs one call. The host is lent to the store for its time and given back.
    pub(crate) fn call(
        &mut self,
        entry_point: EntryPoint,
        context: &Context,
        args: &[u8],
        host: H,
    ) -> Result<(H, Ended), Fatal> {
        let (function, id, access) = match entry_point {
            EntryPoint::Operation(id) => (Some(&self.operation), id.0, Access::Write),
            EntryPoint::Query(id) => (Some(&self.query), id.0, Access::Read),
            EntryPoint::SessionEnd => (self.hook.as_ref(), HOOK_SESSION_END as u32, Access::Write),
            EntryPoint::Timer => (self.hook.as_ref(), HOOK_TIMER as u32, Access::Write),
            EntryPoint::Cancel => (self.hook.as_ref(), HOOK_CANCEL as u32, Access::Write),
            EntryPoint::Event => (self.hook.as_ref(), HOOK_EVENT as u32, Access::Write),
        };
        let Some(function) = function else {
            return Ok((host, Ended::well(Completion::Faulted(Fault::BadArguments))));
        };
        let (memory, behind) = self.memory.data_mut(&mut self.store).split_at_mut(GUEST_BYTES);
        let input = memory.get_mut(self.input as usize..);
        let Some((head, tail)) = input.and_then(|input| input.split_first_chunk_mut::<CONTEXT_BYTES>())
        else {
            return Err(Fatal("an admitted module has its input buffer outside of memory".to_string()));
        };
        let Some(tail) = tail.get_mut(..args.len()).filter(|_| args.len() <= limits::ARGS_BYTES) else {
            return Ok((host, Ended::well(Completion::Faulted(Fault::BadArguments))));
        };
        let len = (CONTEXT_BYTES + args.len()) as u32;
        pristine::mark(behind, self.input, len);
        *head = context.to_bytes();
        tail.copy_from_slice(args);
        let data = self.store.data_mut();
        (data.host, data.access) = (Some(host), access);
        let returned = function.call(&mut self.store, (id, len));
        let data = self.store.data_mut();
        data.access = Access::Read;
        let Some(mut host) = data.host.take() else {
            return Err(Fatal("the host was not given back after a call".to_string()));
        };
        let ended = match returned {
            Ok(place) => {
                Ended::well(reply(entry_point, &self.memory.data(&self.store)[..GUEST_BYTES], place))
            }
            Err(error) => {
                let stack = self.stack.get(&mut self.store).i32().unwrap_or_default();
                let fault = classify(&error, stack > limits::CALL_STACK_BYTES as i32)?;
                tell(&mut host, &error)?;
                Ended {
                    completion: Completion::Faulted(fault),
                    reusable: false,
                    fuel_is_known: fuel_is_known(&error),
                }
            }
        };
        Ok((host, ended))
    }

    /// Lines of memory that the last call, which ended well, has written to.
    pub(crate) fn written_lines(&self) -> usize {
        marked_lines(self.memory.data(&self.store))
    }

    /// All of memory, and what lies behind it.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> &[u8] {
        self.memory.data(&self.store)
    }

    /// Puts memory back to what it was when the instance was made.
    pub(crate) fn forget(&mut self, pristine: &Pristine) {
        pristine.restore(self.memory.data_mut(&mut self.store));
    }
}

/// Logs which trap ended a call, for people: the fault does not say.
fn tell<H: HostCalls>(host: &mut H, error: &wasmtime::Error) -> Result<(), Fatal> {
    let Some(trap) = error.downcast_ref::<Trap>() else {
        return Ok(());
    };
    *host.fuel() = u64::MAX;
    let told = catch_unwind(AssertUnwindSafe(|| host.log(LEVEL_ERROR, trap.to_string().as_bytes())));
    // The call is over: a host that takes no more lines from it is within its rights.
    told.map(drop).map_err(|panic| Fatal(format!("a host function panicked: {}", panic_text(&*panic))))
}

/// Reads the reply at `pointer << 32 | length`: a status byte and its payload. Only operations may
/// wait, and hooks have nothing to say but that there is more.
fn reply(entry_point: EntryPoint, memory: &[u8], place: u64) -> Completion {
    let (start, len) = ((place >> 32) as usize, (place & u64::from(u32::MAX)) as usize);
    let bad = Completion::Faulted(Fault::BadReply);
    let Some((status, payload)) = memory.get(start..start + len).and_then(<[u8]>::split_first) else {
        return bad;
    };
    let (waits, answers) = match entry_point {
        EntryPoint::Operation(_) => (true, true),
        EntryPoint::Query(_) => (false, true),
        EntryPoint::SessionEnd | EntryPoint::Timer | EntryPoint::Cancel | EntryPoint::Event => (false, false),
    };
    match *status {
        REPLY_RESULT if payload.is_empty() || (answers && payload.len() <= limits::REPLY_BYTES) => {
            Completion::Done(payload.to_vec())
        }
        REPLY_NOW if waits && payload.len() <= limits::REPLY_BYTES => Completion::Now(payload.to_vec()),
        REPLY_LATER if waits => match *payload {
            [] => Completion::Later { tickets: 1 },
            [low, high] => Completion::Later { tickets: u16::from_le_bytes([low, high]) },
            _ => bad,
        },
        REPLY_MORE if goes_on(entry_point) && payload.is_empty() => Completion::More,
        REPLY_ERROR if answers => match payload.split_first_chunk::<4>() {
            Some((code, error)) if error.len() <= limits::REPLY_BYTES => {
                Completion::Refused { code: u32::from_le_bytes(*code), error: error.to_vec() }
            }
            _ => bad,
        },
        REPLY_BAD_ARGUMENTS if payload.is_empty() => Completion::Faulted(Fault::BadArguments),
        _ => bad,
    }
}

/// Whether it may do its work in parts: a hook that runs for its own sake.
const fn goes_on(entry_point: EntryPoint) -> bool {
    matches!(entry_point, EntryPoint::SessionEnd | EntryPoint::Timer | EntryPoint::Cancel)
}

#[cfg(test)]
mod tests;
