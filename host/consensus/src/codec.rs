//! The encoding of what is kept on disk: entries, ids, votes and memberships. postcard of our own
//! structs.
//!
//! Append-only: variants and fields are only added at the end, and golden bytes of each are tests.
//! A record repeats its index, so that a record in another's place is noticed. Payloads are neither
//! copied nor looked into when read.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use openraft::entry::RaftEntry;
use openraft::vote::leader_id_std::LeaderId;
use serde::{Deserialize, Serialize, Serializer};
use synod_storage::{AppliedMark, LogRecord};

use crate::types::{
    Entry, EntryPayload, LogId, MemberInfo, Membership, Payload, SnapshotMeta, StoredMembership, Vote,
};
use crate::{CommittedPayload, DecodeError};

/// Bytes around a payload, for sizing buffers.
const ENVELOPE_BYTES: usize = 32;

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct IdRecord {
    term: u64,
    index: u64,
}

impl From<LogId> for IdRecord {
    fn from(id: LogId) -> Self {
        Self { term: id.leader_id.term, index: id.index }
    }
}

impl From<IdRecord> for LogId {
    fn from(record: IdRecord) -> Self {
        Self::new_term_index(record.term, record.index)
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct VoteRecord {
    term: u64,
    member: u64,
    committed: bool,
}

impl From<Vote> for VoteRecord {
    fn from(vote: Vote) -> Self {
        Self { term: vote.leader_id.term, member: vote.leader_id.voted_for, committed: vote.committed }
    }
}

impl From<VoteRecord> for Vote {
    fn from(record: VoteRecord) -> Self {
        Self {
            leader_id: LeaderId { term: record.term, voted_for: record.member },
            committed: record.committed,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct MembershipRecord {
    configs: Vec<BTreeSet<u64>>,
    members: BTreeMap<u64, MemberInfo>,
}

impl From<&Membership> for MembershipRecord {
    fn from(membership: &Membership) -> Self {
        Self {
            configs: membership.get_joint_config().clone(),
            members: membership.nodes().map(|(id, member)| (*id, member.clone())).collect(),
        }
    }
}

impl TryFrom<MembershipRecord> for Membership {
    type Error = DecodeError;
    fn try_from(record: MembershipRecord) -> Result<Self, DecodeError> {
        Self::new(record.configs, record.members).map_err(|error| DecodeError::new("a membership", error))
    }
}

#[derive(Serialize, Deserialize)]
struct StoredMembershipRecord {
    id: Option<IdRecord>,
    membership: MembershipRecord,
}

/// Bytes written in one piece and read without a copy.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Raw<'a>(#[serde(borrow)] pub(crate) &'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[derive(Serialize, Deserialize)]
enum PayloadRecord<'a> {
    Blank,
    Command(#[serde(borrow)] Raw<'a>),
    Membership(MembershipRecord),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct EntryRecord<'a> {
    id: IdRecord,
    #[serde(borrow)]
    payload: PayloadRecord<'a>,
}

impl<'a> From<&'a Entry> for EntryRecord<'a> {
    fn from(entry: &'a Entry) -> Self {
        let payload = match &entry.payload {
            EntryPayload::Blank => PayloadRecord::Blank,
            EntryPayload::Normal(payload) => PayloadRecord::Command(Raw(&payload.0)),
            EntryPayload::Membership(membership) => PayloadRecord::Membership(membership.into()),
        };
        Self { id: entry.log_id().into(), payload }
    }
}

impl EntryRecord<'_> {
    /// The entry; its payload shares `owner`, which the record was decoded from.
    pub(crate) fn into_entry(self, owner: &Bytes) -> Result<Entry, DecodeError> {
        let payload = match self.payload {
            PayloadRecord::Blank => EntryPayload::Blank,
            PayloadRecord::Command(raw) => EntryPayload::Normal(Payload(owner.slice_ref(raw.0))),
            PayloadRecord::Membership(record) => EntryPayload::Membership(record.try_into()?),
        };
        Ok(Entry { log_id: self.id.into(), payload })
    }
}

pub(crate) fn encode(value: &impl Serialize, capacity: usize) -> Vec<u8> {
    postcard::to_extend(value, Vec::with_capacity(capacity))
        .expect("our records have known lengths, and memory has no end")
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(what: &'static str, bytes: &'a [u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(DecodeError::new(what, format_args!("{} bytes too many", rest.len()))),
        Err(error) => Err(DecodeError::new(what, error)),
    }
}

pub(crate) fn entry_to_record(entry: &Entry) -> LogRecord {
    let payload_bytes = match &entry.payload {
        EntryPayload::Normal(payload) => payload.0.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    };
    LogRecord {
        index: entry.index(),
        bytes: encode(&EntryRecord::from(entry), payload_bytes + ENVELOPE_BYTES).into(),
    }
}

pub(crate) fn entry_from_record(record: LogRecord) -> Result<Entry, DecodeError> {
    let owner = Bytes::from_owner(record.bytes);
    let entry = decode::<EntryRecord<'_>>("a log record", &owner)?.into_entry(&owner)?;
    if entry.index() != record.index {
        return Err(DecodeError::new(
            "a log record",
            format_args!("it is of index {}, stored at {}", entry.index(), record.index),
        ));
    }
    Ok(entry)
}

/// What a record of the log holds, for whoever reads the log of a member that has stopped. Whether
/// it was committed the record does not know.
///
/// # Errors
/// [`DecodeError`] if it is damaged or from a newer version.
pub fn payload_of_record(record: LogRecord) -> Result<CommittedPayload, DecodeError> {
    Ok(match entry_from_record(record)?.payload {
        EntryPayload::Blank => CommittedPayload::Blank,
        EntryPayload::Normal(payload) => CommittedPayload::Command(payload.0),
        EntryPayload::Membership(_) => CommittedPayload::Membership,
    })
}

pub(crate) fn id_of_record(record: &LogRecord) -> Result<LogId, DecodeError> {
    entry_from_record(record.clone()).map(|entry| entry.log_id())
}

pub(crate) fn encode_id(id: LogId) -> Arc<[u8]> {
    encode(&IdRecord::from(id), ENVELOPE_BYTES).into()
}

pub(crate) fn decode_id(bytes: &[u8]) -> Result<LogId, DecodeError> {
    decode::<IdRecord>("an entry id", bytes).map(Into::into)
}

/// The id that a record of the log begins with.
pub(crate) fn decode_leading_id(bytes: &[u8]) -> Option<LogId> {
    postcard::take_from_bytes::<IdRecord>(bytes).ok().map(|(id, _)| id.into())
}

pub(crate) fn encode_vote(vote: Vote) -> Arc<[u8]> {
    encode(&VoteRecord::from(vote), ENVELOPE_BYTES).into()
}

pub(crate) fn decode_vote(bytes: &[u8]) -> Result<Vote, DecodeError> {
    decode::<VoteRecord>("a vote", bytes).map(Into::into)
}

pub(crate) fn encode_membership(stored: &StoredMembership) -> Arc<[u8]> {
    let record = StoredMembershipRecord {
        id: stored.log_id().map(Into::into),
        membership: stored.membership().into(),
    };
    encode(&record, ENVELOPE_BYTES).into()
}

/// No bytes are the membership before there is any.
pub(crate) fn decode_membership(bytes: &[u8]) -> Result<StoredMembership, DecodeError> {
    if bytes.is_empty() {
        return Ok(StoredMembership::default());
    }
    let record = decode::<StoredMembershipRecord>("a membership", bytes)?;
    Ok(StoredMembership::new(record.id.map(Into::into), record.membership.try_into()?))
}

/// What a mark says, in openraft's terms.
pub(crate) fn decode_mark(mark: &AppliedMark) -> Result<SnapshotMeta, DecodeError> {
    let last_membership = decode_membership(&mark.membership)?;
    let Some(index) = mark.index else {
        return Ok(SnapshotMeta { last_log_id: None, last_membership });
    };
    let id = decode_id(&mark.id)?;
    if id.index != index {
        return Err(DecodeError::new(
            "the applied mark",
            format_args!("its id is of index {}, its index is {index}", id.index),
        ));
    }
    Ok(SnapshotMeta { last_log_id: Some(id), last_membership })
}
