//! What a command reads and counts of spaces while it runs.
use synod_abi::{Revision, SpaceId, SpaceName};

use crate::draft::draft::Draft;
use crate::log::rejection::DeliveryFailure;
use crate::ports::{Fatal, StateView, Table};
use crate::rows::directory::{HookFailures, StoredSpace, hook_failures_key, space_key};

impl<S: StateView> Draft<S> {
    /// The id of a space that a recipe names.
    pub(crate) fn space_called(&mut self, name: Option<&SpaceName>) -> Result<Option<SpaceId>, Fatal> {
        let Some(name) = name else { return Ok(None) };
        let stored: Option<StoredSpace> =
            self.read(Table::System, &space_key(name.as_str()), "the record of a space")?;
        Ok(stored.map(|space| space.id))
    }

    /// Counts a hook or handler of `space` that left nothing, or something that it sent.
    pub(crate) fn count_failure(
        &mut self,
        space: SpaceId,
        revision: Revision,
        why: DeliveryFailure,
    ) -> Result<(), Fatal> {
        let key = hook_failures_key(space);
        let former: Option<HookFailures> =
            self.read(Table::System, &key, "the failures of a space's hooks")?;
        let count = former.map_or(0, |former| former.count) + 1;
        self.overlay().put(Table::System, &key, synod_abi::encode(&HookFailures { count, revision, why }));
        Ok(())
    }
}
