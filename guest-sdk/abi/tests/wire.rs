//! Golden bytes of the fixed layouts: context, range requests, rows, faults. A failure here means
//! that members or recipes of two versions would not understand each other: never change what is
//! expected, append.
use proptest::prelude::*;
use synod_abi::{
    Access, Blob, CONTEXT_BYTES, CallError, Context, DecodeError, Direction, Fault, HOOK_CANCEL,
    HOOK_SESSION_END, HOOK_TIMER, HOST_CALLS, OperationId, REPLY_BAD_ARGUMENTS, REPLY_ERROR, REPLY_LATER,
    REPLY_MORE, REPLY_NOW, REPLY_RESULT, RangeRequest, RawError, RequestId, Revision, Rows, SessionId,
    TicketId, Time, TimerId, ValueKind, decode, decode_from, encode, encode_into,
};

#[test]
fn context_layout() {
    let context = Context {
        revision: Revision(0x0102_0304_0506_0708),
        now: Time(0x1112_1314_1516_1718),
        session: Some(SessionId([0x55; 16])),
        may_wait: true,
        seed: [0x77; 16],
    };
    let mut golden = [0; CONTEXT_BYTES];
    golden[..8].copy_from_slice(&[8, 7, 6, 5, 4, 3, 2, 1]);
    golden[8..16].copy_from_slice(&[0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]);
    golden[16] = 1;
    golden[17] = 1;
    golden[24..40].fill(0x55);
    golden[40..56].fill(0x77);
    assert_eq!(context.to_bytes(), golden);
    assert_eq!(Context::from_bytes(&golden), context);
    let without = Context { session: None, may_wait: false, ..context };
    assert_eq!(without.to_bytes()[16..40], [0; 24]);
    assert_eq!(Context::from_bytes(&without.to_bytes()), without);
    let waiting = Context { may_wait: true, ..without };
    assert_eq!(waiting.to_bytes()[16..18], [0, 1]);
    assert_eq!(Context::from_bytes(&waiting.to_bytes()), waiting);
}

#[test]
fn range_request_layout() {
    let request = RangeRequest { from: vec![1, 2], to: vec![3], direction: Direction::Backward, rows: 258 };
    let golden = [1, 2, 1, 0, 0, 2, 0, 0, 0, 1, 2, 3];
    assert_eq!(request.to_bytes(), golden);
    assert_eq!(RangeRequest::from_bytes(&golden), Some(request));
    assert_eq!(RangeRequest::from_bytes(&[2, 1, 0, 0, 0, 0, 0, 0, 0]), None);
    assert_eq!(RangeRequest::from_bytes(&[0, 1, 0, 0, 0, 9, 0, 0, 0]), None);
}

#[test]
fn rows_layout() {
    let mut chunk = Vec::new();
    Rows::push(&mut chunk, b"k", b"");
    Rows::push(&mut chunk, b"", b"vw");
    assert_eq!(chunk, [1, 0, 0, 0, 0, 0, 0, 0, b'k', 0, 0, 0, 0, 2, 0, 0, 0, b'v', b'w']);
    assert_eq!(Rows(&chunk).collect::<Vec<_>>(), [(&b"k"[..], &b""[..]), (b"", b"vw")]);
    assert_eq!(Rows(&chunk[..12]).count(), 1);
}

#[test]
fn fault_numbers() {
    let faults = [
        Fault::Trap,
        Fault::Panic,
        Fault::OutOfFuel,
        Fault::TooDeep,
        Fault::OutOfMemory,
        Fault::KeyTooLong,
        Fault::ValueTooLong,
        Fault::TooManyWrites,
        Fault::TooManyReads,
        Fault::TooManyHostCalls,
        Fault::BadHostCall,
        Fault::CorruptState,
        Fault::BadArguments,
        Fault::BadReply,
        Fault::QueryTimeout,
        Fault::TooManyTimers,
        Fault::BadTopic,
        Fault::TooManyEvents,
        Fault::TooManySends,
        Fault::TooDeepDelivery,
        Fault::TooManyDeliveries,
        Fault::TooManySpaceTimers,
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        assert_eq!(encode(&fault), [number as u8]);
        assert!(!fault.to_string().is_empty());
    }
}

