//! `idle-sessions`: sessions that do nothing but live. They are opened, kept alive over one stream
//! per member, and closed again.
//!
//! The benchmark speaks to the members without the client library, so it counts exactly what was
//! sent and answered. Like the library, each session gives a sign of life after a third of its time
//! to live; the signs are spread evenly over that time.
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use synod_api::v1::sessions_client::SessionsClient;
use synod_client::api::{CloseSessionRequest, KeepAliveReply, KeepAliveRequest, OpenSessionRequest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use super::load::{Outcome, show_time};
use super::wire::connect;
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::progress::Spinner;
use crate::cli::values::units::{micros, ms};

/// Sessions that are opened or closed at the same time.
const AT_ONCE: usize = 256;
/// Signs of life that wait for the connection.
const QUEUE: usize = 4_096;
/// How finely the signs are spread.
const BEAT: Duration = Duration::from_millis(5);
/// Part of its time to live after which a session gives a sign of life.
const TOUCH_PART: u32 = 3;
/// An open session.
struct Idle {
    session: Vec<u8>,
    secret: Vec<u8>,
}

/// Open sessions, spread over members.
pub(super) struct Idlers {
    members: Vec<(SessionsClient<Channel>, Vec<Idle>)>,
    /// What was granted.
    pub(super) ttl: Duration,
}

impl Idlers {
    /// Opens `count` sessions, spread over the members at `addresses`.
    pub(super) async fn open(addresses: &[String], count: usize, ttl: Duration) -> Result<Self, Failed> {
        let _spinner = Spinner::new(format!("opening {count} sessions"));
        let mut all = Self { members: Vec::new(), ttl };
        for address in addresses {
            all.members.push((SessionsClient::new(connect(address).await?), Vec::new()));
        }
        let clients: Vec<_> = all.members.iter().map(|(client, _)| client.clone()).collect();
        let opening = (0..count).map(|number| {
            let at = number % clients.len();
            let client = clients[at].clone();
            async move { open(client, ttl).await.map(|(idle, ttl)| (at, idle, ttl)) }
        });
        let mut opening = futures::stream::iter(opening).buffer_unordered(AT_ONCE);
        while let Some((at, idle, ttl)) = opening.try_next().await? {
            all.members[at].1.push(idle);
            all.ttl = ttl;
        }
        Ok(all)
    }

    /// Keeps them alive for `length`, and counts.
    pub(super) async fn keep_alive(&self, length: Duration) -> Result<Outcome, Failed> {
        let bar = tokio::spawn(show_time(length));
        let began = Instant::now();
        let kept = self
            .members
            .iter()
            .map(|(client, sessions)| keep_alive(client.clone(), sessions, self.ttl, began + length));
        let kept = futures::future::try_join_all(kept).await;
        bar.abort();
        let mut outcome = Outcome::default();
        kept?.into_iter().for_each(|one| outcome.merge(one));
        outcome.elapsed = began.elapsed();
        Ok(outcome)
    }

    /// Closes them. One that cannot be closed expires.
    pub(super) async fn close(self) {
        let _spinner = Spinner::new("closing the sessions");
        let closing = self.members.into_iter().flat_map(|(client, sessions)| {
            sessions.into_iter().map(move |idle| {
                let mut client = client.clone();
                async move { client.close(CloseSessionRequest { session: idle.session }).await.is_ok() }
            })
        });
        let closed: Vec<bool> = futures::stream::iter(closing).buffer_unordered(AT_ONCE).collect().await;
        tracing::debug!(
            sessions = closed.len(),
            closed = closed.iter().filter(|closed| **closed).count(),
            "closed"
        );
    }
}

fn unavailable(status: &Status) -> Failed {
    Failed::new(Exit::Unavailable, format!("the sessions could not be opened or kept: {}", status.message()))
}

async fn open(mut client: SessionsClient<Channel>, ttl: Duration) -> Result<(Idle, Duration), Failed> {
    let secret = random()?;
    let request = OpenSessionRequest {
        nonce: random()?,
        secret: secret.clone(),
        ttl_ms: ms(ttl),
        label: "synod bench".to_owned(),
        ..OpenSessionRequest::default()
    };
    let opened = client.open(request).await.map_err(|status| unavailable(&status))?.into_inner();
    Ok((Idle { session: opened.session, secret }, Duration::from_millis(opened.ttl_ms)))
}

fn random() -> Result<Vec<u8>, Failed> {
    let mut bytes = vec![0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failed::new(Exit::Internal, format!("no random bytes: {error}")))?;
    Ok(bytes)
}

/// Gives signs of life of `sessions` over one stream until `end`, and counts the answers.
async fn keep_alive(
    mut member: SessionsClient<Channel>,
    sessions: &[Idle],
    ttl: Duration,
    end: Instant,
) -> Result<Outcome, Failed> {
    let (sender, requests) = mpsc::channel(QUEUE);
    let mut replies = member
        .keep_alive(ReceiverStream::new(requests))
        .await
        .map_err(|status| unavailable(&status))?
        .into_inner();
    let mut sent: Vec<Option<Instant>> = vec![None; sessions.len()];
    let mut schedule = Schedule {
        began: Instant::now(),
        period: ttl / TOUCH_PART,
        sessions: sessions.len() as u64,
        next: 0,
    };
    let mut outcome = Outcome::default();
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            now = beat.tick() => {
                let now = now.into_std();
                if now >= end {
                    return Ok(outcome);
                }
                while let Some(index) = schedule.due(now) {
                    let Ok(permit) = sender.try_reserve() else { break };
                    let Idle { session, secret } = &sessions[index];
                    sent[index] = Some(Instant::now());
                    permit.send(KeepAliveRequest {
                        session: session.clone(),
                        secret: secret.clone(),
                        tag: index as u64,
                    });
                    schedule.next += 1;
                }
            }
            reply = replies.message() => match reply {
                Ok(Some(reply)) => count(&mut outcome, &mut sent, &reply),
                Ok(None) => {
                    let why = "the member ended the stream that kept sessions alive";
                    return Err(Failed::new(Exit::Unavailable, why));
                }
                Err(status) => return Err(unavailable(&status)),
            },
        }
    }
}

fn count(outcome: &mut Outcome, sent: &mut [Option<Instant>], reply: &KeepAliveReply) {
    let sent = usize::try_from(reply.tag).ok().and_then(|index| sent.get_mut(index)).and_then(Option::take);
    match (&reply.failure, reply.ended, sent) {
        (Some(failure), _, _) => outcome.unavailable(failure.message.clone()),
        (None, true, _) => outcome.rejected("a session has ended".to_owned()),
        (None, false, Some(sent)) => outcome.latencies.add(micros(sent.elapsed())),
        (None, false, None) => {}
    }
}

/// Whose sign of life is due when: one round of all sessions in each period.
struct Schedule {
    began: Instant,
    period: Duration,
    sessions: u64,
    next: u64,
}

impl Schedule {
    /// The session whose turn it is, if its time has come.
    fn due(&self, now: Instant) -> Option<usize> {
        if self.sessions == 0 {
            return None;
        }
        let at = self.period.as_nanos() * u128::from(self.next) / u128::from(self.sessions);
        let due = now.saturating_duration_since(self.began).as_nanos() >= at;
        due.then(|| usize::try_from(self.next % self.sessions).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
