//! Watches: what a member does with them, and the log of events that all members serve.
use std::collections::BTreeMap;
use std::sync::Arc;

use synod_api::v1::create_watch::Start;
use synod_api::v1::failure::Kind;
use synod_api::v1::watch_request::Request as Asked;
use synod_api::v1::watch_update::Update;
use synod_api::v1::{
    CreateWatch, Event, EventForm, Value, WatchCancelled, WatchCreated, WatchEvents, WatchProgress,
    WatchReply, WatchRequest, WatchUpdate, value::Form,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tonic::{Status, Streaming};

use super::{Member, failure};

/// The number of the space.
pub(crate) const SPACE: u32 = 7;
/// The signature that the space's recipe has.
pub(crate) const SIGNATURE: u64 = 0xfeed;
/// Events per message of a member that does not cut revisions.
const MESSAGE_EVENTS: usize = 64;

/// What a member does with watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Watches {
    Serve,
    /// Takes requests, and answers none.
    Silent,
    /// Breaks every stream, and takes no new one.
    Down,
    /// Knows no watches: it is of an older version.
    Old,
    /// Cancels every watch with this failure, and those that are created.
    Cancel(Kind, &'static str),
}

/// What the members keep of events and watches.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) revision: u64,
    pub(crate) compacted: u64,
    /// Topics and payloads of each revision.
    pub(super) events: BTreeMap<u64, Vec<(String, String)>>,
    /// Whether the space was deleted.
    pub(crate) deleted: bool,
    /// Each watch that was created, with the member.
    pub(crate) creates: Vec<(u64, CreateWatch)>,
    pub(crate) cancels: usize,
    /// How many streams each member has served.
    pub(crate) streams: BTreeMap<u64, u64>,
    /// How many watches are open.
    pub(crate) watches: i64,
    pub(crate) queries: u64,
    /// How long a query takes.
    pub(crate) query_delay_ms: u64,
}

impl Log {
    /// How many events there were.
    pub(super) fn count(&self) -> u64 {
        self.events.values().map(|events| events.len() as u64).sum()
    }

    /// Adds events in one revision, and returns it.
    pub(super) fn append(&mut self, events: &[(&str, &str)]) -> u64 {
        self.revision += 1;
        let owned = |(topic, payload): &(&str, &str)| ((*topic).to_owned(), (*payload).to_owned());
        self.events.insert(self.revision, events.iter().map(owned).collect());
        self.revision
    }

    /// Answers the only query: how many events there were.
    pub(super) fn answer(&self, args: Option<&Value>) -> Value {
        let count = self.count();
        let form = match args.and_then(|args| args.form.as_ref()) {
            Some(Form::Postcard(_)) => Form::Postcard(synod_abi::encode(&count)),
            _ => Form::Json(count.to_string()),
        };
        Value { form: Some(form), signature: 0 }
    }
}

/// A watch on a member.
pub(super) struct Watching {
    create: CreateWatch,
    next: u64,
}

impl Watching {
    fn wants(&self, topic: &str) -> bool {
        if self.create.prefix { topic.starts_with(&self.create.topic) } else { topic == self.create.topic }
    }

    fn value(&self, payload: &str) -> Value {
        let form = match self.create.form() {
            EventForm::Postcard => Form::Postcard(synod_abi::encode(payload)),
            EventForm::Json | EventForm::Unspecified => Form::Json(payload.to_owned()),
        };
        Value { form: Some(form), signature: 0 }
    }
}

fn begin(create: &CreateWatch, log: &Log) -> Result<(u64, Option<Value>), Box<WatchCancelled>> {
    let refused = |reason: &str| {
        Box::new(WatchCancelled {
            failure: Some(failure(Kind::Rejected, reason)),
            ..WatchCancelled::default()
        })
    };
    if create.space != "s" {
        return Err(refused("UNKNOWN_SPACE"));
    }
    if log.deleted || ![0, SPACE].contains(&create.space_id) {
        return Err(refused("SPACE_DELETED"));
    }
    if ![0, SIGNATURE].contains(&create.signature) {
        return Err(refused("SIGNATURE_MISMATCH"));
    }
    match &create.start {
        None => Ok((log.revision, None)),
        Some(Start::FromOldest(_)) => Ok((log.compacted, None)),
        Some(Start::FromRevision(revision)) if *revision <= log.compacted => Err(Box::new(compacted(log))),
        Some(Start::FromRevision(revision)) if *revision > log.revision + 1 => {
            Err(refused("REVISION_NOT_REACHED"))
        }
        Some(Start::FromRevision(revision)) => Ok((revision - 1, None)),
        Some(Start::Query(query)) => Ok((log.revision, Some(log.answer(query.args.as_ref())))),
    }
}

fn compacted(log: &Log) -> WatchCancelled {
    WatchCancelled {
        failure: Some(failure(Kind::Rejected, "COMPACTED")),
        resume_revision: log.compacted + 1,
        compacted_revision: log.compacted,
    }
}

/// One stream of watches.
pub(super) struct Serving {
    pub(super) member: Arc<Member>,
    pub(super) watches: BTreeMap<u64, Watching>,
    pub(super) replies: mpsc::Sender<Result<WatchReply, Status>>,
}

