//! Properties of the key codec: bytes sort as values do, round trip, and no key is the beginning of
//! another, which is what ranges, tuples and queues stand on.
use proptest::prelude::*;
use synod_abi::{Blob, Key, OwnedKey, Revision, SessionId, TicketId, Time, Token};

fn bytes<K: Key + ?Sized>(key: &K) -> Vec<u8> {
    let mut out = Vec::new();
    key.encode_key(&mut out);
    out
}

fn check<K: OwnedKey + Ord + core::fmt::Debug>(a: &K, b: &K) {
    let (ab, bb) = (bytes(a), bytes(b));
    assert_eq!(a.cmp(b), ab.cmp(&bb), "{a:?} and {b:?} sort as their bytes");
    assert_eq!(a == b, bb.starts_with(&ab), "{a:?} is not the beginning of {b:?}");
    let mut rest: &[u8] = &ab;
    assert_eq!(K::decode_key(&mut rest).as_ref(), Ok(a));
    assert!(rest.is_empty());
    for short in 0..ab.len() {
        assert!(K::decode_key(&mut &ab[..short]).is_err(), "{a:?} cut at {short} is no key");
    }
}

/// Few letters, many zeros: where escaping goes wrong.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[\u{0}\u{1}a]{0,6}", ".{0,8}", "[\u{0}a-h]{8,40}"]
}

fn blob() -> impl Strategy<Value = Blob> {
    prop::collection::vec(prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()], 0..6).prop_map(Blob)
}

macro_rules! properties {
    ($($name:ident: $strategy:expr;)*) => {
        proptest! {
            $(#[test]
            fn $name((a, b) in ($strategy, $strategy)) {
                check(&a, &b);
                check(&a, &a);
            })*
        }
    };
}

properties! {
    bools: any::<bool>();
    u8s: any::<u8>();
    u32s: any::<u32>();
    u64s: any::<u64>();
    u128s: any::<u128>();
    i8s: any::<i8>();
    i16s: any::<i16>();
    i64s: any::<i64>();
    i128s: any::<i128>();
    strings: text();
    blobs: blob();
    sessions: any::<[u8; 16]>().prop_map(SessionId);
    ids: (any::<u64>().prop_map(Token), any::<u64>().prop_map(Time), any::<u64>().prop_map(Revision));
    pairs: (text(), text());
    triples: (text(), any::<i32>(), blob());
    nested: ((text(), any::<bool>()), (blob(), any::<u16>()));
}

proptest! {
    #[test]
    fn any_bytes_are_a_key_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        let mut rest: &[u8] = &bytes;
        let _ = <(String, i64, Blob, bool)>::decode_key(&mut rest);
    }

    #[test]
    fn a_prefix_of_a_tuple_bounds_its_rows(a in text(), b in text(), c in text()) {
        let prefix = bytes(a.as_str());
        prop_assert_eq!(bytes(&(c.clone(), b)).starts_with(&prefix), a == c);
    }
}

#[test]
fn the_bytes_of_keys_never_change() {
    assert_eq!(bytes(&1u32), [0, 0, 0, 1]);
    assert_eq!(bytes(&-1i16), [0x7f, 0xff]);
    assert_eq!(bytes(&1i16), [0x80, 1]);
    assert_eq!(bytes("a\0b"), [b'a', 0, 0xff, b'b', 0, 0]);
    assert_eq!(bytes(&(true, String::from("x"))), [1, b'x', 0, 0]);
    assert_eq!(bytes(&Token(0x0102)), [0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(bytes(&()), []);
}

#[test]
fn tickets_sort_by_revision_and_then_by_ordinal() {
    let ticket = |revision, ordinal| TicketId::new(Revision(revision), ordinal);
    let sorted = [ticket(1, 0), ticket(1, 1), ticket(1, u16::MAX), ticket(2, 0), ticket((1 << 48) - 1, 3)];
    assert!(sorted.is_sorted_by(|one, next| one < next && bytes(one) < bytes(next)));
    assert_eq!(sorted.map(|ticket| ticket.revision().0), [1, 1, 1, 2, (1 << 48) - 1]);
    assert_eq!(sorted.map(TicketId::ordinal), [0, 1, u16::MAX, 0, 3]);
    assert_eq!((ticket(1, 0).next(), ticket(1, u16::MAX).next()), (ticket(1, 1), ticket(2, 0)));
    assert_eq!(ticket(7, 0), TicketId(7), "the first ticket of a command is its revision");
    for ticket in sorted {
        assert_eq!(TicketId::decode_key(&mut bytes(&ticket).as_slice()), Ok(ticket));
    }
}
