//! A session of a client, kept alive by signs of life as the real library decides; its calls are
//! sent again until they have their outcomes.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use synod_abi::{RawCall, RawError, RawQuery, RawReply, RequestId, SessionId, Transport};
use synod_client::core::{Backoff, Lifetime, SessionState, Touch};
use synod_machine::{Caller as Who, Request, TtlPolicy};
use synod_service::{Args, Lease, NewSession, SessionAnswer, SessionKey, UserRequest};
use synod_world::Dice;

use super::{ATTEMPT, Again, DEADLINE, Failed, PATIENCE, SimClient, WAITING_ATTEMPT, error_of};
use crate::peers::{Live, NoAnswer, SimMember};
use crate::record::{Recorder, Touched};

/// A session of a client. Clones are the same.
#[derive(Clone)]
pub struct SimSession(Arc<Held>);

struct Held {
    client: SimClient,
    recorder: Recorder,
    key: SessionKey,
    life: Mutex<Lifetime>,
    requests: Mutex<Requests>,
}

#[derive(Default)]
struct Requests {
    next: u64,
    /// Parked requests whose outcomes the client has, and the cluster perhaps not heard.
    acknowledged: Vec<RequestId>,
}

impl SimSession {
    /// Opens a session and keeps it.
    ///
    /// # Errors
    /// It could not be opened.
    pub async fn open(client: &SimClient, ttl_ms: u64, recorder: &Recorder) -> Result<Self, Failed> {
        let draw = || {
            let halves = [client.draw(Dice::bits), client.draw(Dice::bits)].map(u64::to_le_bytes);
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&halves[0]);
            bytes[8..].copy_from_slice(&halves[1]);
            bytes
        };
        let (nonce, secret) = (draw(), draw());
        let label = format!("c{}", client.number());
        let (mut sent_ms, mut sent) = (client.now_ms(), client.stamp());
        let opened = loop {
            let serve = |member: SimMember| {
                let ttl_policy = TtlPolicy::default();
                let new = NewSession { nonce, secret, ttl_ms, ttl_policy, label: label.clone() };
                async move { member.open_session(new, Who::default(), DEADLINE).await }.boxed()
            };
            (sent_ms, sent) = (sent_ms.max(client.now_ms()), sent.max(client.stamp()));
            match client.ask(Again::Never, (ATTEMPT, PATIENCE), serve).await {
                Ok((_, opened)) => break opened,
                Err(Failed::Unknown) => client.pause().await,
                Err(failed) => return Err(failed),
            }
        };
        let life = Mutex::new(Lifetime::new(opened.ttl_ms, sent_ms, Backoff::default()));
        let key = SessionKey { session: opened.session, secret };
        let touched = Touched { ttl_ms: opened.ttl_ms, sent: vec![sent] };
        recorder.records().lives.insert(key.session, touched);
        let (client, recorder) = (client.clone(), recorder.clone());
        let session = Self(Arc::new(Held { client, recorder, key, life, requests: Mutex::default() }));
        let client = session.client();
        let kept = session.clone();
        client.process().spawn(async move { kept.keep().await }.boxed());
        Ok(session)
    }

    /// Which.
    pub fn id(&self) -> SessionId {
        self.0.key.session
    }

    /// Whose.
    pub fn client(&self) -> &SimClient {
        &self.0.client
    }

    fn life<T>(&self, look: impl FnOnce(&mut Lifetime) -> T) -> T {
        look(&mut self.0.life.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How it is, as its client knows.
    pub fn state(&self) -> SessionState {
        let now_ms = self.0.client.now_ms();
        self.life(|life| {
            if life.remaining_ms(now_ms) == 0 {
                life.ended();
            }
            life.state()
        })
    }

    /// Whether what is bound to it can be relied upon now.
    pub fn is_held(&self) -> bool {
        !self.state().is_over()
    }

    /// For how long it may still be relied upon.
    pub fn relied_on(&self) -> Duration {
        let now_ms = self.0.client.now_ms();
        Duration::from_millis(self.life(|life| life.remaining_ms(now_ms)))
    }

    /// Its client forgets it, as one that dies does: no more signs of life.
    pub fn forget(&self) {
        self.life(Lifetime::closed);
    }

    /// Gives signs of life until it is over.
    async fn keep(&self) {
        let client = &self.0.client;
        loop {
            let now_ms = client.now_ms();
            match self.life(|life| life.next(now_ms)) {
                Touch::Lost => return,
                Touch::GiveUp => {}
                Touch::WaitUntil(until_ms) => {
                    let pause = Duration::from_millis(until_ms.saturating_sub(now_ms).max(1));
                    client.process().sleep(pause).await;
                }
                Touch::Send => self.touch().await,
            }
            if self.state().is_over() {
                return;
            }
        }
    }

    async fn touch(&self) {
        let (client, key) = (&self.0.client, self.0.key);
        let (id, address) = client.next_member();
        let sent = client.stamp();
        let limit = Duration::from_millis(self.life(|life| life.ttl_ms()) / 6);
        let serve = |live: Live| async move { live.member.touch(key, DEADLINE).await }.boxed();
        let answer = client.caller().request(id, limit, false, serve).await;
        let jitter = client.draw(Dice::bits) as u32;
        let now_ms = client.now_ms();
        match answer {
            Ok(Ok(Lease::Alive { ttl_ms })) => {
                self.life(|life| life.answered(ttl_ms));
                let mut records = self.0.recorder.records();
                records.lives.entry(key.session).or_default().sent.push(sent);
            }
            Ok(Ok(Lease::Ended)) => self.life(Lifetime::ended),
            Ok(Err(_)) => {
                client.avoid(&address, NoAnswer::Refused);
                self.life(|life| life.failed(now_ms, 0, jitter));
            }
            Err(answer) => {
                client.avoid(&address, answer);
                self.life(|life| life.failed(now_ms, 0, jitter));
            }
        }
    }

    /// Ends it.
    pub async fn close(&self) {
        let session = self.id();
        let serve = move |member: SimMember| {
            async move { member.close_session(session, Who::default(), DEADLINE).await }.boxed()
        };
        let _it_ends_sooner_or_later = self.0.client.ask(Again::Always, (ATTEMPT, PATIENCE), serve).await;
        self.life(Lifetime::closed);
    }

    async fn run(&self, call: RawCall) -> Result<RawReply, RawError> {
        let (request, carried) = {
            let mut requests = self.0.requests.lock().unwrap_or_else(PoisonError::into_inner);
            requests.next += 1;
            let id = RequestId(requests.next);
            let acknowledged = requests.acknowledged.clone();
            let carried = acknowledged.len();
            (
                Request { id, acknowledged_below: id, acknowledged, after: None, wait_ms: call.wait_ms },
                carried,
            )
        };
        let key = self.0.key;
        let id = request.id;
        let serve = |member: SimMember| {
            let RawCall { space, operation, signature, args, .. } = call.clone();
            let args = Args::Postcard { bytes: args, signature };
            let request = UserRequest { user: 0, request: request.clone() };
            async move {
                let who = Who::default();
                match member.call_in_session(&space, operation, args, key, request, who, DEADLINE).await? {
                    SessionAnswer::Done(answer) => Ok((answer, false)),
                    SessionAnswer::Parked(waiting) => waiting.answer().await.map(|answer| (answer, true)),
                }
            }
            .boxed()
        };
        loop {
            match self.0.client.ask(Again::Always, (WAITING_ATTEMPT, PATIENCE), &serve).await {
                Ok((address, (answer, was_parked))) => {
                    let mut requests = self.0.requests.lock().unwrap_or_else(PoisonError::into_inner);
                    requests.acknowledged.drain(..carried);
                    if was_parked {
                        requests.acknowledged.push(id);
                    }
                    drop(requests);
                    return self.0.client.reply(&address, answer);
                }
                Err(failed @ Failed::Rejected(_)) => return Err(error_of(failed)),
                Err(failed) if !self.is_held() => return Err(error_of(failed)),
                Err(_) => {}
            }
        }
    }
}

impl Transport for SimSession {
    async fn call(&self, call: RawCall) -> Result<RawReply, RawError> {
        self.run(call).await
    }

    async fn query(&self, query: RawQuery) -> Result<RawReply, RawError> {
        self.0.client.query(query).await
    }
}
