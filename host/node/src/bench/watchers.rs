//! Watches by the thousand: opened over a few streams, and timed as their events come.
//!
//! They bypass the client library to count exactly what was sent, at the least cost for a client: a
//! message is decoded, and each of its events looked at once. The topic tells when an event was
//! sent, since only one event per topic is in flight at a time.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use synod_api::v1::spaces_client::SpacesClient;
use synod_api::v1::watch_request::Request;
use synod_api::v1::watch_update::Update;
use synod_client::api::{CreateWatch, EventForm, WatchReply, WatchRequest};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::histogram::Histogram;
use super::wire::connect;
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::values::units::micros;

/// Requests that wait for the connection.
const QUEUE: usize = 256;
/// How long the watches may take to be created, and an event to be received.
const PATIENCE: Duration = Duration::from_secs(30);

/// When each topic's last event was sent, and how many receipts there are.
pub(super) struct Board {
    began: Instant,
    prefix: String,
    /// Of each topic: when its last event was sent, in microseconds since it began.
    sent: Vec<AtomicU64>,
    received: AtomicU64,
    news: Notify,
    latencies: Mutex<Histogram>,
    problem: Mutex<Option<String>>,
}

impl Board {
    /// A board for `topics` topics that begin with `prefix`.
    pub(super) fn new(prefix: &str, topics: usize) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            prefix: prefix.to_owned(),
            sent: (0..topics).map(|_| AtomicU64::new(0)).collect(),
            received: AtomicU64::new(0),
            news: Notify::new(),
            latencies: Mutex::default(),
            problem: Mutex::default(),
        })
    }

    fn now(&self) -> u64 {
        micros(self.began.elapsed())
    }

    /// The topic with this number.
    pub(super) fn topic(&self, number: usize) -> String {
        format!("{}{}", self.prefix, number % self.sent.len())
    }

    /// An event of this topic is sent now.
    pub(super) fn send(&self, number: usize) {
        self.sent[number % self.sent.len()].store(self.now(), Ordering::Release);
    }

    /// Receipts so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    /// What was received since it was last asked.
    pub(super) fn take_latencies(&self) -> Histogram {
        std::mem::take(&mut self.latencies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there are `count` receipts.
    pub(super) async fn reach(&self, count: u64) -> Result<(), Failed> {
        let reached = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if let Some(problem) = self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                    return Err(Failed::new(Exit::Unavailable, problem));
                }
                if self.received() >= count {
                    return Ok(());
                }
                news.await;
            }
        };
        let late = || {
            Failed::new(
                Exit::Unavailable,
                format!("{} of {count} receipts within {} s", self.received(), PATIENCE.as_secs()),
            )
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| Err(late()))
    }

    fn receive(&self, reply: &WatchReply) {
        let now = self.now();
        let mut receipts = 0;
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        for update in &reply.updates {
            match &update.update {
                Some(Update::Events(events)) => {
                    for event in &events.events {
                        let number: Option<usize> =
                            event.topic.strip_prefix(&self.prefix).and_then(|number| number.parse().ok());
                        if let Some(sent) = number.and_then(|number| self.sent.get(number)) {
                            latencies.add(now.saturating_sub(sent.load(Ordering::Acquire)));
                            receipts += 1;
                        }
                    }
                }
                Some(Update::Cancelled(cancelled)) => {
                    let why = cancelled
                        .failure
                        .as_ref()
                        .map_or("for no reason", |failure| failure.message.as_str());
                    self.fail(format!("watch {} was cancelled: {why}", update.watch_id));
                }
                Some(Update::Created(_) | Update::Progress(_)) | None => {}
            }
        }
        drop(latencies);
        self.received.fetch_add(receipts, Ordering::AcqRel);
        self.news.notify_waiters();
    }

    fn fail(&self, problem: String) {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
        self.news.notify_waiters();
    }
}

/// Open watches. Dropping them ends them.
pub(super) struct Watchers {
    streams: JoinSet<()>,
}

