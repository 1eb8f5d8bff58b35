//! Every limit of a call, met exactly and passed by one.
use std::collections::BTreeMap;

use synod_abi::limits::*;
use synod_abi::{Direction, EntryPoint, Fault, HostCalls, OperationId, RangeRequest, Rows, SpaceId};

use super::Draft;
use crate::MemoryState;
use crate::draft::budget::CALL_COMPLETION_BYTES;
use crate::draft::numbers::Numbers;

fn draft() -> Draft<MemoryState> {
    let mut draft = Draft::for_entry(MemoryState::default(), Numbers::default());
    draft.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
    draft
}

fn request(from: &[u8], to: &[u8], rows: u32) -> Vec<u8> {
    RangeRequest { from: from.to_vec(), to: to.to_vec(), direction: Direction::Forward, rows }.to_bytes()
}

#[test]
fn keys_and_values_have_a_longest() {
    let mut host = draft();
    let (key, value) = (vec![1; KEY_BYTES], vec![2; VALUE_BYTES]);
    assert_eq!(host.put(&key, &value), Ok(()));
    assert_eq!(host.put(&[&key[..], &[0]].concat(), &[]), Err(Fault::KeyTooLong));
    assert_eq!(host.delete(&[&key[..], &[0]].concat()), Err(Fault::KeyTooLong));
    assert_eq!(host.get(&[&key[..], &[0]].concat(), &mut []), Err(Fault::KeyTooLong));
    assert_eq!(host.put(&key, &[&value[..], &[0]].concat()), Err(Fault::ValueTooLong));
}

#[test]
fn a_value_larger_than_the_buffer_is_not_written() {
    let mut host = draft();
    host.put(b"k", b"value").unwrap();
    let mut small = [7; 4];
    assert_eq!((host.get(b"k", &mut small), small), (Ok(5), [7; 4]));
    let mut large = [7; 6];
    assert_eq!((host.get(b"k", &mut large), &large), (Ok(5), b"value\x07"));
    assert_eq!(host.get(b"absent", &mut large), Ok(u32::MAX));
}

#[test]
fn a_call_writes_so_many_rows_and_bytes() {
    let mut host = draft();
    for n in 0..CALL_WRITE_ROWS {
        host.put(&n.to_be_bytes(), &[]).unwrap();
    }
    assert_eq!(host.delete(b"one more"), Err(Fault::TooManyWrites));
    host.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
    let value = vec![0; VALUE_BYTES];
    let rows = CALL_WRITE_BYTES / (VALUE_BYTES + 1);
    for n in 0..rows {
        host.put(&[n as u8], &value).unwrap();
    }
    assert_eq!(host.put(b"x", &value), Err(Fault::TooManyWrites));
}

