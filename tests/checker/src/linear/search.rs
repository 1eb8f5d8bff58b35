//! The search for an order: depth first, over a list of calls and returns.
//!
//! Answered operations stand in a doubly linked list, each as a call and a return, in order of
//! time. Those whose calls stand before the first return may be next; taking one removes its two
//! entries, and going back puts them in again. The search fails where the first entry of the list
//! is a return and nothing fits: that operation cannot be explained after what was taken.
//!
//! Why the shortcuts lose nothing: an operation that fits and leaves the state as it is can move
//! forward to here in every order that begins with what was taken, so no other choice has to be
//! tried. Unknown ones may stay out of the order, so they are taken only where something else
//! cannot go on, and never if they change nothing. Of two that are alike the earlier one can stand
//! wherever the later one stands. One is not taken after which the state is as without some of the
//! unknown ones just before: the search comes there with fewer of them taken. `marks` says what is
//! proven of unknown ones, and what leads nowhere.
use std::fmt::{Debug, Write};

use super::failures::{Bits, Failures};
use super::marks::Marks;
use crate::history::Operation;
use crate::model::{Call, Model};
use crate::violation::Violation;

/// How many operations of an order an explanation shows.
const SHOWN: usize = 6;
/// How many unknown operations in a row are tried: most histories need few, and chains of many hide
/// that for long.
const CHAINS: [usize; 3] = [1, 3, usize::MAX];
const WORD: usize = u64::BITS as usize;

/// An operation, with its key taken off.
pub(super) struct Observed<'a, M: Model> {
    client: u32,
    pub(super) invoked: u64,
    pub(super) input: &'a M::Input,
    pub(super) output: Option<&'a M::Output>,
    /// When it had surely taken effect, if it surely did.
    pub(super) done_by: Option<u64>,
}

impl<'a, M: Model> Observed<'a, M> {
    pub(super) fn new<I: Debug>(
        operation: &'a Operation<I, M::Output>,
        input: &'a M::Input,
    ) -> Result<Self, Violation> {
        let (output, done_by) = operation.answer()?.unzip();
        Ok(Self { client: operation.client, invoked: operation.invoked, input, output, done_by })
    }

    fn call(&self) -> Call<'a, M::Input, M::Output> {
        Call { input: self.input, output: self.output, revision: None }
    }

    fn shown(&self) -> String {
        let begin = format!("client {}: {:?} → ", self.client, self.input);
        match (self.output, self.done_by) {
            (Some(output), Some(by)) => format!("{begin}{output:?} [{}, {by}]", self.invoked),
            (None, Some(by)) => {
                format!("{begin}unknown [{}, …], but its effect was seen at {by}", self.invoked)
            }
            (_, None) => format!("{begin}unknown [{}, …]", self.invoked),
        }
    }
}

/// How a search ended.
pub(super) enum End {
    Found,
    None { why: String },
    OutOfSteps,
}

/// An entry of the list: the call or the return of an operation that took effect.
#[derive(Clone, Copy)]
struct Entry {
    of: usize,
    is_return: bool,
}

/// An operation whose outcome is unknown.
struct Unknown<'a, M: Model> {
    observed: Observed<'a, M>,
    /// It can precede the returns from this entry on.
    from: usize,
    /// The one before that is alike.
    twin: Option<usize>,
    taken: bool,
}

/// Which choice was made last where the search stands.
#[derive(Clone, Copy)]
enum Choice {
    /// The call at this entry.
    Answered(usize),
    /// This unknown one.
    Unknown(usize),
}

/// An operation that was taken.
struct Frame<S> {
    choice: Choice,
    /// The state before it.
    before: S,
    /// No other choice has to be tried.
    forced: bool,
    /// How many unknown ones in a row were taken last before it.
    row: usize,
}

/// Where the search could not go on, with most of the history explained.
struct Blocked {
    /// The entry of the return that is in the way.
    at: usize,
    state: String,
    order: Vec<String>,
    /// The answer that could not be given after it.
    lost: Option<String>,
}

enum Attempt {
    Found,
    Failed,
    OutOfSteps,
}

enum Next<S> {
    Take(Frame<S>),
    Nothing,
    OutOfSteps,
}

