//! Arbitrary messages of other members, for [`crate::fuzzing`]: decoded, and checked as the peer
//! service does before it asks the consensus or the service crate.
use prost::Message;
use synod_abi::{ClusterId, MemberId};
use synod_api::peer::{DigestsRequest, Frame, HelloRequest, TouchRequest};

use super::service::session_ids;
use crate::server::net::identity::Identity;
use crate::server::net::peers::digests;
use crate::server::net::roster::Place;

/// A message of a peer, taken for each that has something to check.
pub fn peer_message(bytes: &[u8]) {
    let cluster = ClusterId([7; 16]);
    let identity = Identity::new(MemberId(42), "a".to_owned(), Some(cluster));
    if let Ok(frame) = Frame::decode(bytes)
        && identity.check(frame.route.as_ref()).is_ok()
    {
        let route = frame.route.expect("it was checked");
        assert!(route.to == 42 && route.from != 0 && route.cluster_id[..] == cluster.0);
    }
    if let Ok(request) = HelloRequest::decode(bytes) {
        if let Ok((from, theirs)) = identity.check_greeting(request.route.as_ref()) {
            assert!(from.0 != 0 && theirs.is_none_or(|theirs| theirs == cluster));
        }
        let _place = request.place.map(Place::from);
    }
    if let Ok(request) = TouchRequest::decode(bytes)
        && let Ok(ids) = session_ids(&request.sessions)
    {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.0).collect();
        assert_eq!(bytes, request.sessions, "every id of a bundle, and nothing else");
    }
    if let Ok(request) = DigestsRequest::decode(bytes)
        && let Some(own) = request.own
        && let Ok(record) = digests::from_wire(&own)
    {
        assert_eq!(digests::to_wire(record), own);
    }
}
