//! What tests throw arbitrary bytes at: every decoder of this crate, as plain functions. Public
//! only for the fuzz targets in `tests/fuzz`, because the decoders themselves are private.
//!
//! A function returns if the bytes are refused. If they are taken, what was decoded is encoded and
//! decoded again, and must be the same. It panics when it is not, and never because of the bytes
//! alone.
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::entry::RaftEntry;
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendError, TransferLeaderError, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use openraft::vote::leader_id_std::LeaderId;
use synod_abi::ClusterId;
use synod_storage::{AppliedMark, ContentHash, LogRecord, Manifest, ManifestFile, Wanted};

use crate::frames::{self, OfferAnswer};
use crate::runtime::AsyncRuntime;
use crate::types::{
    Entry, EntryPayload, LogId, MemberInfo, Membership, Payload, StoredMembership, Types, Vote,
};
use crate::{DecodeError, codec};

/// Decodes `bytes`; if they are taken, its encoding must decode to what encodes the same.
fn again<T>(
    bytes: &[u8],
    decode: impl Fn(&Bytes) -> Result<T, DecodeError>,
    encode: impl Fn(&T) -> Bytes,
) -> Option<T> {
    let first = decode(&Bytes::copy_from_slice(bytes)).ok()?;
    let encoded = encode(&first);
    let second = decode(&encoded).expect("what this crate encodes, it decodes");
    assert_eq!(encode(&second), encoded, "an encoding does not say what was decoded");
    Some(first)
}

/// A frame of a peer, of every kind.
pub fn peer_frame<RT: AsyncRuntime>(bytes: &[u8]) {
    if let Some(request) = again(bytes, frames::decode_append::<RT>, frames::encode_append) {
        let last = request.entries.last().map(RaftEntry::index);
        let first = request.prev_log_id.map_or(0, |id| id.index.saturating_add(1));
        let count = request.entries.len() as u64;
        assert!(last.is_none_or(|last| last == first + (count - 1)), "entries follow each other");
    }
    again(bytes, |bytes| frames::decode_append_answer::<RT>(bytes), frames::encode_append_answer);
    again(bytes, |bytes| frames::decode_vote::<RT>(bytes), frames::encode_vote);
    again(bytes, |bytes| frames::decode_vote_answer::<RT>(bytes), frames::encode_vote_answer);
    let announced =
        |announced: &frames::AnnouncedSnapshot| frames::encode_snapshot(announced.vote, &announced.manifest);
    again(bytes, |bytes| frames::decode_snapshot(bytes), announced);
    again(bytes, |bytes| frames::decode_offer_answer::<RT>(bytes), frames::encode_offer_answer);
    again(bytes, |bytes| frames::decode_snapshot_answer::<RT>(bytes), frames::encode_snapshot_answer);
    again(bytes, |bytes| frames::decode_transfer::<RT>(bytes), frames::encode_transfer);
    again(bytes, |bytes| frames::decode_transfer_answer::<RT>(bytes), frames::encode_transfer_answer);
    if let Ok(piece) = frames::decode_piece(bytes) {
        let encoded = frames::encode_piece(piece.file, piece.offset, piece.data);
        assert_eq!(frames::decode_piece(&encoded), Ok(piece), "a piece is what it was");
    }
}

/// A record of the log, with the index that it begins with or another.
pub fn log_record(bytes: &[u8]) {
    let index = codec::decode_leading_id(bytes).map_or(0, |id| id.index);
    for index in [index, index.wrapping_add(1)] {
        let record = LogRecord { index, bytes: bytes.into() };
        let payload = crate::payload_of_record(record.clone());
        let Ok(entry) = codec::entry_from_record(record) else {
            assert!(payload.is_err(), "a record is read in two ways");
            continue;
        };
        assert_eq!(entry.index(), index, "a record is of its index");
        if let EntryPayload::Membership(membership) = &entry.payload {
            check_membership(membership);
        }
        let encoded = codec::entry_to_record(&entry);
        assert!(encoded.has_id(&codec::encode_id(entry.log_id())), "a record begins with its id");
        assert_eq!(codec::entry_from_record(encoded).expect("our own"), entry);
    }
}

/// The small records beside the log: ids, votes, memberships, and what an applied mark says.
pub fn small_record(bytes: &[u8]) {
    again(bytes, |bytes| codec::decode_id(bytes), |id| shared(&codec::encode_id(*id)));
    again(bytes, |bytes| codec::decode_vote(bytes), |vote| shared(&codec::encode_vote(*vote)));
    let stored = |stored: &StoredMembership| shared(&codec::encode_membership(stored));
    if let Some(stored) = again(bytes, |bytes| codec::decode_membership(bytes), stored)
        && !bytes.is_empty()
    {
        check_membership(stored.membership());
    }
    let (id, membership) = bytes.split_at(bytes.len() / 2);
    for index in [None, codec::decode_id(id).ok().map(|id| id.index), Some(u64::MAX)] {
        let mark = AppliedMark { index, id: id.into(), membership: membership.into() };
        if let Ok(meta) = codec::decode_mark(&mark) {
            assert_eq!(meta.last_log_id.map(|id| id.index), index, "a mark is of its index");
        }
    }
}

