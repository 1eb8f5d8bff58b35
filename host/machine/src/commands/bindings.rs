//! Bindings: which spaces react to whose events, and the commands that change that.
//!
//! Bindings never form a circle, so what an event sets off through them ends by itself; circles by
//! sends end at `limits::DELIVERY_DEPTH`.
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use synod_abi::{SpaceId, TopicFilter, limits};

use crate::draft::draft::Draft;
use crate::draft::stop::Stop;
use crate::log::command::{Binding, OnFailure};
use crate::log::outcome::Reply;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, StateView, Table, Vm};
use crate::rows::counter::Counter;
use crate::rows::directory;
use crate::rows::events::{StoredBinding, binding_keys, bindings_of_handler, bindings_of_source};
use crate::run::run::Run;

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    pub(crate) fn bind_space(&mut self, binding: &Binding, on_failure: OnFailure) -> Result<Reply, Stop> {
        let [handler, source] = self.spaces_of(binding)?;
        binding.filter.check().map_err(Rejection::InvalidTopic)?;
        if !self.target(handler)?.is_some_and(|target| target.interface.on_event) {
            return Err(Rejection::NoHandler.into());
        }
        let [of_source, of_handler] = binding_keys(source, handler, &binding.filter);
        let there: Option<StoredBinding> = self.draft.read(Table::System, &of_source, "a binding")?;
        if there.is_none() {
            self.check_new_binding(handler, source)?;
            self.draft.counts().bindings += 1;
            self.draft.overlay().put(Table::System, &of_handler, Vec::new());
        }
        let bound = there.map_or(self.turn.revision, |there| there.bound);
        let stored = StoredBinding { on_failure, bound };
        self.draft.overlay().put(Table::System, &of_source, synod_abi::encode(&stored));
        self.machine.sources.clear();
        Ok(Reply::Bound { already: there.is_some() })
    }

    /// Whether another binding of `handler` to `source` is allowed.
    fn check_new_binding(&mut self, handler: SpaceId, source: SpaceId) -> Result<(), Stop> {
        let draft = &*self.draft;
        if reaches(draft, handler, source)? {
            return Err(Rejection::BindingCircle.into());
        }
        let of_source = bindings_of_source(draft, source)?.len();
        let of_handler = bindings_of_handler(draft, handler)?.len();
        if of_source.max(of_handler) >= limits::SPACE_BINDINGS {
            return Err(Rejection::TooManyBindings.into());
        }
        if self.draft.counts().bindings >= limits::BINDINGS {
            return Err(Rejection::TooManyBindingsInAll.into());
        }
        Ok(())
    }

    pub(crate) fn unbind_space(&mut self, binding: &Binding) -> Result<Reply, Stop> {
        let [handler, source] = self.spaces_of(binding)?;
        let [of_source, _] = binding_keys(source, handler, &binding.filter);
        if self.draft.row(Table::System, &of_source)?.is_none() {
            return Err(Rejection::UnknownBinding.into());
        }
        self.remove_binding(source, handler, &binding.filter)?;
        Ok(Reply::Done)
    }

    /// Takes every binding of a space that is deleted back, on both sides.
    pub(crate) fn remove_bindings(&mut self, space: SpaceId) -> Result<(), Fatal> {
        if self.draft.counts().bindings == 0 {
            return Ok(());
        }
        for record in bindings_of_source(&*self.draft, space)? {
            self.remove_binding(space, record.handler, &record.filter)?;
        }
        for (source, filter) in bindings_of_handler(&*self.draft, space)? {
            self.remove_binding(source, space, &filter)?;
        }
        Ok(())
    }

    fn remove_binding(
        &mut self,
        source: SpaceId,
        handler: SpaceId,
        filter: &TopicFilter,
    ) -> Result<(), Fatal> {
        for key in binding_keys(source, handler, filter) {
            self.draft.overlay().delete(Table::System, &key);
        }
        self.draft.counts().bindings.take(1, "bindings")?;
        self.machine.sources.clear();
        Ok(())
    }

    /// Handler and source of a binding.
    fn spaces_of(&self, binding: &Binding) -> Result<[SpaceId; 2], Stop> {
        let handler = directory::space(&*self.draft, &binding.handler)?.ok_or(Rejection::UnknownSpace)?;
        let source = directory::space(&*self.draft, &binding.source)?.ok_or(Rejection::UnknownSpace)?;
        Ok([handler.id, source.id])
    }
}

/// Whether events of `from` reach `to`, through handlers; a space reaches itself.
fn reaches(view: &impl StateView, from: SpaceId, to: SpaceId) -> Result<bool, Fatal> {
    let mut seen = BTreeSet::from([from]);
    let mut next = Vec::from([from]);
    while let Some(space) = next.pop() {
        if space == to {
            return Ok(true);
        }
        next.extend(
            bindings_of_source(view, space)?
                .into_iter()
                .map(|record| record.handler)
                .filter(|handler| seen.insert(*handler)),
        );
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
