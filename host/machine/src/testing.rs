//! For tests: a machine over rows in memory with the [`ScriptVm`], and short names for actions and
//! steps.
use synod_abi::{
    ClusterId, Direction, OperationId, RecipeName, RecipeRef, RequestId, Revision, SessionId, SpaceId,
    SpaceName, Time, TopicFilter, encode,
};

use crate::*;

mod events;
mod recount;
#[path = "../tests/support/mod.rs"]
mod support;

use self::recount::recount;
pub(crate) use self::support::recipe::*;
pub(crate) use self::support::vm::ScriptVm;

pub(crate) const ENVIRONMENT: Environment =
    Environment { semantics: Environment::SEMANTICS, engine: [7; 32] };
/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) machine: Machine,
    pub(crate) state: MemoryState,
    pub(crate) vm: ScriptVm,
    pub(crate) index: u64,
    /// Rows that were written since all rows were last checked.
    unchecked_rows: usize,
}

/// A state of so many rows or fewer is checked after each entry.
const SMALL_ROWS: usize = 20_000;

impl Member {
    /// Nothing has happened.
    pub(crate) fn blank() -> Self {
        let state = MemoryState::default();
        Self {
            machine: Machine::load(&state, &[ENVIRONMENT]).unwrap(),
            state,
            vm: ScriptVm::default(),
            index: 0,
            unchecked_rows: 0,
        }
    }

    /// Formed, with the recipe `script@1` and its space `a`, which has id 1.
    pub(crate) fn formed() -> Self {
        let mut member = Self::blank();
        for action in forming() {
            member.one(action).unwrap();
        }
        member
    }

    /// Formed, with a binary that supports these environments.
    pub(crate) fn supporting(environments: &[Environment]) -> Self {
        let mut member = Self::formed();
        member.machine = Machine::load(&member.state, environments).unwrap();
        member
    }

    /// Applies an entry, commits it, and checks that digests and rows agree: after each entry, or
    /// in a large state once half as many rows were written as there are, so that the checks of
    /// many entries cost no more than a few walks over the rows.
    pub(crate) fn apply(&mut self, stamp: u64, actions: impl IntoIterator<Item = Action>) -> Applied {
        self.try_apply(stamp, actions).unwrap()
    }

    pub(crate) fn try_apply(
        &mut self,
        stamp: u64,
        actions: impl IntoIterator<Item = Action>,
    ) -> Result<Applied, Fatal> {
        self.try_commands(stamp, actions.into_iter().map(command).collect())
    }

    pub(crate) fn commands(&mut self, stamp: u64, commands: Vec<Command>) -> Applied {
        self.try_commands(stamp, commands).unwrap()
    }

    /// Applies an entry without the checks, for tests that changed the head's numbers.
    fn unchecked(&mut self, stamp: u64, commands: Vec<Command>) -> Result<Applied, Fatal> {
        self.index += 1;
        let entry = Entry { stamp: Time(stamp), commands };
        let applied = self.machine.apply(self.state.clone(), &mut self.vm, self.index, &encode(&entry))?;
        self.state.commit(&applied.writes);
        Ok(applied)
    }

    pub(crate) fn command_unchecked(&mut self, command: Command) -> Outcome {
        self.unchecked(0, vec![command]).unwrap().outcomes.remove(0).outcome
    }

    pub(crate) fn one_unchecked(&mut self, action: Action) -> Result<Reply, Rejection> {
        self.command_unchecked(command(action)).result
    }

    fn try_commands(&mut self, stamp: u64, commands: Vec<Command>) -> Result<Applied, Fatal> {
        let applied = self.unchecked(stamp, commands)?;
        let head = directory::head(&self.state)?.expect("every entry writes the head");
        assert_eq!((head.state_digest(), head.chain), (applied.state, applied.chain));
        assert_eq!(applied.next_timer, sessions::next_timer(&self.state)?);
        events::told(&self.state, &applied);
        self.unchecked_rows += applied.writes.len();
        let rows: usize = Table::ALL.iter().map(|table| self.state.rows(*table).size_hint().0).sum();
        if rows <= SMALL_ROWS || self.unchecked_rows >= rows / 2 {
            self.unchecked_rows = 0;
            verify(&self.state).unwrap();
            recount(&self.state, &head);
            events::recount(&self.state, &head);
        }
        Ok(applied)
    }

