//! For tests: a machine over rows in memory, and a [`Vm`] whose one recipe does what its arguments
//! say, step by step.
//!
//! Its hooks append a line to the row `heard`; then that of timers does what the payload says,
//! those of session ends, cancelled calls and events what the rows `at end`, `at cancel` and `at
//! event` say.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use synod_abi::schema::{EntryPointDef, HooksDef, Schema, SchemaDef, StateFieldDef, StateKind};
use synod_abi::{
    AdmissionError, Blob, ClusterId, Direction, EntryPoint, Event, Fault, FieldShape, HostCalls, ModuleHash,
    OperationId, REPLY_ERROR, REPLY_RESULT, RangeRequest, RecipeName, RecipeRef, RequestId, Revision, Rows,
    SessionId, Shape, SpaceId, SpaceName, TicketId, Time, TimerId, TopicFilter, encode,
};

mod events;

use crate::rows::sessions::{RequestRecord, RequestState, SessionRecord};
use crate::rows::timers::Fires;
use crate::*;

/// What the recipe is told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Get(Blob),
    Put(Blob, Blob),
    Delete(Blob),
    /// Writes so many of the largest values.
    Fill(u8),
    Range {
        from: Blob,
        to: Blob,
        direction: Direction,
        rows: u32,
    },
    Token,
    Seed,
    Log(String),
    /// Counts in the instance's memory and answers the count.
    Remember,
    Refuse(u32),
    Fault(Fault),
    /// Counts in a row.
    Count(Blob),
    /// Tells revision, session and whether it may wait.
    Context,
    /// Answers later.
    Later,
    /// Answers now what can be given back.
    Now,
    /// Completes a call with one value that was seen.
    Complete(u64, Blob),
    /// Completes a call with an error.
    Reject(u64, u32),
    /// Completes a call with these bytes.
    CompleteRaw(u64, Blob),
    /// Puts the ticket in line, and answers later.
    Wait,
    /// Completes the first calls in line.
    Grant(u32),
    SetTimer(u64, Blob),
    CancelTimer(u64),
    /// Emits an event with this topic and payload.
    Emit(Blob, Blob),
    /// Sends steps to a space, for its operation of this name.
    Send(String, String, Blob),
    /// Uses fuel.
    Burn(u64),
    /// Does the step so often.
    Repeat(u32, Box<Step>),
}

/// Rows of calls in line: their tickets, big-endian, behind this.
const LINE: u8 = b'w';

pub(crate) const ENVIRONMENT: Environment =
    Environment { semantics: Environment::SEMANTICS, engine: [7; 32] };
const STEPS: FieldShape = FieldShape { name: "steps", docs: "", shape: &Shape::Bytes };
const MORE: FieldShape = FieldShape { name: "more", docs: "", shape: &Shape::Option(&Shape::U32) };
const RUN: EntryPointDef =
    EntryPointDef { name: "run", docs: "", args: &[STEPS], result: &Shape::Bytes, errors: None, waits: true };
const RUN_MORE: EntryPointDef = EntryPointDef { args: &[STEPS, MORE], ..RUN };
const LOOK: EntryPointDef = EntryPointDef { name: "look", waits: false, ..RUN };
const HOOKS: HooksDef = HooksDef { session_end: true, cancel: true, timer: Some(&Shape::Bytes), event: true };
const FIELD: StateFieldDef = StateFieldDef {
    name: "all",
    docs: "",
    prefix: 1,
    kind: StateKind::Map,
    key: &Shape::Bytes,
    value: &Shape::Bytes,
};
const V1: SchemaDef = SchemaDef {
    name: "script",
    version: 1,
    docs: "",
    operations: &[RUN],
    queries: &[LOOK],
    fields: &[FIELD],
    hooks: HOOKS,
    emits: Some(&Shape::Bytes),
};
const V2: SchemaDef = SchemaDef { version: 2, operations: &[RUN_MORE], ..V1 };
const V2_DOCS: SchemaDef = SchemaDef { docs: "other", ..V2 };
/// Version 3 loses its query.
const V3: SchemaDef = SchemaDef { version: 3, queries: &[], ..V2 };
/// Version 1 again, with other bytes.
const V1_DOCS: SchemaDef = SchemaDef { docs: "other", ..V1 };
const V1_BREAKING: SchemaDef = SchemaDef { queries: &[], ..V1 };
/// Without hooks.
const OTHER: SchemaDef = SchemaDef { name: "other", hooks: HooksDef::NONE, ..V1 };

