//! What a poll of a stream takes: planned under the hub's lock, read and encoded without it, and
//! noted under it again.
//!
//! While its events are read and encoded a watch is in hand: no other poll takes it, and its
//! [`Position`](super::position::Position) remembers that more was published. A poll takes what is
//! in memory; if a watch needs the store, what was planned is taken where blocking holds up nobody,
//! and a later poll goes on with it.
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use synod_abi::Revision;
use synod_abi::schema::Schema;
use synod_machine::Fatal;

use super::event::WatchedSpace;
use super::hub::Hub;
use super::pack::{Room, pack};
use super::pages::Found;
use super::plan::{Outcome, Source, Task, Wanted, size_of};
use super::position::Next;
use super::state::State;
use super::streams::StreamKey;
use super::update::{EncodeEvent, WatchBatch, WatchUpdate};
use crate::ports::{Runtime, Store, blocking};
use crate::read::DirectoryCache;

/// What one poll may spend on pages of the store: looking at one costs 1, reading one [`READING`].
const PAGE_WORK: usize = 128;
/// See [`PAGE_WORK`].
const READING: usize = 8;
/// Over-read factor: sizes are estimates, so gather up to twice an update's bytes.
const GATHERED: usize = 2;

/// Reads and encodes for streams.
#[derive(Clone)]
pub(crate) struct Delivery<R, S> {
    pub(crate) hub: Hub,
    pub(crate) runtime: R,
    pub(crate) store: S,
    pub(crate) directory: DirectoryCache,
    pub(crate) encode: EncodeEvent,
}

/// What a stream waits for: what was planned by a poll is taken from the store.
pub(crate) type Reading = BoxFuture<'static, Result<Taken, Fatal>>;

/// What was planned, done.
pub(crate) struct Taken {
    updates: Vec<WatchUpdate>,
    done: Vec<(Task, Outcome)>,
    /// What is left of a poll's work.
    pages: usize,
}

/// What may be read while events are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// What is in memory.
    Memory,
    /// The store, too.
    Store,
}

/// What a poll came to.
enum Polled {
    Batch(WatchBatch),
    /// Nothing yet, but there is more to look at.
    More,
    Nothing,
    /// The member ended, and the client has every update.
    End,
}

/// What the store has for a watch.
enum Read {
    Wanted(Wanted),
    Compacted(Revision),
    Deleted,
}

impl<R: Runtime, S: Store> Delivery<R, S> {
    fn update_bytes(&self) -> usize {
        self.hub.limits().update_bytes
    }

    /// The next batch of a stream; `None` once the member has ended and every update was taken.
    /// `reading` is the stream's, kept from one poll to the next.
    pub(crate) fn poll(
        &self,
        cx: &mut Context<'_>,
        stream: StreamKey,
        reading: &mut Option<Reading>,
    ) -> Result<Poll<Option<WatchBatch>>, Fatal> {
        let mut pages = PAGE_WORK;
        loop {
            let taken = match reading {
                Some(read) => {
                    let Poll::Ready(taken) = read.poll_unpin(cx) else { return Ok(Poll::Pending) };
                    *reading = None;
                    taken?
                }
                None => {
                    let (updates, tasks) = self.hub.with(|state| {
                        state.poll_by(stream, cx);
                        self.plan(state, stream)
                    });
                    if self.need_store(&tasks) {
                        *reading = Some(self.read_elsewhere(updates, tasks, pages));
                        continue;
                    }
                    self.take_all(updates, tasks, pages, Reads::Memory)?
                }
            };
            let Taken { updates, done, pages: left } = taken;
            pages = left;
            match self.hub.with(|state| self.commit(state, stream, done, updates)) {
                Polled::Batch(batch) => return Ok(Poll::Ready(Some(batch))),
                Polled::End => return Ok(Poll::Ready(None)),
                Polled::Nothing => return Ok(Poll::Pending),
                Polled::More if pages == 0 => {
                    cx.waker().wake_by_ref();
                    return Ok(Poll::Pending);
                }
                Polled::More => pages -= 1,
            }
        }
    }

    /// Whether a task needs more than what is in memory: pages, or the schema of its space.
    fn need_store(&self, tasks: &[Task]) -> bool {
        let mut known: Option<&Arc<WatchedSpace>> = None;
        tasks.iter().any(|task| {
            if matches!(task.source, Source::Store) {
                return true;
            }
            if known.is_none_or(|known| !Arc::ptr_eq(known, &task.space)) {
                known = Some(&task.space);
                return self.directory.known(&task.space.name).is_none();
            }
            false
        })
    }

    fn read_elsewhere(&self, updates: Vec<WatchUpdate>, tasks: Vec<Task>, pages: usize) -> Reading {
        let delivery = self.clone();
        async move {
            let runtime = delivery.runtime.clone();
            blocking(&runtime, move || delivery.take_all(updates, tasks, pages, Reads::Store)).await
        }
        .boxed()
    }

