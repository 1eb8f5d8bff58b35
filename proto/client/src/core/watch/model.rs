//! A watch against a model of members that break streams anywhere, repeat, send parts, lag, and
//! cancel: whatever happens, the consumer gets every event that it wants once, in order, and those
//! of one revision together.
use super::*;
use crate::core::mix;

const SEEDS: u64 = 3_000;

/// The log of one space: revisions with so many events, from 1.
struct Log {
    counts: Vec<u32>,
    compacted: u64,
}

impl Log {
    fn last(&self) -> u64 {
        self.counts.len() as u64
    }

    fn events(&self, revision: u64) -> Vec<Event> {
        let count =
            usize::try_from(revision - 1).ok().and_then(|index| self.counts.get(index)).copied().unwrap_or(0);
        (0..count).map(|number| Event { revision, number, ..Event::default() }).collect()
    }
}

/// What one watch has on the member that serves it.
struct Served {
    /// The next revision to send.
    next: u64,
    /// How much of it was sent.
    sent: usize,
    /// How far the member has applied.
    applied: u64,
}

struct World {
    random: u64,
    log: Log,
    served: Option<Served>,
    watch: Watching,
    got: Vec<(u64, u32)>,
    /// The first revision that it must get.
    first: Option<u64>,
    marked: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let from =
            [Begin::Now, Begin::Oldest, Begin::Query, Begin::Revision(1 + seed % 9)][(seed % 4) as usize];
        let mut world = Self {
            random: mix(seed),
            log: Log { counts: Vec::new(), compacted: 0 },
            served: None,
            watch: Watching::new(from, Backoff::default()),
            got: Vec::new(),
            first: None,
            marked: 0,
        };
        for _ in 0..8 + world.below(8) {
            world.write();
        }
        world
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random = mix(self.random);
        self.random % bound
    }

    fn write(&mut self) {
        let count = match self.below(8) {
            0..=3 => 0,
            4..=6 => 1,
            _ => 2 + self.below(6) as u32,
        };
        self.log.counts.push(count);
    }

    /// A member creates the watch, one that may lag behind what others said.
    fn create(&mut self) {
        let (from, space_id) = self.watch.request();
        assert!(space_id == 0 || space_id == 7);
        let least = self.watch.revision();
        let applied = least + self.below(self.log.last() - least + 1);
        let revision = match from {
            Begin::Now | Begin::Query => self.log.last(),
            Begin::Oldest => self.log.compacted,
            Begin::Revision(revision) => {
                assert!(revision > self.log.compacted, "only what was read is forgotten");
                revision - 1
            }
        };
        self.first.get_or_insert(revision + 1);
        let repeated = if self.watch.is_begun() {
            self.below(3).min(revision.saturating_sub(self.log.compacted))
        } else {
            0
        };
        self.watch.created(revision - repeated, 7).expect("no gap");
        self.served = Some(Served { next: revision - repeated + 1, sent: 0, applied: applied.max(revision) });
    }

    /// The member sends something: whole revisions, a part of one, or a mark.
    fn serve(&mut self) {
        let pieces = 1 + self.below(4);
        let splits = self.below(3) == 0;
        let Some(Served { mut next, mut sent, mut applied }) = self.served.take() else { return };
        if self.below(3) == 0 {
            applied = self.log.last();
        }
        let (mut message, mut partial) = (Vec::new(), false);
        for _ in 0..pieces {
            if next > applied || partial {
                break;
            }
            let events = self.log.events(next);
            let rest = &events[sent.min(events.len())..];
            if splits && rest.len() > 1 {
                let part = 1 + self.below(rest.len() as u64 - 1) as usize;
                message.extend_from_slice(&rest[..part]);
                sent += part;
                partial = true;
            } else {
                message.extend_from_slice(rest);
                (next, sent) = (next + 1, 0);
            }
        }
        if message.is_empty() {
            if sent == 0 && next > applied {
                self.marked = self.marked.max(applied);
                assert!(self.watch.progress(applied) || applied < self.watch.revision());
            }
        } else {
            for whole in self.watch.events(message, partial).expect("in order") {
                assert!(whole.events.iter().all(|event| event.revision == whole.revision));
                assert_eq!(whole.events, self.log.events(whole.revision), "whole");
                self.got.extend(whole.events.iter().map(|event| (event.revision, event.number)));
            }
        }
        self.served = Some(Served { next, sent, applied });
    }

    fn step(&mut self) {
        match self.below(20) {
            0..=4 => self.write(),
            5..=14 if self.served.is_some() => self.serve(),
            15 => {
                self.served = None;
                self.watch.lost(0);
            }
            16 if self.served.take().is_some() => {
                let slow = Failure {
                    kind: Kind::Rejected as i32,
                    reason: Reason::WatchTooSlow.into(),
                    ..Failure::default()
                };
                assert!(matches!(self.watch.cancelled(slow, 0, 1, 0), Next::Again { .. }));
            }
            17 if self.served.take().is_some() => {
                let stops = Failure { kind: Kind::Unavailable as i32, ..Failure::default() };
                assert!(matches!(self.watch.cancelled(stops, 0, 1, 0), Next::Again { elsewhere: true, .. }));
            }
            18 if self.watch.is_begun() => {
                let keep = self.below(4);
                self.log.compacted = self.log.compacted.max(self.watch.revision().saturating_sub(keep));
            }
            _ if self.served.is_none() => self.create(),
            _ => {}
        }
    }

    fn settle(&mut self) {
        for _ in 0..1_000 {
            if self.served.is_none() {
                self.create();
            }
            if self.watch.is_begun() && self.watch.revision() == self.log.last() {
                return;
            }
            self.serve();
        }
        panic!("it never gets everything: {:?} of {}", self.watch, self.log.last());
    }
}

#[test]
fn every_event_comes_once_in_order_and_with_its_revision() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..200 {
            world.step();
        }
        world.settle();
        let first = world.first.expect("it began");
        let wanted: Vec<(u64, u32)> = (first..=world.log.last())
            .flat_map(|revision| world.log.events(revision))
            .map(|event| (event.revision, event.number))
            .collect();
        assert_eq!(world.got, wanted, "seed {seed}");
        assert!(world.marked <= world.watch.revision());
    }
}
