//! One stream of a watch, update by update.
//!
//! A missing event is reported when it is certain that it will not come in its place, so that one
//! that comes late, twice or torn apart is called what it is.
use std::fmt::Debug;

use super::truth::{Known, first_between};
use super::{Claims, Event, Seen, Start, Watch};
use crate::violation::{Property, Violation};

pub(super) struct Follow<'a, P, V, C> {
    watch: &'a Watch<P>,
    /// Which of the watch's streams.
    stream: usize,
    /// The events that the watch wants, in order.
    wanted: &'a [&'a Known<'a, P, V>],
    /// Up to where the space's events were ever forgotten.
    compacted: u64,
    claims: &'a C,
    created: Option<u64>,
    /// The revision of the last event; 0: none came.
    last: u64,
    /// The next of `wanted` that is due.
    next: usize,
    /// The last update said that this revision goes on.
    open: Option<u64>,
    /// The last revision of which an update said that it is complete.
    closed: u64,
    mark: u64,
    /// It ended because everything up to here is forgotten.
    forgotten: u64,
    has_ended: bool,
}

impl<'a, P: Eq + Debug, V: Eq + Clone + Debug, C: Fn(&P) -> Claims<V>> Follow<'a, P, V, C> {
    pub(super) fn new(
        watch: &'a Watch<P>,
        stream: usize,
        wanted: &'a [&'a Known<'a, P, V>],
        compacted: u64,
        claims: &'a C,
    ) -> Self {
        Self {
            watch,
            stream,
            wanted,
            compacted,
            claims,
            created: None,
            last: 0,
            next: 0,
            open: None,
            closed: 0,
            mark: 0,
            forgotten: 0,
            has_ended: false,
        }
    }

    /// What the stream delivered is in order and comes once, true or not. Look at this first: what
    /// comes late is also missing where it should have come.
    pub(super) fn check_order(&self) -> Result<(), Violation> {
        let mut before: Vec<&Event<P>> = Vec::new();
        for seen in &self.watch.streams[self.stream].seen {
            let Seen::Events { events, .. } = seen else { continue };
            for event in events {
                if let Some(last) = before.last().filter(|last| last.position() >= event.position()) {
                    return if before.iter().any(|before| before.position() == event.position()) {
                        self.fail(Property::Unique, format!("it came twice: {event:?}"))
                    } else {
                        self.fail(Property::Ordered, format!("{event:?} came after {last:?}"))
                    };
                }
                before.push(event);
            }
        }
        Ok(())
    }

    /// Takes in what came next. `reached`: up to where the streams before had everything.
    pub(super) fn see(&mut self, seen: &Seen<P>, reached: Option<u64>) -> Result<(), Violation> {
        if self.has_ended {
            return self.fail(Property::Ended, format!("after its end came {seen:?}"));
        }
        match (seen, self.created) {
            (Seen::Created { revision }, None) => self.created(*revision, reached),
            (Seen::Cancelled { resume, compacted }, _) => self.cancelled(*resume, *compacted),
            (Seen::Created { .. }, Some(_)) => self.fail(Property::Resumable, "it was created twice"),
            (_, None) => self.fail(Property::Resumable, format!("before it was created came {seen:?}")),
            (Seen::Events { events, partial }, Some(created)) => self.update(events, *partial, created),
            (Seen::Progress { revision }, Some(_)) => self.progress(*revision),
        }
    }

    /// The stream is over. Returns up to where it had everything, if it was created or told what is
    /// forgotten.
    pub(super) fn finish(&self) -> Result<Option<u64>, Violation> {
        let Some(created) = self.created else {
            return Ok((self.forgotten > 0).then_some(self.forgotten));
        };
        let reached = self.reached(created);
        if let Some(missing) = self.due().filter(|known| known.event.revision <= reached) {
            let why = format!("it is said to have everything up to revision {reached}, but lacks");
            return self.fail(Property::Reliable, format!("{why} {:?}", missing.event));
        }
        Ok(Some(reached.max(self.forgotten)))
    }

    fn fail<T>(&self, property: Property, why: impl AsRef<str>) -> Result<T, Violation> {
        let start = self.watch.streams[self.stream].start;
        let stream = format!("watch {}, stream {} from {start:?}", self.watch.name, self.stream + 1);
        Err(Violation::new(property, format!("{stream}: {}", why.as_ref())))
    }

    fn due(&self) -> Option<&'a Known<'a, P, V>> {
        self.wanted.get(self.next).copied()
    }

    /// Up to where it has, or is said to have, everything.
    fn reached(&self, created: u64) -> u64 {
        created.max(self.closed).max(self.mark)
    }

    fn created(&mut self, revision: u64, reached: Option<u64>) -> Result<(), Violation> {
        let start = self.watch.streams[self.stream].start;
        let wrong = match start {
            Start::Revision(from) => revision.checked_add(1) != Some(from),
            Start::Now { acknowledged } => revision < acknowledged,
            Start::Oldest => revision > self.compacted,
        };
        if wrong {
            let why = format!("it begins after revision {revision}; {} is compacted", self.compacted);
            return self.fail(Property::Resumable, why);
        }
        let skipped = reached.and_then(|reached| first_between(self.wanted, reached, revision));
        if let (Some(skipped), Some(reached)) = (skipped, reached) {
            let why = format!("it begins after revision {revision}, the stream before ended at {reached}");
            return self.fail(Property::Resumable, format!("{why}: {:?} is skipped", skipped.event));
        }
        self.created = Some(revision);
        self.next = self.wanted.partition_point(|known| known.event.revision <= revision);
        Ok(())
    }

