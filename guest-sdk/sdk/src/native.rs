//! Runs a recipe in the process that it is linked into, on the same host calls as its Wasm: for
//! tests.
//!
//! Replies are byte for byte those of the module. What it cannot do: count fuel, depth or memory,
//! or stop a recipe that does not end; whatever passes here is to pass `synod recipe test --wasm`
//! too.
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use synod_abi::{Context, EntryPoint, Fault, HostCalls};

use crate::ctx::{Ctx, Declared, QueryCtx};
use crate::host::Host;
use crate::log::Line;
use crate::recipe::Recipe;

/// Carries a fault out of a recipe that runs natively.
struct EndedCall(Fault);

/// Leaves the recipe; no panic hook sees it.
pub(crate) fn end_call(fault: Fault) -> ! {
    resume_unwind(Box::new(EndedCall(fault)))
}

/// A recipe that is linked into this process. Every [`Recipe`] is one.
pub trait NativeRecipe {
    /// Its encoded schema: what the section `synod_schema` of its module holds.
    fn schema_bytes() -> &'static [u8];

    /// Runs `entry` as the module's export would, and returns the reply: a status byte and its
    /// payload, see [`synod_abi::ENTRY_OPERATION`].
    ///
    /// # Errors
    /// The fault that a host call returned, or that of `host.abort(0, …)`, [`Fault::Panic`], when
    /// the recipe panicked.
    fn dispatch(
        entry: EntryPoint,
        context: &Context,
        args: &[u8],
        host: &mut dyn HostCalls,
    ) -> Result<Vec<u8>, Fault>;
}

impl<R: Recipe> NativeRecipe for R {
    fn schema_bytes() -> &'static [u8] {
        R::SCHEMA_BYTES
    }

    fn dispatch(
        entry: EntryPoint,
        context: &Context,
        args: &[u8],
        host: &mut dyn HostCalls,
    ) -> Result<Vec<u8>, Fault> {
        let run = AssertUnwindSafe(|| match entry {
            EntryPoint::Operation(id) => {
                R::operation(id, &mut Ctx::new(*context, Host::new(&mut *host), Declared::of::<R>()), args)
            }
            EntryPoint::Query(id) => R::query(id, &QueryCtx::new(*context, Host::new(&mut *host)), args),
            EntryPoint::SessionEnd | EntryPoint::Timer | EntryPoint::Cancel | EntryPoint::Event => {
                R::hook(entry, &mut Ctx::new(*context, Host::new(&mut *host), Declared::of::<R>()), args)
            }
        });
        catch_unwind(run).map_err(|payload| match payload.downcast::<EndedCall>() {
            Ok(ended) => ended.0,
            Err(payload) => {
                let text = payload
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or(payload.downcast_ref::<&str>().copied());
                let line = Line::of(format_args!("panicked: {}", text.unwrap_or("no text")));
                match host.abort(0, line.as_bytes()) {
                    Ok(never) => match never {},
                    Err(fault) => fault,
                }
            }
        })
    }
}