impl Serving {
    pub(super) async fn run(mut self, mut requests: Streaming<WatchRequest>) {
        let mut does = self.member.watches.subscribe();
        let mut news = self.member.shared.news.subscribe();
        loop {
            let doing = does.borrow_and_update().clone();
            news.mark_unchanged();
            match doing {
                Watches::Down => {
                    let _gone = self.replies.send(Err(Status::unavailable("the member is gone"))).await;
                    break;
                }
                Watches::Cancel(kind, reason) => {
                    let updates = std::mem::take(&mut self.watches).into_iter().map(|(watch_id, watch)| {
                        let cancelled = WatchCancelled {
                            failure: Some(failure(kind, reason)),
                            resume_revision: watch.next,
                            ..WatchCancelled::default()
                        };
                        WatchUpdate { watch_id, update: Some(Update::Cancelled(cancelled)) }
                    });
                    let updates = updates.collect::<Vec<_>>();
                    self.member.log().watches -= updates.len() as i64;
                    if !updates.is_empty() && !self.send(updates).await {
                        break;
                    }
                }
                Watches::Serve => {
                    if !self.serve().await {
                        break;
                    }
                }
                Watches::Silent | Watches::Old => {}
            }
            tokio::select! {
                request = requests.next() => match request {
                    Some(Ok(WatchRequest { request: Some(request) })) => {
                        if *does.borrow() != Watches::Silent && !self.take(request).await {
                            break;
                        }
                    }
                    _ => break,
                },
                _ = does.changed() => {}
                _ = news.changed() => {}
            }
        }
        self.member.log().watches -= self.watches.len() as i64;
    }

    async fn send(&self, updates: Vec<WatchUpdate>) -> bool {
        let reply = WatchReply { header: self.member.header(), updates };
        self.replies.send(Ok(reply)).await.is_ok()
    }

    async fn take(&mut self, request: Asked) -> bool {
        let (watch_id, update) = match request {
            Asked::Progress(_) => {
                let mark = WatchProgress { revision: self.member.log().revision, time_ms: 1 };
                return !self.serve().await
                    || self
                        .send(vec![WatchUpdate { watch_id: 0, update: Some(Update::Progress(mark)) }])
                        .await;
            }
            Asked::Cancel(cancel) => {
                let mut log = self.member.log();
                log.cancels += 1;
                log.watches -= i64::from(self.watches.remove(&cancel.watch_id).is_some());
                (cancel.watch_id, Update::Cancelled(WatchCancelled::default()))
            }
            Asked::Create(create) => {
                let mut log = self.member.log();
                log.creates.push((self.member.id, create.clone()));
                let watch_id = create.watch_id;
                assert!(watch_id > 0 && !self.watches.contains_key(&watch_id), "an id of its own");
                match begin(&create, &log) {
                    Err(cancelled) => (watch_id, Update::Cancelled(*cancelled)),
                    Ok((revision, result)) => {
                        log.watches += 1;
                        self.watches.insert(watch_id, Watching { create, next: revision + 1 });
                        (
                            watch_id,
                            Update::Created(WatchCreated { revision, space_id: SPACE, result, time_ms: 1 }),
                        )
                    }
                }
            }
        };
        self.send(vec![WatchUpdate { watch_id, update: Some(update) }]).await
    }

    /// Sends what the watches have not got.
    async fn serve(&mut self) -> bool {
        loop {
            let mut updates = Vec::new();
            {
                let mut log = self.member.log();
                let parts = self.member.behaviour().cuts_revisions;
                let mut ended = Vec::new();
                for (&watch_id, watch) in &mut self.watches {
                    let cancelled = if log.deleted {
                        Some(WatchCancelled {
                            failure: Some(failure(Kind::Rejected, "SPACE_DELETED")),
                            ..WatchCancelled::default()
                        })
                    } else if watch.next <= log.compacted {
                        Some(compacted(&log))
                    } else {
                        None
                    };
                    if let Some(cancelled) = cancelled {
                        updates.push(WatchUpdate { watch_id, update: Some(Update::Cancelled(cancelled)) });
                        ended.push(watch_id);
                        continue;
                    }
                    let mut whole = Vec::new();
                    for (&revision, emitted) in log.events.range(watch.next..) {
                        if whole.len() >= MESSAGE_EVENTS {
                            break;
                        }
                        let wanted = (0..).zip(emitted).filter(|(_, (topic, _))| watch.wants(topic)).map(
                            |(number, (topic, payload))| {
                                let payload = Some(watch.value(payload));
                                Event {
                                    revision,
                                    number,
                                    time_ms: revision,
                                    topic: topic.clone(),
                                    payload,
                                    ..Event::default()
                                }
                            },
                        );
                        whole.extend(wanted);
                        watch.next = revision + 1;
                    }
                    if whole.is_empty() {
                        continue;
                    }
                    if parts {
                        for (at, event) in whole.iter().enumerate() {
                            let partial =
                                whole.get(at + 1).is_some_and(|next| next.revision == event.revision);
                            let events = WatchEvents { events: vec![event.clone()], partial };
                            updates.push(WatchUpdate { watch_id, update: Some(Update::Events(events)) });
                        }
                    } else {
                        updates.push(WatchUpdate {
                            watch_id,
                            update: Some(Update::Events(WatchEvents { events: whole, partial: false })),
                        });
                    }
                }
                log.watches -= ended.len() as i64;
                self.watches.retain(|watch_id, _| !ended.contains(watch_id));
            }
            if updates.is_empty() {
                return true;
            }
            if !self.send(updates).await {
                return false;
            }
        }
    }
}
