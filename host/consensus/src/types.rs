//! The types that openraft is instantiated with: numbers for members and terms, bytes for payloads,
//! one leader per term.
//!
//! Only the runtime is left open. The aliases do not mention it, so that encodings and most of the
//! code do not either.
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use openraft::vote::leader_id_std::{CommittedLeaderId, LeaderId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pending::Answer;
use crate::runtime::AsyncRuntime;

pub(crate) type Term = CommittedLeaderId<u64>;
pub(crate) type LogId = openraft::LogId<Term>;
pub(crate) type Vote = openraft::Vote<LeaderId<u64, u64>>;
pub(crate) type EntryPayload = openraft::EntryPayload<Payload, u64, MemberInfo>;
pub(crate) type Entry = openraft::Entry<Term, EntryPayload>;
pub(crate) type Membership = openraft::Membership<u64, MemberInfo>;
pub(crate) type StoredMembership = openraft::StoredMembership<Term, u64, MemberInfo>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<Term, u64, MemberInfo>;
pub(crate) type Snapshot<D> = openraft::Snapshot<Term, u64, MemberInfo, D>;

/// The type configuration. A type parameter only: no value of it is ever needed.
pub(crate) struct Types<RT>(PhantomData<fn() -> RT>);

impl<RT: AsyncRuntime> openraft::RaftTypeConfig for Types<RT> {
    type D = Payload;
    type R = ();
    type NodeId = u64;
    type Node = MemberInfo;
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = Vote;
    type Payload = EntryPayload;
    type Entry = Entry;
    type AsyncRuntime = RT;
    type Responder<T>
        = Answer<T>
    where
        T: Send + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

impl<RT> fmt::Debug for Types<RT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}
impl<RT> Clone for Types<RT> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<RT> Copy for Types<RT> {}
impl<RT> Default for Types<RT> {
    fn default() -> Self {
        Self(PhantomData)
    }
}
impl<RT> PartialEq for Types<RT> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<RT> Eq for Types<RT> {}
impl<RT> PartialOrd for Types<RT> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<RT> Ord for Types<RT> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// What an entry carries, opaque here.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Payload(pub(crate) Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|bytes: Vec<u8>| Self(bytes.into()))
    }
}

/// What the cluster knows of a member beside its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Its name, for people.
    pub name: String,
    /// Where its peers reach it.
    pub peer_address: String,
    /// Where its clients reach it.
    pub client_addresses: Vec<String>,
}

/// The identity of an entry: no two entries of a cluster have the same, and every member that has
/// it has the same entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The term of the leader that appended it.
    pub term: u64,
    /// Its position.
    pub index: u64,
}

impl EntryId {
    /// The last applied entry, as an [`AppliedMark`](synod_storage::AppliedMark) names it.
    ///
    /// # Errors
    /// The mark is not one of this crate's.
    pub fn of_mark(mark: &synod_storage::AppliedMark) -> Result<Option<Self>, crate::DecodeError> {
        Ok(crate::codec::decode_mark(mark)?.last_log_id.as_ref().map(Self::from))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.index)
    }
}

impl From<&LogId> for EntryId {
    fn from(id: &LogId) -> Self {
        Self { term: id.leader_id.term, index: id.index }
    }
}
