//! [`Machine::apply`]: one entry in, one [`Applied`] out.
//!
//! Commands run in order over one workspace, each under a savepoint: a rejected one leaves nothing
//! but its outcome, and the number that seeds are made from; a session's call whose operation was
//! tried leaves the record of its outcome too, but nothing of the operation. A command's outcome
//! does not depend on its neighbours in the entry, with one exception that is not recorded: when
//! the commands before it have written `limits::ENTRY_WRITE_BYTES`, it is [`Rejection::Deferred`],
//! takes neither revision nor number, and is packed again by its proposer. An entry may exceed the
//! limit by what one command writes. Installing alone in an entry is the proposer's rule, for the
//! sake of time; an install among other commands means the same.
//!
//! It keeps in memory only what the rows say as well: the head, where spaces and operations are,
//! who is bound to whose events, and when the next timer is due. After a [`Fatal`] it refuses to go
//! on, since that memory may then be ahead of the rows.
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use synod_abi::{Context, ModuleHash, Revision, SessionId, SpaceId, Time, limits};

use crate::access::access_set;
use crate::commands::bindings::Sources;
use crate::commands::retention::set_event_retention;
use crate::commands::sessions::set_session_bounds;
use crate::draft::draft::{Counts, Effects, Workspace};
use crate::log::command::{Action, Caller, Command, Entry};
use crate::log::environment::Environment;
use crate::log::outcome::{Applied, CommandOutcome, EventLogChange, Outcome, Reply};
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, StateView, Table, Vm, Write};
use crate::rows::digest::RowSum;
use crate::rows::directory::{self, Head, head_key, space_sum, space_sum_key};
use crate::rows::overlay::Overlay;
use crate::rows::sessions;
use crate::run::call::{Interface, Target};

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

/// A workspace comes back from everything that runs recipes, because their engine is lent it by
/// value.
pub(crate) type Carried<S, T> = Result<(Workspace<S>, T), Fatal>;

/// What becomes of a command.
#[derive(Debug)]
pub(crate) enum Decided {
    /// It takes its revision, and what it wrote stays.
    Done(Reply),
    /// It takes none, and leaves nothing.
    Rejected(Rejection),
    /// A session's request has this outcome, from now on or since it first ran: the command takes
    /// no revision of its own, and what it wrote stays.
    Recorded(Outcome),
}

/// A command that is carried out.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) caller: Caller,
    /// Which it takes, unless it is rejected.
    pub(crate) revision: Revision,
    /// Hooks, handlers and sent operations that it has run.
    pub(crate) hooks: u32,
    /// Fuel that it has used.
    pub(crate) fuel: u64,
}

/// The replicated machine of one member.
#[derive(Debug)]
pub struct Machine {
    pub(crate) head: Head,
    own: Environment,
    pub(crate) targets: BTreeMap<SpaceId, Target>,
    pub(crate) interfaces: BTreeMap<ModuleHash, Arc<Interface>>,
    pub(crate) sources: Sources,
    sums: BTreeMap<SpaceId, RowSum>,
    pub(crate) deleted: Vec<SpaceId>,
    pub(crate) directory_changed: bool,
    transcript: Vec<u8>,
    pub(crate) hashed: Vec<u8>,
    pub(crate) next_timer: Option<Time>,
    stopped: bool,
}

impl Machine {
    /// The machine as of the rows in `view`, in a member whose execution environment is `own`.
    ///
    /// # Errors
    /// [`Fatal`] if the rows cannot be read or are of another format.
    pub fn load(view: &impl StateView, own: Environment) -> Result<Self, Fatal> {
        Ok(Self {
            head: directory::head(view)?.unwrap_or(Head::EMPTY),
            own,
            targets: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            sources: Sources::new(),
            sums: BTreeMap::new(),
            deleted: Vec::new(),
            directory_changed: false,
            transcript: Vec::with_capacity(TRANSCRIPT_BYTES),
            hashed: Vec::new(),
            next_timer: sessions::next_timer(view)?,
            stopped: false,
        })
    }

