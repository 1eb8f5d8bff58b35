//! Random clients: sessions that call, retry, acknowledge, wait, cancel and end, over spaces that
//! come and go, emit, send, react to each other's events, and forget them.
//!
//! Each command is made against the state that the ones before it led to, one an entry; the same
//! commands in larger entries, with and without restarts, must mean the same. Every entry is
//! checked against a recount of its rows, see [`Member::commands`].
use std::collections::BTreeSet;

use proptest::prelude::*;
use synod_abi::{Fault, RequestId, SessionId, SpaceId, Time, limits};

use crate::testing::*;
use crate::*;

/// What one client or the cluster does next; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Deed {
    Open(u8),
    End(u8, EndCause),
    Call {
        client: u8,
        space: u32,
        what: What,
        acknowledge: u64,
        single: u64,
        after: Option<u64>,
        wait_ms: Option<u64>,
    },
    Retry {
        client: u8,
        back: usize,
        change: bool,
    },
    Cancel {
        client: u8,
        back: u64,
    },
    Plain {
        space: u32,
        what: What,
    },
    Tick,
    Advance(u64),
    Create(u32),
    Delete(u32),
    Bind {
        handler: usize,
        source: usize,
        filter: usize,
        on_failure: OnFailure,
    },
    Unbind {
        handler: usize,
        source: usize,
        filter: usize,
    },
    Compact {
        space: u32,
        back: u64,
    },
    Retain {
        space: usize,
        events: u64,
    },
    /// Settles one of the hooks that were owed last.
    Settle {
        space: usize,
        back: u64,
        how: Settling,
    },
    Replace(bool),
}

const SPACES: [&str; 4] = ["a", "b", "c", "none"];
const FILTERS: [&str; 4] = ["", "x", "x*", "y/"];
const TOPICS: [&str; 4] = ["x", "xy", "y/z", ""];
/// Rows that say what hooks do.
const HOOKS: [&str; 3] = ["at event", "at end", "at cancel"];

#[derive(Clone, Debug)]
enum What {
    Read,
    Wait,
    Now,
    Grant(u32),
    Complete(u64),
    Token,
    Timer(u64, bool),
    CancelTimer(u64),
    Refuse,
    Fault,
    WaitAndGrant,
    Emit { topic: usize, then: Then },
    Send { to: usize, then: Then },
    React { hook: usize, then: Vec<Then> },
}

/// What comes of an event, or is sent.
#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Emit(usize),
    EmitMany(u32),
    SendEmit { to: usize, topic: usize },
    Grant(u32),
    Wait,
    Token,
    Refuse,
    Fault,
}

impl Then {
    fn steps(self) -> Vec<Step> {
        match self {
            Self::Nothing => vec![],
            Self::Emit(topic) => vec![put("k", "emits"), emit(TOPICS[topic], "then")],
            Self::EmitMany(count) => vec![times(count, emit("x", "many"))],
            Self::SendEmit { to, topic } => vec![send(SPACES[to], &[emit(TOPICS[topic], "sent")])],
            Self::Grant(count) => vec![Step::Grant(count)],
            Self::Wait => vec![Step::Wait],
            Self::Token => vec![Step::Token, put("k", "token")],
            Self::Refuse => vec![emit("x", "refused"), put("k", "refused"), Step::Refuse(1)],
            Self::Fault => vec![emit("x", "lost"), Step::Grant(1), Step::Token, Step::Fault(Fault::Trap)],
        }
    }
}

