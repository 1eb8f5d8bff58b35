//! The bytes on disk and on the wire. They are promises to older data and to other members: if one
//! of the golden strings has to change, it is a new variant or a new protocol version instead.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use openraft::network::{NetStreamAppend, RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendError, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::vote::leader_id_std::LeaderId;
use synod_abi::ClusterId;
use synod_storage::{AppliedMark, ContentHash, Manifest, ManifestFile, MemoryStore, Wanted};

use crate::frames::{OfferAnswer, Piece};
use crate::network::Connections;
use crate::retention::Retention;
use crate::types::{
    Entry, EntryPayload, LogId, MemberInfo, Membership, Payload, StoredMembership, Types, Vote,
};
use crate::{Peer, PeerError, PeerNetwork, TokioRuntime, codec, frames};

type Request = AppendEntriesRequest<Types<TokioRuntime>>;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id(term: u64, index: u64) -> LogId {
    LogId::new_term_index(term, index)
}

fn vote(term: u64, member: u64, committed: bool) -> Vote {
    Vote { leader_id: LeaderId { term, voted_for: member }, committed }
}

fn membership() -> Membership {
    let member = |name: &str| MemberInfo {
        name: name.to_owned(),
        peer_address: format!("{name}:1"),
        client_addresses: vec![format!("{name}:2")],
    };
    Membership::new(
        vec![BTreeSet::from([1, 2])],
        BTreeMap::from([(1, member("a")), (2, member("b")), (3, member("c"))]),
    )
    .unwrap()
}

fn entries() -> Vec<Entry> {
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Normal(Payload(Bytes::from_static(b"xyz"))),
        EntryPayload::Membership(membership()),
    ];
    payloads.into_iter().zip(300..).map(|(payload, index)| Entry { log_id: id(7, index), payload }).collect()
}

/// A heartbeat of a leader that knows nothing of its follower.
pub(super) fn heartbeat(term: u64, leader: u64) -> Bytes {
    let request = Request {
        vote: vote(term, leader, true),
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    };
    frames::encode_append(&request)
}

#[test]
fn log_records_keep_their_bytes() {
    let records: Vec<_> = entries().iter().map(codec::entry_to_record).collect();
    let golden = [
        "07ac0200",
        "07ad02010378797a",
        "07ae0202010201020301016103613a310103613a3202016203623a310103623a3203016303633a310103633a32",
    ];
    for ((record, entry), golden) in records.into_iter().zip(entries()).zip(golden) {
        assert_eq!(hex(&record.bytes), golden);
        assert_eq!(codec::entry_from_record(record).unwrap(), entry);
    }
}

#[test]
fn ids_votes_and_memberships_keep_their_bytes() {
    assert_eq!(hex(&codec::encode_id(id(7, 300))), "07ac02");
    assert_eq!(codec::decode_id(&codec::encode_id(id(7, 300))).unwrap(), id(7, 300));
    for (vote, golden) in [(vote(7, 2, false), "070200"), (vote(7, 2, true), "070201")] {
        assert_eq!(hex(&codec::encode_vote(vote)), golden);
        assert_eq!(codec::decode_vote(&codec::encode_vote(vote)).unwrap(), vote);
    }
    let stored = StoredMembership::new(Some(id(7, 302)), membership());
    assert_eq!(
        hex(&codec::encode_membership(&stored)),
        "0107ae02010201020301016103613a310103613a3202016203623a310103623a3203016303633a310103633a32"
    );
    assert_eq!(codec::decode_membership(&codec::encode_membership(&stored)).unwrap(), stored);
    assert_eq!(codec::decode_membership(&[]).unwrap(), StoredMembership::default());
}

#[test]
fn a_record_that_is_damaged_or_misplaced_is_noticed() {
    let record = codec::entry_to_record(&entries()[1]);
    let mut misplaced = record.clone();
    misplaced.index += 1;
    assert!(codec::entry_from_record(misplaced).unwrap_err().to_string().contains("stored at 302"));
    let mut cut = record.clone();
    cut.bytes = record.bytes[..record.bytes.len() - 1].into();
    assert!(codec::entry_from_record(cut).is_err());
    let mut long = record.clone();
    long.bytes = [&record.bytes[..], &[0]].concat().into();
    assert!(codec::entry_from_record(long).unwrap_err().to_string().contains("1 bytes too many"));
    let mark =
        AppliedMark { index: Some(299), id: codec::encode_id(id(7, 300)), membership: Default::default() };
    assert!(codec::decode_mark(&mark).is_err());
}