#[test]
fn host_calls_and_ids() {
    let names: Vec<_> = HOST_CALLS.iter().map(|call| call.name).collect();
    assert_eq!(
        names,
        [
            "get",
            "range",
            "log",
            "abort",
            "put",
            "delete",
            "next_token",
            "set_timer",
            "cancel_timer",
            "complete",
            "emit",
            "send"
        ]
    );
    let call = |name: &str| HOST_CALLS.iter().find(|call| call.name == name).expect("it is in the table");
    let (set, cancel, complete) = (call("set_timer"), call("cancel_timer"), call("complete"));
    assert_eq!(
        (set.params, set.result),
        (&[ValueKind::I64, ValueKind::I32, ValueKind::I32][..], Some(ValueKind::I64))
    );
    assert_eq!((cancel.params, cancel.result), (&[ValueKind::I64][..], Some(ValueKind::I32)));
    assert_eq!(
        (complete.params, complete.result),
        (&[ValueKind::I64, ValueKind::I32, ValueKind::I32][..], Some(ValueKind::I32))
    );
    let (emit, send) = (call("emit"), call("send"));
    assert_eq!((emit.params, emit.result), (&[ValueKind::I32; 4][..], None));
    assert_eq!((send.params, send.result), (&[ValueKind::I32; 5][..], None));
    assert!([set, cancel, complete, emit, send].iter().all(|call| call.access == Access::Write));
    assert_eq!(OperationId::of("add").0, 0x3b39_1274);
}

#[test]
fn replies_hooks_and_numbers_of_sessions() {
    assert_eq!(
        [REPLY_RESULT, REPLY_ERROR, REPLY_BAD_ARGUMENTS, REPLY_LATER, REPLY_NOW, REPLY_MORE],
        [0, 1, 2, 3, 4, 5]
    );
    assert_eq!([HOOK_SESSION_END, HOOK_TIMER, HOOK_CANCEL], [1, 2, 3]);
    assert_eq!(
        (encode(&RequestId(300)), encode(&TicketId(300)), encode(&TimerId(1))),
        (vec![0xac, 2], vec![0xac, 2], vec![1])
    );
    assert_eq!(
        (RequestId(3).to_string(), TicketId(4).to_string(), TimerId(5).to_string()),
        ("3".into(), "4".into(), "5".into())
    );
    assert_eq!(encode(&SessionId([7; 16])), [7; 16]);
}

#[test]
fn the_end_of_a_wait_and_of_a_session_are_told_apart() {
    let of = CallError::<u8>::from;
    assert_eq!(of(RawError::WaitTimeout), CallError::WaitTimeout);
    assert_eq!(of(RawError::SessionExpired("gone".into())), CallError::SessionExpired("gone".into()));
    assert!(of(RawError::SessionExpired("gone".into())).to_string().contains("gone"));
    assert!(!of(RawError::WaitTimeout).to_string().is_empty());
    let unread = of(RawError::Unreadable { revision: Revision(7) });
    assert_eq!(unread, CallError::Unreadable { revision: Revision(7) });
    assert!(unread.to_string().contains("applied") && unread.to_string().contains('7'), "{unread}");
}

#[test]
fn values_fill_their_bytes() {
    assert_eq!(encode(&Blob::from("ab")), [2, b'a', b'b']);
    assert_eq!(decode::<u8>(&[1]), Ok(1));
    assert_eq!(decode::<u8>(&[1, 2]), Err(DecodeError));
    let both = encode_into(&"x", encode(&7u64));
    let mut rest: &[u8] = &both;
    assert_eq!(decode_from::<u64>(&mut rest), Ok(7));
    assert_eq!(decode_from::<u64>(&mut &rest[..0]), Err(DecodeError));
    assert_eq!(decode::<String>(rest).as_deref(), Ok("x"));
}

proptest! {
    #[test]
    fn rows_and_requests_take_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let read: usize = Rows(&bytes).map(|(key, value)| key.len() + value.len() + 8).sum();
        prop_assert!(read <= bytes.len());
        if let Some(request) = RangeRequest::from_bytes(&bytes) {
            prop_assert_eq!(request.to_bytes(), bytes);
        }
    }

    #[test]
    fn contexts_round_trip(
        revision: u64,
        now: u64,
        session: Option<[u8; 16]>,
        may_wait: bool,
        seed: [u8; 16],
    ) {
        let session = session.map(SessionId);
        let context = Context { revision: Revision(revision), now: Time(now), session, may_wait, seed };
        prop_assert_eq!(Context::from_bytes(&context.to_bytes()), context);
    }
}
