//! The task of a session that gives its signs of life, notices when it is lost, and closes it after
//! its last handle is gone.
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use synod_abi::Reason;
use synod_api::v1::failure::Kind;
use synod_api::v1::{KeepAliveReply, KeepAliveRequest};

use super::clock;
use super::shared::{Ending, Shared};
use crate::Error;
use crate::core::{Lifetime, Touch, Trouble};

/// Timers stop while the machine sleeps and the session's clock does not: so it is looked at this
/// often, in milliseconds.
const SLEEP_CHECK_MS: u64 = 1_000;

/// The answer to a touch, and the member that it was sent to.
type Answer = (String, Result<KeepAliveReply, Trouble>);

struct Touching {
    /// Where it was sent; unset while no member is connected.
    address: Arc<OnceLock<String>>,
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

/// Runs until the session is over.
pub(super) async fn run(session: Arc<Shared>) {
    let mut touching: Option<Touching> = None;
    loop {
        if let Some(close) = session.over() {
            if close {
                close_quietly(&session).await;
            }
            return;
        }
        let now_ms = clock::now_ms();
        match session.life(|life| life.next(now_ms)) {
            Touch::Lost => session.finish("its deadline passed without contact to the cluster", Ending::Lost),
            Touch::Send => touching = Some(send(&session)),
            Touch::GiveUp => {
                if let Some(Touching { address, .. }) = touching.take() {
                    given_up(&session, address.get());
                }
            }
            Touch::WaitUntil(until_ms) => {
                let pause_ms = until_ms.saturating_sub(now_ms).clamp(1, SLEEP_CHECK_MS);
                tokio::select! {
                    () = session.alive.notified() => {}
                    () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
                    (address, answer) = answered(&mut touching) => {
                        touching = None;
                        settle(&session, &address, answer);
                    }
                }
            }
        }
    }
}

async fn answered(touching: &mut Option<Touching>) -> Answer {
    match touching {
        Some(touching) => touching.answer.as_mut().await,
        None => pending().await,
    }
}

fn send(session: &Arc<Shared>) -> Touching {
    let client = session.client.clone();
    let request =
        KeepAliveRequest { session: session.id.0.to_vec(), secret: session.secret.to_vec(), tag: 0 };
    let address = Arc::new(OnceLock::new());
    let sent_to = Arc::clone(&address);
    let answer = async move {
        let (address, link) = client.nearest_link().await;
        let _set_once = sent_to.set(address.clone());
        let answer = match link {
            Ok(link) => link.touch(request, client.options().attempt_timeout_ms).await,
            Err(trouble) => Err(trouble),
        };
        (address, answer)
    };
    Touching { address, answer: Box::pin(answer) }
}

/// A touch was not answered in time; none: no member was connected in time.
fn given_up(session: &Arc<Shared>, address: Option<&String>) {
    let why = "a sign of life was not answered in time";
    match address {
        Some(address) => {
            session.client.silent(address);
            session.suspect(address, why);
        }
        None => session.client.silent(&session.client.nearest()),
    }
}

fn settle(session: &Arc<Shared>, address: &str, answer: Result<KeepAliveReply, Trouble>) {
    match answer {
        Ok(reply) if reply.ended => {
            session.finish(
                "the cluster has no such session any more: it was closed, or it expired",
                Ending::Lost,
            );
        }
        Ok(reply) => {
            session.client.answered(address);
            session.life(|life| life.answered(reply.ttl_ms));
        }
        Err(Trouble::Answered(failure)) => {
            let is_final = matches!(
                failure.known_reason(),
                Some(Reason::SessionExpired | Reason::WrongSecret | Reason::ForeignSession)
            );
            if failure.kind() == Kind::Rejected && is_final {
                session.finish(&failure.message, Ending::Lost);
                return;
            }
            failed(session, failure.retry_after_ms);
            session.client.noted(address, Trouble::Answered(failure));
        }
        Err(trouble) => {
            failed(session, 0);
            unanswered(session, address, trouble);
        }
    }
}

fn failed(session: &Arc<Shared>, least_ms: u64) {
    let jitter = session.client.jitter();
    session.life(|life: &mut Lifetime| life.failed(clock::now_ms(), least_ms, jitter));
}

fn unanswered(session: &Arc<Shared>, address: &str, trouble: Trouble) {
    let trouble = session.client.noted(address, trouble);
    let why = trouble.why();
    tracing::debug!(session = %session.id, why, "a sign of life failed");
    session.suspect(address, why);
}

async fn close_quietly(session: &Arc<Shared>) {
    match session.client.close_session(session.id).await {
        Ok(()) | Err(Error::SessionExpired(_)) => {}
        Err(error) => {
            tracing::debug!(session = %session.id, %error, "the session could not be closed; it will expire")
        }
    }
}