#[test]
fn frames_keep_their_bytes() {
    let request = Request {
        vote: vote(7, 2, true),
        prev_log_id: Some(id(6, 299)),
        entries: entries().into_iter().take(2).collect(),
        leader_commit: Some(id(6, 298)),
    };
    let frame = frames::encode_append(&request);
    assert_eq!(hex(&frame), "010702010106ab020106aa020207ac020007ad02010378797a");
    let decoded = frames::decode_append::<TokioRuntime>(&frame).unwrap();
    assert_eq!(
        (decoded.vote, decoded.prev_log_id, decoded.leader_commit),
        (request.vote, request.prev_log_id, request.leader_commit)
    );
    assert_eq!(decoded.entries, request.entries);

    let answers = [
        (Ok(Some(id(7, 301))), "01000107ad02"),
        (Err(StreamAppendError::Conflict(id(6, 299))), "010106ab02"),
        (Err(StreamAppendError::HigherVote(vote(8, 3, false))), "0102080300"),
    ];
    for (answer, golden) in answers {
        let frame = frames::encode_append_answer::<TokioRuntime>(&answer);
        assert_eq!(hex(&frame), golden);
        assert_eq!(frames::decode_append_answer::<TokioRuntime>(&frame).unwrap(), answer);
    }

    let request = VoteRequest::<Types<TokioRuntime>>::new(vote(8, 3, false), Some(id(7, 300)));
    assert_eq!(hex(&frames::encode_vote(&request)), "010803000107ac0200");
    assert_eq!(frames::decode_vote::<TokioRuntime>(&frames::encode_vote(&request)).unwrap(), request);
    let response = VoteResponse::<Types<TokioRuntime>>::new(vote(8, 3, false), Some(id(7, 300)), true);
    assert_eq!(hex(&frames::encode_vote_answer(&response)), "01080300010107ac02");
    assert_eq!(
        frames::decode_vote_answer::<TokioRuntime>(&frames::encode_vote_answer(&response)).unwrap(),
        response
    );
}

#[test]
fn frames_of_snapshots_keep_their_bytes() {
    let stored = StoredMembership::new(Some(id(7, 302)), membership());
    let mark = AppliedMark {
        index: Some(303),
        id: codec::encode_id(id(7, 303)),
        membership: codec::encode_membership(&stored),
    };
    let file =
        ManifestFile { name: "000007.sst".to_owned(), length_bytes: 70_000, hash: ContentHash([9; 32]) };
    let manifest =
        Manifest { cluster: Some(ClusterId([5; 16])), mark, layout: "tables".to_owned(), files: vec![file] };
    let frame = frames::encode_snapshot(vote(7, 2, true), &manifest);
    assert_eq!(
        hex(&frame),
        concat!(
            "0107020189010105050505050505050505050505050505410100000000000001",
            "2f0000000307af020000002d0107ae02010201020301016103613a310103613a",
            "3202016203623a310103623a3203016303633a310103633a32067461626c6573",
            "010a3030303030372e737374f0a2040909090909090909090909090909090909",
            "090909090909090909090909090909"
        )
    );
    let announced = frames::decode_snapshot(&frame).unwrap();
    assert_eq!((announced.vote, announced.manifest), (vote(7, 2, true), manifest));
    assert_eq!((announced.meta.last_log_id, announced.meta.last_membership), (Some(id(7, 303)), stored));

    let wanted = vec![Wanted { file: 0, from_byte: 0 }, Wanted { file: 300, from_byte: 70_000 }];
    let offer = frames::encode_offer_answer::<TokioRuntime>(&OfferAnswer::Wanted(wanted.clone()));
    assert_eq!(hex(&offer), "0101020000ac02f0a204");
    let decoded = frames::decode_offer_answer::<TokioRuntime>(&offer).unwrap();
    assert!(matches!(decoded, OfferAnswer::Wanted(decoded) if decoded == wanted));
    let piece = frames::encode_piece(300, 70_000, b"rows");
    assert_eq!(hex(&piece), "01ac02f0a20404726f7773");
    assert_eq!(frames::decode_piece(&piece).unwrap(), Piece { file: 300, offset: 70_000, data: b"rows" });

    let answer = SnapshotResponse::<Types<TokioRuntime>>::new(vote(8, 3, false));
    assert_eq!(hex(&frames::encode_snapshot_answer(&answer)), "01080300");
    let offer = frames::encode_offer_answer::<TokioRuntime>(&OfferAnswer::NotNeeded(answer.clone()));
    assert_eq!(hex(&offer), "0100080300");
    let decoded = frames::decode_offer_answer::<TokioRuntime>(&offer).unwrap();
    assert!(matches!(decoded, OfferAnswer::NotNeeded(decoded) if decoded == answer));
    assert_eq!(
        frames::decode_snapshot_answer::<TokioRuntime>(&frames::encode_snapshot_answer(&answer)).unwrap(),
        answer
    );
}

