//! A transport that runs a recipe on a host on a map, and takes back the rows that a refused call
//! wrote.
#![allow(dead_code, reason = "each test uses its part")]
use std::cell::RefCell;
use std::marker::PhantomData;

use synod_sdk::Recipe;
use synod_sdk::abi::testing::MapHost;
use synod_sdk::abi::{
    Context, EncodedError, EntryPoint, Fault, OperationId, RawCall, RawError, RawQuery, RawReply, Revision,
    Transport,
};
use synod_sdk::native::NativeRecipe;

/// A space with recipe `R` on a [`MapHost`].
pub(crate) struct Local<R> {
    pub(crate) host: RefCell<MapHost>,
    pub(crate) context: RefCell<Context>,
    recipe: PhantomData<fn() -> R>,
}

impl<R: Recipe> Local<R> {
    pub(crate) fn new(chunk_rows: usize) -> Self {
        let context = Context { revision: Revision(1), ..Context::default() };
        Self {
            host: RefCell::new(MapHost { chunk_rows, ..MapHost::default() }),
            context: RefCell::new(context),
            recipe: PhantomData,
        }
    }

    pub(crate) fn run(&self, entry: EntryPoint, args: &[u8]) -> Result<RawReply, RawError> {
        let mut host = self.host.borrow_mut();
        let before = host.rows.clone();
        let context = *self.context.borrow();
        let outcome = match R::dispatch(entry, &context, args, &mut *host) {
            Err(fault) => Err(RawError::Fault { fault: Some(fault), message: fault.to_string() }),
            Ok(reply) => match reply.split_first() {
                Some((0 | 4, result)) => Ok(RawReply { revision: context.revision, result: result.to_vec() }),
                Some((1, error)) => {
                    let (code, error) = error.split_first_chunk().expect("an error begins with its code");
                    Err(RawError::Rejected(EncodedError {
                        code: u32::from_le_bytes(*code),
                        error: error.to_vec(),
                    }))
                }
                _ => Err(RawError::Fault {
                    fault: Some(Fault::BadArguments),
                    message: Fault::BadArguments.to_string(),
                }),
            },
        };
        match outcome {
            Ok(_) => self.context.borrow_mut().revision.0 += 1,
            Err(_) => host.rows = before,
        }
        outcome
    }
}

// The one thread of a test.
impl<R: Recipe> Transport for Local<R> {
    fn call(&self, call: RawCall) -> impl Future<Output = Result<RawReply, RawError>> + Send {
        std::future::ready(self.run(EntryPoint::Operation(OperationId::of(call.operation)), &call.args))
    }

    fn query(&self, query: RawQuery) -> impl Future<Output = Result<RawReply, RawError>> + Send {
        std::future::ready(self.run(EntryPoint::Query(OperationId::of(query.query)), &query.args))
    }
}
