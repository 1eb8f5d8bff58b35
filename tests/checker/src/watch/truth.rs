//! The true events by space, each with its topic's value before it.
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use super::{Claims, Event, Truth};
use crate::violation::{Property, Violation};

/// An event that happened.
pub(super) struct Known<'a, P, V> {
    pub(super) event: &'a Event<P>,
    /// The topic's value before it.
    pub(super) before: Option<V>,
}

/// Events by space, in order.
pub(super) type BySpace<'a, P, V> = BTreeMap<&'a str, Vec<Known<'a, P, V>>>;

pub(super) fn known<'a, P: Debug, V: Clone>(
    truth: &'a Truth<P>,
    claims: &impl Fn(&P) -> Claims<V>,
) -> Result<BySpace<'a, P, V>, Violation> {
    let mut spaces = BySpace::new();
    let mut values = HashMap::<(&str, &str), V>::new();
    for event in &truth.events {
        let space = spaces.entry(event.space.as_str()).or_default();
        if let Some(last) =
            space.last().filter(|last: &&Known<'_, P, V>| last.event.position() >= event.position())
        {
            let why = format!("the true events are out of order: {:?}, then {event:?}", last.event);
            return Err(Violation::new(Property::WellFormed, why));
        }
        let topic = (event.space.as_str(), event.topic.as_str());
        let before = match claims(&event.payload).value {
            Some(value) => values.insert(topic, value),
            None => values.remove(&topic),
        };
        space.push(Known { event, before });
    }
    Ok(spaces)
}

/// The first event after revision `after` and not after revision `through`.
pub(super) fn first_between<'a, 'b, P, V>(
    wanted: &[&'a Known<'b, P, V>],
    after: u64,
    through: u64,
) -> Option<&'a Known<'b, P, V>> {
    let at = wanted.partition_point(|known| known.event.revision <= after);
    wanted.get(at).copied().filter(|known| known.event.revision <= through)
}
