//! What a stream's transport takes: planned under the lock, read and encoded without it, and noted
//! under it again.
//!
//! While its events are read and encoded a watch is in hand: nothing else takes of it, and what
//! comes meanwhile is remembered.
use std::sync::Arc;
use std::task::{Context, Poll};

use synod_abi::schema::Schema;
use synod_abi::{Revision, SpaceId, TopicFilter};
use synod_machine::Fatal;
use synod_machine::events::EventPosition;

use super::event::{SharedEvent, WatchedSpace};
use super::hub::{Hub, Stage, State};
use super::index::WatchKey;
use super::pack::{Packed, Room, pack};
use super::pages::Found;
use super::streams::StreamKey;
use super::{EncodeEvent, EventForm, WatchBatch, WatchUpdate};
use crate::failure::{CallFailure, Reason, Rejected};
use crate::ports::Store;

/// What one poll may do with pages of the store: look at one, or read one, which costs [`READING`].
const PAGE_WORK: usize = 128;
/// See [`PAGE_WORK`].
const READING: usize = 8;
/// Watches that read the store for one batch.
const READERS_PER_BATCH: usize = 64;
/// How many times more bytes of encoded events are looked at than an update holds, because what
/// they are estimated at may be too much.
const GATHERED: usize = 2;
/// Watches that one batch has updates of.
const WATCHES_PER_BATCH: usize = 4_096;

/// Where a watch's events are.
#[derive(Debug)]
enum Source {
    /// In memory: those up to a place.
    Tail {
        events: Vec<Arc<SharedEvent>>,
        end: EventPosition,
        deleted: bool,
    },
    Store,
}

#[derive(Debug)]
struct Task {
    key: WatchKey,
    space: Arc<WatchedSpace>,
    filter: Arc<TopicFilter>,
    form: EventForm,
    position: EventPosition,
    /// Whether its last update was partial.
    open: bool,
    /// What the hub had looked at when this was planned.
    looked: Revision,
    source: Source,
}

/// What becomes of a watch.
#[derive(Debug)]
enum Done {
    /// Some events, perhaps none, were taken.
    Taken {
        packed: Packed,
        closing: bool,
        last: bool,
    },
    /// It comes first in the next batch.
    NoRoom,
    Compacted(Revision),
    Deleted,
}

/// Reads and encodes for a stream.
pub(super) struct Delivery<'a, S> {
    pub(super) hub: &'a Hub,
    pub(super) store: &'a S,
    pub(super) encode: EncodeEvent,
    pub(super) schema: &'a dyn Fn(&WatchedSpace) -> Result<Arc<Schema>, Fatal>,
}

