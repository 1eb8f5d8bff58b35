//! What one poll of a stream does under the hub's lock: before reading it takes watches in hand,
//! and afterwards it notes how far each has come.
use std::sync::Arc;

use synod_abi::{Revision, TopicFilter};
use synod_machine::events::EventPosition;
use synod_planted::{Bug, is_planted};

use super::end::{End, after};
use super::event::{SharedEvent, WatchedSpace};
use super::index::WatchKey;
use super::pack::Packed;
use super::position::Next;
use super::state::State;
use super::streams::StreamKey;
use super::tail::{Reach, Tail};
use super::update::{EventForm, WatchId, WatchUpdate};

/// Watches that read the store for one batch.
const READERS_PER_BATCH: usize = 64;
/// Watches that have updates in one batch.
const WATCHES_PER_BATCH: usize = 4_096;

/// All events that a watch wants from its position up to `end`.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) events: Vec<Arc<SharedEvent>>,
    pub(super) end: EventPosition,
    /// The space is deleted, and these are its last events.
    pub(super) deleted: bool,
}

/// Where a watch's events are.
#[derive(Debug)]
pub(super) enum Source {
    Tail(Wanted),
    Store,
}

/// A watch in hand.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) key: WatchKey,
    pub(super) space: Arc<WatchedSpace>,
    pub(super) filter: Arc<TopicFilter>,
    pub(super) form: EventForm,
    pub(super) next: Next,
    /// Everything up to here was published when the watch was taken in hand.
    pub(super) published: Revision,
    pub(super) source: Source,
}

/// What a poll did with a watch.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It took events, perhaps none, and there may be more.
    Took(Packed),
    /// It took everything that was published when it began.
    CaughtUp(Packed),
    /// An update sent a part of a revision, of which no other event is wanted.
    RevisionEnds(Revision),
    /// It did not fit; it comes first in the next batch.
    NoRoom,
    /// Events that it wants were compacted, up to this revision.
    Compacted(Revision),
    /// It has the last event of a space that is deleted.
    Deleted,
}

/// Bytes of updates, about.
pub(super) fn size_of(updates: &[WatchUpdate]) -> usize {
    updates.iter().map(WatchUpdate::size).sum()
}

impl State {
    /// Adds the updates that go out before events to `updates`, up to `most` bytes.
    pub(super) fn take_outbox(&mut self, key: StreamKey, most: usize, updates: &mut Vec<WatchUpdate>) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let mut bytes = size_of(updates);
        while bytes < most
            && let Some(update) = stream.next_update(&mut self.woken)
        {
            bytes += update.size();
            updates.push(update);
        }
    }

    /// Takes watches in hand, in the order of the queue, until their events fill `room` bytes.
    /// Gathers at most `most` bytes for each.
    pub(super) fn plan(&mut self, key: StreamKey, room: usize, most: usize) -> Vec<Task> {
        let mut tasks = Vec::new();
        let mut bytes = 0;
        let Some(stream) = self.streams.get_mut(&key) else { return tasks };
        while bytes < room
            && tasks.len() < WATCHES_PER_BATCH
            && let Some(watch_key) = stream.queue.pop_front()
        {
            let Some(watch) = self.watches.get_mut(&watch_key) else { continue };
            let Some(tail) = self.tails.get(watch.space) else { continue };
            let Some(next) = watch.position.take_in_hand() else { continue };
            let source = match tail.reach(next.at()) {
                Reach::Store => {
                    bytes += room.div_ceil(READERS_PER_BATCH);
                    Source::Store
                }
                Reach::Tail => {
                    let (wanted, gathered) =
                        gather(tail, &watch.filter, watch.form, next.at(), self.published, most);
                    bytes += gathered;
                    Source::Tail(wanted)
                }
            };
            tasks.push(Task {
                key: watch_key,
                space: tail.space.clone(),
                filter: watch.filter.clone(),
                form: watch.form,
                next,
                published: self.published.max(tail.floor),
                source,
            });
        }
        tasks
    }

    /// Notes what a poll did with the watches that it had in hand, and adds their updates to
    /// `updates`.
    pub(super) fn commit(
        &mut self,
        key: StreamKey,
        done: Vec<(Task, Outcome)>,
        most: usize,
        updates: &mut Vec<WatchUpdate>,
    ) {
        let mut front = Vec::new();
        let mut back = Vec::new();
        for (task, outcome) in done {
            let Some(watch) = self.watches.get_mut(&task.key) else { continue };
            match outcome {
                Outcome::Took(packed) => {
                    watch.position.requeue(packed.next);
                    let queue = if packed.is_partial() { &mut front } else { &mut back };
                    queue.push(task.key);
                    updates.extend(update_of(watch.id, packed));
                }
                Outcome::CaughtUp(packed) => {
                    if !watch.position.catch_up(packed.next) {
                        back.push(task.key);
                    }
                    updates.extend(update_of(watch.id, packed));
                }
                Outcome::RevisionEnds(revision) => {
                    let next = EventPosition::at(Revision(revision.0 + 1));
                    watch.position.requeue(Next::From(next));
                    back.push(task.key);
                    let id = watch.id;
                    updates.push(WatchUpdate::Events { id, events: Vec::new(), partial: false });
                }
                Outcome::NoRoom => {
                    watch.position.requeue(task.next);
                    front.push(task.key);
                }
                Outcome::Compacted(through) => {
                    let name = task.space.name.to_string();
                    let wanted = task.next.at().revision;
                    self.end(task.key, |_| End::compacted(&name, wanted, through));
                }
                Outcome::Deleted => {
                    let name = task.space.name.to_string();
                    self.end(task.key, |_| End::deleted(&name, task.space.id));
                }
            }
        }
        self.take_outbox(key, most, updates);
        let Some(stream) = self.streams.get_mut(&key) else { return };
        front.into_iter().rev().for_each(|watch| stream.queue.push_front(watch));
        stream.queue.extend(back);
        if stream.mark_due && !stream.has_work() && self.closed.is_none() {
            stream.mark_due = false;
            let early = u64::from(is_planted(Bug::ProgressTooEarly));
            let revision = Revision(self.published.0 + early);
            updates.push(WatchUpdate::Progress { revision, time: self.time });
        }
    }
}

fn update_of(id: WatchId, packed: Packed) -> Option<WatchUpdate> {
    let partial = packed.is_partial();
    (!packed.events.is_empty()).then_some(WatchUpdate::Events { id, events: packed.events, partial })
}

/// The wanted events of a tail, and their bytes. More than `most` bytes of them are not gathered.
fn gather(
    tail: &Tail,
    filter: &TopicFilter,
    form: EventForm,
    from: EventPosition,
    published: Revision,
    most: usize,
) -> (Wanted, usize) {
    let mut events = Vec::new();
    let mut bytes = 0;
    let mut end = EventPosition::at(after(published)).max(from);
    for event in tail.from(from).filter(|event| filter.matches(&event.stored.topic)) {
        if bytes > most {
            end = event.position;
            break;
        }
        bytes += event.size(form);
        events.push(event.clone());
    }
    (Wanted { events, end, deleted: tail.deleted }, bytes)
}
