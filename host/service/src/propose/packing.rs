//! Commands as bytes, and entries put together from them.
//!
//! A command is encoded once, where it is taken in; a follower forwards those bytes and the leader
//! packs them into an entry by copying. A test holds the result against `encode(&Entry)`.
use std::sync::Arc;

use serde::Serialize;
use synod_abi::{RequestId, SessionId, Time, encode, encode_into, limits};
use synod_machine::{Action, Caller, Command, EndCause, Origin};

use super::fuel::{self, FuelKey};

/// Longest encoded command: an install of the largest module, and what surrounds it.
pub(crate) const COMMAND_BYTES: usize = limits::MODULE_BYTES + 4_096;

/// Whether a command may share its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    Shared,
    Alone,
}

/// Whether running a command a second time does what running it once does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    Harmless,
    Unknown,
}

/// Which request of which session a call is, and which one it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) session: SessionId,
    pub(crate) request: RequestId,
    pub(crate) after: Option<RequestId>,
}

/// A command, encoded, with what packing needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) origin: Origin,
    pub(crate) fuel_key: Option<FuelKey>,
    pub(crate) sharing: Sharing,
    pub(crate) repeat: Repeat,
    pub(crate) step: Option<Step>,
}

/// [`Command`] by reference; a test holds their encodings against each other.
#[derive(Serialize)]
struct CommandRef<'a> {
    origin: Origin,
    caller: Caller,
    action: &'a Action,
}

impl Packed {
    pub(crate) fn new(origin: Origin, caller: Caller, action: &Action) -> Self {
        Self::of(encode(&CommandRef { origin, caller, action }).into(), origin, caller, action)
    }

    /// Reads a forwarded command; `None` if this version cannot, or it is longer than any command
    /// may be.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > COMMAND_BYTES {
            return None;
        }
        let command: Command = synod_abi::decode(bytes).ok()?;
        Some(Self::of(bytes.into(), command.origin, command.caller, &command.action))
    }

    fn of(bytes: Arc<[u8]>, origin: Origin, caller: Caller, action: &Action) -> Self {
        let fuel_key = match action {
            Action::Call(call) => Some((call.space, call.operation)),
            Action::SessionCall(call) => Some((call.call.space, call.call.operation)),
            Action::EndSession { .. } => Some(fuel::END_OF_SESSION),
            Action::Tick => Some(fuel::TICK),
            Action::CancelRequest { .. } => Some(fuel::CANCEL),
            _ => None,
        };
        let sharing = match action {
            Action::InstallRecipe { .. } => Sharing::Alone,
            _ => Sharing::Shared,
        };
        let repeat = match action {
            Action::InstallRecipe { .. } | Action::CreateSpace { .. } | Action::SetEnvironment { .. } => {
                Repeat::Harmless
            }
            Action::OpenSession(_)
            | Action::SessionCall(_)
            | Action::CancelRequest { .. }
            | Action::SetSessionBounds { .. } => Repeat::Harmless,
            Action::BindSpace { .. } | Action::SetEventRetention { .. } | Action::CompactEvents { .. } => {
                Repeat::Harmless
            }
            Action::EndSession { session: _, cause: EndCause::Closed } => Repeat::Harmless,
            _ => Repeat::Unknown,
        };
        let step = match (action, caller.session) {
            (Action::SessionCall(call), Some(session)) => {
                Some(Step { session, request: call.request.id, after: call.request.after })
            }
            _ => None,
        };
        Self { bytes, origin, fuel_key, sharing, repeat, step }
    }
}

/// What an entry has taken so far.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    commands: usize,
    bytes: Vec<u8>,
    fuel: u64,
    alone: bool,
}

impl Packer {
    /// Whether `command` still fits; the first one always does.
    pub(crate) fn fits(&self, command: &Packed, fuel: u64) -> bool {
        self.commands == 0
            || (!self.alone
                && command.sharing == Sharing::Shared
                && self.commands < limits::ENTRY_COMMANDS
                && self.bytes.len() + command.bytes.len() <= limits::ENTRY_BYTES
                && self.fuel.saturating_add(fuel) <= limits::ENTRY_FUEL)
    }

    pub(crate) fn add(&mut self, command: &Packed, fuel: u64) {
        self.commands += 1;
        self.bytes.extend_from_slice(&command.bytes);
        self.fuel = self.fuel.saturating_add(fuel);
        self.alone = command.sharing == Sharing::Alone;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commands == 0
    }

    /// The entry: its stamp, the number of its commands, and they.
    pub(crate) fn entry(self, stamp: Time) -> Vec<u8> {
        let mut entry = encode_into(&stamp, Vec::with_capacity(self.bytes.len() + 20));
        entry = encode_into(&(self.commands as u64), entry);
        entry.extend_from_slice(&self.bytes);
        entry
    }
}

#[cfg(test)]
mod tests;