impl<S: Store> Delivery<'_, S> {
    fn update_bytes(&self) -> usize {
        self.hub.limits().update_bytes
    }

    /// The next batch of a stream; nothing once the member has ended and that was told.
    pub(super) fn poll(
        &self,
        cx: &mut Context<'_>,
        stream: StreamKey,
    ) -> Result<Poll<Option<WatchBatch>>, Fatal> {
        let mut pages = PAGE_WORK;
        loop {
            let (mut updates, tasks) = self.hub.with(|state| {
                state.poll_by(stream, cx);
                let mut updates = Vec::new();
                tell(state, stream, self.update_bytes(), &mut updates);
                let room = self.update_bytes().saturating_sub(size_of(&updates));
                let tasks = if room > 0 {
                    plan(state, stream, room, GATHERED * self.update_bytes())
                } else {
                    Vec::new()
                };
                (updates, tasks)
            });
            let (mut used, mut done) = (size_of(&updates), Vec::with_capacity(tasks.len()));
            for task in tasks {
                let room = match used {
                    0 => Room::Whole,
                    used => Room::Rest(self.update_bytes().saturating_sub(used)),
                };
                let outcome = self.take(&task, room, &mut pages)?;
                if let Done::Taken { packed, .. } = &outcome {
                    used += packed.bytes;
                }
                done.push((task, outcome));
            }
            let (batch, more) = self.hub.with(|state| {
                commit(state, self.hub, stream, done, &mut updates);
                let (revision, time) = self.hub.feed().present();
                let more = state
                    .streams
                    .get(&stream)
                    .is_some_and(|stream| !stream.pending.is_empty() || !stream.outbox.is_empty());
                let ended = state.closed.is_some() || !state.streams.contains_key(&stream);
                let batch = match updates.is_empty() {
                    true if ended && !more => Some(None),
                    true => None,
                    false => Some(Some(WatchBatch { revision, time, updates })),
                };
                (batch, more)
            });
            match batch {
                Some(batch) => return Ok(Poll::Ready(batch)),
                None if !more => return Ok(Poll::Pending),
                None if pages == 0 => {
                    cx.waker().wake_by_ref();
                    return Ok(Poll::Pending);
                }
                None => pages = pages.saturating_sub(1),
            }
        }
    }

    fn take(&self, task: &Task, room: Room, pages: &mut usize) -> Result<Done, Fatal> {
        let mut read;
        let (events, end, deleted) = match &task.source {
            Source::Tail { events, end, deleted } => (events, *end, *deleted),
            Source::Store if *pages == 0 => return Ok(Done::NoRoom),
            Source::Store => {
                read = Vec::new();
                let end = match self.read(task, &mut read, pages)? {
                    Ok(end) => end,
                    Err(done) => return Ok(done),
                };
                (&read, end, false)
            }
        };
        let first = events.first().map(|event| event.position.revision);
        if task.open && end.revision > task.position.revision && first != Some(task.position.revision) {
            let position = EventPosition::at(Revision(task.position.revision.0 + 1));
            let packed = Packed { events: Vec::new(), bytes: 0, partial: false, position, all: false };
            return Ok(Done::Taken { packed, closing: true, last: false });
        }
        let schema = (self.schema)(&task.space)?;
        let packed = pack(task.position, events, end, room, self.update_bytes(), |event| {
            event.encoded(task.form, &schema, self.encode)
        });
        if packed.all && deleted {
            return Ok(if packed.events.is_empty() {
                Done::Deleted
            } else {
                Done::Taken { packed, closing: false, last: false }
            });
        }
        if packed.events.is_empty() && !packed.all && !events.is_empty() {
            return Ok(Done::NoRoom);
        }
        let last = packed.all && end.number == 0 && end.revision > task.looked;
        Ok(Done::Taken { packed, closing: false, last })
    }

    /// Reads what a watch wants, up to a place between two revisions if that takes not too many
    /// pages.
    fn read(
        &self,
        task: &Task,
        events: &mut Vec<Arc<SharedEvent>>,
        pages: &mut usize,
    ) -> Result<Result<EventPosition, Done>, Fatal> {
        let (mut position, mut bytes) = (task.position, 0);
        while *pages > 0 {
            let (found, read) = self.hub.pages().find(task.space.id, position, || self.store.view())?;
            *pages = pages.saturating_sub(if read { READING } else { 1 });
            let page = match found {
                Found::Page(page) => page,
                Found::Compacted(through) => return Ok(Err(Done::Compacted(through))),
                Found::Deleted => return Ok(Err(Done::Deleted)),
            };
            for event in page.from(position).iter().filter(|event| task.filter.matches(&event.stored.topic)) {
                bytes += event.size(task.form);
                events.push(event.clone());
            }
            position = page.end;
            let whole = position.number == 0;
            if bytes > GATHERED * self.update_bytes()
                || (whole && (!events.is_empty() || position.revision > task.looked))
            {
                break;
            }
        }
        Ok(Ok(position))
    }
}

/// What a batch holds of an update, about.
fn size(update: &WatchUpdate) -> usize {
    const UPDATE: usize = 64;
    match update {
        WatchUpdate::Created { result: Some(result), .. } => UPDATE + result.len(),
        WatchUpdate::Events { events, .. } => UPDATE + events.iter().map(bytes::Bytes::len).sum::<usize>(),
        WatchUpdate::Cancelled { failure: Some(failure), .. } => UPDATE + failure.to_string().len(),
        _ => UPDATE,
    }
}

fn size_of(updates: &[WatchUpdate]) -> usize {
    updates.iter().map(size).sum()
}

/// Adds what is told of watches, and is no event, to `updates`.
fn tell(state: &mut State, key: StreamKey, most: usize, updates: &mut Vec<WatchUpdate>) {
    let (mut bytes, mut woken) = (size_of(updates), std::mem::take(&mut state.woken));
    if let Some(stream) = state.streams.get_mut(&key) {
        while bytes < most
            && let Some(update) = stream.told(&mut woken)
        {
            bytes += size(&update);
            updates.push(update);
        }
    }
    state.woken = woken;
}

