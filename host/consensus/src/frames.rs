//! The encoding of what members say to each other. Every frame begins with the version of the
//! protocol.
//!
//! Frames come from the network: each is checked for everything that openraft takes for granted, so
//! that garbage is a typed error and never a panic. Payloads of received entries share the frame's
//! buffer.
use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendError, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};
use synod_storage::{Manifest, Wanted};

use crate::codec::{self, EntryRecord, IdRecord, Raw, VoteRecord};
use crate::runtime::AsyncRuntime;
use crate::types::{EntryPayload, LogId, SnapshotMeta, Types, Vote};
use crate::{DecodeError, FRAME_BYTES};

/// Counted up when members of the last version could not understand a frame; the first byte of
/// every frame.
const PROTOCOL: u8 = 1;
/// Bytes of a frame without entries, and around each entry, for sizing buffers.
const ENVELOPE_BYTES: usize = 64;

#[derive(Serialize, Deserialize)]
struct AppendFrame<'a> {
    vote: VoteRecord,
    previous: Option<IdRecord>,
    commit: Option<IdRecord>,
    #[serde(borrow)]
    entries: Vec<EntryRecord<'a>>,
}

#[derive(Serialize, Deserialize)]
enum AppendAnswerFrame {
    Accepted(Option<IdRecord>),
    Conflict(IdRecord),
    HigherVote(VoteRecord),
}

#[derive(Serialize, Deserialize)]
struct VoteFrame {
    vote: VoteRecord,
    last: Option<IdRecord>,
    leadership_transfer: bool,
}

#[derive(Serialize, Deserialize)]
struct VoteAnswerFrame {
    vote: VoteRecord,
    granted: bool,
    last: Option<IdRecord>,
}

#[derive(Serialize, Deserialize)]
struct SnapshotFrame<'a> {
    vote: VoteRecord,
    #[serde(borrow)]
    manifest: Raw<'a>,
}

#[derive(Serialize, Deserialize)]
enum OfferAnswerFrame {
    NotNeeded(VoteRecord),
    /// Places of files in the manifest, and where what is lacking of them begins.
    Wanted(Vec<(u32, u64)>),
}

#[derive(Serialize, Deserialize)]
struct PieceFrame<'a> {
    file: u32,
    offset: u64,
    #[serde(borrow)]
    data: Raw<'a>,
}

#[derive(Serialize, Deserialize)]
struct TransferFrame {
    from: VoteRecord,
    to: u64,
    last: Option<IdRecord>,
}

#[derive(Serialize, Deserialize)]
enum TransferAnswerFrame {
    Accepted,
    VoteChanged { expected: VoteRecord, actual: VoteRecord },
    LogNotFlushed { expected: Option<IdRecord>, actual: Option<IdRecord> },
}

fn encode(frame: &impl Serialize, capacity: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(capacity);
    bytes.push(PROTOCOL);
    postcard::to_extend(frame, bytes).expect("our frames have known lengths, and memory has no end").into()
}

fn decode<'a, T: Deserialize<'a>>(what: &'static str, frame: &'a [u8]) -> Result<T, DecodeError> {
    if frame.len() > FRAME_BYTES {
        return Err(DecodeError::new(
            what,
            format_args!("it has {} bytes, the limit is {FRAME_BYTES}", frame.len()),
        ));
    }
    match frame {
        [PROTOCOL, rest @ ..] => codec::decode(what, rest),
        [version, ..] => Err(DecodeError::new(
            what,
            format_args!(
                "its protocol version is {version}, this member speaks {PROTOCOL}; update the older member"
            ),
        )),
        [] => Err(DecodeError::new(what, "it is empty")),
    }
}

fn id(record: Option<IdRecord>) -> Option<LogId> {
    record.map(Into::into)
}

fn record(id: Option<LogId>) -> Option<IdRecord> {
    id.map(Into::into)
}

fn leaders_vote(what: &'static str, record: VoteRecord) -> Result<Vote, DecodeError> {
    let vote = Vote::from(record);
    if vote.committed {
        Ok(vote)
    } else {
        Err(DecodeError::new(what, "its vote is a candidate's, a leader's is needed"))
    }
}

pub(crate) fn encode_append<RT: AsyncRuntime>(request: &AppendEntriesRequest<Types<RT>>) -> Bytes {
    let payload_bytes: usize = request
        .entries
        .iter()
        .map(|entry| match &entry.payload {
            EntryPayload::Normal(payload) => payload.0.len() + ENVELOPE_BYTES,
            EntryPayload::Blank | EntryPayload::Membership(_) => ENVELOPE_BYTES,
        })
        .sum();
    let frame = AppendFrame {
        vote: request.vote.into(),
        previous: record(request.prev_log_id),
        commit: record(request.leader_commit),
        entries: request.entries.iter().map(EntryRecord::from).collect(),
    };
    encode(&frame, payload_bytes + ENVELOPE_BYTES)
}

