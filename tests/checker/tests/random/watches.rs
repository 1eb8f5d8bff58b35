//! Watches that a small server really served: in parts, with marks, broken off and resumed.
use std::collections::BTreeMap;

use synod_checker::watch::{Event, Seen, Start, Stream, Topic, Truth, Watch, check, no_claims};

use super::dice::Dice;

const RUNS: u64 = 4_000;
const REVISIONS: u64 = 30;

/// Events of every other revision or so, up to five in one.
fn truth(dice: &mut Dice) -> Truth<u64> {
    let mut events = Vec::new();
    for revision in 1..=REVISIONS {
        let count = if dice.below(2) == 0 { 0 } else { 1 + dice.below(5) };
        for number in 0..count as u32 {
            let topic = format!("{}/{}", ["a", "b"][dice.below(2) as usize], dice.below(3));
            let payload = dice.below(1_000_000);
            events.push(Event { revision, number, space: "kv".into(), topic, payload });
        }
    }
    Truth { events, compacted: BTreeMap::from([("kv".into(), dice.below(5))]) }
}

/// Serves one watch of everything below `a/` to its end, over several streams.
fn serve(truth: &Truth<u64>, dice: &mut Dice) -> Watch<u64> {
    let floor = truth.compacted["kv"];
    let (mut streams, mut position) = (Vec::new(), floor + dice.below(10));
    let mut start = if position == floor { Start::Oldest } else { Start::Now { acknowledged: position - 1 } };
    while position < REVISIONS {
        let mut seen = vec![Seen::Created { revision: position }];
        for _ in 0..1 + dice.below(4) {
            position = step(truth, position, &mut seen, dice);
        }
        streams.push(Stream { start, seen });
        start = Start::Revision(position + 1);
    }
    let (name, topic) = ("w".into(), Topic::Prefix("a/".into()));
    Watch { name, space: "kv".into(), topic, streams, must_reach: REVISIONS }
}

/// Sends what there is of some revisions after `position`, in one update or in parts, and perhaps a
/// mark. Returns how far the watch is.
fn step(truth: &Truth<u64>, position: u64, seen: &mut Vec<Seen<u64>>, dice: &mut Dice) -> u64 {
    let through = (position + 1 + dice.below(4)).min(REVISIONS);
    let wanted = |event: &&Event<u64>| {
        event.topic.starts_with("a/") && (position + 1..=through).contains(&event.revision)
    };
    let events: Vec<_> = truth.events.iter().filter(wanted).cloned().collect();
    let cut = dice.below(events.len() as u64 + 1) as usize;
    let (first, second) = events.split_at(cut);
    let torn = match (first.last(), second.first()) {
        (Some(last), Some(next)) => last.revision == next.revision,
        _ => false,
    };
    for (part, partial) in [(first, torn), (second, false)] {
        if !part.is_empty() {
            seen.push(Seen::Events { events: part.to_vec(), partial });
        }
    }
    if dice.below(2) == 0 || events.is_empty() {
        seen.push(Seen::Progress { revision: through });
    }
    through
}

/// The places of all events that were delivered: stream, item, event.
fn delivered(watch: &Watch<u64>) -> Vec<(usize, usize, usize)> {
    let mut places = Vec::new();
    for (stream, of_stream) in watch.streams.iter().enumerate() {
        for (item, seen) in of_stream.seen.iter().enumerate() {
            if let Seen::Events { events, .. } = seen {
                places.extend((0..events.len()).map(|event| (stream, item, event)));
            }
        }
    }
    places
}

/// Damages one delivered event. Returns `None` if there is none.
fn damage(watch: &mut Watch<u64>, dice: &mut Dice) -> Option<&'static str> {
    let places = delivered(watch);
    let (stream, item, at) = *places.get(dice.below(places.len().max(1) as u64) as usize)?;
    let Seen::Events { events, .. } = &mut watch.streams[stream].seen[item] else { return None };
    match dice.below(6) {
        0 => {
            events.remove(at);
            Some("lost")
        }
        1 => {
            events.insert(at, events[at].clone());
            Some("twice")
        }
        2 if at + 1 < events.len() => {
            events.swap(at, at + 1);
            Some("swapped")
        }
        3 => {
            events[at].topic = "b/1".into();
            Some("not wanted")
        }
        4 => {
            events[at].revision += 1;
            Some("at another revision")
        }
        _ => {
            events[at].payload += 1;
            Some("changed")
        }
    }
}

#[test]
fn watches_that_were_served_are_good_and_damaged_ones_are_found() {
    let mut damaged = BTreeMap::<&str, u64>::new();
    for seed in 0..RUNS {
        let mut dice = Dice::new(seed);
        let truth = truth(&mut dice);
        let mut watch = serve(&truth, &mut dice);
        assert_eq!(check(&truth, std::slice::from_ref(&watch), no_claims), Ok(()), "seed {seed}");
        if let Some(how) = damage(&mut watch, &mut dice) {
            *damaged.entry(how).or_default() += 1;
            let verdict = check(&truth, std::slice::from_ref(&watch), no_claims);
            assert!(verdict.is_err(), "seed {seed}: an event {how} is not found");
        }
    }
    assert!(damaged.len() == 6 && damaged.values().all(|count| *count > RUNS / 40), "{damaged:?}");
}
