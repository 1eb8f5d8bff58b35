//! [`Machine::apply`]: one entry in, one [`Applied`] out.
//!
//! Commands run in order over one workspace, each under a savepoint: a rejected one leaves nothing but its outcome, and
//! the number that seeds are made from. A command's outcome does not depend on its neighbours in the entry, with one
//! exception that is not recorded: when the commands before it have written `limits::ENTRY_WRITE_BYTES`, it is
//! [`Rejection::Deferred`], takes neither revision nor number, and is packed again by its proposer. An entry may exceed
//! the limit by what one command writes. Installing alone in an entry is the proposer's rule, for the sake of time; an
//! install among other commands means the same.
//!
//! It keeps in memory only what the rows say as well: the head, and where spaces and operations are. After a
//! [`Fatal`] it refuses to go on, since that memory may then be ahead of the rows.
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use synod_abi::{Context, ModuleHash, OperationId, SpaceId, limits};

use crate::access::access_set;
use crate::digest::RowSum;
use crate::directory::{self, Head, head_key, space_sum, space_sum_key};
use crate::outcome::{Applied, CommandOutcome, Outcome, Rejection, Reply};
use crate::overlay::Overlay;
use crate::workspace::Workspace;
use crate::{Action, Command, Entry, Environment, Fatal, StateView, Table, Vm, Write};

/// Bytes of outcomes and writes that are collected before they are hashed.
const TRANSCRIPT_BYTES: usize = 16 * 1_024;

/// Why a command goes no further.
#[derive(Debug)]
pub(crate) enum Stop {
    Rejected(Rejection),
    Fatal(Fatal),
}

impl From<Fatal> for Stop {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// Where calls of a space go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) module: ModuleHash,
    pub(crate) operations: Arc<[OperationId]>,
}

/// The replicated machine of one member.
#[derive(Debug)]
pub struct Machine {
    pub(crate) head: Head,
    own: Environment,
    pub(crate) targets: BTreeMap<SpaceId, Target>,
    pub(crate) operations: BTreeMap<ModuleHash, Arc<[OperationId]>>,
    sums: BTreeMap<SpaceId, RowSum>,
    pub(crate) deleted: Vec<SpaceId>,
    pub(crate) directory_changed: bool,
    transcript: Vec<u8>,
    hashed: Vec<u8>,
    stopped: bool,
}

impl Machine {
    /// The machine as of the rows in `view`, in a member whose execution environment is `own`.
    ///
    /// # Errors
    /// [`Fatal`] if the rows cannot be read or are of a newer format.
    pub fn load(view: &impl StateView, own: Environment) -> Result<Self, Fatal> {
        Ok(Self {
            head: directory::head(view)?.unwrap_or(Head::EMPTY),
            own,
            targets: BTreeMap::new(),
            operations: BTreeMap::new(),
            sums: BTreeMap::new(),
            deleted: Vec::new(),
            directory_changed: false,
            transcript: Vec::with_capacity(TRANSCRIPT_BYTES),
            hashed: Vec::new(),
            stopped: false,
        })
    }

    /// The head after the last entry.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Applies the entry at `index` to the committed rows in `view`, which are those that the last `apply` led to. Blank
    /// and membership entries are not applied: the machine does not miss their indices.
    ///
    /// # Errors
    /// [`Fatal`] for a local cause, or a malformed entry. The machine then refuses every further entry.
    pub fn apply<S: StateView, V: Vm<Workspace<S>>>(&mut self, view: S, vm: &mut V, index: u64, entry: &[u8]) -> Result<Applied, Fatal> {
        if self.stopped {
            return Err(Fatal("the machine stopped at an earlier entry; restart this member".into()));
        }
        self.stopped = true;
        let entry = self.read(index, entry)?;
        let applied = self.run(view, vm, index, entry)?;
        self.stopped = false;
        Ok(applied)
    }

    fn read(&self, index: u64, entry: &[u8]) -> Result<Entry, Fatal> {
        if index <= self.head.index {
            return Err(Fatal(format!("entry {index} was to be applied again; the state is at entry {}", self.head.index)));
        }
        let entry: Entry = synod_abi::decode(entry).map_err(|_| {
            Fatal(format!(
                "entry {index} is malformed or was written by a newer binary: start this member with the newest binary of the cluster"
            ))
        })?;
        if entry.commands.len() > limits::ENTRY_COMMANDS {
            let (actual, limit) = (entry.commands.len(), limits::ENTRY_COMMANDS);
            return Err(Fatal(format!("entry {index} has {actual} commands, the limit is {limit}")));
        }
        Ok(entry)
    }

    fn run<S: StateView, V: Vm<Workspace<S>>>(&mut self, view: S, vm: &mut V, index: u64, entry: Entry) -> Result<Applied, Fatal> {
        self.head.index = index;
        self.head.time = self.head.time.max(entry.stamp);
        self.directory_changed = false;
        vm.begin_entry();
        let mut chain = blake3::Hasher::new();
        chain.update(&self.head.chain).update(&index.to_le_bytes()).update(&self.head.time.0.to_le_bytes());
        let mut workspace = Workspace::for_entry(view, self.head.tokens);
        let mut outcomes = Vec::with_capacity(entry.commands.len());
        for command in entry.commands {
            let outcome;
            (workspace, outcome) = self.execute(workspace, vm, command)?;
            outcomes.push(outcome);
            if self.transcript.len() > TRANSCRIPT_BYTES {
                chain.update(&self.transcript);
                self.transcript.clear();
            }
        }
        chain.update(&self.transcript);
        self.transcript.clear();
        self.head.tokens = workspace.tokens();
        self.head.chain = *chain.finalize().as_bytes();
        let (overlay, view, logs) = workspace.into_parts();
        let writes = self.finish(overlay, &view)?;
        let state = self.head.state_digest();
        Ok(Applied { writes, outcomes, chain: self.head.chain, state, directory_changed: self.directory_changed, logs })
    }

