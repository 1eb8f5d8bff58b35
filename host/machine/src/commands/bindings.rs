//! Bindings: which spaces react to whose events, and the commands that change that.
//!
//! Bindings never form a circle, so what an event sets off through them ends by itself; circles by
//! sends end at `limits::DELIVERY_DEPTH`. The machine keeps the bindings of the sources that emit
//! in memory; every command that changes a binding empties that.
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use synod_abi::{SpaceId, SpaceName, TopicFilter, limits};

use crate::apply::{Machine, Stop, Turn};
use crate::draft::draft::Workspace;
use crate::log::command::{Binding, OnFailure};
use crate::log::outcome::Reply;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, StateView, Table};
use crate::rows::directory;
use crate::rows::events::{StoredBinding, binding_keys, bindings_of_handler, bindings_of_source};
use crate::rows::sessions::damaged;

/// A space whose events go to handlers.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: SpaceName,
    /// In the order in which they run: by handler, then by filter.
    bindings: Vec<(SpaceId, TopicFilter, OnFailure)>,
}

impl Source {
    /// The handlers of an event about `topic`, each once: what its first filter that matches says
    /// of failures counts.
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

impl Machine {
    pub(crate) fn bind_space<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        binding: &Binding,
        on_failure: OnFailure,
        turn: &Turn,
    ) -> Result<Reply, Stop> {
        let [handler, source] = spaces_of(workspace, binding)?;
        binding.filter.check().map_err(Rejection::InvalidTopic)?;
        if !self.target(workspace, handler)?.is_some_and(|target| target.interface.on_event) {
            return Err(Rejection::NoHandler.into());
        }
        let [of_source, of_handler] = binding_keys(source, handler, &binding.filter);
        let there: Option<StoredBinding> = workspace.read(Table::System, &of_source, "a binding")?;
        if there.is_none() {
            if reaches(workspace, handler, source)? {
                return Err(Rejection::BindingCircle.into());
            }
            let of_one = bindings_of_source(workspace, source)?
                .len()
                .max(bindings_of_handler(workspace, handler)?.len());
            if of_one >= limits::SPACE_BINDINGS {
                return Err(Rejection::TooManyBindings { limit: limits::SPACE_BINDINGS as u64 }.into());
            }
            if self.head.bindings >= limits::BINDINGS {
                return Err(Rejection::TooManyBindings { limit: u64::from(limits::BINDINGS) }.into());
            }
            self.head.bindings += 1;
            workspace.overlay().put(Table::System, &of_handler, Vec::new());
        }
        let bound = there.map_or(turn.revision, |there| there.bound);
        workspace.overlay().put(
            Table::System,
            &of_source,
            synod_abi::encode(&StoredBinding { on_failure, bound }),
        );
        self.sources.clear();
        Ok(Reply::Bound { already: there.is_some() })
    }

    pub(crate) fn unbind_space<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        binding: &Binding,
    ) -> Result<Reply, Stop> {
        let [handler, source] = spaces_of(workspace, binding)?;
        if workspace.row(Table::System, &binding_keys(source, handler, &binding.filter)[0])?.is_none() {
            return Err(Rejection::UnknownBinding.into());
        }
        self.remove_binding(workspace, source, handler, &binding.filter);
        Ok(Reply::Done)
    }

    /// Takes every binding of a space that is deleted back, on both sides.
    pub(crate) fn remove_bindings<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        space: SpaceId,
    ) -> Result<(), Fatal> {
        if self.head.bindings == 0 {
            return Ok(());
        }
        for record in bindings_of_source(workspace, space)? {
            self.remove_binding(workspace, space, record.handler, &record.filter);
        }
        for (source, filter) in bindings_of_handler(workspace, space)? {
            self.remove_binding(workspace, source, space, &filter);
        }
        Ok(())
    }

    fn remove_binding<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        source: SpaceId,
        handler: SpaceId,
        filter: &TopicFilter,
    ) {
        for key in binding_keys(source, handler, filter) {
            workspace.overlay().delete(Table::System, &key);
        }
        self.head.bindings = self.head.bindings.saturating_sub(1);
        self.sources.clear();
    }

    /// Where events of `space` go; `None` if it has no bindings.
    pub(crate) fn source<S: StateView>(
        &mut self,
        workspace: &Workspace<S>,
        space: SpaceId,
    ) -> Result<Option<Arc<Source>>, Fatal> {
        if let Some(source) = self.sources.get(&space) {
            return Ok(source.clone());
        }
        let bindings: Vec<_> = bindings_of_source(workspace, space)?
            .into_iter()
            .map(|record| (record.handler, record.filter, record.stored.on_failure))
            .collect();
        let source = if bindings.is_empty() {
            None
        } else {
            let name = directory::space_by_id(workspace, space)?
                .ok_or_else(|| damaged("the source of a binding"))?
                .name;
            Some(Arc::new(Source { name, bindings }))
        };
        self.sources.insert(space, source.clone());
        Ok(source)
    }
}

/// Handler and source of a binding.
fn spaces_of<S: StateView>(workspace: &Workspace<S>, binding: &Binding) -> Result<[SpaceId; 2], Stop> {
    let handler = directory::space(workspace, &binding.handler)?.ok_or(Rejection::UnknownSpace)?;
    let source = directory::space(workspace, &binding.source)?.ok_or(Rejection::UnknownSpace)?;
    Ok([handler.id, source.id])
}

/// Whether events of `from` reach `to`, through handlers; a space reaches itself.
fn reaches(view: &impl StateView, from: SpaceId, to: SpaceId) -> Result<bool, Fatal> {
    let (mut seen, mut next) = (BTreeSet::from([from]), Vec::from([from]));
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