/// A space by its place in [`SPACES`], seldom the one that is never there.
fn named() -> impl Strategy<Value = usize> {
    prop_oneof![12 => 0..3_usize, 1 => Just(3_usize)]
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![
        4 => Just(Then::Nothing),
        4 => (0..TOPICS.len() - 1).prop_map(Then::Emit),
        1 => Just(Then::Emit(TOPICS.len() - 1)),
        1 => (1..600_u32).prop_map(Then::EmitMany),
        3 => (named(), 0..TOPICS.len() - 1).prop_map(|(to, topic)| Then::SendEmit { to, topic }),
        3 => (1..3_u32).prop_map(Then::Grant),
        1 => Just(Then::Wait),
        2 => Just(Then::Token),
        1 => Just(Then::Refuse),
        1 => Just(Then::Fault),
    ]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        2 => Just(What::Read),
        4 => Just(What::Wait),
        2 => Just(What::Now),
        3 => (1..4_u32).prop_map(What::Grant),
        1 => (0..12_u64).prop_map(What::Complete),
        1 => Just(What::Token),
        2 => (0..40_u64, any::<bool>()).prop_map(|(ms, fails)| What::Timer(ms, fails)),
        1 => (1..12_u64).prop_map(What::CancelTimer),
        1 => Just(What::Refuse),
        1 => Just(What::Fault),
        1 => Just(What::WaitAndGrant),
        6 => (0..TOPICS.len() - 1, then()).prop_map(|(topic, then)| What::Emit { topic, then }),
        3 => (named(), then()).prop_map(|(to, then)| What::Send { to, then }),
        6 => (prop::sample::select(vec![0, 0, 0, 1, 2]), prop::collection::vec(then(), 0..3))
            .prop_map(|(hook, then)| What::React { hook, then }),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    let client = || 0..3_u8;
    let space = || 1..4_u32;
    let cause = prop::sample::select(vec![EndCause::Closed, EndCause::Expired]);
    let on_failure = prop::sample::select(vec![OnFailure::Reject, OnFailure::Skip]);
    let settling = prop::sample::select(vec![Settling::Run, Settling::Drop]);
    let call = (
        client(),
        space(),
        what(),
        0..50_u64,
        0..6_u64,
        prop::option::weighted(0.3, 0..3_u64),
        prop::option::of(0..30_u64),
    );
    let bind = (named(), named(), any::<bool>(), 0..4_usize, on_failure);
    let bind = bind.prop_map(|(one, other, ordered, filter, on_failure)| {
        let (handler, source) = if ordered { (one.max(other), one.min(other)) } else { (one, other) };
        Deed::Bind { handler, source, filter, on_failure }
    });
    prop_oneof![
        3 => client().prop_map(Deed::Open),
        1 => (client(), cause).prop_map(|(client, cause)| Deed::End(client, cause)),
        24 => call.prop_map(|(client, space, what, acknowledge, single, after, wait_ms)| {
            Deed::Call { client, space, what, acknowledge, single, after, wait_ms }
        }),
        8 => (client(), 0..8_usize, prop::bool::weighted(0.1))
            .prop_map(|(client, back, change)| Deed::Retry { client, back, change }),
        5 => (client(), 0..6_u64).prop_map(|(client, back)| Deed::Cancel { client, back }),
        5 => (space(), what()).prop_map(|(space, what)| Deed::Plain { space, what }),
        4 => Just(Deed::Tick),
        3 => (1..20_u64).prop_map(Deed::Advance),
        1 => (500..3_000_u64).prop_map(Deed::Advance),
        2 => (named(), 0..4_u64, settling).prop_map(|(space, back, how)| Deed::Settle { space, back, how }),
        1 => any::<bool>().prop_map(Deed::Replace),
        1 => (1..4_u32).prop_map(Deed::Create),
        6 => bind,
        1 => (named(), named(), 0..4_usize)
            .prop_map(|(handler, source, filter)| Deed::Unbind { handler, source, filter }),
        2 => (space(), 0..9_u64).prop_map(|(space, back)| Deed::Compact { space, back }),
        1 => (named(), prop::sample::select(vec![0, limits::EVENTS_CEILING + 1])).prop_map(|(space, events)| {
            Deed::Retain { space, events }
        }),
        1 => prop::bool::weighted(0.3).prop_map(|delete| if delete { Deed::Delete(2) } else { Deed::Tick }),
    ]
}

/// A client's idea of its session.
#[derive(Clone, Debug, Default)]
struct Client {
    session: Option<SessionId>,
    next: u64,
    sent: Vec<Command>,
}

#[derive(Debug)]
struct World {
    member: Member,
    clients: [Client; 3],
    now: u64,
    log: Vec<(u64, Command)>,
    told: Told,
}

/// Everything that applying told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    outcomes: Vec<Outcome>,
    fuel: Vec<u64>,
    completions: Vec<Completed>,
    sessions: Vec<SessionChange>,
    events: Vec<Emitted>,
}

impl Told {
    fn add(&mut self, applied: Applied) {
        self.fuel.extend(applied.outcomes.iter().map(|outcome| outcome.fuel));
        self.outcomes.extend(applied.outcomes.into_iter().map(|outcome| outcome.outcome));
        self.completions.extend(applied.completions);
        self.sessions.extend(applied.sessions);
        self.events.extend(applied.events);
    }
}

impl World {
    fn new() -> Self {
        let mut member = Member::formed();
        for name in ["b", "c"] {
            member.one(create(name)).unwrap();
        }
        Self { member, clients: Default::default(), now: 0, log: Vec::new(), told: Told::default() }
    }

    fn apply(&mut self, command: Command) {
        self.log.push((self.now, command.clone()));
        self.told.add(self.member.commands(self.now, vec![command]));
    }

