//! The task of a session that does what takes time: it connects, stands in line for a slot of a
//! full queue, pauses, gives up, and cancels what callers dropped.
//!
//! A slot that it gets is used for the session's next request. The line is first come, first
//! served, and a session that wants another slot goes to its end, so the sessions of a crowded link
//! take turns.
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use synod_abi::{Reason, RequestId};
use tokio::task::JoinSet;

use super::shared::{Ending, Shared, Slot, Turn};
use crate::Error;
use crate::core::Trouble;
use crate::shell::link::Link;

/// Cancels of a session under way at a time.
const MAX_CANCELS: usize = 16;
/// While it connects, callers whose time is up are looked for this often, in milliseconds.
const CONNECTING_CHECK_MS: u64 = 100;

/// A place in the line for a slot of a link's queue; it is lost when this is dropped.
struct Line {
    link: Arc<Link>,
    slot: Pin<Box<dyn Future<Output = Option<Slot>> + Send>>,
}

type Connecting = Pin<Box<dyn Future<Output = (String, Result<Arc<Link>, Trouble>)> + Send>>;

/// Runs until the session is over.
pub(super) async fn run(session: Arc<Shared>) {
    let mut cancels = JoinSet::new();
    let mut connecting: Option<Connecting> = None;
    let (mut line, mut slot) = (None, None);
    loop {
        let Turn { over, connect, crowded, cancels: new, wake_ms } =
            session.turn(MAX_CANCELS.saturating_sub(cancels.len()), slot.take());
        if over {
            return;
        }
        for id in new {
            cancels.spawn(cancel(Arc::clone(&session), id));
        }
        if connect && connecting.is_none() {
            connecting = Some(Box::pin(connect_to_nearest(Arc::clone(&session))));
        }
        line = crowded.map(|link| stand(line.take(), link));
        let least_ms = if connecting.is_some() { CONNECTING_CHECK_MS } else { 1 };
        let pause_ms = wake_ms.map(|at_ms| at_ms.saturating_sub(session.client.now_ms()).max(least_ms));
        tokio::select! {
            () = session.pump.notified() => {}
            () = pause(pause_ms) => {}
            had = first_in(&mut line) => {
                line = None;
                slot = had;
            }
            (address, link) = connected(&mut connecting) => {
                connecting = None;
                session.connected(address, link);
            }
            Some(_) = cancels.join_next() => {}
        }
    }
}

async fn pause(pause_ms: Option<u64>) {
    match pause_ms {
        Some(pause_ms) => tokio::time::sleep(Duration::from_millis(pause_ms)).await,
        None => pending().await,
    }
}

/// A place in the line of `link`: the present one, or a new one at its end.
fn stand(line: Option<Line>, link: Arc<Link>) -> Line {
    line.filter(|line| Arc::ptr_eq(&line.link, &link)).unwrap_or_else(|| {
        let queue = link.calls().queue.clone();
        Line { link, slot: Box::pin(async move { queue.reserve_owned().await.ok() }) }
    })
}

/// A slot; none if the stream ended.
async fn first_in(line: &mut Option<Line>) -> Option<Slot> {
    match line {
        Some(line) => line.slot.as_mut().await,
        None => pending().await,
    }
}

async fn connected(connecting: &mut Option<Connecting>) -> (String, Result<Arc<Link>, Trouble>) {
    match connecting {
        Some(connecting) => connecting.await,
        None => pending().await,
    }
}

async fn connect_to_nearest(session: Arc<Shared>) -> (String, Result<Arc<Link>, Trouble>) {
    session.client.nearest_link().await
}

async fn cancel(session: Arc<Shared>, id: u64) {
    match session.client.cancel_request(session.id, session.secret, RequestId(id)).await {
        Ok(was) => session.cancelled(id, Some(was)),
        Err(Error::SessionExpired(why)) => session.finish(&why, Ending::Lost),
        Err(Error::Refused(refusal)) if refusal.known_reason() != Some(Reason::TooManyOutcomes) => {
            session.cancelled(id, None)
        }
        Err(error) => {
            tracing::debug!(%error, id, "a request could not be cancelled yet");
            tokio::time::sleep(Duration::from_millis(session.client.options().policy.backoff.max_ms)).await;
            session.cancel_failed(id);
        }
    }
}
