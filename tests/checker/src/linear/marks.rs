//! What a history's answers prove by the marks that they show.
//!
//! A mark that only one operation leaves is as good as that operation's name. An answer that shows
//! it proves that the operation took effect, even if its own outcome is unknown; and a step after
//! which it cannot be shown any more leads nowhere while an answer that shows it is left.
use std::collections::HashMap;

use super::search::Observed;
use crate::model::Model;

/// A mark of the history.
struct Mark {
    /// How many operations leave it.
    left: usize,
    /// When the first answer that shows it came.
    shown: Option<u64>,
    /// How many answers show it that have no place in the order yet.
    to_show: usize,
}

/// All marks of a history.
pub(super) struct Marks<'a, M: Model> {
    model: &'a M,
    marks: HashMap<&'a M::Mark, Mark>,
}

impl<'a, M: Model> Marks<'a, M> {
    pub(super) fn new(model: &'a M, observed: &[Observed<'a, M>]) -> Self {
        let mut marks = HashMap::<_, Mark>::new();
        let unknown = || Mark { left: 0, shown: None, to_show: 0 };
        for Observed { input, output, done_by, .. } in observed {
            if let Some(mark) = model.leaves(input) {
                marks.entry(mark).or_insert_with(unknown).left += 1;
            }
            if let Some(mark) = output.and_then(|output| model.shows(output)) {
                let mark = marks.entry(mark).or_insert_with(unknown);
                mark.to_show += 1;
                mark.shown = [mark.shown, *done_by].into_iter().flatten().min();
            }
        }
        Self { model, marks }
    }

    /// Sets when an operation had taken effect, if answers prove that it did.
    pub(super) fn prove(&self, observed: &mut Observed<'a, M>) {
        let mark = self.model.leaves(observed.input).and_then(|mark| self.marks.get(mark));
        let shown = mark.filter(|mark| mark.left == 1).and_then(|mark| mark.shown);
        if let (None, Some(by)) = (observed.done_by, shown) {
            observed.done_by = Some(observed.invoked.max(by));
        }
    }

    /// Whether either of two unknown operations can stand in for the other.
    pub(super) fn are_alike(&self, one: &M::Input, other: &M::Input) -> bool {
        let is_hidden = |input| {
            let mark = self.model.leaves(input).and_then(|mark| self.marks.get(mark));
            mark.is_none_or(|mark| mark.shown.is_none())
        };
        one == other || (is_hidden(one) && is_hidden(other) && self.model.are_alike(one, other))
    }

    /// An answer gets its place in the order.
    pub(super) fn take(&mut self, observed: &Observed<'a, M>) {
        if let Some(mark) = self.shown_by(observed).and_then(|mark| self.marks.get_mut(mark)) {
            mark.to_show -= 1;
        }
    }

    /// It loses it again.
    pub(super) fn put_back(&mut self, observed: &Observed<'a, M>) {
        if let Some(mark) = self.shown_by(observed).and_then(|mark| self.marks.get_mut(mark)) {
            mark.to_show += 1;
        }
    }

    /// The mark that this step of `observed` would lose for good while another answer that shows it
    /// is left.
    pub(super) fn lost<'s>(
        &self,
        observed: &Observed<'a, M>,
        before: &'s M::State,
        after: &M::State,
    ) -> Option<&'s M::Mark> {
        let lost = self.model.loses(before, after)?;
        let mark = self.marks.get(lost)?;
        let its_own = usize::from(self.shown_by(observed) == Some(lost));
        (mark.left == 1 && mark.to_show > its_own).then_some(lost)
    }

    pub(super) fn shown_by(&self, observed: &Observed<'a, M>) -> Option<&'a M::Mark> {
        observed.output.and_then(|output| self.model.shows(output))
    }
}