    /// The head after the last entry.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Applies the entry at `index` to the committed rows in `view`, which are those that the last
    /// `apply` led to. Blank and membership entries are not applied: the machine does not miss
    /// their indices.
    ///
    /// # Errors
    /// [`Fatal`] for a local cause, or a malformed entry. The machine then refuses every further
    /// entry.
    pub fn apply<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        view: S,
        vm: &mut V,
        index: u64,
        entry: &[u8],
    ) -> Result<Applied, Fatal> {
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
            return Err(Fatal(format!(
                "entry {index} was to be applied again; the state is at entry {}",
                self.head.index
            )));
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

    fn run<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        view: S,
        vm: &mut V,
        index: u64,
        entry: Entry,
    ) -> Result<Applied, Fatal> {
        self.head.index = index;
        self.head.time = self.head.time.max(entry.stamp);
        self.directory_changed = false;
        vm.begin_entry();
        let mut chain = blake3::Hasher::new();
        chain.update(&self.head.chain).update(&index.to_le_bytes()).update(&self.head.time.0.to_le_bytes());
        let mut workspace = Workspace::for_entry(view, Counts::of(&self.head));
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
        let event_logs = self.log_events(&mut workspace)?;
        chain.update(&self.transcript);
        self.transcript.clear();
        workspace.counts().store(&mut self.head);
        self.head.chain = *chain.finalize().as_bytes();
        self.next_timer = self.next_timer(&mut workspace)?;
        let (overlay, view, Effects { completions, sessions, logs }, emissions) = workspace.into_parts();
        let writes = self.finish(overlay, &view)?;
        let (chain, state) = (self.head.chain, self.head.state_digest());
        let (next_timer, directory_changed) = (self.next_timer, self.directory_changed);
        let events = emissions.into_events();
        Ok(Applied {
            writes,
            outcomes,
            completions,
            sessions,
            events,
            event_logs,
            next_timer,
            chain,
            state,
            directory_changed,
            logs,
        })
    }

    /// Writes what spaces keep of their events, once an entry.
    fn log_events<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
    ) -> Result<Vec<EventLogChange>, Fatal> {
        let mark = workspace.savepoint();
        workspace.write_event_logs()?;
        workspace.release(&mark, &mut self.transcript);
        workspace.event_log_changes()
    }

    fn execute<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        command: Command,
    ) -> Carried<S, CommandOutcome> {
        let mark = workspace.savepoint();
        let mut turn =
            Turn { caller: command.caller, revision: Revision(self.head.revision.0 + 1), hooks: 0, fuel: 0 };
        let mut decided = Decided::Rejected(Rejection::Deferred);
        if workspace.written_bytes() < limits::ENTRY_WRITE_BYTES {
            self.head.commands += 1;
            let before = self.head;
            workspace.begin_command(turn.revision, &before);
            (workspace, decided) = self.decide(workspace, vm, &command.action, &mut turn)?;
            if matches!(decided, Decided::Rejected(_)) {
                self.head = before;
                workspace.rollback(&mark);
            }
        }
        let time = self.head.time;
        let outcome = match decided {
            Decided::Done(reply) => {
                self.head.revision = turn.revision;
                Outcome { revision: turn.revision, time, result: Ok(reply) }
            }
            Decided::Rejected(rejection) => {
                Outcome { revision: self.head.revision, time, result: Err(rejection) }
            }
            Decided::Recorded(outcome) => outcome,
        };
        self.transcript = synod_abi::encode_into(&outcome, core::mem::take(&mut self.transcript));
        workspace.release(&mark, &mut self.transcript);
        Ok((workspace, CommandOutcome { origin: command.origin, outcome, fuel: turn.fuel }))
    }

    fn decide<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        action: &Action,
        turn: &mut Turn,
    ) -> Carried<S, Decided> {
        if !access_set(action).allows(turn.caller.principal) {
            return Ok((workspace, Decided::Rejected(Rejection::NotAllowed)));
        }
        if let Err(stop) = self.check_environment(action) {
            return rejected(stop).map(|rejection| (workspace, Decided::Rejected(rejection)));
        }
        let result = match action {
            Action::Call(call) => return self.call(workspace, vm, call, turn),
            Action::SessionCall(call) => return self.session_call(workspace, vm, call, turn),
            Action::CancelRequest { request } => return self.cancel_request(workspace, vm, *request, turn),
            Action::EndSession { session, cause } => {
                return self.end_session(workspace, vm, *session, *cause, turn);
            }
            Action::Tick => return self.tick(workspace, vm, turn),
            Action::OpenSession(open) => self.open_session(&mut workspace, open, turn),
            Action::SetSessionBounds { bounds } => set_session_bounds(&mut workspace, *bounds),
            Action::FormCluster { cluster } => self.form_cluster(*cluster),
            Action::SetEnvironment { environment } => {
                self.head.environment = Some(*environment);
                Ok(Reply::Done)
            }
            Action::InstallRecipe { module, replace } => self.install(&mut workspace, vm, module, *replace),
            Action::RemoveRecipe { recipe } => self.remove_recipe(&mut workspace, recipe),
            Action::CreateSpace { name, recipe, version } => {
                self.create_space(&mut workspace, name, recipe, *version)
            }
            Action::UpgradeSpace { name, to } => self.upgrade_space(&mut workspace, vm, name, *to),
            Action::DeleteSpace { name } => self.delete_space(&mut workspace, vm, name),
            Action::BindSpace { binding, on_failure } => {
                self.bind_space(&mut workspace, binding, *on_failure, turn)
            }
            Action::UnbindSpace { binding } => self.unbind_space(&mut workspace, binding),
            Action::SetEventRetention { name, retention } => {
                set_event_retention(&mut workspace, name, *retention)
            }
            Action::CompactEvents { space, through } => {
                self.compact_events(&mut workspace, *space, *through, turn)
            }
        };
        let decided = match result {
            Ok(reply) => Decided::Done(reply),
            Err(stop) => Decided::Rejected(rejected(stop)?),
        };
        Ok((workspace, decided))
    }

    /// Every command but those that form the cluster needs its environment, and a member that means
    /// the same by it.
    fn check_environment(&self, action: &Action) -> Result<(), Stop> {
        if matches!(action, Action::FormCluster { .. } | Action::SetEnvironment { .. }) {
            return Ok(());
        }
        let (Some(environment), Some(_)) = (self.head.environment, self.head.cluster) else {
            return Err(Rejection::NotFormed.into());
        };
        if environment == self.own {
            return Ok(());
        }
        let hex = |bytes: [u8; 32]| ModuleHash(bytes);
        Err(Stop::Fatal(Fatal(format!(
            "the cluster's execution environment is semantics {} and engine {}, this binary's is semantics \
                {} and engine {}: start this member with the binary that the others run",
            environment.semantics,
            hex(environment.engine),
            self.own.semantics,
            hex(self.own.engine)
        ))))
    }

    /// The seed is made from the cluster's name, the command's number and that of the hook in it,
    /// so that it depends neither on the entry that the command was packed into, nor on its place
    /// there.
    pub(crate) fn context(&self, turn: &Turn, session: Option<SessionId>, may_wait: bool) -> Context {
        let mut input = [0; 28];
        input[..16].copy_from_slice(&self.head.cluster.unwrap_or_default().0);
        input[16..24].copy_from_slice(&self.head.commands.to_le_bytes());
        input[24..].copy_from_slice(&turn.hooks.to_le_bytes());
        let input = if turn.hooks == 0 { &input[..24] } else { &input[..] };
        let mut seed = [0; 16];
        seed.copy_from_slice(&blake3::hash(input).as_bytes()[..16]);
        Context { revision: turn.revision, now: self.head.time, session, may_wait, seed }
    }

    /// Turns the overlay into writes and brings the sums up to date.
    fn finish<S: StateView>(&mut self, overlay: Overlay, view: &S) -> Result<Vec<Write>, Fatal> {
        for id in core::mem::take(&mut self.deleted) {
            let sum = self.sums.remove(&id).map_or_else(|| space_sum(view, id), Ok)?;
            self.head.rows.subtract_sum(sum);
        }
        let (mut deltas, buffer): (Vec<(SpaceId, RowSum)>, &mut Vec<u8>) = (Vec::new(), &mut self.hashed);
        let (head, mut last) = (&mut self.head, None);
        let mut writes = overlay.finish(view, |row| {
            let delta = match (row.table, row.key.first_chunk()) {
                (Table::State | Table::Events, Some(id)) => {
                    let id = SpaceId(u32::from_be_bytes(*id));
                    if last.is_none_or(|(_, of)| of != id) {
                        let at = deltas.binary_search_by_key(&id, |(of, _)| *of).unwrap_or_else(|at| {
                            deltas.insert(at, (id, RowSum::ZERO));
                            at
                        });
                        last = Some((at, id));
                    }
                    last.and_then(|(at, _)| deltas.get_mut(at)).map_or(&mut head.rows, |(_, delta)| delta)
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
            writes.push(Write::Put {
                table: Table::System,
                key: space_sum_key(id),
                value: sum.to_bytes().to_vec(),
            });
        }
        writes.push(Write::Put {
            table: Table::System,
            key: head_key(),
            value: synod_abi::encode(&self.head),
        });
        Ok(writes)
    }
}

pub(crate) fn rejected(stop: Stop) -> Result<Rejection, Fatal> {
    match stop {
        Stop::Rejected(rejection) => Ok(rejection),
        Stop::Fatal(fatal) => Err(fatal),
    }
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
