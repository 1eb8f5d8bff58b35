//! Lines and claims against models.
mod common;

use std::collections::BTreeMap;

use common::Local;
use proptest::prelude::*;
use synod_sdk::abi::schema::{Schema, StateKind};
use synod_sdk::abi::{EntryPoint, Fault, encode};
use synod_sdk::native::NativeRecipe;
use synod_sdk::prelude::*;

/// A place in line, as a query shows it.
#[data]
struct Place {
    ticket: TicketId,
    priority: u8,
    since: Time,
    data: String,
}

/// Lines, and what sessions claim.
#[recipe(name = "desk", version = 1)]
struct Desk {
    line: Line<String, u32, String>,
    claims: Claims<String, 3>,
}

impl Desk {
    fn place(waiting: synod_sdk::state::Waiting<u32, String>) -> Place {
        let synod_sdk::state::Waiting { ticket, priority, since, data } = waiting;
        Place { ticket: ticket.id(), priority, since, data }
    }
}

#[ops]
impl Desk {
    #[op]
    fn join(&self, cx: &mut Ctx, key: String, priority: u8, data: String) -> TicketId {
        self.line.join_with(cx, &key, priority, &data).id()
    }

    #[op]
    fn serve(&self, cx: &mut Ctx, key: String) -> Option<(Place, u32)> {
        let served = self.line.serve(cx, &key, |cx, _| cx.next_token().0 as u32);
        served.map(|(waiting, result)| (Self::place(waiting), result))
    }

    #[op]
    fn pop(&self, cx: &mut Ctx, key: String) -> Option<Place> {
        let first = self.line.first(cx, &key);
        let popped = self.line.pop_front(cx, &key);
        assert_eq!(first, popped);
        popped.map(Self::place)
    }

    #[op]
    fn remove(&self, cx: &mut Ctx, key: String, ticket: TicketId) -> Option<Place> {
        let there = self.line.get(cx, &key, ticket);
        let removed = self.line.remove(cx, &key, ticket);
        assert_eq!(there, removed);
        removed.map(Self::place)
    }

    #[query]
    fn page(&self, cx: &QueryCtx, key: String, after: Option<(u8, TicketId)>, limit: u32) -> Vec<Place> {
        let page = self.line.page(cx, &key, after, limit as usize);
        page.into_iter().map(Self::place).collect()
    }

    #[query]
    fn counts(&self, cx: &QueryCtx, key: String) -> (u64, bool) {
        (self.line.len(cx, &key), self.line.is_empty(cx, &key))
    }

    #[op]
    fn claim(&self, cx: &mut Ctx, session: SessionId, what: String) -> (bool, TicketId) {
        let call = cx.ticket::<()>().id();
        (self.claims.add(cx, session, call, &what), call)
    }

    #[op]
    fn reclaim(&self, cx: &mut Ctx, session: SessionId, call: TicketId, what: String) -> bool {
        self.claims.add(cx, session, call, &what)
    }

    #[op]
    fn unclaim(&self, cx: &mut Ctx, session: SessionId, call: TicketId) -> Option<String> {
        self.claims.remove(cx, session, call)
    }

    #[query]
    fn claimed(&self, cx: &QueryCtx, session: SessionId) -> (Vec<(TicketId, String)>, u32, bool) {
        let claims = self.claims.of(cx, session);
        (claims, self.claims.len(cx, session) as u32, self.claims.is_empty(cx, session))
    }

    #[on_session_end]
    fn ended(&self, cx: &mut Ctx, session: SessionId) {
        for (_, what) in self.claims.release(cx, session) {
            self.line.pop_front(cx, &what);
        }
    }
}

/// Those in one line, by their order.
type Modelled = BTreeMap<(u8, u64), String>;

fn places(line: &Modelled) -> Vec<(u8, u64, String)> {
    line.iter().map(|((behind, ticket), data)| (u8::MAX - behind, *ticket, data.clone())).collect()
}