#[test]
fn a_call_reads_so_many_bytes() {
    let mut host = draft();
    host.put(b"k", &vec![0; VALUE_BYTES]).unwrap();
    let (mut out, mut read) = (vec![0; RANGE_CHUNK_BYTES], 0);
    let fault = loop {
        match host.get(b"k", &mut out) {
            Ok(_) => read += VALUE_BYTES + 1,
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault, Fault::TooManyReads);
    assert!(read <= CALL_READ_BYTES && read + VALUE_BYTES + 1 > CALL_READ_BYTES);
    assert_eq!(host.range(&request(b"", b"", 1), &mut out), Err(Fault::TooManyReads));
}

#[test]
fn a_call_makes_so_many_host_calls() {
    let mut host = draft();
    for _ in 0..CALL_HOST_CALLS {
        host.next_token().unwrap();
    }
    assert_eq!(host.next_token(), Err(Fault::TooManyHostCalls));
    assert_eq!(host.log(1, b""), Err(Fault::TooManyHostCalls));
    host.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
    assert_eq!(host.next_token(), Ok(u64::from(CALL_HOST_CALLS) + 1));
}

#[test]
fn timers_are_bounded_in_size_and_number_and_count_as_writes() {
    let mut host = draft();
    assert_eq!(host.set_timer(5, &vec![0; TIMER_PAYLOAD_BYTES]), Ok(1));
    assert_eq!(host.set_timer(5, &vec![0; TIMER_PAYLOAD_BYTES + 1]), Err(Fault::ValueTooLong));
    host.counts().timers = TIMERS;
    assert_eq!(host.set_timer(5, b""), Err(Fault::TooManyTimers));
    assert_eq!((host.cancel_timer(1), host.cancel_timer(1), host.cancel_timer(9)), (Ok(1), Ok(0), Ok(0)));
    assert_eq!(host.set_timer(5, b""), Ok(2));
    host.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
    host.counts().timers = 0;
    for _ in 0..CALL_WRITE_ROWS {
        host.set_timer(5, b"").unwrap();
    }
    assert_eq!(host.set_timer(5, b""), Err(Fault::TooManyWrites));
    assert_eq!(host.cancel_timer(2), Err(Fault::TooManyWrites));
}

#[test]
fn another_spaces_timer_is_not_cancelled() {
    let mut host = draft();
    let timer = host.set_timer(5, b"").unwrap();
    host.begin_call(SpaceId(2), EntryPoint::Timer, u64::MAX);
    assert_eq!(host.cancel_timer(timer), Ok(0));
    host.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
    assert_eq!(host.cancel_timer(timer), Ok(1));
}

#[test]
fn replies_that_complete_calls_are_checked_and_bounded() {
    let mut host = draft();
    for malformed in [&[][..], &[2], &[3], &[4, 0], &[1, 0, 0, 0]] {
        assert_eq!(host.complete(1, malformed), Err(Fault::BadReply), "{malformed:?}");
    }
    assert_eq!(host.complete(1, &[1, 7, 0, 0, 0]), Ok(0));
    assert_eq!(host.complete(1, &vec![0; REPLY_BYTES + 2]), Err(Fault::BadReply));
    host.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
    for _ in 0..CALL_COMPLETION_BYTES / REPLY_BYTES {
        host.complete(1, &vec![0; REPLY_BYTES]).unwrap();
    }
    assert_eq!(host.complete(1, &[0]), Err(Fault::TooManyWrites));
}

#[test]
fn ranges_stay_in_the_space_and_come_in_chunks() {
    let mut host = draft();
    host.begin_call(SpaceId(2), EntryPoint::Timer, u64::MAX);
    host.put(b"other", b"space").unwrap();
    host.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
    let rows: BTreeMap<Vec<u8>, Vec<u8>> = (0..10_u8).map(|n| (vec![n], vec![n; 3])).collect();
    rows.iter().for_each(|(key, value)| host.put(key, value).unwrap());
    let mut out = vec![0; RANGE_CHUNK_BYTES];
    let answer = host.range(&request(b"", b"", u32::MAX), &mut out).unwrap();
    assert!(Rows(&out[..answer as usize]).eq(rows.iter().map(|(key, value)| (&key[..], &value[..]))));
    assert_eq!(host.range(&request(&[3], &[5], 2), &mut out).unwrap(), 24, "two rows, and no more");
    assert_eq!(host.range(&request(&[3], &[6], 2), &mut out).unwrap(), 24 | 1 << 32, "two rows, and more");
    assert_eq!(
        host.range(&request(&[3], &[6], 3), &mut out[..24]).unwrap(),
        24 | 1 << 32,
        "the buffer is full"
    );
    assert_eq!(host.range(&request(&[6], &[3], 3), &mut out).unwrap(), 0);
}

#[test]
fn bad_requests_fault() {
    let mut host = draft();
    host.put(b"k", b"value").unwrap();
    let mut out = [0; 64];
    assert_eq!(host.range(b"", &mut out), Err(Fault::BadHostCall));
    assert_eq!(host.range(&[9; 20], &mut out), Err(Fault::BadHostCall));
    assert_eq!(host.range(&request(b"", b"", 0), &mut out), Err(Fault::BadHostCall));
    assert_eq!(
        host.range(&request(b"", b"", 1), &mut out[..13]),
        Err(Fault::BadHostCall),
        "the first row does not fit"
    );
    assert_eq!(host.range(&request(&[0; KEY_BYTES + 2], b"", 1), &mut out), Err(Fault::KeyTooLong));
    assert_eq!(host.range(&request(&[0; KEY_BYTES + 1], b"", 1), &mut out), Ok(14));
}

#[test]
fn aborts_are_coded_and_their_text_is_kept_for_people() {
    let mut host = draft();
    for (code, fault) in [
        (0, Fault::Panic),
        (1, Fault::CorruptState),
        (2, Fault::OutOfMemory),
        (3, Fault::TooDeep),
        (4, Fault::BadHostCall),
    ] {
        assert_eq!(host.abort(code, b"why"), Err(fault));
    }
    host.log(9, &[0xff]).unwrap();
    let logs = host.take_logs();
    assert_eq!((logs.len(), logs[0].text.as_str(), logs[0].level), (6, "why", 1));
    assert_eq!((logs[5].text.as_str(), logs[5].level), ("\u{fffd}", 5));
}

#[test]
fn a_query_can_only_read() {
    let mut host = Draft::for_query(MemoryState::default(), SpaceId(1), OperationId::of("look"));
    assert_eq!(host.put(b"k", b"v"), Err(Fault::BadHostCall));
    assert_eq!(host.delete(b"k"), Err(Fault::BadHostCall));
    assert_eq!(host.next_token(), Err(Fault::BadHostCall));
    assert_eq!(host.set_timer(1, b""), Err(Fault::BadHostCall));
    assert_eq!(host.cancel_timer(1), Err(Fault::BadHostCall));
    assert_eq!(host.complete(1, &[0]), Err(Fault::BadHostCall));
    assert_eq!(host.get(b"k", &mut []), Ok(u32::MAX));
}

#[test]
fn what_a_cause_reads_is_bounded_over_its_calls_and_no_rollback_gives_it_back() {
    let mut host = Draft::for_entry(MemoryState::default(), Numbers::default());
    let value = vec![7; VALUE_BYTES];
    host.begin_cause();
    host.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
    host.put(b"k", &value).unwrap();
    let mut out = vec![0; VALUE_BYTES];
    let reads = CAUSE_READ_BYTES / (VALUE_BYTES + 1);
    for read in 0..reads {
        if read % 32 == 0 {
            host.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
        }
        let mark = host.savepoint();
        assert_eq!(host.get(b"k", &mut out), Ok(VALUE_BYTES as u32));
        host.rollback(&mark);
    }
    host.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
    assert_eq!(host.get(b"k", &mut out), Err(Fault::TooManyReads));
    host.begin_cause();
    host.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
    assert_eq!(host.get(b"k", &mut out), Ok(VALUE_BYTES as u32));
}
