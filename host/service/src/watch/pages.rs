//! Pages of events from the store, for watches whose position lies before their tail.
//!
//! Pages are shared: many watches that resume at once read, and encode, each page once.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use synod_abi::{Revision, SpaceId, limits};
use synod_machine::events::{self, EventPage, EventPosition};
use synod_machine::{Fatal, RangeLimit, StateView, directory};
use synod_planted::{Bug, is_planted};

use super::event::SharedEvent;
use crate::progress::lock;

/// Pages in the cache.
const PAGES: usize = 16;

/// All events of a space from one position to another.
#[derive(Debug)]
pub(super) struct Page {
    space: SpaceId,
    from: EventPosition,
    pub(super) events: Vec<Arc<SharedEvent>>,
    pub(super) end: EventPosition,
}

impl Page {
    pub(super) fn from(&self, position: EventPosition) -> &[Arc<SharedEvent>] {
        &self.events[self.events.partition_point(|event| event.position < position)..]
    }
}

/// What a space has at a position.
#[derive(Debug)]
pub(super) enum Found {
    Page(Arc<Page>),
    /// Everything up to this revision is compacted.
    Compacted(Revision),
    /// The space does not exist.
    Deleted,
}

/// The pages read last.
#[derive(Debug)]
pub(super) struct PageCache {
    page_bytes: usize,
    pages: Mutex<VecDeque<Arc<Page>>>,
}

impl PageCache {
    pub(super) fn new(page_bytes: usize) -> Self {
        Self { page_bytes, pages: Mutex::default() }
    }

    /// Drops all pages.
    pub(super) fn clear(&self) {
        lock(&self.pages).clear();
    }

    /// The page with the events of `space` at `position`, and whether it was read from the store.
    pub(super) fn find<V: StateView>(
        &self,
        space: SpaceId,
        position: EventPosition,
        view: impl FnOnce() -> Result<V, Fatal>,
    ) -> Result<(Found, bool), Fatal> {
        let has = |page: &&Arc<Page>| page.space == space && page.from <= position && position < page.end;
        if let Some(page) = lock(&self.pages).iter().find(has) {
            return Ok((Found::Page(page.clone()), false));
        }
        let found = read(&view()?, space, position, self.page_bytes)?;
        if let Found::Page(page) = &found
            && !page.events.is_empty()
        {
            let mut pages = lock(&self.pages);
            pages.truncate(PAGES - 1);
            pages.push_front(page.clone());
        }
        Ok((found, true))
    }
}

/// A page ends between two revisions, unless one is larger than it.
fn read(view: &impl StateView, space: SpaceId, from: EventPosition, bytes: usize) -> Result<Found, Fatal> {
    if directory::space_by_id(view, space)?.is_none() {
        return Ok(Found::Deleted);
    }
    let log = events::event_log(view, space)?;
    if from.revision <= log.compacted && !is_planted(Bug::ForgottenNotTold) {
        return Ok(Found::Compacted(log.compacted));
    }
    let revision = directory::head(view)?.map_or(Revision(0), |head| head.revision);
    let limit = RangeLimit { rows: limits::CAUSE_EVENTS, bytes };
    let EventPage { mut events, more } = if from.revision > log.last {
        EventPage::default()
    } else {
        events::events(view, space, from, limit)?
    };
    let mut end = EventPosition::at(Revision(revision.0.saturating_add(1))).max(from);
    if let Some((last, _)) = events.last().filter(|_| more) {
        let last = *last;
        let whole = events.partition_point(|(position, _)| position.revision < last.revision);
        if whole > 0 {
            events.truncate(whole);
            end = EventPosition::at(last.revision);
        } else {
            end = EventPosition { number: last.number + 1, ..last };
        }
    }
    let events =
        events.into_iter().map(|(position, stored)| Arc::new(SharedEvent::new(position, stored))).collect();
    Ok(Found::Page(Arc::new(Page { space, from, events, end })))
}
