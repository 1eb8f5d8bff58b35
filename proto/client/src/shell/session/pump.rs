//! The task of a session that does what takes time: it connects, waits for room in a queue, pauses, gives up, and cancels what
//! callers dropped.
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use synod_abi::RequestId;
use synod_api::reason;
use tokio::task::JoinSet;

use super::shared::{Shared, Turn};
use crate::Error;
use crate::core::Trouble;
use crate::shell::link::Link;

/// Cancels of a session under way at a time.
const MAX_CANCELS: usize = 16;
/// While it connects, callers whose time is up are looked for this often, in milliseconds.
const CONNECTING_CHECK_MS: u64 = 100;

type Connecting = Pin<Box<dyn Future<Output = (String, Result<Arc<Link>, Trouble>)> + Send>>;

/// Runs until the session is over.
pub(super) async fn run(session: Arc<Shared>) {
    let mut cancels = JoinSet::new();
    let mut connecting: Option<Connecting> = None;
    loop {
        let Turn { over, connect, crowded, cancels: new, wake_ms } = session.turn(MAX_CANCELS.saturating_sub(cancels.len()));
        if over {
            return;
        }
        for id in new {
            cancels.spawn(cancel(Arc::clone(&session), id));
        }
        if connect && connecting.is_none() {
            connecting = Some(Box::pin(connect_to_nearest(Arc::clone(&session))));
        }
        let least_ms = if connecting.is_some() { CONNECTING_CHECK_MS } else { 1 };
        let pause_ms = wake_ms.map(|at_ms| at_ms.saturating_sub(session.client.now_ms()).max(least_ms));
        tokio::select! {
            () = session.pump.notified() => {}
            () = pause(pause_ms) => {}
            () = room(crowded) => {}
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

async fn room(crowded: Option<Arc<Link>>) {
    match crowded {
        Some(link) => drop(link.calls().queue.reserve().await),
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
    let address = session.client.nearest();
    let link = session.client.link(&address).await;
    (address, link)
}

async fn cancel(session: Arc<Shared>, id: u64) {
    match session.client.cancel_request(session.id, session.secret, RequestId(id)).await {
        Ok(was) => session.cancelled(id, Some(was)),
        Err(Error::SessionExpired(why)) => session.finish(&why, false),
        Err(Error::Refused(refusal)) if refusal.reason != reason::TOO_MANY_OUTCOMES => session.cancelled(id, None),
        Err(error) => {
            tracing::debug!(%error, id, "a request could not be cancelled yet");
            tokio::time::sleep(Duration::from_millis(session.client.options().policy.backoff.max_ms)).await;
            session.cancel_failed(id);
        }
    }
}
