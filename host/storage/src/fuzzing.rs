//! What tests throw arbitrary bytes at: the decoders of this crate that read files and frames, as
//! plain functions. Public only for the fuzz targets in `tests/fuzz`, because the decoders
//! themselves are private.
//!
//! A function returns if the bytes are refused. If they are taken, what was decoded is encoded
//! again, and must be the same. What is ours alone has one encoding: bytes that are taken are those
//! that this crate would write.
use synod_abi::{ClusterId, MemberId};

use crate::rocks::{directory, record, watermark};
use crate::{AppliedMark, Databases, Joined, LogRecord, Manifest, MemberIdentity, identity, mark};

/// The file `identity`: as it is, and with the checksum that its lines should have.
pub fn identity(bytes: &[u8]) {
    let check = |bytes: &[u8]| {
        let Ok(identity) = identity::text::decode(bytes) else { return };
        let text = identity::text::encode(&identity);
        assert_eq!(text.as_bytes(), bytes, "an identity that this crate would write otherwise");
    };
    check(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let lines = text.rfind("crc32 ").map_or(text, |at| &text[..at]);
        check(identity::text::with_checksum(lines).as_bytes());
    }
}

/// The file `FORMAT`.
pub fn format(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(known) = directory::known_format(text) {
        assert_eq!(directory::format_text(known), text, "a format that this crate would write otherwise");
    }
}

/// The file `WATERMARK`: as it is, and with the checksum that its number should have.
pub fn watermark(bytes: &[u8]) {
    let Some((first, _)) = bytes.split_first_chunk() else { return };
    if let Some(end) = watermark::decode(*first) {
        assert_eq!(watermark::encode(end), *first);
    }
    if let Some((end, _)) = bytes.split_first_chunk() {
        let end = u64::from_be_bytes(*end);
        assert_eq!(watermark::decode(watermark::encode(end)), Some(end));
    }
}

/// The value of a log record at some index, as it is and with the right checksum; and a position.
pub fn record(bytes: &[u8]) {
    let Some((index, value)) = bytes.split_first_chunk() else { return };
    let index = u64::from_be_bytes(*index);
    if let Some(record) = record::decode(index, value) {
        assert_eq!(record::encode(&record), value);
    }
    let record = LogRecord { index, bytes: value.into() };
    let encoded = record::encode(&record);
    assert_eq!(record::decode(index, &encoded), Some(record));
    assert_eq!(record::decode(index.wrapping_add(1), &encoded), None, "a record in another's place");
    let position = record::decode_position(bytes);
    assert_eq!(position.map(|(index, id)| record::encode_position(index, &id)).as_deref(), Some(bytes));
}

/// The applied mark of a state.
pub fn applied_mark(bytes: &[u8]) {
    let Some(decoded) = mark::decode_mark(bytes) else { return };
    assert_eq!(mark::encode_mark(&decoded), bytes, "a mark that this crate would write otherwise");
}

/// The manifest of a snapshot.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::decode(bytes) else { return };
    let names_are_plain = manifest.files.iter().all(|file| !file.name.contains('/'));
    assert!(names_are_plain && !manifest.files.is_empty(), "a manifest names files of one folder");
    let _length = manifest.length_bytes();
    assert_eq!(Manifest::decode(&manifest.encode()).expect("our own"), manifest);
}

/// Real texts of `identity`.
pub fn identities() -> Vec<Vec<u8>> {
    let cluster = ClusterId([0x5a; 16]);
    let list = ["a=10.0.0.1:7001", "b=10.0.0.2:7001"].map(str::to_owned).to_vec();
    let joined =
        [None, Some((cluster, Joined::Formed(list))), Some((cluster, Joined::Replacing(MemberId(9))))];
    let text = |cluster: Option<(ClusterId, Joined)>| {
        let identity = MemberIdentity {
            member: MemberId(42),
            name: "a".to_owned(),
            incarnation: 3,
            databases: if cluster.is_none() { Databases::Creating } else { Databases::Created },
            cluster,
        };
        identity::text::encode(&identity).into_bytes()
    };
    joined.into_iter().map(text).collect()
}

/// Real texts of `FORMAT`.
pub fn formats() -> Vec<Vec<u8>> {
    [directory::Contents::Creating, directory::Contents::Whole]
        .map(|contents| directory::format_text(contents).into_bytes())
        .to_vec()
}

/// A real `WATERMARK`.
pub fn watermarks() -> Vec<Vec<u8>> {
    vec![watermark::encode(1_234).to_vec()]
}

/// Real records, each behind its index.
pub fn records() -> Vec<Vec<u8>> {
    let record = LogRecord { index: 7, bytes: b"an encoded entry"[..].into() };
    vec![[&record.index.to_be_bytes()[..], &record::encode(&record)].concat()]
}

/// Real applied marks.
pub fn applied_marks() -> Vec<Vec<u8>> {
    let mark = AppliedMark { index: Some(7), id: b"id"[..].into(), membership: b"members"[..].into() };
    vec![mark::encode_mark(&mark), mark::encode_mark(&AppliedMark::default())]
}