/// Takes watches in hand, in their order, until what they want fills a batch.
fn plan(state: &mut State, key: StreamKey, room: usize, most: usize) -> Vec<Task> {
    let (mut tasks, mut bytes) = (Vec::new(), 0);
    let Some(stream) = state.streams.get_mut(&key) else { return tasks };
    while bytes < room
        && tasks.len() < WATCHES_PER_BATCH
        && let Some(watch_key) = stream.pending.pop_front()
    {
        let Some(watch) = state.watches.get_mut(&watch_key) else { continue };
        let Some(tail) = state.tails.get(&watch.space) else { continue };
        let position = watch.position;
        let source = if position.revision <= tail.floor {
            bytes += room.div_ceil(READERS_PER_BATCH);
            Source::Store
        } else {
            let (mut events, mut gathered) = (Vec::new(), 0);
            let mut end = EventPosition::at(Revision(state.published.0.saturating_add(1))).max(position);
            for event in tail.from(position).filter(|event| watch.filter.matches(&event.stored.topic)) {
                if gathered > most {
                    end = event.position;
                    break;
                }
                gathered += event.size(watch.form);
                events.push(event.clone());
            }
            bytes += gathered;
            Source::Tail { events, end, deleted: tail.deleted }
        };
        watch.stage = Stage::InHand { again: false };
        let (space, filter, form, open) = (tail.space.clone(), watch.filter.clone(), watch.form, watch.open);
        let looked = state.published.max(tail.floor);
        tasks.push(Task { key: watch_key, space, filter, form, position, open, looked, source });
    }
    tasks
}

/// Notes what was taken, and adds it to `updates`.
fn commit(
    state: &mut State,
    hub: &Hub,
    key: StreamKey,
    done: Vec<(Task, Done)>,
    updates: &mut Vec<WatchUpdate>,
) {
    let (mut front, mut back) = (Vec::new(), Vec::new());
    for (task, outcome) in done {
        let Some(watch) = state.watches.get_mut(&task.key) else { continue };
        let Stage::InHand { again } = watch.stage else { continue };
        watch.stage = Stage::Pending;
        match outcome {
            Done::Taken { packed: Packed { events, partial, position, .. }, closing, last } => {
                (watch.position, watch.open) =
                    (position, partial || (watch.open && events.is_empty() && !closing));
                if closing || !events.is_empty() {
                    updates.push(WatchUpdate::Events { id: watch.id, events, partial });
                }
                match last && !again {
                    true => watch.stage = Stage::Idle,
                    false if partial => front.push(task.key),
                    false => back.push(task.key),
                }
            }
            Done::NoRoom => front.push(task.key),
            Done::Compacted(through) => {
                let next = Revision(through.0.saturating_add(1));
                let failure = compacted(&task.space, watch.position.revision, through);
                state.finish(hub.feed(), task.key, |id| WatchUpdate::Cancelled {
                    id,
                    failure: Some(failure),
                    resume: Some(next),
                    compacted: Some(through),
                });
            }
            Done::Deleted => {
                let failure = deleted(&task.space.name.to_string(), task.space.id);
                state.finish(hub.feed(), task.key, |id| WatchUpdate::Cancelled {
                    id,
                    failure: Some(failure),
                    resume: None,
                    compacted: None,
                });
            }
        }
    }
    tell(state, key, hub.limits().update_bytes, updates);
    let (published, time) = (state.published, state.time);
    let Some(stream) = state.streams.get_mut(&key) else { return };
    front.into_iter().rev().for_each(|watch| stream.pending.push_front(watch));
    stream.pending.extend(back);
    if stream.progress && stream.pending.is_empty() && stream.outbox.is_empty() && state.closed.is_none() {
        stream.progress = false;
        updates.push(WatchUpdate::Progress { revision: published, time });
    }
}

/// Events that a watch wants are forgotten.
pub(super) fn compacted(space: &WatchedSpace, wanted: Revision, through: Revision) -> CallFailure {
    let message = format!(
        "the events of `{}` from revision {wanted} are wanted, but those up to {through} are forgotten; \
            read its state with a query, and watch from there",
        space.name
    );
    Rejected::new(Reason::Compacted, message).into()
}

/// The space of a watch is gone.
pub(super) fn deleted(name: &str, id: SpaceId) -> CallFailure {
    let message = format!(
        "the space `{name}` with the number {id} was deleted; a space of that name is another one now, if \
            there is one"
    );
    Rejected::new(Reason::SpaceDeleted, message).into()
}