    /// The schema by which a space's payloads become JSON; none if the store has to be read for it.
    fn schema(&self, space: &WatchedSpace, reads: Reads) -> Result<Option<Arc<Schema>>, Fatal> {
        let present = match (self.directory.known(&space.name), reads) {
            (None, Reads::Memory) => return Ok(None),
            (None, Reads::Store) => self.directory.space(&space.name, || self.store.view())?,
            (known, _) => known,
        };
        if let Some(present) = present.filter(|present| present.record.id == space.id) {
            space.learn(&present.schema);
        }
        Ok(Some(space.schema()))
    }

    fn plan(&self, state: &mut State, stream: StreamKey) -> (Vec<WatchUpdate>, Vec<Task>) {
        let mut updates = Vec::new();
        state.take_outbox(stream, self.update_bytes(), &mut updates);
        let room = self.update_bytes().saturating_sub(size_of(&updates));
        let tasks = match room {
            0 => Vec::new(),
            room => state.plan(stream, room, GATHERED * self.update_bytes()),
        };
        (updates, tasks)
    }

    fn commit(
        &self,
        state: &mut State,
        stream: StreamKey,
        done: Vec<(Task, Outcome)>,
        mut updates: Vec<WatchUpdate>,
    ) -> Polled {
        state.commit(stream, done, self.update_bytes(), &mut updates);
        if !updates.is_empty() {
            let (revision, time) = self.hub.feed().present();
            return Polled::Batch(WatchBatch { revision, time, updates });
        }
        let open = state.streams.get(&stream);
        match open {
            Some(open) if open.has_work() => Polled::More,
            Some(_) if state.closed.is_none() => Polled::Nothing,
            Some(_) | None => Polled::End,
        }
    }

    /// Takes of each watch in hand until the batch, which has `updates` already, is full.
    fn take_all(
        &self,
        updates: Vec<WatchUpdate>,
        tasks: Vec<Task>,
        mut pages: usize,
        reads: Reads,
    ) -> Result<Taken, Fatal> {
        let mut used = size_of(&updates);
        let mut done = Vec::with_capacity(tasks.len());
        for task in tasks {
            let room = match used {
                0 => Room::Whole,
                used => Room::Rest(self.update_bytes().saturating_sub(used)),
            };
            let outcome = self.take(&task, room, &mut pages, reads)?;
            if let Outcome::Took(packed) | Outcome::CaughtUp(packed) = &outcome {
                used += packed.bytes;
            }
            done.push((task, outcome));
        }
        Ok(Taken { updates, done, pages })
    }

    fn take(&self, task: &Task, room: Room, pages: &mut usize, reads: Reads) -> Result<Outcome, Fatal> {
        let read;
        let wanted = match &task.source {
            Source::Tail(wanted) => wanted,
            Source::Store if *pages == 0 => return Ok(Outcome::NoRoom),
            Source::Store => match self.read(task, pages)? {
                Read::Wanted(wanted) => {
                    read = wanted;
                    &read
                }
                Read::Compacted(through) => return Ok(Outcome::Compacted(through)),
                Read::Deleted => return Ok(Outcome::Deleted),
            },
        };
        let Wanted { events, end, deleted } = wanted;
        if let Next::Rest(at) = task.next {
            let first = events.first().map(|event| event.position.revision);
            if end.revision > at.revision && first != Some(at.revision) {
                return Ok(Outcome::RevisionEnds(at.revision));
            }
        }
        let Some(schema) = self.schema(&task.space, reads)? else { return Ok(Outcome::NoRoom) };
        let packed = pack(task.next, events, *end, room, self.update_bytes(), |event| {
            event.encoded(task.form, &schema, self.encode)
        });
        if packed.all && *deleted {
            let rest = !packed.events.is_empty();
            return Ok(if rest { Outcome::Took(packed) } else { Outcome::Deleted });
        }
        if packed.events.is_empty() && !packed.all && !events.is_empty() {
            return Ok(Outcome::NoRoom);
        }
        let caught_up = packed.all && end.number == 0 && end.revision > task.published;
        Ok(if caught_up { Outcome::CaughtUp(packed) } else { Outcome::Took(packed) })
    }

    /// Reads what a watch wants, up to a position between two revisions unless that takes too many
    /// pages.
    fn read(&self, task: &Task, pages: &mut usize) -> Result<Read, Fatal> {
        let mut events = Vec::new();
        let mut bytes = 0;
        let mut end = task.next.at();
        while *pages > 0 {
            let (found, read) = self.hub.pages().find(task.space.id, end, || self.store.view())?;
            *pages = pages.saturating_sub(if read { READING } else { 1 });
            let page = match found {
                Found::Page(page) => page,
                Found::Compacted(through) => return Ok(Read::Compacted(through)),
                Found::Deleted => return Ok(Read::Deleted),
            };
            for event in page.from(end).iter().filter(|event| task.filter.matches(&event.stored.topic)) {
                bytes += event.size(task.form);
                events.push(event.clone());
            }
            end = page.end;
            let enough = !events.is_empty() || end.revision > task.published;
            if bytes > GATHERED * self.update_bytes() || (end.number == 0 && enough) {
                break;
            }
        }
        Ok(Read::Wanted(Wanted { events, end, deleted: false }))
    }
}