fn shared(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// What openraft takes for granted of every membership.
fn check_membership(membership: &Membership) {
    let configs = membership.get_joint_config();
    assert!(configs.iter().all(|config| !config.is_empty()), "a quorum of nobody: {configs:?}");
    let known: BTreeSet<u64> = membership.nodes().map(|(id, _)| *id).collect();
    assert!(configs.iter().flatten().all(|id| known.contains(id)), "a voter that is nowhere: {configs:?}");
}

fn id(term: u64, index: u64) -> LogId {
    LogId::new_term_index(term, index)
}

fn vote(term: u64, committed: bool) -> Vote {
    Vote { leader_id: LeaderId { term, voted_for: 2 }, committed }
}

fn membership() -> Membership {
    let info = |id: u64| MemberInfo {
        name: format!("member-{id}"),
        peer_address: format!("10.0.0.{id}:7001"),
        client_addresses: vec![format!("10.0.0.{id}:7000"), format!("node{id}.example:7000")],
    };
    let members: BTreeMap<u64, MemberInfo> = (1..=4).map(|id| (id, info(id))).collect();
    let configs = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2, 3, 4])];
    Membership::new(configs, members).expect("all of its voters are members")
}

fn entries() -> Vec<Entry> {
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Membership(membership()),
        EntryPayload::Normal(Payload(Bytes::from_static(b"a batch of commands"))),
        EntryPayload::Normal(Payload(Bytes::new())),
    ];
    (7..).zip(payloads).map(|(index, payload)| Entry { log_id: id(3, index), payload }).collect()
}

fn manifest() -> Manifest {
    let file = |name: &str, length_bytes: u64| ManifestFile {
        name: name.to_owned(),
        length_bytes,
        hash: ContentHash([length_bytes as u8; 32]),
    };
    let stored = StoredMembership::new(Some(id(3, 8)), membership());
    Manifest {
        cluster: Some(ClusterId([7; 16])),
        mark: AppliedMark {
            index: Some(9),
            id: codec::encode_id(id(3, 9)),
            membership: codec::encode_membership(&stored),
        },
        layout: "rocksdb, tables 6, rows 2".to_owned(),
        files: vec![file("000012.sst", 4_096), file("CURRENT", 16)],
    }
}

/// Real frames, one of each kind.
pub fn peer_frames<RT: AsyncRuntime>() -> Vec<Vec<u8>> {
    let append = |entries: Vec<Entry>| AppendEntriesRequest::<Types<RT>> {
        vote: vote(3, true),
        prev_log_id: Some(id(2, 6)),
        entries,
        leader_commit: Some(id(3, 7)),
    };
    let mut request = VoteRequest::<Types<RT>>::new(vote(4, false), Some(id(3, 9)));
    request.leadership_transfer = true;
    let wanted = vec![Wanted { file: 0, from_byte: 1_024 }, Wanted { file: 1, from_byte: 0 }];
    let refused = TransferLeaderError::LogNotFlushed { expected: Some(id(3, 9)), actual: None };
    let changed = TransferLeaderError::VoteChanged { expected: vote(3, true), actual: vote(5, false) };
    let frames = [
        frames::encode_append(&append(Vec::new())),
        frames::encode_append(&append(entries())),
        frames::encode_append_answer::<RT>(&Ok(Some(id(3, 9)))),
        frames::encode_append_answer::<RT>(&Err(StreamAppendError::Conflict(id(2, 4)))),
        frames::encode_append_answer::<RT>(&Err(StreamAppendError::HigherVote(vote(6, true)))),
        frames::encode_vote(&request),
        frames::encode_vote_answer::<RT>(&VoteResponse::new(vote(4, false), Some(id(3, 9)), true)),
        frames::encode_snapshot(vote(3, true), &manifest()),
        frames::encode_offer_answer::<RT>(&OfferAnswer::Wanted(wanted)),
        frames::encode_offer_answer::<RT>(&OfferAnswer::NotNeeded(SnapshotResponse::new(vote(4, true)))),
        frames::encode_piece(1, 16, b"bytes of a file"),
        frames::encode_snapshot_answer::<RT>(&SnapshotResponse::new(vote(4, true))),
        frames::encode_transfer::<RT>(&TransferLeaderRequest::new(vote(3, true), 2, Some(id(3, 9)))),
        frames::encode_transfer_answer::<RT>(&Ok(())),
        frames::encode_transfer_answer::<RT>(&Err(changed)),
        frames::encode_transfer_answer::<RT>(&Err(refused)),
    ];
    frames.iter().map(|frame| frame.to_vec()).collect()
}

/// Real records of the log, one for each kind of entry.
pub fn log_records() -> Vec<Vec<u8>> {
    entries().iter().map(|entry| codec::entry_to_record(entry).bytes.to_vec()).collect()
}

/// Real records beside the log.
pub fn small_records() -> Vec<Vec<u8>> {
    let stored = StoredMembership::new(Some(id(3, 8)), membership());
    let mark = [codec::encode_id(id(3, 9)).to_vec(), vec![]].concat();
    vec![mark, codec::encode_vote(vote(3, true)).to_vec(), codec::encode_membership(&stored).to_vec()]
}

/// The bytes of a real manifest.
pub fn manifests() -> Vec<Vec<u8>> {
    vec![manifest().encode()]
}