    fn steps(&self, what: &What) -> Vec<Step> {
        let revision = self.member.machine.head().revision.0;
        match what {
            What::Read => vec![get("k"), Step::Context],
            What::Wait => vec![Step::Wait],
            What::Now => vec![Step::Now, put("k", "now")],
            What::Grant(count) => vec![Step::Grant(*count)],
            What::Complete(back) => vec![Step::Complete(revision.saturating_sub(*back), "done".into())],
            What::Token => vec![Step::Token, Step::Seed],
            What::Timer(ms, fails) => {
                let end = if *fails { Step::Fault(Fault::Trap) } else { Step::Grant(1) };
                vec![Step::SetTimer(
                    (self.now + ms).saturating_sub(10),
                    synod_abi::encode(&vec![Step::Grant(1), emit("x", "timer"), end]).into(),
                )]
            }
            What::CancelTimer(back) => {
                vec![Step::CancelTimer((self.member.machine.head().last_timer + 1).saturating_sub(*back))]
            }
            What::Refuse => vec![put("k", "refused"), Step::Grant(1), Step::Refuse(1)],
            What::Fault => vec![Step::Grant(2), Step::Fault(Fault::Trap)],
            What::WaitAndGrant => vec![Step::Grant(1), Step::Wait],
            What::Emit { topic, then } => {
                [vec![emit(TOPICS[*topic], "e"), put("k", "e")], then.steps()].concat()
            }
            What::Send { to, then } => vec![send(SPACES[*to], &then.steps()), emit("x", "sends")],
            What::React { hook, then } => {
                let steps: Vec<Step> = then.iter().flat_map(|then| then.steps()).collect();
                vec![when(HOOKS[*hook], &steps)]
            }
        }
    }

    fn perform(&mut self, deed: &Deed) {
        let ran = |session: SessionId, id: u64| Step::Count(format!("ran {session} {id}").as_str().into());
        match deed {
            Deed::Open(client) => {
                self.apply(command(open(*client)));
                if let Some(Ok(Reply::Session { session, already: false, .. })) =
                    self.told.outcomes.last().map(|last| &last.result)
                {
                    self.clients[usize::from(*client)] =
                        Client { session: Some(*session), next: 1, sent: Vec::new() };
                }
            }
            Deed::End(client, cause) => {
                if let Some(session) = self.clients[usize::from(*client)].session {
                    self.apply(command(Action::EndSession { session, cause: *cause }));
                }
            }
            Deed::Call { client, space, what, acknowledge, single, after, wait_ms } => {
                let Client { session: Some(session), next, .. } = self.clients[usize::from(*client)] else {
                    return;
                };
                let request = Request {
                    id: RequestId(next),
                    acknowledged_below: RequestId(if *acknowledge < 5 {
                        next - next.min(*acknowledge)
                    } else {
                        0
                    }),
                    acknowledged: (next.saturating_sub(*single)..next).map(RequestId).collect(),
                    after: after.map(|back| RequestId(next.saturating_sub(back))),
                    wait_ms: *wait_ms,
                };
                let mut steps = vec![ran(session, next)];
                steps.extend(self.steps(what));
                let command = in_session(session, *space, request, &steps);
                let client = &mut self.clients[usize::from(*client)];
                client.next += 1;
                client.sent.push(command.clone());
                self.apply(command);
            }
            Deed::Retry { client, back, change } => {
                let sent = &self.clients[usize::from(*client)].sent;
                let Some(mut command) = sent.iter().rev().nth(*back).cloned() else { return };
                if let (true, Action::SessionCall(call)) = (*change, &mut command.action) {
                    call.call.space.0 = call.call.space.0 % 3 + 1;
                }
                self.apply(command);
            }
            Deed::Cancel { client, back } => {
                let Client { session: Some(session), next, .. } = self.clients[usize::from(*client)] else {
                    return;
                };
                self.apply(cancel(session, (next + 1).saturating_sub(*back)));
            }
            Deed::Plain { space, what } => {
                let steps = self.steps(what);
                self.apply(command(call(*space, &steps)));
            }
            Deed::Tick => self.apply(command(Action::Tick)),
            Deed::Advance(ms) => self.now += ms,
            other => self.administer(other),
        }
    }

    /// What operators do.
    fn administer(&mut self, deed: &Deed) {
        match deed {
            Deed::Create(which) => self.apply(command(create(["a", "b", "c"][*which as usize - 1]))),
            Deed::Bind { handler, source, filter, on_failure } => {
                self.apply(command(bind(SPACES[*handler], SPACES[*source], FILTERS[*filter], *on_failure)));
            }
            Deed::Unbind { handler, source, filter } => {
                self.apply(command(unbind(SPACES[*handler], SPACES[*source], FILTERS[*filter])));
            }
            Deed::Compact { space, back } => {
                let revision = self.member.machine.head().revision.0 + 1;
                self.apply(command(compact(*space, revision.saturating_sub(*back))));
            }
            Deed::Retain { space: of, events } => {
                let retention = EventRetention { events: *events, ..EventRetention::default() };
                self.apply(command(Action::SetEventRetention { name: space(SPACES[*of]), retention }));
            }
            Deed::Settle { space: of, back, how } => {
                let number = self.member.machine.head().last_owed.saturating_sub(*back);
                self.settle(*of, number, *how);
            }
            Deed::Replace(documented) => {
                let module = if *documented { SCRIPT_1_DOCS } else { SCRIPT_1 };
                self.apply(command(Action::InstallRecipe { module: module.into(), replace: true }));
            }
            Deed::Delete(which) => {
                self.apply(command(Action::DeleteSpace { name: space(["a", "b", "c"][*which as usize - 1]) }))
            }
            _ => unreachable!("clients and the cluster do it"),
        }
    }

