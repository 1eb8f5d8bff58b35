//! A [`Vm`] whose one recipe does what its arguments say, step by step.
//!
//! Its hooks append a line to the row `heard`; then that of timers does what the payload says,
//! those of session ends, cancelled calls and events what the rows `at end`, `at cancel` and `at
//! event` say.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use synod_abi::schema::Schema;
use synod_abi::{
    AdmissionError, Direction, EntryPoint, Event, Fault, HostCalls, ModuleHash, OperationId, REPLY_ERROR,
    REPLY_RESULT, RangeRequest, Rows, SessionId, SpaceId, TicketId, TimerId, costs, encode,
};
use synod_machine::{Admitted, Completion, Environment, Fatal, Invocation, Vm, module_hash};

use super::recipe::Step;

/// Rows of calls in line: their tickets, big-endian, behind this.
const LINE: u8 = b'w';

/// Runs scripts. A module is an encoded schema.
#[derive(Debug, Default)]
pub(crate) struct ScriptVm {
    pub(crate) loaded: BTreeSet<ModuleHash>,
    pub(crate) discarded: Vec<SpaceId>,
    /// What was invoked: space, entry point and seed, in order.
    pub(crate) invoked: Vec<(SpaceId, EntryPoint, [u8; 16])>,
    /// The environment of the present entry.
    pub(crate) environment: Option<Environment>,
    /// Fuel that each of them was entered with.
    pub(crate) fuelled: Vec<u64>,
    memory: BTreeMap<SpaceId, u32>,
    used: u64,
}

