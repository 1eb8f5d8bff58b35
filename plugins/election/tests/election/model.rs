//! The election against a model: random steps of three sessions in two elections.
use proptest::prelude::*;
use synod_election::{Election, ElectionError, ElectionEvent};
use synod_sdk::prelude::*;
use synod_test::{Cancelled, Started, TestHost, TestSession};

use super::{Campaigned, leader, line};

/// A step of the test against the model: sessions, candidates and elections by number.
#[derive(Clone, Debug)]
enum Step {
    Campaign { session: usize, candidate: usize, election: usize, wait_ms: Option<u64> },
    Resign { election: usize },
    Proclaim { election: usize },
    Transfer { election: usize, to: usize },
    Withdraw { session: usize, candidate: usize, election: usize },
    Cancel { which: usize },
    End { session: usize, expire: bool },
    Advance { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let place = (0..3_usize, 0..4_usize, 0..2_usize);
    prop_oneof![
        6 => (place.clone(), prop_oneof![3 => Just(None), 1 => (0..50_u64).prop_map(Some)])
            .prop_map(|((session, candidate, election), wait_ms)| {
                Step::Campaign { session, candidate, election, wait_ms }
            }),
        2 => (0..2_usize).prop_map(|election| Step::Resign { election }),
        1 => (0..2_usize).prop_map(|election| Step::Proclaim { election }),
        2 => (0..2_usize, 0..4_usize).prop_map(|(election, to)| Step::Transfer { election, to }),
        1 => place.prop_map(|(session, candidate, election)| Step::Withdraw { session, candidate, election }),
        2 => (0..8_usize).prop_map(|which| Step::Cancel { which }),
        1 => (0..3_usize, any::<bool>()).prop_map(|(session, expire)| Step::End { session, expire }),
        1 => (0..30_u64).prop_map(|ms| Step::Advance { ms }),
    ]
}

/// A candidate of the model: the number of its call, its session, its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    call: usize,
    session: usize,
    name: usize,
}

/// An election of the model: who leads, who waits, and what observers saw: who was elected, `None`
/// for vacant.
#[derive(Debug, Default)]
struct Modelled {
    leader: Option<Candidate>,
    line: Vec<Candidate>,
    observed: Vec<Option<usize>>,
}

impl Modelled {
    fn of(&self, name: usize) -> Option<Candidate> {
        self.leader.iter().chain(&self.line).find(|candidate| candidate.name == name).copied()
    }

    fn elect(&mut self, candidate: Option<Candidate>) {
        self.leader = candidate;
        self.observed.push(candidate.map(|candidate| candidate.name));
    }

    fn leave(&mut self, gone: impl Fn(&Candidate) -> bool) {
        self.line.retain(|candidate| !gone(candidate));
        if self.leader.as_ref().is_some_and(gone) {
            let next = (!self.line.is_empty()).then(|| self.line.remove(0));
            self.elect(next);
        }
    }
}

/// A call of `campaign` in the test.
struct Call<'f> {
    number: usize,
    session: usize,
    until: Option<Time>,
    started: Started<'f, Campaigned>,
}

/// Names of elections.
const ELECTIONS: [&str; 2] = ["x", "y"];
/// Names of candidates.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// The recipe and the model of it, side by side.
struct Twins<'p, 'h> {
    host: &'h TestHost<Election>,
    pool: &'p [TestSession<'h, Election>],
    /// The sessions in use; one that ends is followed by the next of the pool.
    current: [usize; 3],
    fresh: usize,
    model: [Modelled; 2],
    calls: Vec<Call<'p>>,
}

