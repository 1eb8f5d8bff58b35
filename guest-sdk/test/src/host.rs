//! [`TestHost`]: one member of one, driven by the test.
//!
//! It is the leader as well: it ticks when timers are due. It keeps no clock of its own, so a
//! session lives until the test ends it.
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, PoisonError};

use synod_abi::schema::{EntryPointSchema, Schema};
use synod_abi::{
    ClusterId, Direction, EncodedError, ModuleHash, OperationId, RawCall, RawError, RawQuery, RawReply,
    RecipeName, RequestId, Revision, SessionId, SpaceId, SpaceName, Time, Transport, limits,
};
use synod_machine::directory::{Head, SpaceRecord};
use synod_machine::{
    Action, Call, Caller, Command, CommandOutcome, DeliveryFailure, Environment, LogLine, Machine,
    MemoryState, Origin, Outcome, Query, RangeLimit, Rejection, Reply, SessionCall, StateView, Table,
    directory, query,
};
use synod_sdk::Recipe;

use crate::reads::{Deleted, Reads};
use crate::replay::{self, Done, History};
use crate::vm::{Runners, TestVm};

/// Names the compiled module that tests run against, by its path.
pub(crate) const MODULE_VARIABLE: &str = "SYNOD_TEST_WASM";
/// The most fuel that a call may use, with all that it sets off; else the test fails.
const FUEL_VARIABLE: &str = "SYNOD_TEST_FUEL";
/// When the clock of every host begins, in milliseconds since the Unix epoch.
const BEGIN_MS: u64 = 1_700_000_000_000;
/// Commands an entry in the replays.
const REPLAYS: [usize; 2] = [1, 32];

/// What [`TestHost`] and its sessions share.
pub(crate) struct Inner {
    runners: Runners,
    environment: Environment,
    machine: Machine,
    pub(crate) state: MemoryState,
    vm: TestVm,
    now: Time,
    next_timer: Option<Time>,
    history: History,
    fuel_used: u64,
    most_fuel: u64,
    reads: Reads,
    deleted: Deleted,
    /// Sessions that were opened, for their nonces.
    pub(crate) opened: u64,
    /// Calls that wait or got their outcomes since, and whose futures are alive.
    pub(crate) parked: BTreeMap<(SessionId, RequestId), Option<Outcome>>,
    schemas: BTreeMap<ModuleHash, Schema>,
    logs: VecDeque<LogLine>,
}

/// A cluster of one, in memory, in which `R` is installed and has a space of its name.
///
/// ```
/// use synod_sdk::prelude::*;
/// use synod_test::TestHost;
///
/// /// Counts.
/// #[recipe(name = "tally", version = 1)]
/// pub struct Tally {
///     count: Cell<u64>,
/// }
///
/// #[ops]
/// impl Tally {
///     /// Counts one up.
///     #[op]
///     fn count(&self, cx: &mut Ctx) -> u64 {
///         let count = self.count.get(cx).unwrap_or(0) + 1;
///         self.count.put(cx, &count);
///         count
///     }
/// }
///
/// let host = TestHost::of::<Tally>();
/// let tally = host.client();
/// assert_eq!(tally.count().unwrap(), 1);
/// assert_eq!(tally.count().unwrap(), 2);
/// ```
///
/// # Panics
/// Every method panics with what is wrong, as a test should. Dropping it does when a replay comes
/// out differently.
pub struct TestHost<R = ()> {
    inner: Mutex<Inner>,
    recipe: PhantomData<fn() -> R>,
}

impl TestHost {
    /// Runs `R` as it is linked into the test; or its compiled module, when `SYNOD_TEST_WASM` names
    /// one of that recipe, which needs the feature `wasm`.
    pub fn of<R: Recipe>() -> TestHost<R> {
        #[cfg(feature = "wasm")]
        if let Some(module) = crate::wasm::named_module(R::NAME) {
            return Self::wasm::<R>(&module);
        }
        #[cfg(not(feature = "wasm"))]
        assert!(
            std::env::var_os(MODULE_VARIABLE).is_none(),
            "{MODULE_VARIABLE} names a compiled module, which this test cannot run: it was built without \
                the feature `wasm` of \
             synod-test; run `synod recipe test --wasm`, or give cargo `--features synod-test/wasm`"
        );
        let mut runners = Runners::default();
        let module = runners.link::<R>();
        TestHost::set_up(runners, module)
    }

