//! A stream of watches to one member: which watches it carries, and the task that reads it.
//!
//! The task never waits for an application: it passes each watch its updates, and a watch that
//! takes no more is cancelled on the member, so that the others of the stream go on.
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use synod_api::v1::failure::Kind;
use synod_api::v1::spaces_client::SpacesClient;
use synod_api::v1::watch_update::Update;
use synod_api::v1::{CreateWatch, Failure, WatchCancelled, WatchReply, WatchUpdate};
use synod_api::{REPLY_BYTES, REQUEST_BYTES};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::outbox::{Outbox, Outgoing};
use super::shared::{Shared, Verdict};
use crate::core::{Beat, Liveness, Trouble};
use crate::shell::client::Client;
use crate::shell::trouble::trouble_of;
use crate::shell::wire::Wire;

/// Most watches of one stream; members take 16,384.
const LANE_WATCHES: usize = 16_000;
/// Creates that are not answered yet; members take 64.
const CREATES_IN_FLIGHT: usize = 32;
/// How often a stream is checked besides being read, at least, in milliseconds.
const LOOK_MS: u64 = 100;
/// A stream without watches ends after this time.
const IDLE: Duration = Duration::from_secs(10);

struct Entry {
    watch: Arc<Shared>,
    /// Until it is created: when that must have happened, and the permit for it.
    creating: Option<(Instant, OwnedSemaphorePermit)>,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    entries: HashMap<u64, Entry>,
    closed: bool,
}

/// A stream of watches.
pub(crate) struct WatchLane {
    address: Arc<str>,
    table: Mutex<Table>,
    outbox: Arc<Outbox>,
    permits: Arc<Semaphore>,
    /// Whether the router knows that the member answers; `blamed`: that it does not. Each resets
    /// the other.
    praised: AtomicBool,
    blamed: AtomicBool,
    /// Whether watches wait for a progress mark to know that they have caught up.
    catching_up: AtomicBool,
}

impl WatchLane {
    /// Opens a stream over `wire`.
    pub(crate) fn open(client: Client, address: &str, wire: Wire) -> Arc<Self> {
        let lane = Arc::new(Self {
            address: address.into(),
            table: Mutex::default(),
            outbox: Arc::default(),
            permits: Arc::new(Semaphore::new(CREATES_IN_FLIGHT)),
            praised: AtomicBool::new(false),
            blamed: AtomicBool::new(false),
            catching_up: AtomicBool::new(false),
        });
        tokio::spawn(drive(Arc::clone(&lane), client, wire));
        lane
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.table().closed
    }

    /// Whether one more watch fits.
    pub(crate) fn has_room(&self) -> bool {
        self.table().entries.len() < LANE_WATCHES
    }

    /// A permit for one create; none if the stream is over.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// Begins a watch; returns its id on the stream, or none if that is over.
    pub(super) fn begin(
        &self,
        watch: Arc<Shared>,
        create: CreateWatch,
        permit: OwnedSemaphorePermit,
        timeout_ms: u64,
    ) -> Option<u64> {
        let mut table = self.table();
        if table.closed {
            return None;
        }
        table.last_id += 1;
        let watch_id = table.last_id;
        let deadline = Instant::now() + Duration::from_millis(timeout_ms);
        table.entries.insert(watch_id, Entry { watch, creating: Some((deadline, permit)) });
        drop(table);
        self.outbox.create(CreateWatch { watch_id, ..create });
        Some(watch_id)
    }

    /// Takes a watch off the stream.
    pub(super) fn remove(&self, watch_id: u64, cancel: bool) {
        let entry = self.table().entries.remove(&watch_id);
        if cancel && entry.is_some() {
            self.outbox.cancel(watch_id);
        }
    }

    /// Asks the member for a progress mark.
    pub(super) fn request_progress(&self) {
        self.outbox.request_progress();
    }

    /// Asks for one soon: once for all watches that begin together.
    pub(super) fn catches_up(&self) {
        self.catching_up.store(true, Ordering::Relaxed);
    }

    fn watches(&self) -> Vec<(u64, Arc<Shared>)> {
        let table = self.table();
        let created = table.entries.iter().filter(|(_, entry)| entry.creating.is_none());
        created.map(|(watch_id, entry)| (*watch_id, Arc::clone(&entry.watch))).collect()
    }

    /// The stream is over: its watches go elsewhere.
    fn close(&self) -> HashMap<u64, Entry> {
        self.permits.close();
        self.outbox.close();
        let mut table = self.table();
        table.closed = true;
        std::mem::take(&mut table.entries)
    }

    /// Takes the watches off the stream that were not begun in time: the member may be slow with
    /// those only, so the others stay.
    fn drop_late(self: &Arc<Self>, client: &Client) {
        let now = Instant::now();
        let is_late = |entry: &Entry| entry.creating.as_ref().is_some_and(|(by, _)| *by <= now);
        let late: Vec<(u64, Arc<Shared>)> = {
            let mut table = self.table();
            table.entries.extract_if(|_, entry| is_late(entry)).map(|(id, entry)| (id, entry.watch)).collect()
        };
        if !late.is_empty() {
            client.silent(&self.address);
        }
        for (watch_id, watch) in late {
            self.outbox.cancel(watch_id);
            watch.grounded(self, watch_id, "a member did not begin the watch in time");
        }
    }

