//! The network: links between sites, each with a delay, and whatever breaks them.
//!
//! It carries anything, and looks into nothing. A link is one way; it delivers like TCP: in order,
//! and late rather than not at all. What is on its way over a link that is cut arrives when the
//! link is there again, unless that takes so long that the connection is given up. A reset breaks
//! everything that is on its way.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, SinkExt, StreamExt};
use synod_abi::MemberId;
use synod_world::{Dice, Process};

/// How long an end waits for the other before it gives a connection up: the node's keep-alive.
const KEEPALIVE: Duration = Duration::from_secs(4);
/// How much later what was lost comes: TCP sends it again.
const RESENT_AFTER: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(1_000));
/// Pieces on their way in one stream; more wait at their sender.
const STREAM_PIECES: usize = 64;

/// An end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    /// A member.
    Member(MemberId),
    /// A client, by its number.
    Client(u32),
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(id) => write!(f, "m{id}"),
            Self::Client(number) => write!(f, "c{number}"),
        }
    }
}

/// How fast and how reliable links are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Least and largest delay, one way.
    pub delay: (Duration, Duration),
    /// Of a thousand pieces, how many are lost at first.
    pub lost_per_mille: u64,
    /// Of a thousand requests that may be repeated, how many arrive twice.
    pub repeated_per_mille: u64,
}

/// The connection broke: what was on its way may have arrived or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

type Link = (Site, Site);

/// All links. Clones are the same network.
#[derive(Clone)]
pub struct Net(Arc<Inner>);

struct Inner {
    /// Whose clock is right.
    time: Process,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    quality: Quality,
    cut: BTreeSet<Link>,
    slow: BTreeMap<Link, Duration>,
    resets: BTreeMap<Link, u64>,
    changed: Vec<Waker>,
}

enum Piece<T> {
    Next(Duration, T),
    End,
}

impl Net {
    /// A network of this quality, in the world of `time`.
    pub fn new(time: Process, dice: Dice, quality: Quality) -> Self {
        let state = State {
            dice,
            quality,
            cut: BTreeSet::new(),
            slow: BTreeMap::new(),
            resets: BTreeMap::new(),
            changed: Vec::new(),
        };
        Self(Arc::new(Inner { time, state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let woken = {
            let mut state = self.state();
            change(&mut state);
            std::mem::take(&mut state.changed)
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// Cuts a link, one way.
    pub fn cut(&self, from: Site, to: Site) {
        self.change(|state| {
            state.cut.insert((from, to));
        });
    }

    /// Adds a delay to a link, one way.
    pub fn slow(&self, from: Site, to: Site, delay: Duration) {
        self.change(|state| {
            state.slow.insert((from, to), delay);
        });
    }

    /// Breaks every connection between two sites; new ones can be made at once.
    pub fn reset(&self, one: Site, other: Site) {
        self.change(|state| {
            for link in [(one, other), (other, one)] {
                *state.resets.entry(link).or_default() += 1;
            }
        });
    }

    /// Sets how good all links are.
    pub fn set_quality(&self, quality: Quality) {
        self.change(|state| state.quality = quality);
    }

    /// Ends every cut and every added delay.
    pub fn heal(&self) {
        self.change(|state| {
            state.cut.clear();
            state.slow.clear();
        });
    }

    /// Whether a request that may be repeated arrives twice.
    pub fn repeats(&self) -> bool {
        let state = &mut *self.state();
        state.dice.happens(state.quality.repeated_per_mille)
    }

    fn is_cut(&self, link: Link) -> bool {
        self.state().cut.contains(&link)
    }

    fn resets(&self, (from, to): Link) -> u64 {
        self.state().resets.get(&(from, to)).copied().unwrap_or(0)
    }

    /// When what is sent now arrives.
    fn arrival(&self, link: Link) -> Duration {
        let now = self.0.time.now();
        let state = &mut *self.state();
        let (least, most) = state.quality.delay;
        let mut delay = state.dice.duration(least, most);
        delay += state.slow.get(&link).copied().unwrap_or_default();
        if state.dice.happens(state.quality.lost_per_mille) {
            delay += state.dice.duration(RESENT_AFTER.0, RESENT_AFTER.1);
        }
        now + delay
    }

    async fn healed(&self, link: Link) {
        poll_fn(|cx| {
            let mut state = self.state();
            if !state.cut.contains(&link) {
                return Poll::Ready(());
            }
            state.changed.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    async fn reset_since(&self, link: Link, resets: u64) {
        poll_fn(|cx| {
            if self.resets(link) != resets {
                return Poll::Ready(());
            }
            self.state().changed.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Waits until what arrives at `at` gets through.
    async fn arrive(&self, link: Link, resets: u64, at: Duration) -> Result<(), Broken> {
        let through = async {
            self.0.time.sleep_until(at).await;
            if !self.is_cut(link) {
                return Ok(());
            }
            match select(Box::pin(self.healed(link)), self.0.time.sleep(KEEPALIVE)).await {
                Either::Left(_) => Ok(()),
                Either::Right(_) => Err(Broken),
            }
        };
        match select(Box::pin(through), Box::pin(self.reset_since(link, resets))).await {
            Either::Left((through, _)) => through,
            Either::Right(_) => Err(Broken),
        }
    }

    /// Carries one message.
    ///
    /// # Errors
    /// [`Broken`]: it did not arrive.
    pub async fn pass(&self, from: Site, to: Site) -> Result<(), Broken> {
        let link = (from, to);
        let (resets, at) = (self.resets(link), self.arrival(link));
        self.arrive(link, resets, at).await
    }

    /// Carries a stream, which `sender` reads. It ends with `source`, or with an error: then the
    /// last pieces may be lost. Dropping what is returned drops `source`.
    pub fn carry<T: Send + 'static>(
        &self,
        (from, to): (Site, Site),
        sender: &Process,
        mut source: BoxStream<'static, T>,
    ) -> BoxStream<'static, Result<T, Broken>> {
        let link = (from, to);
        let resets = self.resets(link);
        let (mut pieces, arriving) = mpsc::channel(STREAM_PIECES);
        let (wanted, mut unwanted) = oneshot::channel::<()>();
        let net = self.clone();
        let pump = async move {
            let mut last = Duration::ZERO;
            loop {
                let next = match select(source.next(), &mut unwanted).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => return,
                };
                last = last.max(net.arrival(link));
                let piece = next.map_or(Piece::End, |next| Piece::Next(last, next));
                let is_end = matches!(piece, Piece::End);
                if pieces.send(piece).await.is_err() || is_end {
                    return;
                }
            }
        };
        sender.spawn(pump.boxed());
        let net = self.clone();
        let receiving = stream::unfold(Some((arriving, wanted)), move |receiving| {
            let net = net.clone();
            async move {
                let (mut arriving, wanted) = receiving?;
                match arriving.next().await {
                    Some(Piece::Next(at, piece)) => match net.arrive(link, resets, at).await {
                        Ok(()) => Some((Ok(piece), Some((arriving, wanted)))),
                        Err(broken) => Some((Err(broken), None)),
                    },
                    Some(Piece::End) => None,
                    None => Some((Err(Broken), None)),
                }
            }
        });
        receiving.boxed()
    }
}