#[test]
fn frames_of_a_transfer_of_leadership_keep_their_bytes() {
    let request = TransferLeaderRequest::<Types<TokioRuntime>>::new(vote(7, 2, true), 3, Some(id(7, 300)));
    assert_eq!(hex(&frames::encode_transfer(&request)), "01070201030107ac02");
    assert_eq!(frames::decode_transfer::<TokioRuntime>(&frames::encode_transfer(&request)).unwrap(), request);
    let of_nothing = TransferLeaderRequest::<Types<TokioRuntime>>::new(vote(7, 2, true), 3, None);
    assert_eq!(hex(&frames::encode_transfer(&of_nothing)), "010702010300");
    let of_a_candidate = TransferLeaderRequest::<Types<TokioRuntime>>::new(vote(7, 2, false), 3, None);
    assert!(frames::decode_transfer::<TokioRuntime>(&frames::encode_transfer(&of_a_candidate)).is_err());

    let answers: [(TransferLeaderResponse<Types<TokioRuntime>>, _); 3] = [
        (Ok(()), "0100"),
        (
            Err(TransferLeaderError::VoteChanged { expected: vote(7, 2, true), actual: vote(8, 3, false) }),
            "0101070201080300",
        ),
        (
            Err(TransferLeaderError::LogNotFlushed { expected: Some(id(7, 300)), actual: None }),
            "01020107ac0200",
        ),
    ];
    for (answer, golden) in answers {
        let frame = frames::encode_transfer_answer::<TokioRuntime>(&answer);
        assert_eq!(hex(&frame), golden);
        assert_eq!(frames::decode_transfer_answer::<TokioRuntime>(&frame).unwrap(), answer);
    }
}

#[test]
fn a_request_that_contradicts_itself_is_garbage() {
    let good = Request {
        vote: vote(7, 2, true),
        prev_log_id: Some(id(7, 299)),
        entries: entries(),
        leader_commit: None,
    };
    assert!(frames::decode_append::<TokioRuntime>(&frames::encode_append(&good)).is_ok());
    let gap = Request { prev_log_id: Some(id(7, 298)), ..good.clone() };
    let back_in_time = Request { prev_log_id: Some(id(8, 299)), ..good.clone() };
    let candidate = Request { vote: vote(7, 2, false), ..good.clone() };
    let old_leader = Request { vote: vote(6, 2, true), ..good.clone() };
    let foreseen = Request { leader_commit: Some(id(9, 1)), ..good };
    for bad in [gap, back_in_time, candidate, old_leader, foreseen] {
        assert!(frames::decode_append::<TokioRuntime>(&frames::encode_append(&bad)).is_err(), "{bad:?}");
    }
    let leader = VoteRequest::<Types<TokioRuntime>>::new(vote(8, 3, true), None);
    assert!(frames::decode_vote::<TokioRuntime>(&frames::encode_vote(&leader)).is_err());
}

#[test]
fn a_frame_of_another_protocol_version_says_so() {
    let mut frame = heartbeat(1, 1).to_vec();
    frame[0] = 2;
    let error = frames::decode_append::<TokioRuntime>(&frame.into()).unwrap_err();
    assert!(error.to_string().contains("protocol version is 2, this member speaks 1"), "{error}");
}

/// A network on which every stream opens and each of its requests gets this answer, or none;
/// nothing else is ever answered.
#[derive(Clone, Default)]
pub(super) struct Nobody {
    answer: Option<Bytes>,
}

