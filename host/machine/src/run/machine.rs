//! [`Machine`]: what a member's replicated machine keeps in memory between entries.
//!
//! All of it is in the rows as well: the head, where spaces and operations are, who is bound to
//! whose events, and when timers and deadlines are due next. After a [`Fatal`] it refuses to go on,
//! since that memory may then be ahead of the rows.
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use synod_abi::{ModuleHash, SpaceId};

use crate::log::environment::Environment;
use crate::ports::{Fatal, StateView};
use crate::rows::digest::RowSum;
use crate::rows::head::{self, Head};
use crate::rows::timers::{self, NextDue};
use crate::run::targets::{Interface, Sources, Target};

/// Bytes of outcomes and writes that are collected before they are hashed.
pub(crate) const TRANSCRIPT_BYTES: usize = 16 * 1_024;

/// The replicated machine of one member.
#[derive(Debug)]
pub struct Machine {
    pub(crate) head: Head,
    /// The environments that this member's binary can apply entries in.
    pub(crate) supported: Vec<Environment>,
    pub(crate) targets: BTreeMap<SpaceId, Target>,
    pub(crate) interfaces: BTreeMap<ModuleHash, Arc<Interface>>,
    pub(crate) sources: Sources,
    pub(crate) sums: BTreeMap<SpaceId, RowSum>,
    /// Spaces that the entry deleted.
    pub(crate) deleted: Vec<SpaceId>,
    pub(crate) directory_changed: bool,
    /// Outcomes and writes that are not hashed yet.
    pub(crate) transcript: Vec<u8>,
    /// A buffer for what is hashed.
    pub(crate) hashed: Vec<u8>,
    pub(crate) next_due: NextDue,
    pub(crate) stopped: bool,
}

impl Machine {
    /// The machine as of the rows in `view`, in a member whose binary supports these execution
    /// environments.
    ///
    /// # Errors
    /// [`Fatal`] if the rows cannot be read, are of another format, or of an environment that is
    /// not supported.
    pub fn load(view: &impl StateView, supported: &[Environment]) -> Result<Self, Fatal> {
        let head = head::head(view)?.unwrap_or(Head::EMPTY);
        let machine = Self {
            head,
            supported: supported.to_vec(),
            targets: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            sources: Sources::new(),
            sums: BTreeMap::new(),
            deleted: Vec::new(),
            directory_changed: false,
            transcript: Vec::with_capacity(TRANSCRIPT_BYTES),
            hashed: Vec::new(),
            next_due: timers::next_due(view)?,
            stopped: false,
        };
        head.environment.map_or(Ok(()), |environment| machine.check_supported(environment))?;
        Ok(machine)
    }

    pub(crate) fn check_supported(&self, environment: Environment) -> Result<(), Fatal> {
        if self.supported.contains(&environment) {
            return Ok(());
        }
        let supported: Vec<_> = self.supported.iter().map(Environment::to_string).collect();
        Err(Fatal(format!(
            "the cluster's execution environment is {environment}, this binary supports {}: start this \
                member with the binary that the others run",
            supported.join("; ")
        )))
    }

    /// The head after the last entry.
    pub fn head(&self) -> &Head {
        &self.head
    }
}