impl<'p, 'h: 'p> Twins<'p, 'h> {
    fn new(host: &'h TestHost<Election>, pool: &'p [TestSession<'h, Election>]) -> Self {
        Self { host, pool, current: [0, 1, 2], fresh: 3, model: Default::default(), calls: Vec::new() }
    }

    fn session(&self, session: usize) -> &'p TestSession<'h, Election> {
        &self.pool[self.current[session]]
    }

    fn token_of(&self, election: usize) -> Option<Token> {
        let leader = self.host.client().leader(ELECTIONS[election]).expect("it can be asked");
        leader.map(|leader| leader.token)
    }

    /// Who leads an election by the model, and the token of it.
    fn leader_of(&self, election: usize) -> Option<(Candidate, Token)> {
        self.model[election].leader.zip(self.token_of(election))
    }

    fn take(&mut self, number: usize, step: &Step) {
        match *step {
            Step::Campaign { session, candidate, election, wait_ms } => {
                self.campaign(Candidate { call: number, session, name: candidate }, election, wait_ms);
            }
            Step::Resign { election } => {
                if let Some((leader, token)) = self.leader_of(election) {
                    let client = self.session(leader.session).client();
                    client.resign(ELECTIONS[election], token).expect("it leads");
                    self.model[election].leave(|candidate| *candidate == leader);
                }
            }
            Step::Proclaim { election } => {
                if let Some((leader, token)) = self.leader_of(election) {
                    let client = self.session(leader.session).client();
                    client.proclaim(ELECTIONS[election], token, "new").expect("it leads");
                }
            }
            Step::Transfer { election, to } => self.transfer(election, to),
            Step::Withdraw { session, candidate, election } => self.withdraw(session, candidate, election),
            Step::Cancel { which } if !self.calls.is_empty() => {
                let call = self.calls.remove(which % self.calls.len());
                if let Cancelled::Granted | Cancelled::Waiting = call.started.cancel() {
                    let gone = |candidate: &Candidate| candidate.call == call.number;
                    self.model.iter_mut().for_each(|modelled| modelled.leave(gone));
                }
            }
            Step::Cancel { .. } => {}
            Step::End { session, expire } => self.end(session, expire),
            Step::Advance { ms } => self.advance(ms),
        }
    }

    fn campaign(&mut self, candidate: Candidate, election: usize, wait_ms: Option<u64>) {
        let caller = self.session(candidate.session);
        let place = ELECTIONS[election];
        let name = NAMES[candidate.name];
        let started = self.host.start(async move {
            let client = caller.async_client();
            match wait_ms {
                None => client.campaign(place, name, name).await,
                Some(wait_ms) => client.waiting_ms(wait_ms).campaign(place, name, name).await,
            }
        });
        match self.model[election].of(candidate.name) {
            Some(former) if former.session == candidate.session => {
                let leads = self.model[election].leader == Some(former);
                let token = self.token_of(election).filter(|_| leads);
                assert_eq!(started.take().rejection(), ElectionError::AlreadyCandidate { token });
                return;
            }
            Some(_) => {
                assert_eq!(started.take().rejection(), ElectionError::NameTaken);
                return;
            }
            None if self.model[election].leader.is_none() => self.model[election].elect(Some(candidate)),
            None if wait_ms == Some(0) => {}
            None => self.model[election].line.push(candidate),
        }
        let until = wait_ms.map(|ms| self.host.now().plus_ms(ms));
        self.calls.push(Call { number: candidate.call, session: candidate.session, until, started });
    }

    fn transfer(&mut self, election: usize, to: usize) {
        let Some((leader, token)) = self.leader_of(election) else { return };
        let client = self.session(leader.session).client();
        let transferred = client.transfer(ELECTIONS[election], token, NAMES[to]);
        let modelled = &mut self.model[election];
        match modelled.line.iter().position(|candidate| candidate.name == to) {
            None => assert_eq!(transferred.rejection(), ElectionError::NotWaiting),
            Some(at) => {
                transferred.expect("its target waits");
                let next = modelled.line.remove(at);
                modelled.elect(Some(next));
            }
        }
    }

    fn withdraw(&mut self, session: usize, candidate: usize, election: usize) {
        let withdrawn = self.session(session).client().withdraw(ELECTIONS[election], NAMES[candidate]);
        let modelled = &mut self.model[election];
        match modelled.of(candidate).filter(|candidate| candidate.session == session) {
            None => assert_eq!(withdrawn.rejection(), ElectionError::NotCandidate),
            Some(gone) => {
                withdrawn.expect("it is a candidate");
                modelled.leave(|candidate| *candidate == gone);
            }
        }
    }

    fn end(&mut self, session: usize, expire: bool) {
        let ended = self.session(session);
        if expire {
            ended.expire()
        } else {
            ended.close()
        }
        let gone = |candidate: &Candidate| candidate.session == session;
        self.model.iter_mut().for_each(|modelled| modelled.leave(gone));
        self.calls.retain(|call| call.session != session);
        self.current[session] = self.fresh;
        self.fresh += 1;
    }

    fn advance(&mut self, ms: u64) {
        self.host.advance_ms(ms);
        let now = self.host.now();
        let over = |call: &&Call<'_>| call.until.is_some_and(|until| until <= now);
        let over: Vec<usize> = self.calls.iter().filter(over).map(|call| call.number).collect();
        let waits = |candidate: &Candidate| !over.contains(&candidate.call);
        self.model.iter_mut().for_each(|modelled| modelled.line.retain(waits));
    }

    /// Compares what can be asked, and what the events tell, with the model.
    fn compare(&self) {
        for (election, modelled) in ELECTIONS.iter().zip(&self.model) {
            let name = |candidate: &Candidate| NAMES[candidate.name].to_owned();
            let found = leader(self.host, election).map(|(name, _)| name);
            assert_eq!(found, modelled.leader.as_ref().map(name));
            assert_eq!(line(self.host, election), modelled.line.iter().map(name).collect::<Vec<_>>());
            let leaders = modelled.observed.iter().map(|who| who.map(|who| NAMES[who].into()));
            assert_eq!(followed(self.host, election), leaders.collect::<Vec<_>>());
        }
        for call in &self.calls {
            let waits_in =
                |modelled: &Modelled| modelled.line.iter().any(|candidate| candidate.call == call.number);
            let waits = self.model.iter().any(waits_in);
            assert_eq!(call.started.is_waiting(), waits, "call {}", call.number);
        }
    }

    /// Closes every session, and checks that nothing is left of them.
    fn close(self) {
        drop(self.calls);
        self.current.iter().map(|session| &self.pool[*session]).for_each(TestSession::close);
        self.pool[self.fresh..].iter().for_each(TestSession::close);
        let counts = self.host.head().counts;
        let left =
            (self.host.rows("election"), counts.sessions, counts.requests, counts.waiting, counts.timers);
        assert_eq!(left, (0, 0, 0, 0, 0));
    }
}

