//! What a command's host calls act on: the overlay over committed rows, and the budgets of the
//! call.
//!
//! It is lent to the [`Vm`](crate::Vm) by value and comes back, so it is one pointer wide. A
//! query's draft is the same thing with writing refused and nothing kept. A failing store ends the
//! call; the failure is taken out afterwards and stops the member.
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use synod_abi::{Access, Direction, EntryPoint, OperationId, Revision, SpaceId, Time, limits};

use crate::draft::budget::Budget;
use crate::draft::effects::{Effects, LogLine};
use crate::draft::emission::{EmissionMark, Emissions};
use crate::draft::numbers::Numbers;
use crate::ports::{Fatal, RangeLimit, Row, StateView, Table};
use crate::rows::codec::decode;
use crate::rows::counts::Counts;
use crate::rows::overlay::{Overlay, Range, Savepoint};

/// Bytes of a space's id in front of its rows' keys.
pub(crate) const SPACE_BYTES: usize = 4;
/// A point that a draft can return to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    rows: Savepoint,
    numbers: Numbers,
    completions: usize,
    changes: usize,
    emissions: EmissionMark,
}

#[derive(Debug)]
pub(super) struct Inner<S> {
    pub(super) view: S,
    pub(super) overlay: Overlay,
    pub(super) space: SpaceId,
    pub(super) entry_point: EntryPoint,
    pub(super) access: Access,
    pub(super) budget: Budget,
    pub(super) numbers: Numbers,
    pub(super) revision: Revision,
    pub(super) time: Time,
    pub(super) fatal: Option<Fatal>,
    pub(super) effects: Effects,
    pub(super) emissions: Emissions,
    pub(super) written_before: usize,
    pub(super) work_before: u64,
    pub(super) key: Vec<u8>,
}

/// The rows that a call sees, and what it may still do.
#[derive(Debug)]
pub struct Draft<S>(pub(super) Box<Inner<S>>);

impl<S: StateView> Draft<S> {
    /// For the commands of an entry.
    pub(crate) fn for_entry(view: S, numbers: Numbers) -> Self {
        Self::new(view, SpaceId(0), Access::Write, numbers)
    }

    /// For a query of `space`, with the budgets of a call: every writing host call is a
    /// [`BadHostCall`](synod_abi::Fault::BadHostCall).
    pub fn for_query(view: S, space: SpaceId, query: OperationId) -> Self {
        let mut draft = Self::new(view, space, Access::Read, Numbers::default());
        draft.begin_call(space, EntryPoint::Query(query), limits::CALL_FUEL);
        draft
    }

    fn new(view: S, space: SpaceId, access: Access, numbers: Numbers) -> Self {
        Self(Box::new(Inner {
            view,
            overlay: Overlay::default(),
            space,
            entry_point: EntryPoint::Event,
            access,
            budget: Budget::default(),
            numbers,
            revision: Revision(0),
            time: Time(0),
            fatal: None,
            effects: Effects::default(),
            emissions: Emissions::default(),
            written_before: 0,
            work_before: 0,
            key: Vec::with_capacity(SPACE_BYTES + 64),
        }))
    }

    /// Begins a command, which takes `revision` unless it is rejected.
    pub(crate) fn begin_command(&mut self, revision: Revision, time: Time) {
        self.0.revision = revision;
        self.0.time = time;
        self.0.written_before = self.0.overlay.written_bytes();
        self.0.work_before = self.0.overlay.work();
        self.0.emissions.begin_command(self.0.numbers.counts.bindings > 0);
    }

    /// Revision of the command.
    pub(crate) fn revision(&self) -> Revision {
        self.0.revision
    }

    /// Time of the entry.
    pub(crate) fn time(&self) -> Time {
        self.0.time
    }

    /// Begins a cause: nothing of the budget that it shares with its deliveries is used.
    pub(crate) fn begin_cause(&mut self) {
        self.0.budget.begin_cause();
        self.0.emissions.begin_cause();
    }

    /// Begins a call in `space` on `fuel`, with its other budgets full.
    pub(crate) fn begin_call(&mut self, space: SpaceId, entry_point: EntryPoint, fuel: u64) {
        self.0.space = space;
        self.0.entry_point = entry_point;
        self.0.budget.begin_call(fuel);
    }

    /// The store's failure, if one ended the call.
    ///
    /// # Errors
    /// That failure.
    pub fn check(&mut self) -> Result<(), Fatal> {
        self.0.fatal.take().map_or(Ok(()), Err)
    }

