//! A request that is tried at one member after another, and at several at a time: carries out what
//! [`Asking`] decides.
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::client::Client;
use super::link::Link;
use crate::Error;
use crate::core::{Asking, Effect, Pick, Terms, Trouble, Turn};

/// A connection that is being made.
type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Arc<Link>, Trouble>> + Send + 'a>>;

/// Futures, each with the address of its member; there are never many.
struct Several<F>(Vec<(String, Pin<Box<F>>)>)
where
    F: Future;

/// How long a request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As long as any: it is asked of another member soon.
    Usual,
    /// The same, until then at most, by the client's clock in milliseconds.
    Until(u64),
    /// So many milliseconds once it was sent, because the member works on it, or is asked to wait.
    Slow(u64),
}

impl<F: Future> Several<F> {
    /// The result of the first that is ready, and its address. Never, while there is none.
    async fn first(&mut self) -> (String, F::Output) {
        poll_fn(|cx| {
            for at in 0..self.0.len() {
                if let Poll::Ready(output) = self.0[at].1.as_mut().poll(cx) {
                    return Poll::Ready((self.0.swap_remove(at).0, output));
                }
            }
            Poll::Pending
        })
        .await
    }

    fn push(&mut self, address: String, future: F) {
        self.0.push((address, Box::pin(future)));
    }
}

impl Client {
    /// Runs `attempt`, given a link and its time in milliseconds, at one member after another until
    /// it succeeds or the policy says to give up; what does no harm, at several at a time.
    pub(crate) async fn run<T, F, A>(&self, effect: Effect, pace: Pace, attempt: F) -> Result<T, Error>
    where
        F: Fn(Arc<Link>, u64) -> A,
        A: Future<Output = Result<T, Trouble>>,
    {
        let options = *self.options();
        let began_ms = self.now_ms();
        let end_ms = match pace {
            Pace::Until(at_ms) => self.end_ms(began_ms).min(at_ms),
            Pace::Usual | Pace::Slow(_) => self.end_ms(began_ms),
        };
        let terms = Terms {
            effect,
            connect_ms: options.connect_hedge_ms,
            answer_ms: (!matches!(pace, Pace::Slow(_))).then_some(options.answer_hedge_ms),
            end_ms,
        };
        let attempt = |link, now_ms: u64| {
            let usual_ms = options.attempt_timeout_ms.min(end_ms.saturating_sub(now_ms));
            attempt(link, if let Pace::Slow(ms) = pace { ms } else { usual_ms })
        };
        let mut asking = Asking::new(options.policy, terms, began_ms);
        let mut connecting: Several<Connecting<'_>> = Several(Vec::new());
        let mut answering = Several(Vec::new());
        loop {
            let now_ms = self.now_ms();
            let wake_ms = match asking.next(now_ms, || self.free_at(now_ms, &asking)) {
                Turn::GiveUp(error) => return Err(self.explained(error)),
                Turn::WaitUntil(at_ms) => at_ms,
                Turn::Ask { silent } => {
                    if let Some(silent) = silent {
                        self.silent(&silent);
                    }
                    let address = self.nearest_beside(now_ms, &asking);
                    asking.ask(address.clone(), now_ms);
                    match self.live_link(&address) {
                        Some(link) => {
                            asking.sent(&address, now_ms);
                            connecting.0.clear();
                            answering.push(address, attempt(link, now_ms));
                        }
                        None => connecting.push(address.clone(), self.connecting(address)),
                    }
                    continue;
                }
            };
            let (address, trouble) = tokio::select! {
                biased;
                (address, result) = answering.first() => match result {
                    Ok(value) => {
                        self.router().succeeded(&address);
                        return Ok(value);
                    }
                    Err(trouble) => (address, trouble),
                },
                (address, link) = connecting.first() => match link {
                    Ok(link) => {
                        let now_ms = self.now_ms();
                        asking.sent(&address, now_ms);
                        connecting.0.clear();
                        answering.push(address, attempt(link, now_ms));
                        continue;
                    }
                    Err(trouble) => (address, trouble),
                },
                () = self.sleep_until(wake_ms) => continue,
            };
            let trouble = self.noted(&address, trouble);
            let (now_ms, jitter) = (self.now_ms(), self.jitter());
            let over = asking.failed(&address, trouble, self.router().addresses(), now_ms, jitter);
            if let Some(error) = over {
                return Err(self.explained(error));
            }
        }
    }

    /// From when on there is a member to ask beside those that are being asked.
    fn free_at(&self, now_ms: u64, asking: &Asking) -> Option<u64> {
        match self.router().pick_beside(now_ms, |address| asking.asks(address)) {
            Pick::Use(_) => Some(now_ms),
            Pick::WaitUntil(at_ms) => Some(at_ms),
            Pick::Nobody => None,
        }
    }

    fn nearest_beside(&self, now_ms: u64, asking: &Asking) -> String {
        let router = self.router();
        router.nearest_beside(now_ms, |address| asking.asks(address)).unwrap_or_default().to_owned()
    }

    fn connecting(&self, address: String) -> Connecting<'_> {
        Box::pin(async move { self.link(&address).await })
    }

    /// A link to the member to ask, or to another one if that does not connect in time; or the
    /// member that cannot be reached, and why.
    pub(crate) async fn nearest_link(&self) -> (String, Result<Arc<Link>, Trouble>) {
        let hedge = Duration::from_millis(self.options().connect_hedge_ms);
        let mut connecting: Several<Connecting<'_>> = Several(Vec::new());
        let mut tried: Vec<String> = Vec::new();
        loop {
            let now_ms = self.now_ms();
            let is_tried = |address: &str| tried.iter().any(|tried| tried == address);
            let address = self.router().nearest_beside(now_ms, is_tried).map(str::to_owned);
            let is_last = address.is_none();
            if let Some(address) = address {
                if let Some(link) = self.live_link(&address) {
                    return (address, Ok(link));
                }
                tried.push(address.clone());
                connecting.push(address.clone(), self.connecting(address));
            }
            let newest = tried.last().map(String::as_str).unwrap_or_default();
            tokio::select! {
                (address, link) = connecting.first() => match link {
                    Err(trouble) if !connecting.0.is_empty() => {
                        self.noted(&address, trouble);
                    }
                    link => return (address, link),
                },
                () = tokio::time::sleep(hedge), if !is_last => self.silent(newest),
            }
        }
    }

    async fn sleep_until(&self, at_ms: u64) {
        match at_ms {
            u64::MAX => std::future::pending().await,
            at_ms => tokio::time::sleep(Duration::from_millis(at_ms.saturating_sub(self.now_ms()))).await,
        }
    }
}