fn shown(page: Vec<Place>) -> Vec<(u8, u64, String)> {
    page.into_iter().map(|place| (place.priority, place.ticket.0, place.data)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_line_serves_by_priority_and_then_by_age(
        steps in prop::collection::vec((0u8..6, "[ab]", 0u8..3, any::<usize>()), 0..80),
        limit in 0usize..12,
    ) {
        let space = Local::<Desk>::new(4);
        let desk = Desk::blocking(&space, "s");
        let mut lines: BTreeMap<String, Modelled> = BTreeMap::new();
        for (step, key, priority, n) in steps {
            let line = lines.entry(key.clone()).or_default();
            let at = line.keys().nth(n % line.len().max(1)).copied();
            match step {
                0..=2 => {
                    let ticket = desk.join(key.as_str(), priority, format!("{n}")).unwrap();
                    line.insert((u8::MAX - priority, ticket.0), format!("{n}"));
                }
                3 => {
                    let first = line.pop_first().map(|((_, ticket), _)| ticket);
                    let popped = desk.pop(key.as_str()).unwrap();
                    prop_assert_eq!(popped.map(|place| place.ticket.0), first);
                }
                4 => {
                    let ticket = at.map_or(0, |(_, ticket)| ticket);
                    let removed = desk.remove(key.as_str(), TicketId(ticket)).unwrap();
                    let data = at.and_then(|at| line.remove(&at));
                    prop_assert_eq!(removed.map(|place| place.data), data);
                }
                _ => {
                    let after = at.map(|(behind, ticket)| (u8::MAX - behind, TicketId(ticket)));
                    let page = desk.page(key.as_str(), after, limit as u32).unwrap();
                    let behind = places(line).into_iter().skip(at.map_or(0, |at| line.range(..=at).count()));
                    prop_assert_eq!(shown(page), behind.take(limit).collect::<Vec<_>>());
                }
            }
            prop_assert_eq!(shown(desk.page(key.as_str(), None, 100).unwrap()), places(line));
            prop_assert_eq!(desk.counts(key.as_str()).unwrap(), (line.len() as u64, line.is_empty()));
        }
        let left: usize = lines.values().map(BTreeMap::len).sum();
        let heads = lines.values().filter(|line| !line.is_empty()).count();
        prop_assert_eq!(space.host.borrow().rows.len(), left + heads);
    }
}

#[test]
fn serving_passes_over_calls_that_do_not_wait_any_more() {
    let space = Local::<Desk>::new(4);
    let desk = Desk::blocking(&space, "s");
    let tickets: Vec<_> = (0..4).map(|n| desk.join("a", 0, format!("{n}")).unwrap()).collect();
    space.host.borrow_mut().record.waiting = vec![tickets[2].0, tickets[3].0];
    let (place, result) = desk.serve("a").unwrap().unwrap();
    assert_eq!((place.ticket, place.since, result), (tickets[2], Time(0), 3), "each got a token of its own");
    assert_eq!(shown(desk.page("a", None, 9).unwrap()), [(0, tickets[3].0, "3".to_owned())]);
    assert_eq!(desk.serve("a").unwrap().map(|(place, _)| place.ticket), Some(tickets[3]));
    assert_eq!((desk.serve("a").unwrap(), desk.serve("b").unwrap()), (None, None));
    assert!(space.host.borrow().rows.is_empty());
}

#[test]
fn a_session_claims_as_much_as_it_may_and_its_end_releases_all_of_it() {
    let space = Local::<Desk>::new(4);
    let desk = Desk::blocking(&space, "s");
    let (one, two) = (SessionId([1; 16]), SessionId([2; 16]));
    let claims: Vec<_> = ["a", "b", "c"].map(|what| desk.claim(one, what).unwrap()).into();
    assert!(claims.iter().all(|(added, _)| *added));
    assert!(!desk.claim(one, "d").unwrap().0 && desk.claim(two, "d").unwrap().0);
    assert!(desk.reclaim(one, claims[0].1, "a again").unwrap(), "it is the same claim");
    assert_eq!(desk.unclaim(one, claims[1].1).unwrap().as_deref(), Some("b"));
    assert_eq!(desk.unclaim(one, claims[1].1).unwrap(), None);
    let (added, last) = desk.claim(one, "e").unwrap();
    let expected = [(claims[0].1, "a again"), (claims[2].1, "c"), (last, "e")];
    let expected = expected.map(|(call, what)| (call, what.to_owned())).to_vec();
    assert_eq!((added, desk.claimed(one).unwrap()), (true, (expected, 3, false)));
    space.run(EntryPoint::SessionEnd, &encode(&one)).unwrap();
    assert_eq!(desk.claimed(one).unwrap(), (vec![], 0, true));
    assert_eq!(space.host.borrow().rows.len(), 2, "those of the other session");
    space.run(EntryPoint::SessionEnd, &encode(&two)).unwrap();
    assert!(space.host.borrow().rows.is_empty());
}

#[test]
fn rows_that_do_not_decode_end_the_call() {
    let space = Local::<Desk>::new(4);
    let desk = Desk::blocking(&space, "s");
    desk.join("a", 0, "x").unwrap();
    let session = SessionId([1; 16]);
    desk.claim(session, "a").unwrap();
    let corrupt =
        |error: &CallError<_>| matches!(error, CallError::Fault { fault: Some(Fault::CorruptState), .. });
    space.host.borrow_mut().rows.values_mut().for_each(|value| value.push(9));
    assert!(corrupt(&desk.pop("a").expect_err("its line is damaged")));
    assert!(corrupt(&desk.claimed(session).expect_err("its claims are damaged")));
}

#[test]
fn the_schema_names_their_kinds() {
    let schema = Schema::decode(Desk::schema_bytes()).expect("the macros write a valid schema");
    let kinds: Vec<_> = schema.fields.iter().map(|field| field.kind).collect();
    assert_eq!(kinds, [StateKind::Line, StateKind::Claims]);
}
