//! Commands as bytes, and entries put together from them.
//!
//! A command is encoded once, where it is taken in; a follower forwards those bytes with what
//! packing needs to know of them, and the leader copies them into an entry without reading them. A
//! test holds the result against `encode(&Entry)`.
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use synod_abi::{RequestId, SessionId, SpaceId, Time, decode_from, encode, encode_into, limits};
use synod_machine::{Action, Caller, EndCause, Origin};

use super::fuel::{self, FuelKey};

/// Longest encoded command: an install of the largest module, and what surrounds it.
pub(crate) const COMMAND_BYTES: usize = limits::MODULE_BYTES + 4_096;
/// Most that a [`Packed`] adds to its command when it is forwarded.
pub(crate) const FACTS_BYTES: usize = 128;

/// Whether a command may share its entry. Append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sharing {
    Shared,
    Alone,
}

/// Whether running a command a second time does what running it once does. Append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Repeat {
    Harmless,
    Unknown,
}

/// Which request of which session a call is, and which one it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) session: SessionId,
    pub(crate) request: RequestId,
    pub(crate) after: Option<RequestId>,
}

/// A command, encoded, with what packing needs to know of it; forwarded as it is. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Packed {
    #[serde(with = "shared_bytes")]
    pub(crate) bytes: Bytes,
    pub(crate) origin: Origin,
    pub(crate) fuel_key: Option<FuelKey>,
    /// The session whose command it is, or that it ends.
    pub(crate) session: Option<SessionId>,
    pub(crate) sharing: Sharing,
    pub(crate) repeat: Repeat,
    pub(crate) step: Option<Step>,
}

/// A [`Command`](synod_machine::Command) by reference; a test compares their encodings.
#[derive(Serialize)]
struct CommandRef<'a> {
    origin: Origin,
    caller: Caller,
    action: &'a Action,
}

impl Packed {
    pub(crate) fn new(origin: Origin, caller: Caller, action: &Action) -> Self {
        let bytes = encode(&CommandRef { origin, caller, action }).into();
        let fuel_key = match action {
            Action::Call(call) => Some((call.space, call.operation)),
            Action::SessionCall(call) | Action::UserCall { user: _, call } => {
                Some((call.call.space, call.call.operation))
            }
            Action::EndSession { .. } => Some(fuel::END_OF_SESSION),
            Action::Tick => Some(fuel::TICK),
            Action::CancelRequest { .. } | Action::SettleHook { .. } => Some(fuel::CANCEL),
            Action::OpenSession(_) => Some(fuel::OPEN_SESSION),
            Action::CompactEvents { .. } => Some(fuel::COMPACTION),
            Action::DeleteSpace { .. } => Some(fuel::DELETION),
            _ => None,
        };
        let sharing = match action {
            Action::InstallRecipe { .. } => Sharing::Alone,
            _ => Sharing::Shared,
        };
        let repeat = match action {
            Action::SetEnvironment { .. }
            | Action::InstallRecipe { .. }
            | Action::OpenSession(_)
            | Action::EndSession { session: _, cause: EndCause::Closed }
            | Action::SessionCall(_)
            | Action::UserCall { .. }
            | Action::CancelRequest { .. }
            | Action::CompactEvents { .. }
            | Action::ChangeEnvironment { .. }
            | Action::Checkpoint(_) => Repeat::Harmless,
            Action::FormCluster { .. }
            | Action::RemoveRecipe { .. }
            | Action::CreateSpace { .. }
            | Action::UpgradeSpace { .. }
            | Action::DeleteSpace { .. }
            | Action::Call(_)
            | Action::EndSession { session: _, cause: EndCause::Expired }
            | Action::Tick
            | Action::SettleHook { .. }
            | Action::BindSpace { .. }
            | Action::UnbindSpace { .. }
            | Action::SetSessionBounds { .. }
            | Action::SetEventRetention { .. } => Repeat::Unknown,
        };
        let session = match action {
            Action::EndSession { session, .. } => Some(*session),
            _ => caller.session,
        };
        let step = match (action, caller.session) {
            (Action::SessionCall(call) | Action::UserCall { user: _, call }, Some(session)) => {
                Some(Step { session, request: call.request.id, after: call.request.after })
            }
            _ => None,
        };
        Self { bytes, origin, fuel_key, session, sharing, repeat, step }
    }

