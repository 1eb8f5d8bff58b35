//! Unit tests of `instance`.
use super::*;
use synod_abi::OperationId;

const OPERATION: EntryPoint = EntryPoint::Operation(OperationId(1));
const QUERY: EntryPoint = EntryPoint::Query(OperationId(1));
const HOOKS: [EntryPoint; 3] = [EntryPoint::SessionEnd, EntryPoint::Timer, EntryPoint::Cancel];
const BAD: Completion = Completion::Faulted(Fault::BadReply);

fn at(start: u64, len: u64) -> u64 {
    start << 32 | len
}

#[test]
fn operations_may_wait_and_queries_and_hooks_may_not() {
    let memory = [REPLY_LATER, REPLY_NOW, 5, 6];
    assert_eq!(reply(OPERATION, &memory, at(0, 1)), Completion::Later { tickets: 1 });
    assert_eq!(reply(OPERATION, &memory, at(0, 2)), BAD);
    let several = [REPLY_LATER, 2, 1, 0];
    assert_eq!(reply(OPERATION, &several, at(0, 3)), Completion::Later { tickets: 0x102 });
    assert_eq!(reply(OPERATION, &several, at(0, 4)), BAD);
    assert_eq!(reply(OPERATION, &memory, at(1, 3)), Completion::Now(vec![5, 6]));
    assert_eq!(reply(OPERATION, &memory, at(1, 1)), Completion::Now(vec![]));
    for other in HOOKS.into_iter().chain([QUERY]) {
        for (start, len) in [(0, 1), (1, 1), (1, 3)] {
            assert_eq!(reply(other, &memory, at(start, len)), BAD, "{other:?}");
        }
    }
}

#[test]
fn hooks_have_nothing_to_say() {
    let memory = [REPLY_RESULT, 1, REPLY_ERROR, 7, 0, 0, 0, 5, REPLY_BAD_ARGUMENTS];
    for hook in HOOKS {
        assert_eq!(reply(hook, &memory, at(0, 1)), Completion::Done(vec![]));
        assert_eq!(reply(hook, &memory, at(8, 1)), Completion::Faulted(Fault::BadArguments));
        for (start, len) in [(0, 2), (2, 5), (2, 6), (1, 1)] {
            assert_eq!(reply(hook, &memory, at(start, len)), BAD, "{hook:?} {start} {len}");
        }
    }
}

#[test]
fn a_hook_says_that_there_is_more_and_a_handler_may_not() {
    let memory = [REPLY_MORE, 1];
    for hook in HOOKS {
        assert_eq!(reply(hook, &memory, at(0, 1)), Completion::More);
        assert_eq!(reply(hook, &memory, at(0, 2)), BAD);
    }
    for other in [OPERATION, QUERY, EntryPoint::Event] {
        assert_eq!(reply(other, &memory, at(0, 1)), BAD, "{other:?}");
    }
}

#[test]
fn replies_are_read_where_the_guest_says() {
    let memory = [9, REPLY_RESULT, 1, 2, REPLY_ERROR, 7, 0, 0, 0, 5, REPLY_BAD_ARGUMENTS];
    assert_eq!(reply(OPERATION, &memory, at(1, 3)), Completion::Done(vec![1, 2]));
    assert_eq!(reply(OPERATION, &memory, at(4, 6)), Completion::Refused { code: 7, error: vec![5] });
    assert_eq!(reply(OPERATION, &memory, at(10, 1)), Completion::Faulted(Fault::BadArguments));
}

#[test]
fn garbage_is_a_bad_reply() {
    let memory = [9, REPLY_RESULT, REPLY_ERROR, 0, 0, 0, REPLY_BAD_ARGUMENTS, 0];
    for (start, len) in
        [(0, 1), (1, 0), (2, 4), (6, 2), (8, 1), (7, 2), (u64::from(u32::MAX), u64::from(u32::MAX))]
    {
        assert_eq!(
            reply(OPERATION, &memory, at(start, len)),
            Completion::Faulted(Fault::BadReply),
            "{start} {len}"
        );
    }
}

#[test]
fn replies_have_a_limit() {
    let mut memory = vec![0; limits::REPLY_BYTES + 6];
    assert!(matches!(reply(OPERATION, &memory, at(0, limits::REPLY_BYTES as u64 + 1)), Completion::Done(_)));
    assert_eq!(
        reply(OPERATION, &memory, at(0, limits::REPLY_BYTES as u64 + 2)),
        Completion::Faulted(Fault::BadReply)
    );
    memory[0] = REPLY_ERROR;
    assert!(matches!(
        reply(OPERATION, &memory, at(0, limits::REPLY_BYTES as u64 + 5)),
        Completion::Refused { .. }
    ));
    assert_eq!(
        reply(OPERATION, &memory, at(0, limits::REPLY_BYTES as u64 + 6)),
        Completion::Faulted(Fault::BadReply)
    );
}
