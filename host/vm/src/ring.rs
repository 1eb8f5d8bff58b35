//! What recipes of this member wrote for people: panics, traps and `cx.log!`. The newest lines, in memory.
//!
//! Local by design: no line is part of any state or outcome, and two members may hold different ones. It is read by position,
//! so that a reader can follow, and learns how many lines it was too slow for.
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use synod_abi::{RecipeRef, SpaceName, Time, limits};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeLine {
    /// Wall time of this member.
    pub time: Time,
    /// Whose it is.
    pub recipe: RecipeRef,
    /// Where the recipe ran.
    pub space: SpaceName,
    /// From 1 (error) to 5 (trace).
    pub level: u8,
    /// What it says; cut at [`limits::LOG_LINE_BYTES`].
    pub text: String,
}

/// Which lines are wanted; what is absent is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineFilter {
    /// Of this recipe, any version.
    pub recipe: Option<synod_abi::RecipeName>,
    /// Of this space.
    pub space: Option<SpaceName>,
    /// Up to this level.
    pub most_level: Option<u8>,
}

impl LineFilter {
    fn takes(&self, line: &RecipeLine) -> bool {
        self.recipe.as_ref().is_none_or(|name| *name == line.recipe.name)
            && self.space.as_ref().is_none_or(|space| *space == line.space)
            && self.most_level.is_none_or(|level| line.level <= level)
    }
}

/// Lines from a position on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Those that the filter takes, oldest first.
    pub lines: Vec<RecipeLine>,
    /// Where to read on.
    pub next: u64,
    /// Lines from the asked position on that are gone already, filtered or not.
    pub lost: u64,
}

#[derive(Default)]
struct Ring {
    first: u64,
    lines: VecDeque<RecipeLine>,
}

impl Ring {
    fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }
}

/// The newest [`limits::LOG_RING_LINES`] lines of a member.
#[derive(Default)]
pub struct LogRing {
    ring: Mutex<Ring>,
    grown: Condvar,
}

impl LogRing {
    /// Adds lines, in order.
    pub fn push(&self, lines: impl IntoIterator<Item = RecipeLine>) {
        let mut ring = self.lock();
        let before = ring.end();
        for mut line in lines {
            cut(&mut line.text);
            if ring.lines.len() == limits::LOG_RING_LINES {
                ring.lines.pop_front();
                ring.first += 1;
            }
            ring.lines.push_back(line);
        }
        if ring.end() > before {
            self.grown.notify_all();
        }
    }

    /// Up to `most` lines from position `from` on; 0 is the oldest line that is left, and then nothing counts as lost.
    pub fn read(&self, filter: &LineFilter, from: u64, most: usize) -> Lines {
        let ring = self.lock();
        let start = from.clamp(ring.first, ring.end());
        let mut read = Lines { lines: Vec::new(), next: start, lost: if from == 0 { 0 } else { start.saturating_sub(from) } };
        for line in ring.lines.iter().skip((start - ring.first) as usize) {
            if read.lines.len() == most {
                break;
            }
            read.next += 1;
            if filter.takes(line) {
                read.lines.push(line.clone());
            }
        }
        read
    }

    /// Waits until there is a line at position `from` or `timeout` is over; whether there is one. It blocks its thread.
    pub fn wait(&self, from: u64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut ring = self.lock();
        while ring.end() <= from {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            ring = self.grown.wait_timeout(ring, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// The position behind the newest line.
    pub fn end(&self) -> u64 {
        self.lock().end()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for LogRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogRing").field("end", &self.end()).finish_non_exhaustive()
    }
}

fn cut(text: &mut String) {
    let mut end = text.len().min(limits::LOG_LINE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use synod_abi::RecipeName;

    use super::*;

    fn line(recipe: &str, level: u8, text: &str) -> RecipeLine {
        let name = RecipeName::new(recipe).expect("a name");
        RecipeLine {
            time: Time(1),
            recipe: RecipeRef { name, version: 1 },
            space: SpaceName::new("s").expect("a name"),
            level,
            text: text.to_string(),
        }
    }

    #[test]
    fn lines_are_read_in_order_and_on_from_where_reading_ended() {
        let ring = LogRing::default();
        ring.push((0..5).map(|n| line("a", 3, &n.to_string())));
        let first = ring.read(&LineFilter::default(), 0, 3);
        assert_eq!(first.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["0", "1", "2"]);
        let rest = ring.read(&LineFilter::default(), first.next, 10);
        assert_eq!(rest.lines.len(), 2);
        assert_eq!((rest.next, rest.lost), (5, 0));
    }

    #[test]
    fn the_ring_keeps_the_newest_lines_and_says_how_many_are_gone() {
        let ring = LogRing::default();
        ring.push((0..limits::LOG_RING_LINES + 10).map(|n| line("a", 3, &n.to_string())));
        assert_eq!(ring.read(&LineFilter::default(), 0, 1).lines[0].text, "10");
        assert_eq!(ring.read(&LineFilter::default(), 0, 1).lost, 0);
        assert_eq!(ring.read(&LineFilter::default(), 4, usize::MAX).lost, 6);
        assert_eq!(ring.read(&LineFilter::default(), 0, usize::MAX).lines.len(), limits::LOG_RING_LINES);
    }

    #[test]
    fn filters_skip_what_they_do_not_take() {
        let ring = LogRing::default();
        ring.push([line("a", 1, "x"), line("b", 1, "y"), line("a", 5, "z")]);
        let filter = LineFilter { recipe: RecipeName::new("a").ok(), most_level: Some(3), space: SpaceName::new("s").ok() };
        let read = ring.read(&filter, 0, 10);
        assert_eq!(read.lines.len(), 1);
        assert_eq!(read.next, 3);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let ring = LogRing::default();
        ring.push([line("a", 1, &"ä".repeat(limits::LOG_LINE_BYTES))]);
        let text = ring.read(&LineFilter::default(), 0, 1).lines[0].text.clone();
        assert_eq!(text.len(), limits::LOG_LINE_BYTES);
        ring.push([line("a", 1, &format!("x{}", "ä".repeat(limits::LOG_LINE_BYTES)))]);
        assert_eq!(ring.read(&LineFilter::default(), 1, 1).lines[0].text.len(), limits::LOG_LINE_BYTES - 1);
    }

    #[test]
    fn a_follower_wakes_when_a_line_comes() {
        let ring = Arc::new(LogRing::default());
        let writer = ring.clone();
        let follower = std::thread::spawn(move || ring.wait(0, Duration::from_secs(30)));
        writer.push([line("a", 1, "x")]);
        assert!(follower.join().expect("the follower ends"));
        assert!(!writer.wait(1, Duration::from_millis(1)));
    }
}
