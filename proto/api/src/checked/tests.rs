//! Unit tests of `checked`.
use super::*;
use crate::peer::{Frame, Route};

fn frame() -> Frame {
    Frame {
        route: Some(Route { cluster_id: vec![7; 16].into(), from: 1, to: 2 }),
        payload: vec![9; 300].into(),
        sequence: 3,
    }
}

fn sealed() -> Vec<u8> {
    let mut bytes = frame().encode_to_vec();
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

#[test]
fn what_was_sent_is_read() {
    assert_eq!(open::<Frame>(sealed().into()).expect("it is whole"), frame());
    let nothing = crc32fast::hash(&[]).to_le_bytes().to_vec();
    assert_eq!(open::<Frame>(nothing.into()).expect("it is whole"), Frame::default());
}

#[test]
fn any_flipped_bit_is_an_error() {
    for bit in 0..sealed().len() * 8 {
        let mut bytes = sealed();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let refused = open::<Frame>(bytes.into()).expect_err("it was changed");
        assert_eq!(refused.code(), tonic::Code::Unavailable, "bit {bit}");
    }
}

#[test]
fn what_was_cut_or_lengthened_is_an_error() {
    for length in 0..sealed().len() {
        let cut: Bytes = sealed()[..length].to_vec().into();
        assert_eq!(open::<Frame>(cut).expect_err("it was cut").code(), tonic::Code::Unavailable, "{length}");
    }
    let longer = [sealed(), vec![0]].concat();
    assert_eq!(open::<Frame>(longer.into()).expect_err("it is longer").code(), tonic::Code::Unavailable);
}
