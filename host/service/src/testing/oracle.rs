//! What really happened: the committed log, replayed through a machine of its own.
use synod_abi::{OperationId, Revision, TopicFilter};
use synod_machine::events::{self, EventLog};
use synod_machine::{Action, Emitted, Entry, Fatal, MemoryState, directory};

use super::cluster::{Cluster, ENVIRONMENT};
use super::recipe::TestVm;
use super::watching::Seen;
use crate::MachineReplica;
use crate::ports::Replica;

/// See the module.
pub(crate) struct Oracle {
    pub(crate) emitted: Vec<Emitted>,
    pub(crate) rows: MemoryState,
    /// Revisions of calls of `add`.
    pub(crate) adds: Vec<Revision>,
}

impl Oracle {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let (mut rows, mut emitted, mut adds) = (MemoryState::default(), Vec::new(), Vec::new());
        let mut machine =
            MachineReplica::load(&rows, &[ENVIRONMENT], TestVm::default()).expect("an empty state");
        for (index, payload) in cluster.committed_payloads() {
            let Some(bytes) = payload else { continue };
            let applied: Result<_, Fatal> = machine.apply(rows.clone(), index, &bytes);
            let applied = applied.expect("entries apply");
            rows.commit(&applied.writes);
            emitted.extend(applied.events);
            let entry: Entry = synod_abi::decode(&bytes).expect("entries decode");
            let is_add = |action: &Action| match action {
                Action::Call(call) => call.operation == OperationId::of("add"),
                _ => false,
            };
            let done = entry
                .commands
                .iter()
                .zip(&applied.outcomes)
                .filter(|(command, done)| is_add(&command.action) && done.outcome.result.is_ok());
            adds.extend(done.map(|(_, done)| done.outcome.revision));
        }
        Self { emitted, rows, adds }
    }

    /// Everything that was ever emitted in the space called `counter` that `filter` wants, behind
    /// `revision`.
    pub(crate) fn matching(&self, filter: &TopicFilter, revision: Revision) -> Vec<Seen> {
        let wanted = |event: &&Emitted| {
            event.space.0 == 1 && event.revision > revision && filter.matches(&event.event.topic)
        };
        let seen = |event: &Emitted| Seen {
            revision: event.revision.0,
            number: event.number,
            topic: event.event.topic.clone(),
        };
        self.emitted.iter().filter(wanted).map(seen).collect()
    }

    /// What a space keeps of its events.
    pub(crate) fn log(&self, space: &str) -> EventLog {
        let space = synod_abi::SpaceName::new(space).expect("a name");
        let record = directory::space(&self.rows, &space).expect("rows in memory").expect("a space");
        events::event_log(&self.rows, record.id).expect("rows in memory")
    }
}