    /// The session that it ends, if it does.
    pub(crate) fn ends(&self) -> Option<SessionId> {
        self.session.filter(|_| self.fuel_key == Some(fuel::END_OF_SESSION))
    }

    /// What it takes of an entry, if it is to cost `fuel`.
    pub(crate) fn demand(&self, fuel: u64) -> Demand {
        Demand {
            space: self.fuel_key.map_or(SpaceId(0), |(space, _)| space),
            session: self.session,
            bytes: self.bytes.len(),
            fuel,
            sharing: self.sharing,
        }
    }

    /// Whether a forwarded command may be packed: it is not longer than any command may be, it is
    /// of the origin that it is forwarded with, and this version knows its kind of action. The rest
    /// is the follower's word, and read by apply.
    pub(crate) fn is_readable(&self) -> bool {
        let head = decode_from::<(Origin, Caller, u32)>(&mut &self.bytes[..]);
        let is_known = |(origin, _, kind)| origin == self.origin && kind < Action::KINDS;
        self.bytes.len() <= COMMAND_BYTES && head.is_ok_and(is_known)
    }
}

/// Bytes in the encoding of a [`Blob`](synod_abi::Blob).
mod shared_bytes {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};
    use synod_abi::Blob;

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        Blob::deserialize(deserializer).map(|blob| blob.0.into())
    }
}

/// What a command takes of an entry. Space 0 is of what belongs to no space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    pub(crate) space: SpaceId,
    pub(crate) session: Option<SessionId>,
    pub(crate) bytes: usize,
    pub(crate) fuel: u64,
    pub(crate) sharing: Sharing,
}

/// How much an entry, or a part of it, may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) commands: usize,
    pub(crate) bytes: usize,
    pub(crate) fuel: u64,
}

impl Room {
    /// An entry's, with at most `fuel`.
    pub(crate) fn of_entry(fuel: u64) -> Self {
        let fuel = fuel.min(limits::ENTRY_FUEL);
        Self { commands: limits::ENTRY_COMMANDS, bytes: limits::ENTRY_BYTES, fuel }
    }

    fn is_whole(self) -> bool {
        self.fuel == limits::ENTRY_FUEL
    }

    /// The same for each of `parts`.
    pub(crate) fn part(self, parts: usize) -> Self {
        let parts = parts.max(1);
        Self { commands: self.commands / parts, bytes: self.bytes / parts, fuel: self.fuel / parts as u64 }
    }
}

/// What an entry, or a space in it, has taken so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    commands: usize,
    bytes: usize,
    pub(crate) fuel: u64,
    alone: bool,
}

impl Load {
    /// Whether a command still fits into `room`; the first one of a whole entry always does.
    pub(crate) fn fits(&self, demand: &Demand, room: Room) -> bool {
        let may_share = !self.alone && demand.sharing == Sharing::Shared;
        (self.commands == 0 && room.is_whole()) || (may_share && self.leaves_room(demand, room))
    }

    /// Whether `room` holds a command beside what there is, even if that is nothing.
    pub(crate) fn leaves_room(&self, demand: &Demand, room: Room) -> bool {
        self.commands < room.commands
            && self.bytes + demand.bytes <= room.bytes
            && self.fuel.saturating_add(demand.fuel) <= room.fuel
    }

    pub(crate) fn add(&mut self, demand: &Demand) {
        self.commands += 1;
        self.bytes += demand.bytes;
        self.fuel = self.fuel.saturating_add(demand.fuel);
        self.alone = demand.sharing == Sharing::Alone;
    }
}

/// Puts an entry together, of commands that are already bytes.
#[derive(Debug)]
pub(crate) struct Packer {
    commands: u64,
    bytes: Vec<u8>,
}

impl Packer {
    /// For commands of the bytes of `load`.
    pub(crate) fn of(load: Load) -> Self {
        Self { commands: 0, bytes: Vec::with_capacity(load.bytes) }
    }

    pub(crate) fn add(&mut self, command: &Packed) {
        self.commands += 1;
        self.bytes.extend_from_slice(&command.bytes);
    }

    /// The entry: its stamp, the number of its commands, and they.
    pub(crate) fn entry(self, stamp: Time) -> Bytes {
        let mut entry = encode_into(&stamp, Vec::with_capacity(self.bytes.len() + 20));
        entry = encode_into(&self.commands, entry);
        entry.extend_from_slice(&self.bytes);
        entry.into()
    }
}

#[cfg(test)]
mod tests;
