//! What the generated clients share: encoding is theirs, sending and decoding is here.
//!
//! It retries nothing and opens no session: that is the transport's business.
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use serde::de::DeserializeOwned;
use synod_abi::{CallError, RawCall, RawQuery, RawReply, Transport, decode};

/// A transport, the space that a client speaks to, and how long its calls wait.
#[derive(Debug)]
pub struct ClientCore<'t, T> {
    transport: &'t T,
    space: String,
    wait_ms: Option<u64>,
}

impl<T> Clone for ClientCore<'_, T> {
    fn clone(&self) -> Self {
        Self { transport: self.transport, space: self.space.clone(), wait_ms: self.wait_ms }
    }
}

impl<'t, T: Transport> ClientCore<'t, T> {
    /// The client of the space called `space`.
    pub fn new(transport: &'t T, space: impl Into<String>) -> Self {
        Self { transport, space: space.into(), wait_ms: None }
    }

    /// The same, whose calls wait at most `wait_ms` milliseconds of cluster time.
    #[must_use]
    pub fn waiting_ms(&self, wait_ms: u64) -> Self {
        Self { wait_ms: Some(wait_ms), ..self.clone() }
    }

    /// Runs an operation with encoded arguments.
    ///
    /// # Errors
    /// [`CallError`] says whether it was applied.
    pub async fn call<R: DeserializeOwned, E: DeserializeOwned>(
        &self,
        operation: &'static str,
        signature: u64,
        args: Vec<u8>,
    ) -> Result<R, CallError<E>> {
        result(
            self.transport
                .call(RawCall {
                    space: self.space.clone(),
                    operation,
                    signature,
                    args,
                    wait_ms: self.wait_ms,
                })
                .await?,
        )
    }

    /// Runs a query with encoded arguments.
    ///
    /// # Errors
    /// [`CallError`] says why there is no result.
    pub async fn query<R: DeserializeOwned, E: DeserializeOwned>(
        &self,
        query: &'static str,
        signature: u64,
        args: Vec<u8>,
    ) -> Result<R, CallError<E>> {
        result(self.transport.query(RawQuery { space: self.space.clone(), query, signature, args }).await?)
    }
}

fn result<R: DeserializeOwned, E>(reply: RawReply) -> Result<R, CallError<E>> {
    decode(&reply.result).map_err(|_| CallError::Unreadable { revision: reply.revision })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread until `future` is done. A transport over a network needs its runtime on
/// other threads.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// For tests: the error that a recipe refused with.
pub trait Rejection<E> {
    /// The recipe's error.
    ///
    /// # Panics
    /// If the call was not refused by the recipe.
    fn rejection(self) -> E;
}

impl<R: std::fmt::Debug, E: std::fmt::Debug> Rejection<E> for Result<R, CallError<E>> {
    #[track_caller]
    fn rejection(self) -> E {
        match self {
            Err(CallError::Rejected(error)) => error,
            Err(other) => panic!("the recipe did not refuse, the call failed: {other}"),
            Ok(result) => panic!("the recipe did not refuse, it answered {result:?}"),
        }
    }
}

#[cfg(test)]
mod tests;
