//! The smallest host there is: rows in a `BTreeMap`, and a transport that runs a recipe on them. It
//! takes back what a refused call wrote; it has no sessions, time or log, and what is emitted and
//! sent only lies there. `synod-test` has the real machine.
#![allow(dead_code, reason = "each test uses its part")]
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::marker::PhantomData;

use synod_sdk::Recipe;
use synod_sdk::abi::{
    Context, Direction, EncodedError, EntryPoint, Fault, HostCalls, OperationId, RangeRequest, RawCall,
    RawError, RawQuery, RawReply, Revision, Rows, Transport, check_topic, limits,
};
use synod_sdk::native::NativeRecipe;

#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    pub(crate) rows: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) token: u64,
    pub(crate) timers: BTreeMap<u64, (u64, Vec<u8>)>,
    pub(crate) waiting: Vec<u64>,
    pub(crate) completed: Vec<(u64, Vec<u8>)>,
    pub(crate) emitted: Vec<(String, Vec<u8>)>,
    pub(crate) sent: Vec<(String, OperationId, Vec<u8>)>,
    pub(crate) lines: Vec<String>,
    pub(crate) chunk_rows: usize,
    pub(crate) range_calls: usize,
}

impl HostCalls for Host {
    fn get(&mut self, key: &[u8], out: &mut [u8]) -> Result<u32, Fault> {
        let Some(value) = self.rows.get(key) else { return Ok(u32::MAX) };
        if let Some(out) = out.get_mut(..value.len()) {
            out.copy_from_slice(value);
        }
        Ok(value.len() as u32)
    }

    fn range(&mut self, request: &[u8], out: &mut [u8]) -> Result<u64, Fault> {
        self.range_calls += 1;
        let request = RangeRequest::from_bytes(request).ok_or(Fault::BadHostCall)?;
        assert!(request.from < request.to && out.len() >= limits::RANGE_CHUNK_BYTES);
        let most = (request.rows as usize).min(self.chunk_rows.max(1));
        let mut rows = self.rows.range(request.from..request.to);
        let (mut chunk, mut taken) = (Vec::new(), 0);
        let mut next = || match request.direction {
            Direction::Forward => rows.next(),
            Direction::Backward => rows.next_back(),
        };
        while let Some((key, value)) = next() {
            if taken == most || chunk.len() + key.len() + value.len() + 8 > limits::RANGE_CHUNK_BYTES {
                out[..chunk.len()].copy_from_slice(&chunk);
                return Ok(1 << 32 | chunk.len() as u64);
            }
            Rows::push(&mut chunk, key, value);
            taken += 1;
        }
        out[..chunk.len()].copy_from_slice(&chunk);
        Ok(chunk.len() as u64)
    }

    fn log(&mut self, level: u32, line: &[u8]) -> Result<(), Fault> {
        self.lines.push(format!("{level} {}", String::from_utf8_lossy(line)));
        Ok(())
    }

    fn abort(&mut self, code: u32, text: &[u8]) -> Result<Infallible, Fault> {
        self.log(1, text)?;
        Err(Fault::of_abort(code))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        if key.len() > limits::KEY_BYTES {
            return Err(Fault::KeyTooLong);
        }
        self.rows.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.rows.remove(key);
        Ok(())
    }

    fn next_token(&mut self) -> Result<u64, Fault> {
        self.token += 1;
        Ok(self.token)
    }

    fn set_timer(&mut self, at_ms: u64, payload: &[u8]) -> Result<u64, Fault> {
        let timer = self.timers.last_key_value().map_or(1, |(last, _)| last + 1);
        self.timers.insert(timer, (at_ms, payload.to_vec()));
        Ok(timer)
    }

    fn cancel_timer(&mut self, timer: u64) -> Result<u32, Fault> {
        Ok(self.timers.remove(&timer).is_some().into())
    }

    fn complete(&mut self, ticket: u64, reply: &[u8]) -> Result<u32, Fault> {
        let Some(at) = self.waiting.iter().position(|waiting| *waiting == ticket) else { return Ok(0) };
        self.waiting.remove(at);
        self.completed.push((ticket, reply.to_vec()));
        Ok(1)
    }

    fn emit(&mut self, topic: &[u8], payload: &[u8]) -> Result<(), Fault> {
        let topic = str::from_utf8(topic).map_err(|_| Fault::BadTopic)?;
        check_topic(topic).map_err(|_| Fault::BadTopic)?;
        self.emitted.push((topic.to_string(), payload.to_vec()));
        Ok(())
    }

    fn send(&mut self, space: &[u8], operation: u32, args: &[u8]) -> Result<(), Fault> {
        self.sent.push((String::from_utf8_lossy(space).into_owned(), OperationId(operation), args.to_vec()));
        Ok(())
    }
}

/// A space with recipe `R` on a [`Host`].
pub(crate) struct Local<R> {
    pub(crate) host: RefCell<Host>,
    pub(crate) context: RefCell<Context>,
    recipe: PhantomData<fn() -> R>,
}

impl<R: Recipe> Local<R> {
    pub(crate) fn new(chunk_rows: usize) -> Self {
        let context = Context { revision: Revision(1), ..Context::default() };
        Self {
            host: RefCell::new(Host { chunk_rows, ..Host::default() }),
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
