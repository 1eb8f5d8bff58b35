//! Calls that wait in line, by priority and then in the order in which they came.
//!
//! A line that has calls has a row, under its key alone, with a cursor for each priority in use: no
//! waiting call is before it. Whatever looks for the next call starts there, and never steps over
//! the calls that were served before. A call that left from the middle is passed once.
//!
//! It keeps places, and knows nothing of the calls themselves: who gives up is taken out by the
//! recipe's `#[on_cancel]` and `#[on_session_end]`, see [`Claims`](super::Claims).
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use synod_abi::schema::StateKind;
use synod_abi::{Direction, Key, OwnedKey, Shape, Shaped, TicketId, Time, decode};

use super::scan::Scan;
use super::{StateField, behind, read, row_key, write};
use crate::{Ctx, QueryCtx, Ticket};

/// A call in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<R, D> {
    /// By which it is answered.
    pub ticket: Ticket<R>,
    /// Calls of higher priority are before it.
    pub priority: u8,
    /// When it joined the line.
    pub since: Time,
    /// What it joined with.
    pub data: D,
}

/// Where the calls of one priority stand.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Class {
    priority: u8,
    /// No call of the class has a smaller ticket.
    cursor: TicketId,
    /// How many calls there are.
    calls: u32,
}

/// Calls that wait for an `R`, one line per key; for a single one let the key be `()`. With each
/// call lies a `D`, such as who made it.
///
/// ```
/// use synod_sdk::prelude::*;
///
/// /// Hands out desks: whoever waits longest gets the next.
/// #[recipe(name = "desks", version = 1)]
/// pub struct Desks {
///     free: Queue<(), u32>,
///     line: Line<(), u32, String>,
/// }
///
/// #[ops]
/// impl Desks {
///     /// Takes a desk, and waits for it if none is free.
///     #[op]
///     fn take(&self, cx: &mut Ctx, who: String) -> Reply<u32> {
///         match self.free.pop_front(cx, &()) {
///             Some(desk) => Reply::Now(desk),
///             None => Reply::Later(self.line.join(cx, &(), &who)),
///         }
///     }
///
///     /// Gives a desk back: to the next in line, if somebody waits.
///     #[op]
///     fn give(&self, cx: &mut Ctx, desk: u32) {
///         if self.line.serve(cx, &(), |_, _| desk).is_none() {
///             self.free.push_back(cx, &(), &desk);
///         }
///     }
///
///     /// Who gives up leaves the line.
///     #[on_cancel]
///     fn cancelled(&self, cx: &mut Ctx, ticket: TicketId, _granted: bool) {
///         self.line.remove(cx, &(), ticket);
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Line<K, R, D> {
    prefix: u32,
    row: PhantomData<Row<K, R, D>>,
}

/// What the rows of a line are about.
type Row<K, R, D> = fn() -> (K, R, D);

impl<K: Key, R, D: Shaped> StateField for Line<K, R, D> {
    const KIND: StateKind = StateKind::Line;
    const KEY: Shape = K::SHAPE;
    const VALUE: Shape = D::SHAPE;
}

impl<K: OwnedKey, R: Serialize, D: Shaped + Serialize + DeserializeOwned> Line<K, R, D> {
    #[doc(hidden)]
    pub const fn at(prefix: u32) -> Self {
        Self { prefix, row: PhantomData }
    }