    /// Runs a compiled module of `R`.
    #[cfg(feature = "wasm")]
    pub fn wasm<R: Recipe>(module: &[u8]) -> TestHost<R> {
        TestHost::set_up(Runners::on(crate::wasm::Wasmtime::start()), module)
    }
}

impl<R: Recipe> TestHost<R> {
    fn set_up(runners: Runners, module: &[u8]) -> Self {
        let environment = Environment { semantics: Environment::SEMANTICS, engine: runners.fingerprint() };
        let state = MemoryState::default();
        let machine = Machine::load(&state, &[environment])
            .unwrap_or_else(|fatal| panic!("an empty state does not load: {fatal}"));
        let (vm, now) = (runners.vm(), Time(BEGIN_MS));
        let inner = Mutex::new(Inner {
            runners,
            environment,
            machine,
            state,
            vm,
            now,
            next_timer: None,
            history: History::default(),
            fuel_used: 0,
            most_fuel: most_fuel(),
            reads: Reads::default(),
            deleted: Deleted::default(),
            opened: 0,
            parked: BTreeMap::new(),
            schemas: BTreeMap::new(),
            logs: VecDeque::new(),
        });
        let host = Self { inner, recipe: PhantomData };
        host.must(Action::FormCluster { cluster: ClusterId([1; 16]) });
        host.must(Action::SetEnvironment { environment });
        let installed = host.must(Action::InstallRecipe { module: module.into(), replace: false });
        match installed {
            Reply::Installed { recipe, .. }
                if recipe.name.as_str() == R::NAME && recipe.version == R::VERSION => {}
            other => panic!("the module is not of {}@{}: {other:?}; build it again", R::NAME, R::VERSION),
        }
        host.create_space::<R>(R::NAME);
        host
    }

    /// The client of the space that has the recipe's name.
    pub fn client(&self) -> R::BlockingClient<'_, Self> {
        self.client_for(R::NAME)
    }

    /// The client of another space of the recipe, see [`TestHost::create_space`].
    pub fn client_for(&self, space: &str) -> R::BlockingClient<'_, Self> {
        R::blocking(self, space)
    }
}

impl<R> TestHost<R> {
    /// Installs another recipe, as it is linked into the test, with a space of its name:
    /// `Other::blocking(&host, "other")` is its client.
    pub fn install<Q: Recipe>(&self) {
        let module = {
            let inner = &mut *self.lock();
            let module = inner.runners.link::<Q>();
            inner.vm.relink(&inner.runners);
            module
        };
        self.must(Action::InstallRecipe { module: module.into(), replace: false });
        self.create_space::<Q>(Q::NAME);
    }

    /// Creates a space of an installed recipe.
    pub fn create_space<Q: Recipe>(&self, name: &str) {
        let recipe = RecipeName::new(Q::NAME)
            .unwrap_or_else(|error| panic!("{} is no name of a recipe: {error}", Q::NAME));
        let name =
            SpaceName::new(name).unwrap_or_else(|error| panic!("{name} is no name of a space: {error}"));
        self.must(Action::CreateSpace { name, recipe, version: Some(Q::VERSION) });
    }

    /// Applies any action, as one entry.
    ///
    /// # Errors
    /// The rejection, if it is rejected.
    pub fn apply(&self, action: Action) -> Result<Reply, Rejection> {
        self.lock().apply(Caller::default(), action).result
    }

    /// Moves the cluster's clock on, and fires what is due on the way, each timer and the end of
    /// each wait at its time, by ticks as a leader does. Without it time stands still.
    pub fn advance_ms(&self, ms: u64) {
        let mut inner = self.lock();
        let until = inner.now.plus_ms(ms);
        while let Some(due) = inner.next_timer.filter(|due| *due <= until) {
            inner.now = inner.now.max(due);
            let ticked = inner.apply(Caller::default(), Action::Tick).result;
            assert!(ticked.is_ok(), "a tick was rejected: {ticked:?}");
        }
        inner.now = until;
    }

    /// The head of the state: how many sessions, unacknowledged requests, waiting calls and timers
    /// there are, among other things.
    pub fn head(&self) -> Head {
        *self.lock().machine.head()
    }

    /// Fuel that the last command used: a call with all that its events and sends set off has
    /// `limits::CALL_FUEL`, and so has each hook. What the host does for a recipe costs the same
    /// however it runs; what it computes only costs compiled modules, so that a recipe that runs as
    /// it is linked into the test uses less than its module does.
    pub fn fuel_used(&self) -> u64 {
        self.lock().fuel_used
    }

