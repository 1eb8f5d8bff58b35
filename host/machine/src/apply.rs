//! [`Machine::apply`]: one entry in, one [`Applied`] out.
//!
//! Commands run in order over one draft, each under a savepoint: a rejected one leaves nothing
//! but its outcome, and the number that seeds are made from; a session's call whose operation was
//! tried leaves the record of its outcome too, but nothing of the operation. A command's outcome
//! does not depend on its neighbours in the entry, with one exception that is not recorded: when
//! the commands before it have written and answered `limits::ENTRY_WRITE_BYTES`, or cost
//! `limits::ENTRY_COST`, it is [`Rejection::Deferred`], takes neither revision nor number, and is
//! packed again by its proposer. An entry may exceed the ceilings by what one command does, and its
//! first command is never deferred. Installing alone in an entry is the proposer's rule, for the
//! sake of time; an install among other commands means the same.
use alloc::format;
use alloc::vec::Vec;

use synod_abi::{Revision, costs, limits};

use self::applied::Applied;
use crate::access::access_set;
use crate::draft::draft::{Draft, Mark};
use crate::draft::effects::{Effects, EventLogChange};
use crate::draft::stop::{Stop, or_rejected};
use crate::log::command::{Action, Command, Entry};
use crate::log::outcome::{CommandOutcome, Outcome};
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, StateView, Vm};
use crate::run::machine::{Machine, TRANSCRIPT_BYTES};
use crate::run::run::{Decided, Run, Turn};

pub(crate) mod applied;
mod sums;