    /// Checks whether the stream still serves and is still needed.
    fn look(&self, liveness: &mut Liveness, idle_since: &mut Instant, now_ms: u64) -> Look {
        let now = Instant::now();
        let (entries, served) = {
            let table = self.table();
            let served = table.entries.values().filter(|entry| entry.creating.is_none()).count();
            (table.entries.len(), served)
        };
        if entries > 0 {
            *idle_since = now;
        } else if now.duration_since(*idle_since) >= IDLE {
            return Look::Idle;
        }
        if served == 0 {
            liveness.heard(now_ms);
            return Look::GoOn;
        }
        if served == entries && self.catching_up.swap(false, Ordering::Relaxed) {
            self.request_progress();
        }
        match liveness.next(now_ms) {
            Beat::WaitUntil(_) => {}
            Beat::Probe => self.request_progress(),
            Beat::Silent => return Look::Over("the member sends nothing, and does not answer"),
            Beat::Behind => return Look::Over("the member lags behind the cluster"),
        }
        Look::GoOn
    }

    /// Passes the updates of a message to their watches.
    fn dispatch(self: &Arc<Self>, client: &Client, reply: WatchReply, liveness: &mut Liveness) {
        client.heard(reply.header.as_ref());
        liveness.heard(client.now_ms());
        for WatchUpdate { watch_id, update } in reply.updates {
            match update {
                Some(Update::Progress(mark)) if watch_id == 0 => {
                    liveness.marked(mark.revision, client.known_revision(), client.now_ms());
                    for (watch_id, watch) in self.watches() {
                        watch.progress(self, watch_id, mark.revision, mark.time_ms);
                    }
                }
                Some(update) => self.hand(client, watch_id, update),
                None => {}
            }
        }
    }

    fn hand(self: &Arc<Self>, client: &Client, watch_id: u64, update: Update) {
        let watch = {
            let mut table = self.table();
            let Some(entry) = table.entries.get_mut(&watch_id) else { return };
            if matches!(update, Update::Created(_)) {
                entry.creating = None;
            }
            Arc::clone(&entry.watch)
        };
        let verdict = match update {
            Update::Created(created) => {
                self.praise(client);
                watch.created(self, watch_id, created)
            }
            Update::Events(events) => watch.events(self, watch_id, events.events, events.partial),
            Update::Progress(mark) => {
                watch.progress(self, watch_id, mark.revision, mark.time_ms);
                Verdict::Keep
            }
            Update::Cancelled(cancelled) => {
                self.remove(watch_id, false);
                watch.cancelled(self, watch_id, cancelled)
            }
        };
        match verdict {
            Verdict::Keep => {}
            Verdict::Cancel => self.remove(watch_id, true),
            Verdict::Elsewhere(failure) => self.blame(client, failure),
        }
    }

    fn praise(&self, client: &Client) {
        self.blamed.store(false, Ordering::Relaxed);
        if !self.praised.swap(true, Ordering::Relaxed) {
            client.answered(&self.address);
        }
    }

    /// Reports to the router that the member cannot serve a watch, once for all watches of the
    /// stream.
    fn blame(&self, client: &Client, failure: Box<Failure>) {
        self.praised.store(false, Ordering::Relaxed);
        if !self.blamed.swap(true, Ordering::Relaxed) {
            client.noted(
                &self.address,
                Trouble::Answered(Box::new(Failure { kind: Kind::Unavailable as i32, ..*failure })),
            );
        }
    }
}

enum Look {
    GoOn,
    Idle,
    Over(&'static str),
}

/// Reads the stream until it is over.
async fn drive(lane: Arc<WatchLane>, client: Client, wire: Wire) {
    let ended = read(&lane, &client, wire).await;
    let entries = lane.close();
    let Err(trouble) = ended else { return };
    let trouble = client.noted(&lane.address, trouble);
    tracing::debug!(why = trouble.why(), watches = entries.len(), "a stream of watches is over");
    for (watch_id, entry) in entries {
        match &trouble {
            Trouble::Answered(failure) => {
                let failure = Some(Failure::clone(failure));
                entry.watch.cancelled(
                    &lane,
                    watch_id,
                    WatchCancelled { failure, ..WatchCancelled::default() },
                );
            }
            Trouble::NotSent(why) | Trouble::NoAnswer(why) => entry.watch.grounded(&lane, watch_id, why),
        }
    }
}

/// Returns when the stream is no longer needed, or why it broke.
async fn read(lane: &Arc<WatchLane>, client: &Client, wire: Wire) -> Result<(), Trouble> {
    let silence_ms = client.options().watch_silence_ms;
    let mut liveness = Liveness::new(silence_ms, client.now_ms());
    let mut idle_since = Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis((silence_ms / 8).clamp(10, LOOK_MS)));
    let mut spaces = SpacesClient::new(wire)
        .max_decoding_message_size(REPLY_BYTES)
        .max_encoding_message_size(REQUEST_BYTES);
    let start = spaces.watch(Outgoing(Arc::clone(&lane.outbox)));
    tokio::pin!(start);
    let mut replies = None;
    loop {
        let event = async {
            match &mut replies {
                None => start.as_mut().await.map(|response| Read::Open(response.into_inner())),
                Some(replies) => tonic::Streaming::message(replies).await.map(Read::Message),
            }
        };
        let read = tokio::select! {
            read = event => read,
            _ = looks.tick() => {
                lane.drop_late(client);
                match lane.look(&mut liveness, &mut idle_since, client.now_ms()) {
                    Look::GoOn => continue,
                    Look::Idle => return Ok(()),
                    Look::Over(why) => return Err(Trouble::NoAnswer(why.to_owned())),
                }
            }
        };
        match read {
            Ok(Read::Open(stream)) => replies = Some(stream),
            Ok(Read::Message(Some(reply))) => lane.dispatch(client, reply, &mut liveness),
            Ok(Read::Message(None)) => {
                return Err(Trouble::NoAnswer("the member ended the stream".to_owned()));
            }
            Err(status) => return Err(trouble_of(&status)),
        }
    }
}

enum Read {
    Open(tonic::Streaming<WatchReply>),
    Message(Option<WatchReply>),
}