impl Watchers {
    /// Opens `count` watches of `space` at the member at `address`, spread over `connections`, of
    /// the board's topics in turn.
    pub(super) async fn open(
        address: &str,
        space: &str,
        board: &Arc<Board>,
        count: usize,
        connections: usize,
    ) -> Result<Self, Failed> {
        let connections = connections.clamp(1, count.max(1));
        let mut all = Self { streams: JoinSet::new() };
        let mut opening = JoinSet::new();
        for connection in 0..connections {
            let creates: Vec<_> = (connection..count)
                .step_by(connections)
                .map(|number| create(space, board.topic(number), number))
                .collect();
            let address = address.to_owned();
            opening.spawn(async move { open(&address, creates).await });
        }
        while let Some(opened) = opening.join_next().await {
            let opened = opened.map_err(|error| {
                Failed::new(Exit::Internal, format!("a watcher of the benchmark failed: {error}"))
            })?;
            let (requests, mut replies) = opened?;
            let board = Arc::clone(board);
            all.streams.spawn(async move {
                let _stream_stays_open = requests;
                loop {
                    match replies.message().await {
                        Ok(Some(reply)) => board.receive(&reply),
                        Ok(None) => return board.fail("the member ended a stream of watches".to_owned()),
                        Err(status) => {
                            return board.fail(format!("a stream of watches broke: {}", status.message()));
                        }
                    }
                }
            });
        }
        Ok(all)
    }

    /// Ends them.
    pub(super) async fn close(mut self) {
        self.streams.shutdown().await;
    }
}

fn create(space: &str, topic: String, number: usize) -> CreateWatch {
    let form = EventForm::Postcard.into();
    CreateWatch {
        watch_id: number as u64 + 1,
        space: space.to_owned(),
        topic,
        form,
        ..CreateWatch::default()
    }
}

fn unavailable(status: &Status) -> Failed {
    Failed::new(Exit::Unavailable, format!("the watches could not be opened: {}", status.message()))
}

type Opened = (mpsc::Sender<WatchRequest>, Streaming<WatchReply>);

/// Opens a stream, and creates its watches.
async fn open(address: &str, creates: Vec<CreateWatch>) -> Result<Opened, Failed> {
    let mut client =
        SpacesClient::new(connect(address).await?).max_decoding_message_size(synod_api::REPLY_BYTES);
    let (sender, requests) = mpsc::channel(QUEUE);
    let wanted = creates.len();
    let requests_sender = sender.clone();
    let sending = tokio::spawn(async move {
        for create in creates {
            if sender.send(WatchRequest { request: Some(Request::Create(create)) }).await.is_err() {
                return;
            }
        }
    });
    let mut replies = client
        .watch(ReceiverStream::new(requests))
        .await
        .map_err(|status| unavailable(&status))?
        .into_inner();
    let created = tokio::time::timeout(PATIENCE, until_created(&mut replies, wanted)).await;
    sending.abort();
    let late = || {
        Failed::new(
            Exit::Unavailable,
            format!("{wanted} watches were not created within {} s", PATIENCE.as_secs()),
        )
    };
    created.unwrap_or_else(|_| Err(late()))?;
    Ok((requests_sender, replies))
}

async fn until_created(replies: &mut Streaming<WatchReply>, wanted: usize) -> Result<(), Failed> {
    let mut created = 0;
    while created < wanted {
        let reply = replies.message().await.map_err(|status| unavailable(&status))?;
        let reply =
            reply.ok_or_else(|| Failed::new(Exit::Unavailable, "the member ended the stream of watches"))?;
        for update in reply.updates {
            match update.update {
                Some(Update::Created(_)) => created += 1,
                Some(Update::Cancelled(cancelled)) => {
                    let why = cancelled.failure.map(|failure| failure.message).unwrap_or_default();
                    return Err(Failed::new(Exit::Rejected, format!("a watch was not created: {why}")));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
