//! Which query runs next: spaces are served in turn, so that one that asks much or for long costs
//! the others little. It only orders jobs and runs none.
use std::collections::{BTreeMap, VecDeque};

/// What a member and a space may have at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Jobs of the member that wait.
    pub(super) waiting: usize,
    /// Jobs of one space that wait.
    pub(super) space_waiting: usize,
    /// Jobs of one space that run.
    pub(super) space_running: usize,
}

/// Which bound a job met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// `Bounds::waiting`.
    Member,
    /// `Bounds::space_waiting`.
    Space,
}

/// What waits may be abandoned by whoever asked for it.
pub(super) trait Abandon {
    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
}

struct OfSpace<J> {
    waiting: VecDeque<J>,
    running: usize,
}

/// Jobs that wait, by space, which `S` names. A space has a turn while it has a job that waits and
/// may run.
pub(super) struct Turns<S, J> {
    bounds: Bounds,
    spaces: BTreeMap<S, OfSpace<J>>,
    turns: VecDeque<S>,
    waiting: usize,
}

impl<S: Clone + Ord, J: Abandon> Turns<S, J> {
    pub(super) const fn new(bounds: Bounds) -> Self {
        Self { bounds, spaces: BTreeMap::new(), turns: VecDeque::new(), waiting: 0 }
    }

    /// Adds a job at the end of its space's line. Jobs that were abandoned make room for it.
    pub(super) fn push(&mut self, space: S, job: J) -> Result<(), Full> {
        let full = |turns: &Self| {
            if turns.waiting >= turns.bounds.waiting {
                return Some(Full::Member);
            }
            let waiting = turns.spaces.get(&space).map_or(0, |of_space| of_space.waiting.len());
            (waiting >= turns.bounds.space_waiting).then_some(Full::Space)
        };
        if full(self).is_some() {
            self.drop_abandoned();
        }
        if let Some(full) = full(self) {
            return Err(full);
        }
        let of_space =
            self.spaces.entry(space.clone()).or_insert(OfSpace { waiting: VecDeque::new(), running: 0 });
        of_space.waiting.push_back(job);
        self.waiting += 1;
        if of_space.waiting.len() == 1 && of_space.running < self.bounds.space_running {
            self.turns.push_back(space);
        }
        Ok(())
    }

    /// The next job to run; its space counts it until [`done`](Self::done).
    pub(super) fn next(&mut self) -> Option<(S, J)> {
        let space = self.turns.pop_front()?;
        let of_space = self.spaces.get_mut(&space)?;
        let job = of_space.waiting.pop_front()?;
        self.waiting -= 1;
        of_space.running += 1;
        if !of_space.waiting.is_empty() && of_space.running < self.bounds.space_running {
            self.turns.push_back(space.clone());
        }
        Some((space, job))
    }

    /// A job of `space` has ended.
    pub(super) fn done(&mut self, space: S) {
        let Some(of_space) = self.spaces.get_mut(&space) else { return };
        let had_turn = of_space.running < self.bounds.space_running;
        of_space.running -= 1;
        match (of_space.waiting.is_empty(), of_space.running) {
            (true, 0) => drop(self.spaces.remove(&space)),
            (false, _) if !had_turn => self.turns.push_back(space),
            _ => {}
        }
    }

    fn drop_abandoned(&mut self) {
        self.waiting = 0;
        for of_space in self.spaces.values_mut() {
            of_space.waiting.retain(|job| !job.is_abandoned());
            self.waiting += of_space.waiting.len();
        }
        self.spaces.retain(|_, of_space| of_space.running > 0 || !of_space.waiting.is_empty());
        let spaces = &self.spaces;
        self.turns.retain(|space| spaces.get(space).is_some_and(|of_space| !of_space.waiting.is_empty()));
    }
}

#[cfg(test)]
mod tests;
