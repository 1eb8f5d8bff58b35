//! Finding where a call or an event goes: in memory, or else in the directory.
use alloc::sync::Arc;
use alloc::vec::Vec;

use synod_abi::{EntryPoint, ModuleHash, SpaceId, limits};

use crate::draft::draft::Draft;
use crate::draft::stop::Stop;
use crate::log::command::Call;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, StateView, Vm};
use crate::rows::codec::damaged;
use crate::rows::directory;
use crate::rows::events::bindings_of_source;
use crate::run::run::Run;
use crate::run::targets::{Interface, Source, Target, missing};

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    /// Where `call` goes.
    pub(crate) fn find(&mut self, call: &Call) -> Result<Target, Stop> {
        let target = self.target(call.space)?.ok_or(Rejection::UnknownSpace)?;
        if !target.interface.has(EntryPoint::Operation(call.operation)) {
            return Err(Rejection::UnknownOperation.into());
        }
        if call.args.len() > limits::ARGS_BYTES {
            return Err(Rejection::ArgumentsTooLong.into());
        }
        Ok(target)
    }

    /// Where calls of `space` go; `None` if it is not there.
    pub(crate) fn target(&mut self, space: SpaceId) -> Result<Option<Target>, Fatal> {
        if let Some(target) = self.machine.targets.get(&space) {
            return Ok(Some(target.clone()));
        }
        let Some(record) = directory::space_by_id(&*self.draft, space)? else { return Ok(None) };
        let interface = self.interface(record.module)?;
        let target = Target { module: record.module, interface };
        self.machine.targets.insert(space, target.clone());
        Ok(Some(target))
    }

    fn interface(&mut self, module: ModuleHash) -> Result<Arc<Interface>, Fatal> {
        let interfaces = &mut self.machine.interfaces;
        if let Some(interface) = interfaces.get(&module) {
            return Ok(interface.clone());
        }
        let schema = directory::schema(&*self.draft, module)?.ok_or_else(|| missing(module))?;
        let interface = Arc::new(Interface::of(&schema));
        if interfaces.len() >= limits::RECIPES {
            interfaces.clear();
        }
        interfaces.insert(module, interface.clone());
        Ok(interface)
    }

    /// Forgets where calls of `space` go, and its instance.
    pub(crate) fn forget(&mut self, space: SpaceId) {
        self.machine.targets.remove(&space);
        self.vm.discard(space);
    }

    /// Where events of `space` go; `None` if it has no bindings.
    pub(crate) fn source(&mut self, space: SpaceId) -> Result<Option<Arc<Source>>, Fatal> {
        if let Some(source) = self.machine.sources.get(&space) {
            return Ok(source.clone());
        }
        let bindings: Vec<_> = bindings_of_source(&*self.draft, space)?
            .into_iter()
            .map(|record| (record.handler, record.filter, record.stored.on_failure))
            .collect();
        let source = if bindings.is_empty() {
            None
        } else {
            let record = directory::space_by_id(&*self.draft, space)?;
            let name = record.ok_or_else(|| damaged("the source of a binding"))?.name;
            Some(Arc::new(Source { name, bindings }))
        };
        self.machine.sources.insert(space, source.clone());
        Ok(source)
    }
}