    /// The lines that were logged, for people.
    pub fn take_logs(&mut self) -> Vec<LogLine> {
        core::mem::take(&mut self.0.effects.logs)
    }

    pub(crate) fn overlay(&mut self) -> &mut Overlay {
        &mut self.0.overlay
    }

    pub(crate) fn effects(&mut self) -> &mut Effects {
        &mut self.0.effects
    }

    pub(crate) fn counts(&mut self) -> &mut Counts {
        &mut self.0.numbers.counts
    }

    pub(crate) fn numbers(&mut self) -> &mut Numbers {
        &mut self.0.numbers
    }

    pub(crate) fn emissions(&mut self) -> &mut Emissions {
        &mut self.0.emissions
    }

    /// The row of `key`, kept for the rest of the entry.
    pub(crate) fn row(&mut self, table: Table, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, Fatal> {
        let this = &mut *self.0;
        this.overlay.get(&this.view, table, key)
    }

    /// The row of `key`, decoded; `what` names it if it is damaged.
    pub(crate) fn read<T: DeserializeOwned>(
        &mut self,
        table: Table,
        key: &[u8],
        what: &str,
    ) -> Result<Option<T>, Fatal> {
        self.row(table, key)?.map(|bytes| decode(&bytes, what)).transpose()
    }

    pub(crate) fn written_bytes(&self) -> usize {
        self.0.overlay.written_bytes()
    }

    /// What the command has written.
    pub(crate) fn written_by_command(&self) -> usize {
        self.written_bytes() - self.0.written_before
    }

    /// What the command's rows cost the entry: those that it touched, and deleted ones that its
    /// ranges passed. What was rolled back counts.
    pub(crate) fn work_of_command(&self) -> u64 {
        self.0.overlay.work() - self.0.work_before
    }

    /// A point to return to. Points may be nested.
    pub(crate) fn savepoint(&self) -> Mark {
        let Inner { overlay, numbers, effects, emissions, .. } = &*self.0;
        Mark {
            rows: overlay.savepoint(),
            numbers: *numbers,
            completions: effects.completions.len(),
            changes: effects.sessions.len(),
            emissions: emissions.mark(),
        }
    }

    /// Whether something was written, drawn, completed or sent since `mark`.
    pub(crate) fn changed_since(&self, mark: &Mark) -> bool {
        self.0.overlay.wrote_since(mark.rows)
            || self.0.numbers != mark.numbers
            || self.0.emissions.queued_since(mark.emissions)
    }

    /// Calls that were completed since `mark`.
    pub(crate) fn completed_since(&self, mark: &Mark) -> bool {
        self.0.effects.completions.len() > mark.completions
    }

    /// Returns to `mark`; lines for people stay.
    pub(crate) fn rollback(&mut self, mark: &Mark) {
        self.0.overlay.rollback(mark.rows);
        self.0.numbers = mark.numbers;
        self.0.effects.completions.truncate(mark.completions);
        self.0.effects.sessions.truncate(mark.changes);
        self.0.emissions.rollback(mark.emissions);
    }

    /// Gives up returning to `mark`, and appends what was written since to a transcript.
    pub(crate) fn release(&mut self, mark: &Mark, transcript: &mut Vec<u8>) {
        self.0.overlay.release(mark.rows, transcript);
    }

    /// The overlay, the view under it, and what else the entry did.
    pub(crate) fn into_parts(self) -> (Overlay, S, Effects, Emissions) {
        (self.0.overlay, self.0.view, self.0.effects, self.0.emissions)
    }
}

/// Rows with the changes of the entry so far.
impl<S: StateView> StateView for Draft<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        self.0.overlay.peek(&self.0.view, table, key)
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: RangeLimit,
    ) -> Result<(Vec<Row>, bool), Fatal> {
        let mut rows: Vec<Row> = Vec::new();
        let mut bytes = 0;
        let wanted = Range { table, from, to, direction, limit };
        let keep = |key: &[u8], value: &[u8]| {
            let size = key.len() + value.len();
            let fits = rows.is_empty() || (rows.len() < limit.rows && bytes + size <= limit.bytes);
            if fits {
                bytes += size;
                rows.push((key.to_vec(), value.to_vec()));
            }
            fits
        };
        let more = self.0.overlay.range(&self.0.view, wanted, keep)?;
        Ok((rows, more))
    }
}