    /// Opens a session with this nonce.
    pub(crate) fn open(&mut self, nonce: u8) -> SessionId {
        match self.one(open(nonce)) {
            Ok(Reply::Session { session, .. }) => session,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn command(&mut self, command: Command) -> Outcome {
        self.commands(0, vec![command]).outcomes.remove(0).outcome
    }

    /// A call in a session.
    pub(crate) fn request(
        &mut self,
        session: SessionId,
        request: Request,
        steps: &[Step],
    ) -> Result<Reply, Rejection> {
        self.command(in_session(session, 1, request, steps)).result
    }

    pub(crate) fn tick(&mut self, stamp: u64) -> Applied {
        self.apply(stamp, [Action::Tick])
    }

    /// What the hooks of a space heard.
    pub(crate) fn heard(&self, space: u32) -> String {
        let key = [space.to_be_bytes().as_slice(), b"heard"].concat();
        self.state
            .get(Table::State, &key)
            .unwrap()
            .map(|text| String::from_utf8(text).unwrap())
            .unwrap_or_default()
    }

    /// Counts: sessions, requests, waiting calls, timers.
    pub(crate) fn counts(&self) -> (u32, u64, u64, u64) {
        let counts = self.machine.head().counts;
        (counts.sessions, counts.requests, counts.waiting, counts.timers)
    }

    pub(crate) fn one(&mut self, action: Action) -> Result<Reply, Rejection> {
        self.apply(0, [action]).outcomes.remove(0).outcome.result
    }

    pub(crate) fn run(&mut self, steps: &[Step]) -> Result<Vec<String>, Rejection> {
        self.one(call(1, steps)).map(|reply| seen(&reply))
    }

    /// As after a restart.
    pub(crate) fn restart(&mut self) {
        self.machine = Machine::load(&self.state, &[ENVIRONMENT]).unwrap();
        self.vm = ScriptVm::default();
    }
}

pub(crate) fn forming() -> [Action; 4] {
    [
        Action::FormCluster { cluster: ClusterId([9; 16]) },
        Action::SetEnvironment { environment: ENVIRONMENT },
        install(SCRIPT_1),
        create("a"),
    ]
}

pub(crate) fn command(action: Action) -> Command {
    Command { origin: Origin::default(), caller: Caller::default(), action }
}

pub(crate) fn open(nonce: u8) -> Action {
    let (nonce, secret_hash) = ([nonce; 16], [nonce; 32]);
    Action::OpenSession(OpenSession {
        nonce,
        secret_hash,
        ttl_ms: 0,
        ttl_policy: TtlPolicy::Exact,
        label: String::new(),
    })
}

pub(crate) fn end(session: SessionId) -> Action {
    Action::EndSession { session, cause: EndCause::Closed }
}

pub(crate) fn of_session(session: SessionId, action: Action) -> Command {
    Command { caller: Caller { principal: Principal::Anyone, session: Some(session) }, ..command(action) }
}

pub(crate) fn in_session(session: SessionId, space: u32, request: Request, steps: &[Step]) -> Command {
    let Action::Call(call) = call(space, steps) else { panic!("it is a call") };
    of_session(session, Action::SessionCall(SessionCall { call, request }))
}

pub(crate) fn cancel(session: SessionId, request: u64) -> Command {
    of_session(session, Action::CancelRequest { request: RequestId(request) })
}

/// The request with this id, which acknowledges nothing.
pub(crate) fn id(id: u64) -> Request {
    Request { id: RequestId(id), ..Request::default() }
}

/// The request with this id, whose client has all outcomes below.
pub(crate) fn acknowledging(id: u64, below: u64) -> Request {
    Request { id: RequestId(id), acknowledged_below: RequestId(below), ..Request::default() }
}

/// Binds `handler` to the events of `source` that `filter` is written for.
pub(crate) fn bind(handler: &str, source: &str, filter: &str, on_failure: OnFailure) -> Action {
    Action::BindSpace { binding: binding(handler, source, filter), on_failure }
}

pub(crate) fn unbind(handler: &str, source: &str, filter: &str) -> Action {
    Action::UnbindSpace { binding: binding(handler, source, filter) }
}

fn binding(handler: &str, source: &str, filter: &str) -> Binding {
    Binding { handler: space(handler), source: space(source), filter: TopicFilter::parse(filter) }
}

pub(crate) fn compact(space: u32, through: u64) -> Action {
    Action::CompactEvents { space: SpaceId(space), through: Revision(through) }
}

pub(crate) fn emit(topic: &str, payload: &str) -> Step {
    Step::Emit(topic.into(), payload.into())
}

/// Sends steps to a space.
pub(crate) fn send(space: &str, steps: &[Step]) -> Step {
    Step::Send(space.into(), "run".into(), encode(steps).into())
}

pub(crate) fn times(times: u32, step: Step) -> Step {
    Step::Repeat(times, Box::new(step))
}

pub(crate) fn install(module: &[u8]) -> Action {
    Action::InstallRecipe { module: module.into(), replace: false }
}

pub(crate) fn create(name: &str) -> Action {
    Action::CreateSpace { name: space(name), recipe: RecipeName::new("script").unwrap(), version: None }
}

pub(crate) fn call(space: u32, steps: &[Step]) -> Action {
    Action::Call(Call {
        space: SpaceId(space),
        operation: OperationId::of("run"),
        args: encode(steps).into(),
    })
}

pub(crate) fn space(name: &str) -> SpaceName {
    SpaceName::new(name).unwrap()
}

pub(crate) fn script(version: u32) -> RecipeRef {
    RecipeRef { name: RecipeName::new("script").unwrap(), version }
}

pub(crate) fn get(key: &str) -> Step {
    Step::Get(key.into())
}

pub(crate) fn put(key: &str, value: &str) -> Step {
    Step::Put(key.into(), value.into())
}

/// Tells the hooks what to do, see the row's name above.
pub(crate) fn when(row: &str, steps: &[Step]) -> Step {
    Step::Put(row.into(), encode(steps).into())
}

pub(crate) fn delete(key: &str) -> Step {
    Step::Delete(key.into())
}

pub(crate) fn range(from: &str, to: &str, direction: Direction, rows: u32) -> Step {
    Step::Range { from: from.into(), to: to.into(), direction, rows }
}

/// What a script saw, as text.
pub(crate) fn seen(reply: &Reply) -> Vec<String> {
    let Reply::Result(bytes) = reply else { panic!("{reply:?} is not the result of a call") };
    let seen: Vec<Vec<u8>> = synod_abi::decode(bytes).unwrap();
    seen.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
}
