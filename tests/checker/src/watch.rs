//! Watches against the events that really happened.
//!
//! The nine properties are those that etcd promises of its watches and checks in
//! `tests/robustness/validate/watch.go`, told in terms of Synod's: an event has a revision and a
//! number within it, a revision that is too large for one update comes in partial ones, a progress
//! mark says that everything up to a revision was delivered, and a watch that ends tells where to
//! come back. A tenth, [`Property::Ended`], is about that end.
//!
//! A watch that a client resumed is one record with several streams: the events of all of them are
//! without a gap. What a stream delivered twice across streams is the client's to drop, and no
//! fault. Time does not matter here, only order.
mod follow;
#[cfg(test)]
mod tests;
mod truth;

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::violation::{Property, Violation};
use follow::Follow;
use truth::Known;

/// An event, as it happened or as it was delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<P> {
    /// The revision that emitted it.
    pub revision: u64,
    /// Counts the events of the space in that revision.
    pub number: u32,
    /// Where it was emitted.
    pub space: String,
    /// What it is about.
    pub topic: String,
    /// What its recipe says.
    pub payload: P,
}

impl<P> Event<P> {
    fn position(&self) -> (u64, u32) {
        (self.revision, self.number)
    }
}

/// What really happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth<P> {
    /// Every event of every watched space, in order of revision and number, compacted ones, too.
    pub events: Vec<Event<P>>,
    /// By space, the revision up to which its events were forgotten by the end of the run.
    pub compacted: BTreeMap<String, u64>,
}

/// Which topics a watch wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Topic {
    /// This one.
    Exact(String),
    /// Those that begin with it.
    Prefix(String),
}

impl Topic {
    fn matches(&self, topic: &str) -> bool {
        match self {
            Self::Exact(exact) => topic == exact,
            Self::Prefix(prefix) => topic.starts_with(prefix.as_str()),
        }
    }
}

/// Where a stream of a watch was asked to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// Now, or with the result of a query.
    Now {
        /// The largest revision that any client knew to be acknowledged when it asked; 0 if the
        /// query was allowed to be stale.
        acknowledged: u64,
    },
    /// With this revision.
    Revision(u64),
    /// With everything that is kept.
    Oldest,
}

/// What a client saw of a watch on one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seen<P> {
    /// It exists: events after this revision follow.
    Created {
        /// Which.
        revision: u64,
    },
    /// An update.
    Events {
        /// In order.
        events: Vec<Event<P>>,
        /// Further events of the last one's revision follow in the next update.
        partial: bool,
    },
    /// Everything up to this revision was delivered.
    Progress {
        /// Which.
        revision: u64,
    },
    /// It ended, or was refused.
    Cancelled {
        /// Where to come back without a gap.
        resume: Option<u64>,
        /// The revision up to which events are forgotten, if that is why.
        compacted: Option<u64>,
    },
}

/// A watch on one stream of one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream<P> {
    /// Where it was asked to begin.
    pub start: Start,
    /// What came; if it does not end with `Cancelled` the stream broke, or the run ended.
    pub seen: Vec<Seen<P>>,
}

/// A watch of a client, with every stream that it was resumed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch<P> {
    /// For explanations.
    pub name: String,
    /// The space.
    pub space: String,
    /// What of it is wanted.
    pub topic: Topic,
    /// In order.
    pub streams: Vec<Stream<P>>,
    /// The revision that it had to reach before the run ended; 0: it may have ended early.
    pub must_reach: u64,
}

/// What an event says of its topic, as far as it says anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims<V> {
    /// The topic's value after it; `None`: it is gone.
    pub value: Option<V>,
    /// Whether the topic was absent before it.
    pub is_create: Option<bool>,
    /// The topic's value before it.
    pub previous: Option<Option<V>>,
}

/// For events that say nothing of their topics.
pub fn no_claims<P>(_: &P) -> Claims<()> {
    Claims { value: None, is_create: None, previous: None }
}

/// Checks all watches. `claims` reads what an event says of its topic; see [`no_claims`].
///
/// # Errors
///
/// The first violation.
pub fn check<P: Eq + Debug, V: Eq + Clone + Debug>(
    truth: &Truth<P>,
    watches: &[Watch<P>],
    claims: impl Fn(&P) -> Claims<V>,
) -> Result<(), Violation> {
    let known = truth::known(truth, &claims)?;
    for watch in watches {
        let of_space = known.get(watch.space.as_str()).map_or(&[][..], Vec::as_slice);
        let wanted: Vec<_> =
            of_space.iter().filter(|known| watch.topic.matches(&known.event.topic)).collect();
        let compacted = truth.compacted.get(&watch.space).copied().unwrap_or(0);
        whole(watch, &wanted, compacted, &claims)?;
    }
    Ok(())
}

/// A watch over all of its streams.
fn whole<P: Eq + Debug, V: Eq + Clone + Debug>(
    watch: &Watch<P>,
    wanted: &[&Known<'_, P, V>],
    compacted: u64,
    claims: &impl Fn(&P) -> Claims<V>,
) -> Result<(), Violation> {
    let mut reached = None;
    for (at, stream) in watch.streams.iter().enumerate() {
        let mut follow = Follow::new(watch, at, wanted, compacted, claims);
        follow.check_order()?;
        for seen in &stream.seen {
            follow.see(seen, reached)?;
        }
        if let Some(revision) = follow.finish()? {
            reached = reached.max(Some(revision));
        }
    }
    let Some(reached) = reached else {
        return match watch.must_reach {
            0 => Ok(()),
            revision => Err(Violation::new(
                Property::Reliable,
                format!("watch {}: it was to reach revision {revision}, and never began", watch.name),
            )),
        };
    };
    match truth::first_between(wanted, reached, watch.must_reach) {
        None => Ok(()),
        Some(missing) => Err(Violation::new(
            Property::Reliable,
            format!(
                "watch {}: it has everything up to revision {reached}, and was to reach {}: {:?} is missing",
                watch.name, watch.must_reach, missing.event
            ),
        )),
    }
}