pub(crate) fn decode_append<RT: AsyncRuntime>(
    bytes: &Bytes,
) -> Result<AppendEntriesRequest<Types<RT>>, DecodeError> {
    const WHAT: &str = "a request to append";
    let frame = decode::<AppendFrame<'_>>(WHAT, bytes)?;
    let vote = leaders_vote(WHAT, frame.vote)?;
    let prev_log_id = id(frame.previous);
    let mut entries = Vec::with_capacity(frame.entries.len());
    let mut last = prev_log_id;
    for entry in frame.entries {
        let entry = entry.into_entry(bytes)?;
        let next = last.map_or(0, |id| id.index.saturating_add(1));
        if entry.log_id.index != next || last.is_some_and(|last| entry.log_id.leader_id < last.leader_id) {
            return Err(DecodeError::new(
                WHAT,
                format_args!("entry {} does not follow the one before it", entry.log_id),
            ));
        }
        last = Some(entry.log_id);
        entries.push(entry);
    }
    let leader_commit = id(frame.commit);
    if last.max(leader_commit).is_some_and(|id| id.leader_id.term > vote.leader_id.term) {
        return Err(DecodeError::new(WHAT, "it has entries of a later term than its leader's"));
    }
    Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
}

pub(crate) fn encode_append_answer<RT: AsyncRuntime>(result: &StreamAppendResult<Types<RT>>) -> Bytes {
    let frame = match result {
        Ok(matching) => AppendAnswerFrame::Accepted(record(*matching)),
        Err(StreamAppendError::Conflict(id)) => AppendAnswerFrame::Conflict((*id).into()),
        Err(StreamAppendError::HigherVote(vote)) => AppendAnswerFrame::HigherVote((*vote).into()),
    };
    encode(&frame, ENVELOPE_BYTES)
}

pub(crate) fn decode_append_answer<RT: AsyncRuntime>(
    bytes: &[u8],
) -> Result<StreamAppendResult<Types<RT>>, DecodeError> {
    Ok(match decode("an answer to append", bytes)? {
        AppendAnswerFrame::Accepted(matching) => Ok(id(matching)),
        AppendAnswerFrame::Conflict(id) => Err(StreamAppendError::Conflict(id.into())),
        AppendAnswerFrame::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote.into())),
    })
}

pub(crate) fn encode_vote<RT: AsyncRuntime>(request: &VoteRequest<Types<RT>>) -> Bytes {
    let frame = VoteFrame {
        vote: request.vote.into(),
        last: record(request.last_log_id),
        leadership_transfer: request.leadership_transfer,
    };
    encode(&frame, ENVELOPE_BYTES)
}

pub(crate) fn decode_vote<RT: AsyncRuntime>(bytes: &[u8]) -> Result<VoteRequest<Types<RT>>, DecodeError> {
    const WHAT: &str = "a request for a vote";
    let frame = decode::<VoteFrame>(WHAT, bytes)?;
    let vote = Vote::from(frame.vote);
    if vote.committed {
        return Err(DecodeError::new(WHAT, "its vote is a leader's, a candidate's is needed"));
    }
    let mut request = VoteRequest::new(vote, id(frame.last));
    request.leadership_transfer = frame.leadership_transfer;
    Ok(request)
}

pub(crate) fn encode_vote_answer<RT: AsyncRuntime>(response: &VoteResponse<Types<RT>>) -> Bytes {
    let frame = VoteAnswerFrame {
        vote: response.vote.into(),
        granted: response.vote_granted,
        last: record(response.last_log_id),
    };
    encode(&frame, ENVELOPE_BYTES)
}

pub(crate) fn decode_vote_answer<RT: AsyncRuntime>(
    bytes: &[u8],
) -> Result<VoteResponse<Types<RT>>, DecodeError> {
    let frame = decode::<VoteAnswerFrame>("an answer to a request for a vote", bytes)?;
    Ok(VoteResponse::new(Vote::from(frame.vote), id(frame.last), frame.granted))
}

pub(crate) fn encode_snapshot(vote: Vote, manifest: &Manifest) -> Bytes {
    let manifest = manifest.encode();
    encode(&SnapshotFrame { vote: vote.into(), manifest: Raw(&manifest) }, ENVELOPE_BYTES + manifest.len())
}

/// What a sender announces of its snapshot.
#[derive(Debug)]
pub(crate) struct AnnouncedSnapshot {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    pub(crate) manifest: Manifest,
}

pub(crate) fn decode_snapshot(bytes: &[u8]) -> Result<AnnouncedSnapshot, DecodeError> {
    const WHAT: &str = "the header of a snapshot";
    let frame = decode::<SnapshotFrame<'_>>(WHAT, bytes)?;
    let vote = leaders_vote(WHAT, frame.vote)?;
    let manifest = Manifest::decode(frame.manifest.0).map_err(|error| DecodeError::new(WHAT, error))?;
    let meta = codec::decode_mark(&manifest.mark)?;
    let Some(last) = meta.last_log_id else {
        return Err(DecodeError::new(WHAT, "it is of an empty state"));
    };
    if last.leader_id.term > vote.leader_id.term {
        return Err(DecodeError::new(WHAT, "it is of a later term than its leader's"));
    }
    Ok(AnnouncedSnapshot { vote, meta, manifest })
}