macro_rules! modules {
    ($($name:ident = $def:ident;)*) => {
        $(pub(crate) const $name: &[u8] = { const BYTES: [u8; $def.encoded_len()] = $def.encode(); &BYTES };)*
    };
}

modules! {
    SCRIPT_1 = V1;
    SCRIPT_2 = V2;
    SCRIPT_2_DOCS = V2_DOCS;
    SCRIPT_3 = V3;
    SCRIPT_1_DOCS = V1_DOCS;
    SCRIPT_1_BREAKING = V1_BREAKING;
    OTHER_1 = OTHER;
}

/// Runs scripts. A module is an encoded schema.
#[derive(Debug, Default)]
pub(crate) struct ScriptVm {
    pub(crate) loaded: BTreeSet<ModuleHash>,
    pub(crate) discarded: Vec<SpaceId>,
    /// What was invoked: space, entry point and seed, in order.
    pub(crate) invoked: Vec<(SpaceId, EntryPoint, [u8; 16])>,
    /// Fuel that each of them had.
    pub(crate) fuelled: Vec<u64>,
    memory: BTreeMap<SpaceId, u32>,
    used: u64,
}

/// Appends `line` to the row `heard`, unless that is long.
fn hear(host: &mut impl HostCalls, line: &str) -> Result<(), Fault> {
    let mut heard = row(host, b"heard")?.unwrap_or_default();
    if heard.len() > 32 * 1_024 {
        return Ok(());
    }
    heard.extend_from_slice(line.as_bytes());
    heard.push(b'\n');
    host.put(b"heard", &heard)
}

fn row(host: &mut impl HostCalls, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let mut buffer = vec![0; 64 * 1_024];
    Ok(match host.get(key, &mut buffer)? {
        u32::MAX => None,
        len => Some(buffer[..len as usize].to_vec()),
    })
}

fn result_of(seen: &[Vec<u8>]) -> Vec<u8> {
    [vec![REPLY_RESULT], encode(seen)].concat()
}

fn grant(host: &mut impl HostCalls, count: u32) -> Result<u32, Fault> {
    let mut buffer = vec![0; synod_abi::limits::RANGE_CHUNK_BYTES];
    let request = RangeRequest {
        from: vec![LINE],
        to: vec![LINE + 1],
        direction: Direction::Forward,
        rows: count.max(1),
    }
    .to_bytes();
    let filled = host.range(&request, &mut buffer)? as u32 as usize;
    let line: Vec<Vec<u8>> = Rows(&buffer[..filled]).map(|(key, _)| key.to_vec()).collect();
    let mut granted = 0;
    for key in line.into_iter().take(count as usize) {
        let ticket = u64::from_be_bytes(*key.last_chunk().expect("a ticket in line"));
        host.delete(&key)?;
        granted += host.complete(ticket, &result_of(&[b"granted".to_vec()]))?;
    }
    Ok(granted)
}