    /// What the recipes read in the last command. A recipe whose ranges pass more deleted rows the
    /// longer it runs gets slower the longer it runs.
    pub fn reads(&self) -> Reads {
        self.lock().reads
    }

    /// How many rows the recipe keeps in the space called `space`.
    pub fn rows(&self, space: &str) -> usize {
        self.lock().rows(space)
    }

    /// Time of the next command.
    pub fn now(&self) -> Time {
        self.lock().now
    }

    /// Revision of the last command that was not rejected.
    pub fn revision(&self) -> Revision {
        self.lock().machine.head().revision
    }

    /// Digest of the state.
    pub fn digest(&self) -> [u8; 32] {
        self.lock().machine.head().state_digest()
    }

    /// The lines that recipes logged since the last time, the newest `limits::LOG_RING_LINES` of
    /// them.
    pub fn take_logs(&self) -> Vec<LogLine> {
        self.lock().logs.drain(..).collect()
    }

    fn must(&self, action: Action) -> Reply {
        self.apply(action)
            .unwrap_or_else(|rejection| panic!("the test host could not be set up: {rejection}"))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(crate) fn apply(&mut self, caller: Caller, action: Action) -> Outcome {
        let command = Command { origin: Origin::default(), caller, action };
        let applied =
            replay::apply(&mut self.machine, &mut self.state, &mut self.vm, self.now, vec![command.clone()]);
        let mut applied = applied.unwrap_or_else(|fatal| panic!("the member stopped: {fatal}"));
        self.reads = self.deleted.read_by(self.vm.take_watch());
        self.deleted.note(&applied.writes);
        self.history.emitted(&mut applied);
        self.log(applied.logs);
        self.next_timer = applied.next_timer;
        for completed in &applied.completions {
            if let Some(waits) = self.parked.get_mut(&(completed.session, completed.request)) {
                *waits = Some(completed.outcome.clone());
            }
        }
        self.history.completions.append(&mut applied.completions);
        self.history.sessions.append(&mut applied.sessions);
        let CommandOutcome { outcome, fuel, .. } = applied.outcomes.remove(0);
        self.fuel_used = fuel;
        self.check_fuel(&command.action, fuel);
        self.history.done.push(Done { at: self.now, command, outcome: outcome.clone(), fuel });
        outcome
    }

    fn check_fuel(&self, action: &Action, fuel: u64) {
        let (Action::Call(call) | Action::SessionCall(SessionCall { call, .. })) = action else { return };
        let mut operations = self.schemas.values().flat_map(|schema| &schema.operations);
        let name = operations.find(|each| OperationId::of(&each.name) == call.operation);
        assert!(
            fuel <= self.most_fuel,
            "{} used {fuel} fuel, and {FUEL_VARIABLE} allows {}",
            name.map_or("a call", |each| each.name.as_str()),
            self.most_fuel
        );
    }

    /// The operation that a client calls.
    pub(crate) fn operation(&mut self, call: RawCall) -> Result<Call, RawError> {
        let space =
            self.resolve(&call.space, call.operation, call.signature, |schema, name| schema.operation(name))?;
        Ok(Call { space: space.id, operation: OperationId::of(call.operation), args: call.args.into() })
    }

    fn call(&mut self, call: RawCall) -> Result<RawReply, RawError> {
        let call = self.operation(call)?;
        answer(self.apply(Caller::default(), Action::Call(call)))
    }

    pub(crate) fn query(
        &mut self,
        asked: RawQuery,
        session: Option<SessionId>,
    ) -> Result<RawReply, RawError> {
        let space =
            self.resolve(&asked.space, asked.query, asked.signature, |schema, name| schema.query(name))?;
        let request = Query {
            space: space.id,
            module: space.module,
            query: OperationId::of(asked.query),
            args: asked.args,
            session,
        };
        let answer = query(self.state.clone(), &mut self.vm, &request)
            .unwrap_or_else(|fatal| panic!("the member stopped: {fatal}"));
        self.log(answer.logs);
        answer.result.map(|result| RawReply { revision: answer.revision, result }).map_err(raw)
    }

    /// The space, if its recipe has the entry point with the caller's signature: what a member
    /// checks.
    fn resolve(
        &mut self,
        space: &str,
        name: &str,
        signature: u64,
        find: impl for<'s> Fn(&'s Schema, &str) -> Option<&'s EntryPointSchema>,
    ) -> Result<SpaceRecord, RawError> {
        let space = SpaceName::new(space)
            .map_err(|error| invalid(format!("{space} is no name of a space: {error}")))?;
        let record = directory::space(&self.state, &space)
            .unwrap_or_else(|fatal| panic!("the member stopped: {fatal}"));
        let record = record.ok_or_else(|| invalid(format!("there is no space {space}; create it first")))?;
        if !self.schemas.contains_key(&record.module) {
            let schema = directory::schema(&self.state, record.module)
                .unwrap_or_else(|fatal| panic!("the member stopped: {fatal}"));
            self.schemas.extend(schema.map(|schema| (record.module, schema)));
        }
        match self.schemas.get(&record.module).and_then(|schema| find(schema, name)) {
            Some(point) if point.signature == signature => Ok(record),
            Some(_) => Err(invalid(format!(
                "{name} of {} has other types than this client; build module and client again",
                record.recipe
            ))),
            None => Err(invalid(format!("{} has no {name}", record.recipe))),
        }
    }

