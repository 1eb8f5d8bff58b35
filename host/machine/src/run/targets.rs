//! Where calls and events go, as a member keeps it in memory: modules and interfaces by space, and
//! the bindings of the spaces that emit.
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use synod_abi::schema::{Hooks, Schema};
use synod_abi::{EntryPoint, ModuleHash, OperationId, SpaceId, SpaceName, TopicFilter};

use crate::draft::draft::Draft;
use crate::log::command::OnFailure;
use crate::ports::{Fatal, StateView, Vm};
use crate::rows::directory;

/// The entry points of a recipe.
#[derive(Debug)]
pub(crate) struct Interface {
    /// Ascending.
    operations: Vec<OperationId>,
    pub(crate) on_session_end: bool,
    pub(crate) on_timer: bool,
    pub(crate) on_cancel: bool,
    pub(crate) on_event: bool,
}

impl Interface {
    pub(crate) fn of(schema: &Schema) -> Self {
        let mut operations: Vec<OperationId> = schema.operations.iter().map(|point| point.id()).collect();
        operations.sort_unstable();
        let Hooks { session_end, cancel, timer, event } = &schema.hooks;
        Self {
            operations,
            on_session_end: *session_end,
            on_timer: timer.is_some(),
            on_cancel: *cancel,
            on_event: *event,
        }
    }

    /// Whether it can be entered there, by a command.
    pub(crate) fn has(&self, entry_point: EntryPoint) -> bool {
        match entry_point {
            EntryPoint::Operation(operation) => self.operations.binary_search(&operation).is_ok(),
            EntryPoint::Query(_) => false,
            EntryPoint::SessionEnd => self.on_session_end,
            EntryPoint::Timer => self.on_timer,
            EntryPoint::Cancel => self.on_cancel,
            EntryPoint::Event => self.on_event,
        }
    }
}

/// Where calls of a space go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) module: ModuleHash,
    pub(crate) interface: Arc<Interface>,
}

/// A space whose events go to handlers.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: SpaceName,
    /// In the order in which they run: by handler, then by filter.
    pub(crate) bindings: Vec<(SpaceId, TopicFilter, OnFailure)>,
}

impl Source {
    /// The handlers of an event about `topic`, each once: the first filter that matches
    /// decides how its failures are treated.
    pub(crate) fn handlers<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = (SpaceId, OnFailure)> + 'a {
        let mut last = None;
        self.bindings.iter().filter_map(move |(handler, filter, on_failure)| {
            if last == Some(*handler) || !filter.matches(topic) {
                return None;
            }
            last = Some(*handler);
            Some((*handler, *on_failure))
        })
    }
}

/// The bindings of spaces that emitted since they were last changed; `None`: it has none.
pub(crate) type Sources = BTreeMap<SpaceId, Option<Arc<Source>>>;

/// Makes `module` callable, from the bytes in the directory.
pub(crate) fn load<S: StateView, V: Vm<Draft<S>>>(
    view: &impl StateView,
    vm: &mut V,
    module: ModuleHash,
) -> Result<(), Fatal> {
    if vm.is_loaded(module) {
        return Ok(());
    }
    vm.load(module, &module_bytes(view, module)?)
}

/// The bytes of a space's module.
pub(crate) fn module_bytes(view: &impl StateView, module: ModuleHash) -> Result<Vec<u8>, Fatal> {
    directory::module(view, module)?.ok_or_else(|| missing(module))
}

/// The failure of a member that lacks the module of a space.
pub(crate) fn missing(module: ModuleHash) -> Fatal {
    Fatal(format!(
        "the module {module} of a space is not in the state: the data of this member is damaged; remove its \
            data directory and let it join again"
    ))
}
