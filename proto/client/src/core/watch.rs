//! What one watch decides: its position, which events are new, where it resumes, and what ends it.
//!
//! Its position is the next revision that it wants. Events before it are dropped, and a part of a
//! revision is kept until the rest has come, so revisions reach the application complete, once and
//! in order, however streams and members fail. Keeping events for an application that does not
//! read, and streams, are the shell's business.
use synod_abi::Reason;
use synod_api::v1::failure::Kind;
use synod_api::v1::{Event, Failure, value::Form};

use super::Backoff;
use crate::{Error, WatchError};

/// Most events of one revision that are kept until it is complete ...
pub const REVISION_EVENTS: usize = 1 << 20;
/// ... and most bytes of their topics and payloads. Beyond what a command can emit.
pub const REVISION_BYTES: usize = 256 << 20;

/// Where a watch is to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    /// After everything that was acknowledged before.
    #[default]
    Now,
    /// With this revision.
    Revision(u64),
    /// With everything that is kept.
    Oldest,
    /// After the state that its query read.
    Query,
}

/// All events of one revision that a watch wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// The revision.
    pub revision: u64,
    /// Its events, by number; at least one.
    pub events: Vec<Event>,
    /// Bytes of their topics and payloads.
    pub bytes: usize,
}

/// What follows from a failure.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// It is created again, from its position.
    Again {
        /// After this time.
        after_ms: u64,
        /// Whether another member should be asked, because this one cannot serve it.
        elsewhere: bool,
    },
    /// It is over.
    Over(WatchError),
}

/// One watch.
#[derive(Clone, Debug)]
pub struct Watching {
    from: Begin,
    /// The next revision that is wanted; 0: it was never created.
    next: u64,
    space_id: u32,
    gathered: Whole,
    failures: u32,
    backoff: Backoff,
}

impl Watching {
    /// A watch that is to begin at `from`.
    pub const fn new(from: Begin, backoff: Backoff) -> Self {
        Self { from, next: 0, space_id: 0, gathered: nothing(), failures: 0, backoff }
    }

    /// Whether it was created once.
    pub const fn is_begun(&self) -> bool {
        self.next > 0
    }

    /// It has everything up to this revision; 0 before it was created.
    pub const fn revision(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// What to ask a member for: where to begin, and the number of the space, 0 if any will do.
    pub const fn request(&self) -> (Begin, u32) {
        if self.is_begun() { (Begin::Revision(self.next), self.space_id) } else { (self.from, 0) }
    }

    /// A member created it: events after `revision` follow.
    ///
    /// # Errors
    /// It is over if that would leave a gap.
    pub fn created(&mut self, revision: u64, space_id: u32) -> Result<(), WatchError> {
        self.gathered = nothing();
        let first = revision.saturating_add(1);
        if self.is_begun() {
            if first > self.next {
                return Err(broken(format!(
                    "the member goes on behind revision {revision}, and {} is wanted",
                    self.next
                )));
            }
            return Ok(());
        }
        self.next = first;
        self.space_id = space_id;
        Ok(())
    }

    /// Takes in events; if they are `partial`, more of the last one's revision follow. Returns the
    /// revisions that are complete.
    ///
    /// # Errors
    /// It is over if they are out of order, or a revision is larger than any can be.
    pub fn events(&mut self, events: Vec<Event>, partial: bool) -> Result<Vec<Whole>, WatchError> {
        self.failures = 0;
        let mut whole = Vec::new();
        let mut unfinished = !self.gathered.events.is_empty();
        for event in events {
            if event.revision < self.next {
                continue;
            }
            if event.revision != self.gathered.revision {
                if unfinished || event.revision < self.gathered.revision {
                    return Err(broken(format!(
                        "revision {} came into {}",
                        event.revision, self.gathered.revision
                    )));
                }
                whole.extend(self.take_whole());
                self.gathered.revision = event.revision;
            }
            unfinished = false;
            if self.gathered.events.last().is_some_and(|last| event.number <= last.number) {
                continue;
            }
            self.gathered.bytes += size(&event);
            if self.gathered.bytes > REVISION_BYTES || self.gathered.events.len() >= REVISION_EVENTS {
                return Err(broken(format!(
                    "revision {} has more events than a command can emit",
                    event.revision
                )));
            }
            self.gathered.events.push(event);
        }
        if !partial {
            whole.extend(self.take_whole());
        }
        Ok(whole)
    }

    fn take_whole(&mut self) -> Option<Whole> {
        if self.gathered.events.is_empty() {
            return None;
        }
        self.next = self.gathered.revision.saturating_add(1);
        Some(std::mem::replace(&mut self.gathered, nothing()))
    }

    /// The member reports that everything up to `revision` was delivered. Returns whether that is
    /// news: not while a revision is incomplete, and not if the watch is further.
    pub fn progress(&mut self, revision: u64) -> bool {
        if !self.is_begun() || !self.gathered.events.is_empty() || revision < self.revision() {
            return false;
        }
        self.failures = 0;
        self.next = revision.saturating_add(1);
        true
    }

    /// How long a member may take to begin it: the longer, the more of them have not.
    pub fn patience_ms(&self, first_ms: u64, most_ms: u64) -> u64 {
        first_ms.saturating_mul(1 << self.failures.min(10)).min(most_ms)
    }

    /// Its stream is gone: an incomplete revision comes again.
    pub fn grounded(&mut self) {
        self.gathered = nothing();
    }

    /// The stream broke, or no member could be reached. Returns after which time to create it
    /// again.
    pub fn lost(&mut self, jitter: u32) -> u64 {
        self.grounded();
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 { 0 } else { self.backoff.delay_ms(self.failures - 1, jitter) }
    }

    /// The member cancelled it, or did not create it. `compacted` and `resume` are those of the
    /// cancel.
    pub fn cancelled(&mut self, failure: Failure, compacted: u64, resume: u64, jitter: u32) -> Next {
        self.grounded();
        let reason = failure.known_reason();
        let lasting = match failure.kind() {
            _ if reason == Some(Reason::WatchTooSlow) => {
                return Next::Again { after_ms: 0, elsewhere: false };
            }
            _ if reason == Some(Reason::TooManyWatches) => false,
            Kind::Unavailable | Kind::OutcomeUnknown => false,
            Kind::Internal | Kind::Unspecified => !self.is_begun(),
            Kind::Rejected => true,
        };
        if !lasting {
            let after_ms = self.lost(jitter).max(failure.retry_after_ms);
            return Next::Again { after_ms, elsewhere: true };
        }
        Next::Over(match reason {
            Some(Reason::Compacted) => WatchError::Compacted {
                compacted_revision: compacted,
                resume_revision: resume,
                message: failure.message,
            },
            Some(Reason::SpaceDeleted) => WatchError::SpaceDeleted { message: failure.message },
            Some(Reason::UnknownSpace) if self.is_begun() => {
                WatchError::SpaceDeleted { message: failure.message }
            }
            _ => WatchError::Failed(failure.into()),
        })
    }
}

const fn nothing() -> Whole {
    Whole { revision: 0, events: Vec::new(), bytes: 0 }
}

fn size(event: &Event) -> usize {
    let payload = match event.payload.as_ref().and_then(|payload| payload.form.as_ref()) {
        Some(Form::Json(json)) => json.len(),
        Some(Form::Postcard(bytes)) => bytes.len(),
        None => 0,
    };
    size_of::<Event>() + event.topic.len() + payload
}

fn broken(message: String) -> WatchError {
    WatchError::Failed(Error::Internal(format!("{message}; client and member are of different versions")))
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