/// What a member says to the header of a snapshot.
pub(crate) enum OfferAnswer<RT: AsyncRuntime> {
    /// It has all of it, or knows a later leader: this is its answer.
    NotNeeded(SnapshotResponse<Types<RT>>),
    /// It lacks these.
    Wanted(Vec<Wanted>),
}

pub(crate) fn encode_offer_answer<RT: AsyncRuntime>(answer: &OfferAnswer<RT>) -> Bytes {
    let frame = match answer {
        OfferAnswer::NotNeeded(response) => OfferAnswerFrame::NotNeeded(response.vote.into()),
        OfferAnswer::Wanted(wanted) => OfferAnswerFrame::Wanted(
            wanted.iter().map(|wanted| (wanted.file as u32, wanted.from_byte)).collect(),
        ),
    };
    encode(&frame, ENVELOPE_BYTES)
}

pub(crate) fn decode_offer_answer<RT: AsyncRuntime>(bytes: &[u8]) -> Result<OfferAnswer<RT>, DecodeError> {
    Ok(match decode("an answer to the header of a snapshot", bytes)? {
        OfferAnswerFrame::NotNeeded(vote) => OfferAnswer::NotNeeded(SnapshotResponse::new(vote.into())),
        OfferAnswerFrame::Wanted(wanted) => {
            let wanted = wanted.into_iter();
            OfferAnswer::Wanted(
                wanted.map(|(file, from_byte)| Wanted { file: file as usize, from_byte }).collect(),
            )
        }
    })
}

/// A piece of a file of a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) file: usize,
    pub(crate) offset: u64,
    pub(crate) data: &'a [u8],
}

pub(crate) fn encode_piece(file: usize, offset: u64, data: &[u8]) -> Bytes {
    let frame = PieceFrame { file: file as u32, offset, data: Raw(data) };
    encode(&frame, ENVELOPE_BYTES + data.len())
}

pub(crate) fn decode_piece(bytes: &[u8]) -> Result<Piece<'_>, DecodeError> {
    let frame = decode::<PieceFrame<'_>>("a piece of a snapshot", bytes)?;
    Ok(Piece { file: frame.file as usize, offset: frame.offset, data: frame.data.0 })
}

pub(crate) fn encode_snapshot_answer<RT: AsyncRuntime>(response: &SnapshotResponse<Types<RT>>) -> Bytes {
    encode(&VoteRecord::from(response.vote), ENVELOPE_BYTES)
}

pub(crate) fn decode_snapshot_answer<RT: AsyncRuntime>(
    bytes: &[u8],
) -> Result<SnapshotResponse<Types<RT>>, DecodeError> {
    decode::<VoteRecord>("an answer to a snapshot", bytes).map(|vote| SnapshotResponse::new(vote.into()))
}

pub(crate) fn encode_transfer<RT: AsyncRuntime>(request: &TransferLeaderRequest<Types<RT>>) -> Bytes {
    let frame = TransferFrame {
        from: (*request.from_leader()).into(),
        to: *request.to_node_id(),
        last: record(request.last_log_id().copied()),
    };
    encode(&frame, ENVELOPE_BYTES)
}

pub(crate) fn decode_transfer<RT: AsyncRuntime>(
    bytes: &[u8],
) -> Result<TransferLeaderRequest<Types<RT>>, DecodeError> {
    const WHAT: &str = "a transfer of leadership";
    let frame = decode::<TransferFrame>(WHAT, bytes)?;
    Ok(TransferLeaderRequest::new(leaders_vote(WHAT, frame.from)?, frame.to, id(frame.last)))
}

pub(crate) fn encode_transfer_answer<RT: AsyncRuntime>(
    response: &TransferLeaderResponse<Types<RT>>,
) -> Bytes {
    let frame = match response {
        Ok(()) => TransferAnswerFrame::Accepted,
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            TransferAnswerFrame::VoteChanged { expected: (*expected).into(), actual: (*actual).into() }
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            TransferAnswerFrame::LogNotFlushed { expected: record(*expected), actual: record(*actual) }
        }
    };
    encode(&frame, ENVELOPE_BYTES)
}

pub(crate) fn decode_transfer_answer<RT: AsyncRuntime>(
    bytes: &[u8],
) -> Result<TransferLeaderResponse<Types<RT>>, DecodeError> {
    Ok(match decode("an answer to a transfer of leadership", bytes)? {
        TransferAnswerFrame::Accepted => Ok(()),
        TransferAnswerFrame::VoteChanged { expected, actual } => {
            Err(TransferLeaderError::VoteChanged { expected: expected.into(), actual: actual.into() })
        }
        TransferAnswerFrame::LogNotFlushed { expected, actual } => {
            Err(TransferLeaderError::LogNotFlushed { expected: id(expected), actual: id(actual) })
        }
    })
}