    fn execute<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        command: Command,
    ) -> Result<(Workspace<S>, CommandOutcome), Fatal> {
        let savepoint = workspace.savepoint();
        let (mut result, mut fuel) = (Err(Rejection::Deferred), 0);
        if workspace.written_bytes() < limits::ENTRY_WRITE_BYTES {
            self.head.commands += 1;
            let before = self.head;
            (workspace, result, fuel) = self.decide(workspace, vm, &command)?;
            if result.is_ok() {
                self.head.revision.0 += 1;
            } else {
                self.head = before;
                workspace.rollback(savepoint);
            }
        }
        let outcome = Outcome { revision: self.head.revision, time: self.head.time, result };
        self.transcript = synod_abi::encode_into(&outcome, core::mem::take(&mut self.transcript));
        workspace.overlay().release(savepoint.0, &mut self.transcript);
        Ok((workspace, CommandOutcome { origin: command.origin, outcome, fuel }))
    }

    #[expect(clippy::type_complexity, reason = "the workspace goes through by value, as the port lends it")]
    fn decide<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        command: &Command,
    ) -> Result<(Workspace<S>, Result<Reply, Rejection>, u64), Fatal> {
        if !access_set(&command.action).allows(command.caller.principal) {
            return Ok((workspace, Err(Rejection::NotAllowed), 0));
        }
        if let Err(stop) = self.check_environment(&command.action) {
            return rejected(stop).map(|rejection| (workspace, Err(rejection), 0));
        }
        if let Action::Call(call) = &command.action {
            let context = self.context(command);
            let (workspace, result) = self.call(workspace, vm, call, &context)?;
            return Ok((workspace, result, vm.fuel_used()));
        }
        let result = match self.administer(&mut workspace, vm, &command.action) {
            Ok(reply) => Ok(reply),
            Err(stop) => Err(rejected(stop)?),
        };
        Ok((workspace, result, 0))
    }

    /// Every command but those that form the cluster needs its environment, and a member that means the same by it.
    fn check_environment(&self, action: &Action) -> Result<(), Stop> {
        if matches!(action, Action::FormCluster { .. } | Action::SetEnvironment { .. }) {
            return Ok(());
        }
        let (Some(environment), Some(_)) = (self.head.environment, self.head.cluster) else { return Err(Rejection::NotFormed.into()) };
        if environment == self.own {
            return Ok(());
        }
        let hex = |bytes: [u8; 32]| ModuleHash(bytes);
        Err(Stop::Fatal(Fatal(format!(
            "the cluster's execution environment is semantics {} and engine {}, this binary's is semantics {} and engine {}: start this member with the binary that the others run",
            environment.semantics,
            hex(environment.engine),
            self.own.semantics,
            hex(self.own.engine)
        ))))
    }

    /// The seed is made from the cluster's name and the command's number, so that it depends neither on the entry that the command
    /// was packed into, nor on its place there.
    fn context(&self, command: &Command) -> Context {
        let mut input = [0; 24];
        input[..16].copy_from_slice(&self.head.cluster.unwrap_or_default().0);
        input[16..].copy_from_slice(&self.head.commands.to_le_bytes());
        let mut seed = [0; 16];
        seed.copy_from_slice(&blake3::hash(&input).as_bytes()[..16]);
        let revision = synod_abi::Revision(self.head.revision.0 + 1);
        Context { revision, now: self.head.time, session: command.caller.session, seed }
    }

    /// Turns the overlay into writes and brings the sums up to date.
    fn finish<S: StateView>(&mut self, overlay: Overlay, view: &S) -> Result<Vec<Write>, Fatal> {
        for id in core::mem::take(&mut self.deleted) {
            let sum = self.sums.remove(&id).map_or_else(|| space_sum(view, id), Ok)?;
            self.head.rows.subtract_sum(sum);
        }
        let (mut deltas, buffer): (Vec<(SpaceId, RowSum)>, &mut Vec<u8>) = (Vec::new(), &mut self.hashed);
        let head = &mut self.head;
        let mut writes = overlay.finish(view, |row| {
            let delta = match (row.table, row.key.first_chunk()) {
                (Table::State, Some(id)) => {
                    let id = SpaceId(u32::from_be_bytes(*id));
                    if deltas.last().is_none_or(|(last, _)| *last != id) {
                        deltas.push((id, RowSum::ZERO));
                    }
                    deltas.last_mut().map_or(&mut head.rows, |(_, delta)| delta)
                }
                (table, _) if directory::is_counted(table, row.key) => &mut head.rows,
                _ => return Ok(()),
            };
            if let Some(value) = row.before {
                delta.subtract(row.table, row.key, value, buffer);
            }
            if let Some(value) = row.after {
                delta.add(row.table, row.key, value, buffer);
            }
            Ok(())
        })?;
        for (id, delta) in deltas {
            let mut sum = self.sums.get(&id).map_or_else(|| space_sum(view, id), |sum| Ok(*sum))?;
            sum.add_sum(delta);
            self.head.rows.add_sum(delta);
            self.sums.insert(id, sum);
            writes.push(Write::Put { table: Table::System, key: space_sum_key(id), value: sum.to_bytes().to_vec() });
        }
        writes.push(Write::Put { table: Table::System, key: head_key(), value: synod_abi::encode(&self.head) });
        Ok(writes)
    }
}

fn rejected(stop: Stop) -> Result<Rejection, Fatal> {
    match stop {
        Stop::Rejected(rejection) => Ok(rejection),
        Stop::Fatal(fatal) => Err(fatal),
    }
}

#[cfg(test)]
mod tests;
