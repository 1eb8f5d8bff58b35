//! What can go wrong, sorted by what the caller does next: send the command elsewhere, try again,
//! or stop the member.
use std::time::Duration;

use synod_abi::MemberId;
use synod_storage::Fatal;

pub(crate) fn storage_io(error: synod_storage::StorageError) -> std::io::Error {
    std::io::Error::other(error)
}

/// Bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be decoded: {reason}")]
pub struct DecodeError {
    /// What was expected.
    pub what: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl DecodeError {
    pub(crate) fn new(what: &'static str, reason: impl ToString) -> Self {
        Self { what, reason: reason.to_string() }
    }

    pub(crate) fn into_io(self) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::InvalidData, self)
    }
}

/// Why a member did not start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is out of its range.
    #[error(transparent)]
    Settings(#[from] crate::BadSettings),
    /// The store is unreadable, or contradicts itself.
    #[error("the member cannot start from its data: {0}")]
    Fatal(#[from] Fatal),
}

/// Why a cluster was not formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitializeError {
    /// This member already belongs to a cluster: nothing to do.
    #[error("this member already belongs to a cluster (its log has entries, or it has voted)")]
    AlreadyFormed,
    /// The list of members does not contain this one.
    #[error("member {0} is not in the list of members; add it")]
    NotAMember(MemberId),
    /// The member has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The member has stopped, because of a [`Fatal`] or a shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("this member has stopped; ask another one")]
pub struct Stopped;

/// A payload that surely is not in the log, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProposed {
    /// Longer than an entry may be.
    #[error("the entry has {bytes} bytes, the limit is {limit}; split it")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// [`PAYLOAD_BYTES`](crate::PAYLOAD_BYTES).
        limit: usize,
    },
    /// The member has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why there is no read index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadIndexError {
    /// This member does not lead.
    #[error("this member is not the leader")]
    NotLeader {
        /// Who does, if it is known.
        leader: Option<MemberId>,
    },
    /// This member leads, but a majority did not confirm it in time: it may be cut off.
    #[error("a majority of members did not confirm the leader in time; try again")]
    NoQuorum,
    /// The member has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why leadership stayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// This member does not lead.
    #[error(
        "this member is not the leader; ask member {}",
        leader.map_or("of another term".to_owned(), |id| id.to_string())
    )]
    NotLeader {
        /// Who does, if it is known.
        leader: Option<MemberId>,
    },
    /// The target cannot lead.
    #[error("member {0} is not a voter of this cluster")]
    NotAVoter(MemberId),
    /// The target did not take over in time.
    #[error(
        "member {to} did not take over within {} ms; the cluster elects a leader by itself",
        waited.as_millis()
    )]
    TimedOut {
        /// The target.
        to: MemberId,
        /// How long was waited.
        waited: Duration,
    },
    /// The member has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a peer's request was not served. The connection's other requests are unaffected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// The bytes are not a request.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A piece of a snapshot is not what its sender announced, or does not belong there.
    #[error("the snapshot arrived damaged: {0}; it is to be sent again")]
    Damaged(String),
    /// A snapshot arrived as its sender announced it, and is not a state that this member can have.
    #[error("the snapshot is bad: {0}; the sender is to make another one")]
    BadState(String),
    /// The frames ended before all that is lacking had come.
    #[error("the snapshot ended early; what has arrived is kept, the rest is to be sent")]
    Cut,
    /// There is no room on the disk: it is to be sent again when there is.
    #[error("there is no room on the disk: {0}")]
    NoRoom(String),
    /// The member has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