impl PeerNetwork for Nobody {
    async fn vote(&self, _: &Peer, _: Bytes) -> Result<Bytes, PeerError> {
        std::future::pending().await
    }
    async fn pre_vote(&self, _: &Peer, _: Bytes) -> Result<Bytes, PeerError> {
        std::future::pending().await
    }
    async fn append(
        &self,
        _: &Peer,
        requests: BoxStream<'static, Bytes>,
    ) -> Result<BoxStream<'static, Result<Bytes, PeerError>>, PeerError> {
        let answers = match self.answer.clone() {
            Some(answer) => requests.map(move |_| Ok(answer.clone())).boxed(),
            None => {
                requests.filter_map(|_| std::future::ready(None)).chain(futures::stream::pending()).boxed()
            }
        };
        Ok(answers)
    }
    async fn offer_snapshot(&self, _: &Peer, _: Bytes) -> Result<Bytes, PeerError> {
        std::future::pending().await
    }
    async fn send_snapshot(&self, _: &Peer, _: BoxStream<'static, Bytes>) -> Result<Bytes, PeerError> {
        std::future::pending().await
    }
    async fn transfer_leader(&self, _: &Peer, _: Bytes) -> Result<Bytes, PeerError> {
        std::future::pending().await
    }
}

/// Connections of a member whose log begins behind `purged`.
fn connections(
    network: Nobody,
    idle_timeout_ms: u64,
    purged: Option<u64>,
) -> Connections<TokioRuntime, MemoryStore, Nobody> {
    let idle_timeout = Duration::from_millis(idle_timeout_ms);
    Connections::new(network, idle_timeout, Arc::new(move || purged), Arc::new(Retention::new()))
}

#[tokio::test]
async fn a_stream_that_owes_an_answer_too_long_is_given_up() {
    let mut connections = connections(Nobody::default(), 200, None);
    let mut connection = connections.new_client(2, &MemberInfo::default()).await;
    let request =
        Request { vote: vote(1, 1, true), prev_log_id: None, entries: Vec::new(), leader_commit: None };
    let requests = Box::pin(futures::stream::iter([request]).chain(futures::stream::pending()));
    let mut answers =
        connection.stream_append(requests, RPCOption::new(Duration::from_millis(100))).await.unwrap();
    let answer =
        tokio::time::timeout(super::cluster::DEADLINE, answers.next()).await.expect("it is given up");
    let error = answer.unwrap().unwrap_err();
    assert!(error.to_string().contains("did not answer within 200 ms"), "{error}");
    assert!(answers.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_owes_nothing_waits() {
    let mut connections = connections(Nobody::default(), 20, None);
    let mut connection = connections.new_client(2, &MemberInfo::default()).await;
    let requests = Box::pin(futures::stream::pending());
    let mut answers =
        connection.stream_append(requests, RPCOption::new(Duration::from_millis(20))).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(400), answers.next()).await;
    assert!(waited.is_err());
}

/// How many of these requests without entries, each behind the entry at its index, are answered
/// before the stream ends with an error.
async fn answered(purged: u64, behind: &[u64]) -> Option<usize> {
    let agreeing = Nobody { answer: Some(frames::encode_append_answer::<TokioRuntime>(&Ok(None))) };
    let mut connections = connections(agreeing, 5_000, Some(purged));
    let mut connection = connections.new_client(2, &MemberInfo::default()).await;
    let request = |index: &u64| Request {
        vote: vote(1, 1, true),
        prev_log_id: Some(id(1, *index)),
        entries: Vec::new(),
        leader_commit: None,
    };
    let requests: Vec<_> = behind.iter().map(request).collect();
    let mut answers = connection
        .stream_append(futures::stream::iter(requests), RPCOption::new(Duration::from_millis(100)))
        .await
        .unwrap();
    for count in 0.. {
        match answers.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                assert!(error.to_string().contains("it gets a snapshot"), "{error}");
                return Some(count);
            }
            None => return None,
        }
    }
    None
}

#[tokio::test]
async fn a_stream_whose_next_entries_were_purged_ends_so_that_a_snapshot_can_follow() {
    assert_eq!(answered(10, &[5; 8]).await, Some(2), "it would go on for ever");
    assert_eq!(answered(10, &[9; 8]).await, Some(2), "the entry at 10 is purged, too");
    assert_eq!(answered(10, &[10; 8]).await, None, "nothing that follows 10 is missing");
    assert_eq!(answered(10, &[5]).await, None, "a heartbeat");
    assert_eq!(answered(10, &[5, 5, 10, 5, 5, 10]).await, None);
}