pub(super) struct Search<'a, M: Model> {
    model: &'a M,
    marks: Marks<'a, M>,
    answered: Vec<Observed<'a, M>>,
    unknown: Vec<Unknown<'a, M>>,
    entries: Vec<Entry>,
    /// Links of the list; the last index is its end and its beginning.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// For each answered operation its two entries, and how many calls stand before its return.
    call_at: Vec<usize>,
    return_at: Vec<usize>,
    reach: Vec<usize>,
    /// Which answered operations are taken, a bit each, in the order of their calls.
    taken: Vec<u64>,
    left: usize,
    /// How many unknown ones in a row were taken last, at most how many may be, and whether one
    /// more was called for.
    row: usize,
    most: usize,
    was_cut: bool,
    failed: Failures<M::State>,
    blocked: Option<Blocked>,
}

impl<'a, M: Model> Search<'a, M> {
    pub(super) fn new(model: &'a M, mut observed: Vec<Observed<'a, M>>) -> Self {
        let marks = Marks::new(model, &observed);
        observed.iter_mut().for_each(|observed| marks.prove(observed));
        let (mut answered, mut unknown): (Vec<_>, Vec<_>) =
            observed.into_iter().partition(|observed| observed.done_by.is_some());
        answered.sort_by_key(|observed| observed.invoked);
        unknown.sort_by_key(|observed| observed.invoked);
        // Equal times say nothing about order: calls come before returns.
        let mut timed: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * answered.len());
        for (of, observed) in answered.iter().enumerate() {
            timed.push((observed.invoked, false, of));
            timed.extend(observed.done_by.map(|by| (by, true, of)));
        }
        timed.sort_unstable();
        let count = answered.len();
        let mut search = Self {
            model,
            entries: timed.iter().map(|&(_, is_return, of)| Entry { of, is_return }).collect(),
            next: (1..=timed.len()).chain([0]).collect(),
            previous: [timed.len()].into_iter().chain(0..timed.len()).collect(),
            call_at: vec![0; count],
            return_at: vec![0; count],
            reach: vec![0; count],
            taken: vec![0; count.div_ceil(WORD)],
            left: count,
            row: 0,
            most: 0,
            was_cut: false,
            failed: Failures::default(),
            blocked: None,
            unknown: Vec::with_capacity(unknown.len()),
            answered,
            marks,
        };
        let mut calls = 0;
        for (at, entry) in search.entries.iter().enumerate() {
            if entry.is_return {
                (search.return_at[entry.of], search.reach[entry.of]) = (at, calls);
            } else {
                search.call_at[entry.of] = at;
                calls += 1;
            }
        }
        for observed in unknown {
            let from = timed.partition_point(|&(time, ..)| time < observed.invoked);
            let alike = |other: &Unknown<'_, M>| search.marks.are_alike(other.observed.input, observed.input);
            let twin = search.unknown.iter().rposition(alike);
            search.unknown.push(Unknown { observed, from, twin, taken: false });
        }
        search
    }

    pub(super) fn run(mut self, steps: &mut u64) -> End {
        for most in CHAINS {
            (self.most, self.was_cut) = (most, false);
            self.failed.clear();
            match self.attempt(steps) {
                Attempt::Found => return End::Found,
                Attempt::OutOfSteps => return End::OutOfSteps,
                Attempt::Failed if !self.was_cut => break,
                Attempt::Failed => {}
            }
        }
        End::None { why: self.explain() }
    }

    /// Searches with at most `self.most` unknown operations in a row.
    fn attempt(&mut self, steps: &mut u64) -> Attempt {
        let mut state = self.model.initial();
        let mut stack = Vec::<Frame<M::State>>::new();
        let mut last = None;
        while self.left > 0 {
            let chain = &stack[stack.len() - self.row..];
            match self.choose(&state, last, chain, steps) {
                Next::OutOfSteps => return Attempt::OutOfSteps,
                Next::Take(frame) => {
                    let before = std::mem::replace(&mut state, frame.before);
                    self.take(frame.choice);
                    stack.push(Frame { before, ..frame });
                    last = None;
                    continue;
                }
                Next::Nothing => self.note_blocked(&state, &stack),
            }
            let mut going_back = true;
            while going_back {
                let Some(frame) = stack.pop() else { return Attempt::Failed };
                let failed = std::mem::replace(&mut state, frame.before);
                self.failed.add(self.key(), failed, self.taken_unknown());
                self.put_back(frame.choice, frame.row);
                last = Some(frame.choice);
                going_back = frame.forced;
            }
        }
        Attempt::Found
    }

    /// The next choice after `last`, the first one without it; in the frame's place of the state
    /// before stands the state after. `chain` is the unknown ones that were taken last.
    fn choose(
        &mut self,
        state: &M::State,
        last: Option<Choice>,
        chain: &[Frame<M::State>],
        steps: &mut u64,
    ) -> Next<M::State> {
        let (end, row) = (self.entries.len(), self.row);
        let mut found = None;
        let mut at = match last {
            None => self.next[end],
            Some(Choice::Answered(at)) => self.next[at],
            Some(Choice::Unknown(_)) => self.first_return(),
        };
        while !self.entries[at].is_return {
            if *steps == 0 {
                return Next::OutOfSteps;
            }
            *steps -= 1;
            let choice = Choice::Answered(at);
            let observed = &self.answered[self.entries[at].of];
            let after = self.model.step(state, observed.call());
            // One whose effect was seen changed something.
            let fits = |after: &M::State| {
                let changes = observed.output.is_some() || after != state;
                changes && self.marks.lost(observed, state, after).is_none()
            };
            if let Some(after) = after.filter(fits) {
                let forced = last.is_none() && after == *state;
                if forced && self.has_failed(choice, &after) {
                    return Next::Nothing;
                }
                if forced {
                    return Next::Take(Frame { choice, before: after, forced, row });
                }
                if found.is_none() && !self.has_failed(choice, &after) {
                    found = Some(Frame { choice, before: after, forced, row });
                    if last.is_some() {
                        break;
                    }
                }
            }
            at = self.next[at];
        }
        match found {
            Some(frame) => Next::Take(frame),
            None => self.choose_unknown(state, last, chain, at, steps),
        }
    }

    /// As `choose`, among the unknown ones.
    fn choose_unknown(
        &mut self,
        state: &M::State,
        last: Option<Choice>,
        chain: &[Frame<M::State>],
        first_return: usize,
        steps: &mut u64,
    ) -> Next<M::State> {
        let row = self.row;
        if row >= self.most {
            self.was_cut = true;
            return Next::Nothing;
        }
        let from = if let Some(Choice::Unknown(last)) = last { last + 1 } else { 0 };
        for at in from..self.unknown.len() {
            let unknown = &self.unknown[at];
            if unknown.from > first_return {
                break;
            }
            if unknown.taken || unknown.twin.is_some_and(|twin| !self.unknown[twin].taken) {
                continue;
            }
            if *steps == 0 {
                return Next::OutOfSteps;
            }
            *steps -= 1;
            let choice = Choice::Unknown(at);
            let call = unknown.observed.call();
            let after = self.model.step(state, call);
            let fits = |after: &M::State| {
                after != state && self.marks.lost(&unknown.observed, state, after).is_none()
            };
            let Some(after) = after.filter(fits) else { continue };
            // Without some of the chain it would be the same.
            let erases = |top: &Frame<M::State>| self.model.step(&top.before, call).as_ref() == Some(&after);
            let in_vain = chain.iter().any(|frame| frame.before == after) || chain.last().is_some_and(erases);
            if !in_vain && !self.has_failed(choice, &after) {
                return Next::Take(Frame { choice, before: after, forced: false, row });
            }
        }
        Next::Nothing
    }

    /// Whether the configuration after this choice is known to lead nowhere.
    fn has_failed(&mut self, choice: Choice, after: &M::State) -> bool {
        if self.failed.is_empty() {
            return false;
        }
        let row = self.row;
        self.take(choice);
        let failed = self.left > 0 && self.failed.has(&self.key(), after, &self.taken_unknown());
        self.put_back(choice, row);
        failed
    }

    fn take(&mut self, choice: Choice) {
        match choice {
            Choice::Unknown(at) => {
                self.unknown[at].taken = true;
                self.row += 1;
            }
            Choice::Answered(at) => {
                self.row = 0;
                let of = self.entries[at].of;
                self.marks.take(&self.answered[of]);
                self.taken[of / WORD] |= 1 << (of % WORD);
                self.left -= 1;
                for at in [self.call_at[of], self.return_at[of]] {
                    let (previous, next) = (self.previous[at], self.next[at]);
                    (self.next[previous], self.previous[next]) = (next, previous);
                }
            }
        }
    }

    fn put_back(&mut self, choice: Choice, row: usize) {
        self.row = row;
        match choice {
            Choice::Unknown(at) => self.unknown[at].taken = false,
            Choice::Answered(at) => {
                let of = self.entries[at].of;
                self.marks.put_back(&self.answered[of]);
                self.taken[of / WORD] &= !(1 << (of % WORD));
                self.left += 1;
                for at in [self.return_at[of], self.call_at[of]] {
                    let (previous, next) = (self.previous[at], self.next[at]);
                    (self.next[previous], self.previous[next]) = (at, at);
                }
            }
        }
    }

    /// What is taken but for unknown ones, exactly, while something is left: the first operation
    /// that is not, and those after it that could be. What may follow also hangs on `row`.
    fn key(&self) -> Bits {
        let low = self.entries[self.next[self.entries.len()]].of;
        let window = &self.taken[low / WORD..self.reach[low].div_ceil(WORD)];
        let row = if self.most == usize::MAX { 0 } else { self.row };
        [low as u64, row as u64].iter().chain(window).copied().collect()
    }

    fn taken_unknown(&self) -> Bits {
        let word = |unknown: &[Unknown<'_, M>]| {
            let bits = unknown.iter().enumerate().map(|(bit, unknown)| u64::from(unknown.taken) << bit);
            bits.sum()
        };
        self.unknown.chunks(WORD).map(word).collect()
    }

    fn first_return(&self) -> usize {
        let mut at = self.next[self.entries.len()];
        while !self.entries[at].is_return {
            at = self.next[at];
        }
        at
    }

    /// Keeps the attempt that explained the longest part of the history.
    fn note_blocked(&mut self, state: &M::State, stack: &[Frame<M::State>]) {
        let at = self.first_return();
        if self.blocked.as_ref().is_some_and(|blocked| blocked.at >= at) {
            return;
        }
        let last = &stack[stack.len().saturating_sub(SHOWN)..];
        let shown = |frame: &Frame<M::State>| match frame.choice {
            Choice::Answered(at) => self.answered[self.entries[at].of].shown(),
            Choice::Unknown(at) => self.unknown[at].observed.shown(),
        };
        let order = last.iter().map(shown).collect();
        let observed = &self.answered[self.entries[at].of];
        let after = self.model.step(state, observed.call());
        let mark = after.as_ref().and_then(|after| self.marks.lost(observed, state, after));
        let is_taken = |of: usize| self.taken[of / WORD] & 1 << (of % WORD) != 0;
        let lost = mark.and_then(|mark| {
            let mut left = (0..self.answered.len()).filter(|of| !is_taken(*of) && *of != self.entries[at].of);
            left.find(|of| self.marks.shown_by(&self.answered[*of]) == Some(mark))
        });
        let lost = lost.map(|of| self.answered[of].shown());
        self.blocked = Some(Blocked { at, state: format!("{state:?}"), order, lost });
    }

    fn explain(&self) -> String {
        let Some(blocked) = &self.blocked else { return "nothing fits".to_owned() };
        let of = self.entries[blocked.at].of;
        let mut why = format!("no order explains\n    {}", self.answered[of].shown());
        let text = "writing to a string does not fail";
        if let Some(lost) = &blocked.lost {
            write!(why, "\nafter which there could not be\n    {lost}").expect(text);
        }
        if !blocked.order.is_empty() {
            write!(why, "\none that explains all that returned before ends with").expect(text);
        }
        for operation in &blocked.order {
            write!(why, "\n    {operation}").expect(text);
        }
        write!(why, "\nand leaves the state {}", blocked.state).expect(text);
        why
    }
}