    fn update(&mut self, events: &[Event<P>], partial: bool, created: u64) -> Result<(), Violation> {
        let open = self.open.take();
        match (open, events.first()) {
            (None, None) => return self.fail(Property::Atomic, "an update has no events and ends nothing"),
            (Some(open), None) if partial => {
                return self.fail(Property::Atomic, format!("revision {open} goes on with nothing"));
            }
            _ => {}
        }
        for (at, event) in events.iter().enumerate() {
            if let Some(open) = open.filter(|open| at == 0 && *open != event.revision) {
                let why = format!("an update said that revision {open} goes on, then came {event:?}");
                return self.fail(Property::Atomic, why);
            }
            self.event(event, created)?;
            let ended = events.get(at + 1).is_none_or(|next| next.revision != event.revision);
            if ended && (at + 1 < events.len() || !partial) {
                self.closed = event.revision;
            }
        }
        match events.last() {
            Some(last) if partial => self.open = Some(last.revision),
            Some(_) => {}
            None => self.closed = self.closed.max(open.unwrap_or(0)),
        }
        Ok(())
    }

    fn event(&mut self, event: &Event<P>, created: u64) -> Result<(), Violation> {
        if event.space != self.watch.space || !self.watch.topic.matches(&event.topic) {
            return self
                .fail(Property::Filtered, format!("it wants {:?}, and got {event:?}", self.watch.topic));
        }
        if event.revision <= created {
            let why = format!("events after revision {created} were to come, and not {event:?}");
            return self.fail(Property::Resumable, why);
        }
        if event.revision <= self.mark {
            let why = format!("after a progress mark at {} came {event:?}", self.mark);
            return self.fail(Property::Bookmarkable, why);
        }
        if event.revision == self.closed {
            let why = format!("an update ended revision {}, then came {event:?}", self.closed);
            return self.fail(Property::Atomic, why);
        }
        self.happened(event)?;
        self.last = event.revision;
        Ok(())
    }

    /// The event is the one that is due, and says of its topic what is true.
    fn happened(&mut self, event: &Event<P>) -> Result<(), Violation> {
        let left = &self.wanted[self.next..];
        let Ok(at) = left.binary_search_by_key(&event.position(), |known| known.event.position()) else {
            return self.fail(Property::Reliable, format!("this never happened: {event:?}"));
        };
        if at > 0 {
            let property = if self.last == 0 { Property::Resumable } else { Property::Reliable };
            return self.fail(property, format!("{:?} is missing before {event:?}", left[0].event));
        }
        let Known { event: truth, before } = left[0];
        let claims = (self.claims)(&event.payload);
        if claims.is_create.is_some_and(|is_create| is_create != before.is_none()) {
            let why = format!("before this event the topic's value was {before:?}: {event:?}");
            return self.fail(Property::IsCreate, why);
        }
        if claims.previous.as_ref().is_some_and(|previous| previous != before) {
            let why = format!("before this event the topic's value was {before:?}: {event:?}");
            return self.fail(Property::PreviousValue, why);
        }
        if event != *truth {
            return self
                .fail(Property::Reliable, format!("this happened otherwise: {event:?}, but {truth:?}"));
        }
        self.next += 1;
        Ok(())
    }

    fn progress(&mut self, revision: u64) -> Result<(), Violation> {
        if revision < self.mark || revision < self.last {
            let before = format!("a mark at {} and events up to {}", self.mark, self.last);
            return self.fail(Property::Bookmarkable, format!("after {before} came a mark at {revision}"));
        }
        if let Some(open) = self.open {
            let why = format!("revision {open} is not whole, and a mark at {revision} came");
            return self.fail(Property::Bookmarkable, why);
        }
        self.mark = revision;
        Ok(())
    }

    fn cancelled(&mut self, resume: Option<u64>, compacted: Option<u64>) -> Result<(), Violation> {
        self.has_ended = true;
        let wanted_from = match (self.created, self.watch.streams[self.stream].start) {
            (Some(created), _) => Some(self.reached(created).saturating_add(1)),
            (None, Start::Revision(from)) => Some(from),
            (None, _) => None,
        };
        if let Some(compacted) = compacted {
            let needless = wanted_from.is_some_and(|from| from > compacted);
            let next = compacted.saturating_add(1);
            if compacted > self.compacted || needless || resume != Some(next) {
                let why = format!(
                    "it wanted revision {wanted_from:?}, and ended because {compacted} is compacted, to come \
                        back at {resume:?}; {} is compacted",
                    self.compacted
                );
                return self.fail(Property::Ended, why);
            }
            self.forgotten = compacted;
            return Ok(());
        }
        let (Some(resume), Some(_), Some(from)) = (resume, self.created, wanted_from) else {
            return Ok(());
        };
        if resume < from {
            let why = format!("it has everything up to {}, and is to come back at {resume}", from - 1);
            return self.fail(Property::Ended, why);
        }
        match first_between(self.wanted, from - 1, resume - 1) {
            Some(gap) => {
                let why = format!("coming back at {resume} it would lack {:?}", gap.event);
                self.fail(Property::Ended, why)
            }
            None => Ok(()),
        }
    }
}