impl ScriptVm {
    fn run(&mut self, invocation: Invocation<'_>, host: &mut impl HostCalls) -> Result<Completion, Fault> {
        let mut args = invocation.args;
        let stored = |row: Option<Vec<u8>>| {
            row.map_or(Ok(Vec::new()), |steps| synod_abi::decode(&steps).map_err(|_| Fault::CorruptState))
        };
        let steps: Vec<Step> = match invocation.entry_point {
            EntryPoint::Operation(_) | EntryPoint::Query(_) => {
                synod_abi::decode(args).map_err(|_| Fault::BadArguments)?
            }
            EntryPoint::SessionEnd => {
                let session: SessionId = synod_abi::decode(args).map_err(|_| Fault::BadArguments)?;
                assert_eq!(invocation.context.session, Some(session));
                hear(host, &format!("end {}", session.0[7]))?;
                stored(row(host, b"at end")?)?
            }
            EntryPoint::Timer => {
                let timer: TimerId = synod_abi::decode_from(&mut args).map_err(|_| Fault::BadArguments)?;
                assert_eq!(invocation.context.session, None);
                hear(host, &format!("timer {timer} at {}", invocation.context.now))?;
                synod_abi::decode(args).map_err(|_| Fault::BadArguments)?
            }
            EntryPoint::Cancel => {
                let (ticket, granted): (TicketId, bool) =
                    synod_abi::decode(args).map_err(|_| Fault::BadArguments)?;
                assert!(invocation.context.session.is_some());
                hear(host, &format!("cancel {ticket} {granted}"))?;
                host.delete(&[[LINE].as_slice(), &ticket.0.to_be_bytes()].concat())?;
                if granted {
                    grant(host, 1)?;
                }
                stored(row(host, b"at cancel")?)?
            }
            EntryPoint::Event => {
                assert_eq!(invocation.context.session, None);
                let Event { space, topic, payload } =
                    synod_abi::decode(args).map_err(|_| Fault::BadArguments)?;
                hear(host, &format!("event {space} {topic} {}", String::from_utf8_lossy(&payload)))?;
                stored(row(host, b"at event")?)?
            }
        };
        if invocation.context.session.is_none() {
            assert!(!invocation.context.may_wait);
        }
        let (mut later, mut now) = (false, false);
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let mut buffer = vec![0; synod_abi::limits::RANGE_CHUNK_BYTES];
        let mut steps: VecDeque<Step> = steps.into();
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Repeat(0, _) => {}
                Step::Repeat(times, step) => {
                    steps.push_front(Step::Repeat(times - 1, step.clone()));
                    steps.push_front(*step);
                }
                Step::Emit(topic, payload) => host.emit(&topic, &payload)?,
                Step::Send(space, operation, args) => {
                    host.send(space.as_bytes(), OperationId::of(&operation).0, &args)?
                }
                Step::Burn(fuel) => {
                    self.used = (self.used + fuel).min(invocation.fuel);
                    if self.used == invocation.fuel {
                        return Err(Fault::OutOfFuel);
                    }
                }
                Step::Get(key) => match host.get(&key, &mut buffer)? {
                    u32::MAX => seen.push(b"absent".to_vec()),
                    len => seen.push(buffer[..len as usize].to_vec()),
                },
                Step::Put(key, value) => host.put(&key, &value)?,
                Step::Delete(key) => host.delete(&key)?,
                Step::Fill(rows) => {
                    (0..rows).try_for_each(|n| host.put(&[n], &vec![n; synod_abi::limits::VALUE_BYTES]))?
                }
                Step::Range { from, to, direction, rows } => {
                    let request = RangeRequest { from: from.0, to: to.0, direction, rows }.to_bytes();
                    let answer = host.range(&request, &mut buffer)?;
                    let rows = Rows(&buffer[..answer as u32 as usize])
                        .map(|(key, value)| [key, b"=", value].concat());
                    seen.extend(rows);
                    seen.push(if answer >> 32 == 1 { b"more".to_vec() } else { b"end".to_vec() });
                }
                Step::Token => seen.push(host.next_token()?.to_string().into_bytes()),
                Step::Seed => seen.push(invocation.context.seed.to_vec()),
                Step::Log(text) => host.log(3, text.as_bytes())?,
                Step::Remember => {
                    let count = self.memory.entry(invocation.space).or_default();
                    *count += 1;
                    seen.push(count.to_string().into_bytes());
                }
                Step::Refuse(code) => return Ok(Completion::Refused { code, error: vec![code as u8] }),
                Step::Fault(fault) => return Err(fault),
                Step::Count(key) => {
                    let count = row(host, &key)?.map_or(0, |count| count[0]) + 1;
                    host.put(&key, &[count])?;
                }
                Step::Context => {
                    let synod_abi::Context { revision, session, may_wait, .. } = invocation.context;
                    seen.push(
                        format!("{revision} {} {may_wait}", session.map_or(0, |session| session.0[7]))
                            .into_bytes(),
                    );
                }
                Step::Later => later = true,
                Step::Now => now = true,
                Step::Complete(ticket, value) => {
                    seen.push(vec![b'0' + host.complete(ticket, &result_of(&[value.0]))? as u8])
                }
                Step::Reject(ticket, code) => {
                    let reply = [[REPLY_ERROR].as_slice(), &code.to_le_bytes(), b"no"].concat();
                    seen.push(vec![b'0' + host.complete(ticket, &reply)? as u8]);
                }
                Step::CompleteRaw(ticket, reply) => {
                    seen.push(vec![b'0' + host.complete(ticket, &reply)? as u8])
                }
                Step::Wait => {
                    later = true;
                    host.put(
                        &[[LINE].as_slice(), &invocation.context.revision.0.to_be_bytes()].concat(),
                        &[],
                    )?;
                }
                Step::Grant(count) => seen.push(grant(host, count)?.to_string().into_bytes()),
                Step::SetTimer(at, payload) => {
                    seen.push(host.set_timer(at, &payload)?.to_string().into_bytes())
                }
                Step::CancelTimer(timer) => seen.push(vec![b'0' + host.cancel_timer(timer)? as u8]),
            }
        }
        Ok(match (later, now) {
            (true, _) => Completion::Later,
            (_, true) => Completion::Now(encode(&seen)),
            _ => Completion::Done(encode(&seen)),
        })
    }
}