/// Appends `line` to the row `heard`, unless that is long.
fn hear(host: &mut impl HostCalls, line: &str) -> Result<(), Fault> {
    let mut heard = row(host, b"heard")?.unwrap_or_default();
    if heard.len() > 2 * 1_024 {
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

/// What the steps of a call have come to.
struct Progress {
    seen: Vec<Vec<u8>>,
    /// By how many tickets it answers later, if it does.
    later: Option<u16>,
    now: bool,
    more: bool,
    buffer: Vec<u8>,
}

impl Progress {
    fn show(&mut self, value: impl ToString) {
        self.seen.push(value.to_string().into_bytes());
    }

    fn completion(self) -> Completion {
        if self.more {
            return Completion::More;
        }
        match (self.later, self.now) {
            (Some(tickets), _) => Completion::Later { tickets },
            (_, true) => Completion::Now(encode(&self.seen)),
            _ => Completion::Done(encode(&self.seen)),
        }
    }

    fn get(&mut self, host: &mut impl HostCalls, key: &[u8]) -> Result<(), Fault> {
        let found = match host.get(key, &mut self.buffer)? {
            u32::MAX => b"absent".to_vec(),
            len => self.buffer[..len as usize].to_vec(),
        };
        self.seen.push(found);
        Ok(())
    }

    fn sweep(&mut self, host: &mut impl HostCalls, prefix: &[u8], count: u32) -> Result<bool, Fault> {
        let to = [prefix, &[0xff]].concat();
        let request = RangeRequest { from: prefix.to_vec(), to, direction: Direction::Forward, rows: count };
        let answer = host.range(&request.to_bytes(), &mut self.buffer)?;
        let filled = answer as u32 as usize;
        let keys: Vec<Vec<u8>> = Rows(&self.buffer[..filled]).map(|(key, _)| key.to_vec()).collect();
        keys.iter().try_for_each(|key| host.delete(key))?;
        Ok(answer >> 32 == 1)
    }

    fn range(&mut self, host: &mut impl HostCalls, request: &RangeRequest) -> Result<(), Fault> {
        let answer = host.range(&request.to_bytes(), &mut self.buffer)?;
        let rows = Rows(&self.buffer[..answer as u32 as usize]);
        self.seen.extend(rows.map(|(key, value)| [key, b"=", value].concat()));
        self.show(if answer >> 32 == 1 { "more" } else { "end" });
        Ok(())
    }
}

fn decoded<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    synod_abi::decode(bytes).map_err(|_| Fault::BadArguments)
}

/// The steps in a row of the space; none if it is absent.
fn stored(host: &mut impl HostCalls, key: &[u8]) -> Result<Vec<Step>, Fault> {
    let steps = row(host, key)?;
    steps.map_or(Ok(Vec::new()), |steps| synod_abi::decode(&steps).map_err(|_| Fault::CorruptState))
}

/// Notes what a hook is called for, and finds the steps of an entry point.
fn steps_of(invocation: &Invocation<'_>, host: &mut impl HostCalls) -> Result<Vec<Step>, Fault> {
    let context = invocation.context;
    let mut args = invocation.args;
    match invocation.entry_point {
        EntryPoint::Operation(_) | EntryPoint::Query(_) => decoded(args),
        EntryPoint::SessionEnd => {
            let session: SessionId = decoded(args)?;
            assert_eq!(context.session, Some(session));
            hear(host, &format!("end {}", session.0[7]))?;
            stored(host, b"at end")
        }
        EntryPoint::Timer => {
            let timer: TimerId = synod_abi::decode_from(&mut args).map_err(|_| Fault::BadArguments)?;
            assert_eq!(context.session, None);
            hear(host, &format!("timer {timer} at {}", context.now))?;
            decoded(args)
        }
        EntryPoint::Cancel => {
            let (ticket, granted): (TicketId, bool) = decoded(args)?;
            assert!(context.session.is_some());
            hear(host, &format!("cancel {ticket} {granted}"))?;
            host.delete(&[[LINE].as_slice(), &ticket.0.to_be_bytes()].concat())?;
            if granted {
                grant(host, 1)?;
            }
            stored(host, b"at cancel")
        }
        EntryPoint::Event => {
            assert_eq!(context.session, None);
            let Event { space, topic, payload } = decoded(args)?;
            hear(host, &format!("event {space} {topic} {}", String::from_utf8_lossy(&payload)))?;
            stored(host, b"at event")
        }
    }
}

impl ScriptVm {
    fn run(&mut self, invocation: Invocation<'_>, host: &mut impl HostCalls) -> Result<Completion, Fault> {
        let mut steps: VecDeque<Step> = steps_of(&invocation, host)?.into();
        if invocation.context.session.is_none() {
            assert!(!invocation.context.may_wait);
        }
        let buffer = vec![0; synod_abi::limits::RANGE_CHUNK_BYTES];
        let mut progress = Progress { seen: Vec::new(), later: None, now: false, more: false, buffer };
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Repeat(0, _) => {}
                Step::Repeat(times, step) => {
                    steps.push_front(Step::Repeat(times - 1, step.clone()));
                    steps.push_front(*step);
                }
                Step::Refuse(code) => return Ok(Completion::Refused { code, error: vec![code as u8] }),
                step => self.step(step, &invocation, host, &mut progress)?,
            }
        }
        Ok(progress.completion())
    }

    fn step(
        &mut self,
        step: Step,
        invocation: &Invocation<'_>,
        host: &mut impl HostCalls,
        progress: &mut Progress,
    ) -> Result<(), Fault> {
        let context = invocation.context;
        match step {
            Step::Repeat(..) | Step::Refuse(_) => unreachable!("they decide what runs next"),
            Step::Emit(topic, payload) => host.emit(&topic, &payload)?,
            Step::Send(space, operation, args) => {
                host.send(space.as_bytes(), OperationId::of(&operation).0, &args)?
            }
            Step::Burn(fuel) => {
                let left = host.fuel();
                *left = left.saturating_sub(fuel);
                if *left == 0 {
                    return Err(Fault::OutOfFuel);
                }
            }
            Step::Get(key) => progress.get(host, &key)?,
            Step::Put(key, value) => host.put(&key, &value)?,
            Step::Delete(key) => host.delete(&key)?,
            Step::Fill(rows) => {
                (0..rows).try_for_each(|n| host.put(&[n], &vec![n; synod_abi::limits::VALUE_BYTES]))?
            }
            Step::Range { from, to, direction, rows } => {
                progress.range(host, &RangeRequest { from: from.0, to: to.0, direction, rows })?
            }
            Step::Token => progress.show(host.next_token()?),
            Step::Seed => progress.seen.push(context.seed.to_vec()),
            Step::Log(text) => host.log(3, text.as_bytes())?,
            Step::Remember => {
                let count = self.memory.entry(invocation.space).or_default();
                *count += 1;
                progress.show(*count);
            }
            Step::Fault(fault) => return Err(fault),
            Step::Count(key) => {
                let count = row(host, &key)?.map_or(0, |count| count[0]) + 1;
                host.put(&key, &[count])?;
            }
            Step::Context => {
                let session = context.session.map_or(0, |session| session.0[7]);
                progress.show(format!("{} {session} {}", context.revision, context.may_wait));
            }
            Step::Later => progress.later = Some(1),
            Step::LaterBy(tickets) => progress.later = Some(tickets),
            Step::More => progress.more = true,
            Step::Sweep(prefix, count) => progress.more = progress.sweep(host, &prefix, count)?,
            Step::Now => progress.now = true,
            Step::Complete(ticket, value) => progress.show(host.complete(ticket, &result_of(&[value.0]))?),
            Step::Reject(ticket, code) => {
                let reply = [[REPLY_ERROR].as_slice(), &code.to_le_bytes(), b"no"].concat();
                progress.show(host.complete(ticket, &reply)?);
            }
            Step::CompleteRaw(ticket, reply) => progress.show(host.complete(ticket, &reply)?),
            Step::Wait => {
                progress.later = Some(1);
                host.put(&[[LINE].as_slice(), &context.revision.0.to_be_bytes()].concat(), &[])?;
            }
            Step::Grant(count) => progress.show(grant(host, count)?),
            Step::SetTimer(at, payload) => progress.show(host.set_timer(at, &payload)?),
            Step::CancelTimer(timer) => progress.show(host.cancel_timer(timer)?),
        }
        Ok(())
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

    fn begin_entry(&mut self, environment: Option<Environment>) -> Result<(), Fatal> {
        self.environment = environment;
        self.memory.clear();
        Ok(())
    }

    fn invoke(&mut self, invocation: Invocation<'_>, mut host: H) -> Result<(H, Completion), Fatal> {
        assert!(self.loaded.contains(&invocation.module), "a module is loaded before it is called");
        assert!((1..=synod_abi::limits::CALL_FUEL).contains(&invocation.fuel));
        let entering = costs::ENTER + invocation.args.len() as u64 * costs::ARGUMENT_BYTE;
        self.fuelled.push(invocation.fuel + entering);
        self.invoked.push((invocation.space, invocation.entry_point, invocation.context.seed));
        assert_eq!(*host.fuel(), invocation.fuel, "the host is lent with the fuel of the call");
        let fuel = invocation.fuel;
        let completion = self.run(invocation, &mut host).unwrap_or_else(Completion::Faulted);
        self.used = fuel - *host.fuel();
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