    fn rows(&self, space: &str) -> usize {
        let SpaceId(id) = self.space(space).id;
        let (from, to) = (id.to_be_bytes(), (id + 1).to_be_bytes());
        let all = RangeLimit { rows: usize::MAX, bytes: usize::MAX };
        let rows = self.state.range(Table::State, &from, &to, Direction::Forward, all);
        rows.unwrap_or_else(|fatal| panic!("the member stopped: {fatal}")).0.len()
    }

    fn log(&mut self, lines: Vec<LogLine>) {
        self.logs.extend(lines);
        let over = self.logs.len().saturating_sub(limits::LOG_RING_LINES);
        self.logs.drain(..over);
    }
}

impl<R> Transport for TestHost<R> {
    fn call(&self, call: RawCall) -> impl Future<Output = Result<RawReply, RawError>> + Send {
        std::future::ready(self.lock().call(call))
    }

    fn query(&self, query: RawQuery) -> impl Future<Output = Result<RawReply, RawError>> + Send {
        std::future::ready(self.lock().query(query, None))
    }
}

impl<R> Drop for TestHost<R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let inner = self.lock();
        let digest = inner.machine.head().state_digest();
        for batch in REPLAYS {
            if let Err(different) =
                replay::compare(&inner.runners, inner.environment, &inner.history, digest, batch)
            {
                panic!("{different}");
            }
        }
    }
}

impl<R> std::fmt::Debug for TestHost<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestHost").field("head", self.lock().machine.head()).finish_non_exhaustive()
    }
}

/// What [`FUEL_VARIABLE`] says.
fn most_fuel() -> u64 {
    let Some(most) = std::env::var_os(FUEL_VARIABLE) else { return u64::MAX };
    let number = most.to_str().and_then(|most| most.parse().ok());
    number.unwrap_or_else(|| panic!("{FUEL_VARIABLE} is a number of units of fuel, not {}", most.display()))
}

/// The outcome of a call, as its client sees it.
pub(crate) fn answer(outcome: Outcome) -> Result<RawReply, RawError> {
    match outcome.result {
        Ok(Reply::Result(result)) => Ok(RawReply { revision: outcome.revision, result: result.0 }),
        Ok(other) => Err(invalid(format!("the call was answered {other:?}"))),
        Err(rejection) => Err(raw(rejection)),
    }
}

fn raw(rejection: Rejection) -> RawError {
    match rejection {
        Rejection::Recipe { code, error } => RawError::Rejected(EncodedError { code, error: error.0 }),
        Rejection::Fault(fault) => RawError::Fault { fault: Some(fault), message: fault.to_string() },
        Rejection::Handler { why: DeliveryFailure::Fault(fault), .. }
        | Rejection::Send { why: DeliveryFailure::Fault(fault), .. } => {
            RawError::Fault { fault: Some(fault), message: rejection.to_string() }
        }
        Rejection::WaitTimeout => RawError::WaitTimeout,
        Rejection::SessionEnded => RawError::SessionExpired(rejection.to_string()),
        Rejection::OutOfOrder | Rejection::TooManyWaiting => RawError::Unavailable(rejection.to_string()),
        other => invalid(other.to_string()),
    }
}

fn invalid(message: String) -> RawError {
    RawError::Fault { fault: None, message }
}