impl<H: HostCalls> Vm<H> for ScriptVm {
    fn admit(&self, module: &[u8]) -> Result<Admitted, AdmissionError> {
        let schema = Schema::decode(module).map_err(AdmissionError::BadSchema)?;
        Ok(Admitted { hash: module_hash(module), schema, schema_bytes: module.to_vec() })
    }

    fn load(&mut self, hash: ModuleHash, module: &[u8]) -> Result<(), Fatal> {
        assert_eq!(hash, module_hash(module));
        self.loaded.insert(hash);
        Ok(())
    }

    fn is_loaded(&self, hash: ModuleHash) -> bool {
        self.loaded.contains(&hash)
    }

    fn begin_entry(&mut self) {
        self.memory.clear();
    }

    fn invoke(&mut self, invocation: Invocation<'_>, mut host: H) -> Result<(H, Completion), Fatal> {
        assert!(self.loaded.contains(&invocation.module), "a module is loaded before it is called");
        assert!((1..=synod_abi::limits::CALL_FUEL).contains(&invocation.fuel));
        self.used = 1;
        self.fuelled.push(invocation.fuel);
        self.invoked.push((invocation.space, invocation.entry_point, invocation.context.seed));
        let completion = self.run(invocation, &mut host).unwrap_or_else(Completion::Faulted);
        Ok((host, completion))
    }

    fn discard(&mut self, space: SpaceId) {
        self.memory.remove(&space);
        self.discarded.push(space);
    }

    fn fuel_used(&self) -> u64 {
        self.used
    }
}

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) machine: Machine,
    pub(crate) state: MemoryState,
    pub(crate) vm: ScriptVm,
    pub(crate) index: u64,
}