    /// Puts this call at the end of the line. The ticket that is returned is what it is to wait
    /// with: `Reply::Later(ticket)`.
    pub fn join<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q, data: &D) -> Ticket<R>
    where
        K: Borrow<Q>,
    {
        self.join_with(cx, key, 0, data)
    }

    /// Puts this call behind all of its priority, and before all of lower ones.
    pub fn join_with<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q, priority: u8, data: &D) -> Ticket<R>
    where
        K: Borrow<Q>,
    {
        let ticket = cx.ticket();
        self.join_by(cx, key, priority, ticket, data);
        ticket
    }

    /// The same by a ticket of this call: one that waits in several lines has
    /// [another one](Ctx::another_ticket) for each.
    pub fn join_by<Q: Key + ?Sized>(
        &self,
        cx: &mut Ctx<'_>,
        key: &Q,
        priority: u8,
        ticket: Ticket<R>,
        data: &D,
    ) where
        K: Borrow<Q>,
    {
        let mut classes = self.classes(cx, key);
        match classes.binary_search_by(|class| priority.cmp(&class.priority)) {
            Ok(at) => classes[at].calls += 1,
            Err(at) => classes.insert(at, Class { priority, cursor: ticket.id(), calls: 1 }),
        }
        self.set_classes(cx, key, &classes);
        write(cx, &self.place_key(key, priority, ticket.id()), &(cx.now(), data));
    }

    /// The first call in line.
    pub fn first<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q) -> Option<Waiting<R, D>>
    where
        K: Borrow<Q>,
    {
        self.classes(cx, key).first().map(|class| self.first_of(cx, key, class))
    }

    /// Takes the first call out of the line.
    pub fn pop_front<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q) -> Option<Waiting<R, D>>
    where
        K: Borrow<Q>,
    {
        let mut classes = self.classes(cx, key);
        let first = self.first_of(cx, key, classes.first()?);
        classes[0].cursor = first.ticket.id().next();
        self.take(cx, key, classes, 0, first.ticket.id());
        Some(first)
    }

    /// Answers the first call that still waits with what `grant` makes for it, and returns both.
    /// The call, and those before it that do not wait any more, leave the line. `grant` runs for
    /// each of these: nobody has what it made for a call that did not wait.
    pub fn serve<Q: Key + ?Sized>(
        &self,
        cx: &mut Ctx<'_>,
        key: &Q,
        mut grant: impl FnMut(&mut Ctx<'_>, &Waiting<R, D>) -> R,
    ) -> Option<(Waiting<R, D>, R)>
    where
        K: Borrow<Q>,
    {
        while let Some(first) = self.pop_front(cx, key) {
            let granted = grant(cx, &first);
            if cx.complete(first.ticket, &granted) {
                return Some((first, granted));
            }
        }
        None
    }

    /// The call with this ticket.
    pub fn get<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q, ticket: TicketId) -> Option<Waiting<R, D>>
    where
        K: Borrow<Q>,
    {
        self.find(cx, key, &self.classes(cx, key), ticket).map(|(_, waiting)| waiting)
    }

    /// Takes the call with this ticket out of the line, wherever it stands.
    pub fn remove<Q: Key + ?Sized>(
        &self,
        cx: &mut Ctx<'_>,
        key: &Q,
        ticket: TicketId,
    ) -> Option<Waiting<R, D>>
    where
        K: Borrow<Q>,
    {
        let mut classes = self.classes(cx, key);
        let (at, waiting) = self.find(cx, key, &classes, ticket)?;
        if classes[at].cursor == ticket {
            classes[at].cursor = ticket.next();
        }
        self.take(cx, key, classes, at, ticket);
        Some(waiting)
    }

    /// At most `limit` calls, first to last; those behind the call `after`, its priority and
    /// ticket, if there is one.
    pub fn page<Q: Key + ?Sized>(
        &self,
        cx: &QueryCtx<'_>,
        key: &Q,
        after: Option<(u8, TicketId)>,
        limit: usize,
    ) -> Vec<Waiting<R, D>>
    where
        K: Borrow<Q>,
    {
        let mut page = Vec::new();
        let behind_it = |class: &Class| after.is_none_or(|(priority, _)| class.priority <= priority);
        for class in self.classes(cx, key).iter().filter(|class| behind_it(class)) {
            let left = limit - page.len();
            let from = match after {
                Some((priority, after)) if priority == class.priority => class.cursor.max(after.next()),
                _ => class.cursor,
            };
            page.extend(self.places(cx, key, class.priority, from, left).take(left));
        }
        page
    }

    /// The number of calls in line; reads one row.
    pub fn len<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q) -> u64
    where
        K: Borrow<Q>,
    {
        self.classes(cx, key).iter().map(|class| u64::from(class.calls)).sum()
    }

    /// Whether nobody is in line.
    pub fn is_empty<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.classes(cx, key).is_empty()
    }

    fn first_of<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q, class: &Class) -> Waiting<R, D> {
        let mut places = self.places(cx, key, class.priority, class.cursor, 1);
        places.next().unwrap_or_else(|| cx.host.corrupt("line"))
    }

    /// The call with a ticket, and the class that it is in.
    fn find<Q: Key + ?Sized>(
        &self,
        cx: &QueryCtx<'_>,
        key: &Q,
        classes: &[Class],
        ticket: TicketId,
    ) -> Option<(usize, Waiting<R, D>)> {
        let mut may_have = classes.iter().enumerate().filter(|(_, class)| class.cursor <= ticket);
        may_have.find_map(|(at, class)| {
            let (since, data) = read(cx, self.place_key(key, class.priority, ticket), "place in a line")?;
            Some((at, Waiting { ticket: Ticket::of(ticket), priority: class.priority, since, data }))
        })
    }

    /// Takes away the place of a call of the class `at`, and keeps the classes.
    fn take<Q: Key + ?Sized>(
        &self,
        cx: &mut Ctx<'_>,
        key: &Q,
        mut classes: Vec<Class>,
        at: usize,
        ticket: TicketId,
    ) {
        cx.delete(&self.place_key(key, classes[at].priority, ticket));
        classes[at].calls -= 1;
        if classes[at].calls == 0 {
            classes.remove(at);
        }
        self.set_classes(cx, key, &classes);
    }

    fn places<'c, 'h, Q: Key + ?Sized>(
        &self,
        cx: &'c QueryCtx<'h>,
        key: &Q,
        priority: u8,
        from: TicketId,
        rows: usize,
    ) -> Places<'c, 'h, R, D> {
        let (from, to) = (self.place_key(key, priority, from), behind(self.class_key(key, priority)));
        let scan = Scan::new(cx, from, to, Direction::Forward).at_most(rows);
        Places { scan, priority, call: PhantomData }
    }

    fn classes<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q) -> Vec<Class> {
        read(cx, row_key(self.prefix, key), "line").unwrap_or_default()
    }

    fn set_classes<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q, classes: &[Class]) {
        let row = row_key(self.prefix, key);
        if classes.is_empty() { cx.delete(&row) } else { write(cx, &row, &classes) }
    }

    fn class_key<Q: Key + ?Sized>(&self, key: &Q, priority: u8) -> Vec<u8> {
        let mut row = row_key(self.prefix, key);
        row.push(u8::MAX - priority);
        row
    }

    fn place_key<Q: Key + ?Sized>(&self, key: &Q, priority: u8, ticket: TicketId) -> Vec<u8> {
        let mut row = self.class_key(key, priority);
        ticket.encode_key(&mut row);
        row
    }
}

/// The calls of one priority.
struct Places<'c, 'h, R, D> {
    scan: Scan<'c, 'h>,
    priority: u8,
    call: PhantomData<fn() -> (R, D)>,
}

impl<R, D: DeserializeOwned> Iterator for Places<'_, '_, R, D> {
    type Item = Waiting<R, D>;

    fn next(&mut self) -> Option<Waiting<R, D>> {
        let cx = self.scan.cx();
        let (key, place) = self.scan.next()?;
        match (ticket_of(key), decode(place)) {
            (Some(ticket), Ok((since, data))) => {
                Some(Waiting { ticket: Ticket::of(ticket), priority: self.priority, since, data })
            }
            _ => cx.host.corrupt("place in a line"),
        }
    }
}

fn ticket_of(key: &[u8]) -> Option<TicketId> {
    let mut ticket: &[u8] = key.last_chunk::<8>()?;
    TicketId::decode_key(&mut ticket).ok()
}