impl Machine {
    /// Applies the entry at `index` to the committed rows in `view`, which are those that the last
    /// `apply` led to. Blank and membership entries are not applied: the machine does not miss
    /// their indices.
    ///
    /// # Errors
    /// [`Fatal`] for a local cause, or a malformed entry. The machine then refuses every further
    /// entry.
    pub fn apply<S: StateView, V: Vm<Draft<S>>>(
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
        let applied = self.carry_out(view, vm, index, entry)?;
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
                "entry {index} is malformed or was written by a newer binary: start this member with the \
                    newest binary of the cluster"
            ))
        })?;
        if entry.commands.len() > limits::ENTRY_COMMANDS {
            let actual = entry.commands.len();
            let limit = limits::ENTRY_COMMANDS;
            return Err(Fatal(format!("entry {index} has {actual} commands, the limit is {limit}")));
        }
        Ok(entry)
    }

    fn carry_out<S: StateView, V: Vm<Draft<S>>>(
        &mut self,
        view: S,
        vm: &mut V,
        index: u64,
        entry: Entry,
    ) -> Result<Applied, Fatal> {
        self.head.index = index;
        self.head.time = self.head.time.max(entry.stamp);
        self.directory_changed = false;
        vm.begin_entry(self.head.environment)?;
        let mut chain = blake3::Hasher::new();
        chain.update(&self.head.chain).update(&index.to_le_bytes()).update(&self.head.time.0.to_le_bytes());
        let mut run = Run::for_entry(self, vm, view);
        let mut outcomes = Vec::with_capacity(entry.commands.len());
        for command in entry.commands {
            outcomes.push(run.execute(command)?);
            let transcript = &mut run.machine.transcript;
            if transcript.len() > TRANSCRIPT_BYTES {
                chain.update(transcript);
                transcript.clear();
            }
        }
        let event_logs = run.log_events()?;
        let mut draft = run.draft.into_inner();
        chain.update(&self.transcript);
        self.transcript.clear();
        draft.numbers().store(&mut self.head);
        self.head.chain = *chain.finalize().as_bytes();
        self.next_due = draft.next_due(self.next_due)?;
        let (overlay, view, effects, emissions) = draft.into_parts();
        let Effects { completions, sessions, checkpoints, logs } = effects;
        Ok(Applied {
            writes: self.finish(overlay, &view)?,
            outcomes,
            completions,
            sessions,
            checkpoints,
            events: emissions.into_events(),
            event_logs,
            next_timer: self.next_due.first(),
            chain: self.head.chain,
            state: self.head.state_digest(),
            directory_changed: self.directory_changed,
            logs,
        })
    }
}

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    /// Writes what spaces keep of their events, once an entry.
    fn log_events(&mut self) -> Result<Vec<EventLogChange>, Fatal> {
        let mark = self.draft.savepoint();
        self.draft.write_event_logs()?;
        self.draft.release(&mark, &mut self.machine.transcript);
        self.draft.event_log_changes()
    }

    fn execute(&mut self, command: Command) -> Result<CommandOutcome, Fatal> {
        let mark = self.draft.savepoint();
        self.turn = Turn::new(command.caller, Revision(self.machine.head.revision.0 + 1));
        let is_deferred = self.entry_use.is_full(self.draft.written_bytes());
        let decided =
            if is_deferred { Err(Rejection::Deferred) } else { self.decide(&command.action, &mark)? };
        let head = &mut self.machine.head;
        let time = head.time;
        let outcome = match decided {
            Ok(Decided::Done(reply)) => {
                head.revision = self.turn.revision;
                Outcome { revision: head.revision, time, result: Ok(reply) }
            }
            Ok(Decided::Recorded(outcome)) => outcome,
            Err(rejection) => Outcome { revision: head.revision, time, result: Err(rejection) },
        };
        let fuel = self.turn.fuel;
        let cost = if is_deferred { 0 } else { costs::COMMAND + fuel + self.draft.work_of_command() };
        let transcript = &mut self.machine.transcript;
        let before = transcript.len();
        *transcript = synod_abi::encode_into(&outcome, core::mem::take(transcript));
        self.entry_use.add(cost, transcript.len() - before);
        self.draft.release(&mark, transcript);
        Ok(CommandOutcome { origin: command.origin, outcome, fuel, cost })
    }

    /// Carries a command out; a rejection leaves nothing but the command's number.
    fn decide(&mut self, action: &Action, mark: &Mark) -> Result<Result<Decided, Rejection>, Fatal> {
        self.machine.head.commands += 1;
        self.draft.begin_command(self.turn.revision, self.machine.head.time);
        let decided = or_rejected(self.carry_out(action))?;
        if decided.is_err() {
            self.draft.rollback(mark);
        }
        Ok(decided)
    }

    fn carry_out(&mut self, action: &Action) -> Result<Decided, Stop> {
        if !access_set(action).allows(self.turn.caller.principal) {
            return Err(Rejection::NotAllowed.into());
        }
        self.check_formed(action)?;
        let reply = match action {
            Action::SessionCall(call) => return self.session_call(call, 0),
            Action::UserCall { user, call } => return self.session_call(call, *user),
            Action::Call(call) => self.call(call)?,
            Action::CancelRequest { request } => self.cancel_request(*request)?,
            Action::OpenSession(open) => self.open_session(open)?,
            Action::EndSession { session, cause } => self.end_session(*session, *cause)?,
            Action::SetSessionBounds { bounds } => self.set_session_bounds(*bounds)?,
            Action::Tick => self.tick()?,
            Action::FormCluster { cluster } => self.form_cluster(*cluster)?,
            Action::SetEnvironment { environment } => self.set_environment(*environment)?,
            Action::ChangeEnvironment { from, to } => self.change_environment(*from, *to)?,
            Action::InstallRecipe { module, replace } => self.install(module, *replace)?,
            Action::RemoveRecipe { recipe } => self.remove_recipe(recipe)?,
            Action::CreateSpace { name, recipe, version } => self.create_space(name, recipe, *version)?,
            Action::UpgradeSpace { name, to } => self.upgrade_space(name, *to)?,
            Action::DeleteSpace { name } => self.delete_space(name)?,
            Action::BindSpace { binding, on_failure } => self.bind_space(binding, *on_failure)?,
            Action::UnbindSpace { binding } => self.unbind_space(binding)?,
            Action::SetEventRetention { name, retention } => self.set_event_retention(name, *retention)?,
            Action::CompactEvents { space, through } => self.compact_events(*space, *through)?,
            Action::SettleHook { name, number, how } => self.settle_hook(name, *number, *how)?,
            Action::Checkpoint(digests) => return Ok(self.checkpoint(*digests)),
        };
        Ok(Decided::Done(reply))
    }
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