impl Member {
    /// Nothing has happened.
    pub(crate) fn blank() -> Self {
        let state = MemoryState::default();
        Self {
            machine: Machine::load(&state, ENVIRONMENT).unwrap(),
            state,
            vm: ScriptVm::default(),
            index: 0,
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

    /// Applies an entry, commits it, and checks that digests and rows agree.
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
        verify(&self.state).unwrap();
        let head = directory::head(&self.state)?.expect("every entry writes the head");
        assert_eq!((head.state_digest(), head.chain), (applied.state, applied.chain));
        assert_eq!(applied.next_timer, sessions::next_timer(&self.state)?);
        recount(&self.state, &head);
        events::recount(&self.state, &head, &applied);
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

    /// Head counters: sessions, requests, waiting calls, timers.
    pub(crate) fn counts(&self) -> (u32, u64, u64, u64) {
        let head = self.machine.head();
        (head.sessions, head.requests, head.waiting, head.timers)
    }

    pub(crate) fn one(&mut self, action: Action) -> Result<Reply, Rejection> {
        self.apply(0, [action]).outcomes.remove(0).outcome.result
    }

    pub(crate) fn run(&mut self, steps: &[Step]) -> Result<Vec<String>, Rejection> {
        self.one(call(1, steps)).map(|reply| seen(&reply))
    }

    /// As after a restart.
    pub(crate) fn restart(&mut self) {
        self.machine = Machine::load(&self.state, ENVIRONMENT).unwrap();
        self.vm = ScriptVm::default();
    }
}

/// Whether the numbers of head, sessions and spaces are those of the rows.
fn recount(state: &MemoryState, head: &directory::Head) {
    let rows = |table, prefix: u8| state.rows(table).filter(move |(key, _)| key[0] == prefix);
    let number = |table, prefix| rows(table, prefix).count() as u64;
    assert_eq!(u64::from(head.sessions), number(Table::Sessions, b's'));
    assert_eq!(u64::from(head.sessions), number(Table::Sessions, b'n'));
    assert_eq!(head.requests, number(Table::Sessions, b'r'));
    assert_eq!(head.waiting, number(Table::Sessions, b't'));
    assert_eq!(head.timers, number(Table::Timers, b't'));
    let (mut requests, mut deadlines) = (BTreeMap::<&[u8], (u32, u64, u32, u64)>::new(), 0);
    for (key, value) in rows(Table::Sessions, b'r') {
        let record: RequestRecord = synod_abi::decode(value).unwrap();
        let of = requests.entry(&key[1..17]).or_default();
        let waits = matches!(record.state, RequestState::Waiting { .. });
        deadlines += u64::from(matches!(record.state, RequestState::Waiting { deadline: Some(_), .. }));
        let id = u64::from_be_bytes(*key.last_chunk().unwrap());
        *of = (of.0 + 1, of.1 + value.len() as u64, of.2 + u32::from(waits), of.3.max(id));
    }
    for (key, value) in rows(Table::Sessions, b's') {
        let record: SessionRecord = synod_abi::decode(value).unwrap();
        let of = requests.remove(&key[1..]).unwrap_or_default();
        assert_eq!((record.requests, record.outcome_bytes, record.waiting), (of.0, of.1, of.2), "{record:?}");
        assert!(record.last_request.0 >= of.3 && record.spaces.is_sorted());
    }
    assert!(requests.is_empty(), "requests have sessions");
    let in_spaces: u64 =
        rows(Table::Sessions, b'c').map(|(_, value)| synod_abi::decode::<u64>(value).unwrap()).sum();
    assert_eq!(in_spaces, head.waiting);
    let fires = rows(Table::Timers, b't').map(|(_, value)| synod_abi::decode::<Fires>(value).unwrap());
    let (mut hooks, mut others) = (0, 0);
    fires.for_each(|fires| match fires {
        Fires::Hook { .. } => hooks += 1,
        Fires::Deadline { .. } => others += 1,
        Fires::Purge { .. } => {}
    });
    assert_eq!((hooks, others), (number(Table::Timers, b'i'), deadlines));
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
