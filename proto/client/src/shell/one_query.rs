//! Finds out which query a typed client of a recipe asks, for a watch or a cache that begins with
//! it, and decodes the answer.
//!
//! The query is written once, as code that asks through a [`OneQuery`]. Run without an answer, the
//! code reveals its query; run with one, it decodes it. Neither sends anything.
use std::fmt::Display;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use synod_abi::{RawCall, RawError, RawQuery, RawReply, Reason, Revision, Transport};

use crate::Error;
use crate::error::Refusal;

/// What the typed client asks through, in
/// [`WatchBuilder::open_with`](crate::WatchBuilder::open_with) and
/// [`WatchBuilder::cache`](crate::WatchBuilder::cache): one query, and nothing else.
#[derive(Clone, Debug)]
pub struct OneQuery {
    asked: Arc<Mutex<Option<RawQuery>>>,
    answer: Option<RawReply>,
}

impl Transport for OneQuery {
    async fn call(&self, _call: RawCall) -> Result<RawReply, RawError> {
        Err(RawError::Fault { fault: None, message: "only a query can be asked here".into() })
    }

    async fn query(&self, query: RawQuery) -> Result<RawReply, RawError> {
        let before = self.asked.lock().unwrap_or_else(PoisonError::into_inner).replace(query);
        match (&self.answer, before) {
            (Some(answer), None) => Ok(answer.clone()),
            (_, Some(_)) => {
                Err(RawError::Fault { fault: None, message: "only one query can be asked here".into() })
            }
            (None, None) => {
                Err(RawError::Unavailable("this is not the answer, but how the question is found out".into()))
            }
        }
    }
}

fn refused(message: String) -> Error {
    Error::Refused(Refusal { reason: Reason::BadQuery.into(), message, ..Refusal::default() })
}

/// Runs what must not wait for anything but its query.
fn run<T, E: Display>(answering: impl Future<Output = Result<T, E>>) -> Result<T, Error> {
    match pin!(answering).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.map_err(|error| refused(error.to_string())),
        Poll::Pending => Err(refused("it waits for something else than its query; do that before".into())),
    }
}

/// What `query` asks of `space`.
pub(super) fn asked<T, E: Display, A>(space: &str, query: impl Fn(OneQuery) -> A) -> Result<RawQuery, Error>
where
    A: Future<Output = Result<T, E>>,
{
    let asked = Arc::default();
    let ended = run(query(OneQuery { asked: Arc::clone(&asked), answer: None }));
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (asked, ended) {
        (Some(asked), _) if asked.space == space => Ok(asked),
        (Some(asked), _) => {
            Err(refused(format!("the query asks `{}`, and `{space}` is watched", asked.space)))
        }
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Err(refused("it asks no query".into())),
    }
}

/// What `query` makes of the result that it got from the state of `revision`.
pub(super) fn answered<T, E: Display, A>(
    query: impl Fn(OneQuery) -> A,
    revision: u64,
    result: Vec<u8>,
) -> Result<T, Error>
where
    A: Future<Output = Result<T, E>>,
{
    let answer = Some(RawReply { revision: Revision(revision), result });
    run(query(OneQuery { asked: Arc::default(), answer }))
}

#[cfg(test)]
mod tests;