    fn settle(&mut self, of: usize, number: u64, how: Settling) {
        self.apply(command(Action::SettleHook { name: space(SPACES[of]), number, how }));
    }

    fn tick_while_due(&mut self) {
        while self.member.machine.next_due.first().is_some_and(|due| due.0 <= self.now) {
            self.perform(&Deed::Tick);
        }
    }

    /// Ends what is left, and fires every timer.
    fn end(&mut self) {
        for client in 0..3 {
            self.perform(&Deed::End(client, EndCause::Expired));
        }
        let sessions = self.member.counts();
        assert_eq!((sessions.0, sessions.1, sessions.2), (0, 0, 0), "sessions, requests, waiting calls");
        self.now += 1_000;
        self.tick_while_due();
        for (of, id) in (1..4_u32).enumerate() {
            let owed = owed::owed_hooks(&self.member.state, SpaceId(id), None, 1_000).unwrap();
            owed.items.iter().for_each(|owed| self.settle(of, owed.number, Settling::Drop));
        }
        assert_eq!((self.member.machine.next_due.first(), self.member.machine.head().counts.owed), (None, 0));
        assert_eq!(self.member.counts(), (0, 0, 0, 0));
        assert_eq!(self.member.state.rows(Table::Sessions).count(), 0);
    }

    fn check(&self) {
        for (key, value) in self.member.state.rows(Table::State) {
            assert!(!key[4..].starts_with(b"ran ") || value == [1], "a request ran {value:?} times");
        }
        let completed: BTreeSet<_> =
            self.told.completions.iter().map(|done| (done.session, done.request)).collect();
        assert_eq!(completed.len(), self.told.completions.len(), "a call is completed once");
        let places: BTreeSet<_> =
            self.told.events.iter().map(|event| (event.space, event.revision, event.number)).collect();
        assert_eq!(places.len(), self.told.events.len(), "an event has a place of its own");
        let parked = self.log.iter().zip(&self.told.outcomes).filter_map(|((_, command), outcome)| {
            match (&command.action, &outcome.result) {
                (Action::SessionCall(call), Ok(Reply::Parked { .. })) => {
                    Some((command.caller.session.unwrap(), call.request.id))
                }
                _ => None,
            }
        });
        assert_eq!(parked.collect::<BTreeSet<_>>(), completed, "every parked call is completed");
        let heard = (1..4).map(|space| self.member.heard(space)).collect::<String>();
        let fired = heard.lines().filter_map(|line| line.strip_prefix("timer ")?.split(' ').next());
        let fired: Vec<u64> = fired.map(|timer| timer.parse().unwrap()).collect();
        let once: BTreeSet<_> = fired.iter().collect();
        assert_eq!(once.len(), fired.len(), "a timer has its effect once, however often it is tried");
    }
}

/// The same commands, as many as `of` an entry, as long as time stands still.
fn in_batches(log: &[(u64, Command)], of: usize, restarts: bool) -> (Told, Member) {
    let World { mut member, mut told, .. } = World::new();
    for of_one_time in log.chunk_by(|(a, _), (b, _)| a == b) {
        for batch in of_one_time.chunks(of) {
            told.add(member.commands(batch[0].0, batch.iter().map(|(_, command)| command.clone()).collect()));
            if restarts {
                member.restart();
            }
        }
    }
    (told, member)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn commands_mean_the_same_in_every_batch_and_leave_nothing(
        deeds in prop::collection::vec(deed(), 1..150),
    ) {
        let mut world = World::new();
        deeds.iter().for_each(|deed| world.perform(deed));
        world.end();
        world.check();
        for (of, restarts) in [(32, false), (5, true)] {
            let (told, member) = in_batches(&world.log, of, restarts);
            prop_assert_eq!(&told, &world.told);
            prop_assert_eq!(member.machine.head().state_digest(), world.member.machine.head().state_digest());
        }
    }
}

#[test]
fn time_that_stands_still_fires_nothing_early() {
    let mut world = World::new();
    world.now = 50;
    world.perform(&Deed::Plain { space: 1, what: What::Timer(11, false) });
    world.perform(&Deed::Tick);
    assert_eq!(
        (world.member.machine.next_due.first(), world.member.heard(1)),
        (Some(Time(51)), String::new())
    );
}