fn run(steps: &[Step]) {
    let host = TestHost::of::<Election>();
    let ends = steps.iter().filter(|step| matches!(step, Step::End { .. })).count();
    let pool: Vec<_> = (0..3 + ends).map(|_| host.open_session()).collect();
    let mut twins = Twins::new(&host, &pool);
    for (number, step) in steps.iter().enumerate() {
        twins.take(number, step);
        twins.compare();
    }
    twins.close();
}

/// The leaders of an election one after the other, `None` for nobody, as somebody knows them who
/// only follows its events. That somebody also knows who leads now, with which value and token.
fn followed(host: &TestHost<Election>, election: &str) -> Vec<Option<String>> {
    let (mut leaders, mut now, mut last) = (Vec::new(), None, Token(0));
    for (_, event) in host.events_of("election").into_iter().filter(|(topic, _)| topic == election) {
        match event {
            ElectionEvent::Elected { candidate, value, token } => {
                assert!(token > last, "tokens grow");
                leaders.push(Some(candidate.clone()));
                (last, now) = (token, Some((candidate, value)));
            }
            ElectionEvent::Proclaimed { value, token } => {
                let (candidate, _) = now.expect("somebody leads");
                assert_eq!(token, last);
                now = Some((candidate, value));
            }
            ElectionEvent::Vacant { token } => {
                assert_eq!((token, now.is_some()), (last, true));
                leaders.push(None);
                now = None;
            }
        }
    }
    let leader = host.client().leader(election).expect("it can be asked");
    assert_eq!(leader.as_ref().map(|leader| (leader.candidate.clone(), leader.value.clone())), now);
    if let Some(leader) = leader {
        assert_eq!(leader.token, last);
        assert!(host.client().is_current(election, last).expect("it can be asked"));
    }
    leaders
}

/// Fewer against the compiled module, which each case compiles.
fn cases() -> u32 {
    if std::env::var_os("SYNOD_TEST_WASM").is_some() { 8 } else { 128 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_model_does(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps);
    }
}
