//! Unit tests of `stranger`.
use super::*;

#[test]
fn a_server_is_known_by_what_it_answers_first() {
    let table: [(&[u8], Option<&str>); 6] = [
        (b"HTTP/1.1 ", Some("an HTTP/1 server")),
        (b"SSH-2.0-O", Some("an SSH server")),
        (b"\x15\x03\x03\0\x02\x02\x46", Some("a TLS server")),
        (b"* OK IMAP", Some("speaks no HTTP/2")),
        (b"\0\0\x12\x04\0\0\0\0\0", None),
        (b"", None),
    ];
    for (answer, words) in table {
        let kind = kind_of(answer);
        assert_eq!(kind.is_some(), words.is_some(), "{answer:?}: {kind:?}");
        assert!(kind.unwrap_or_default().contains(words.unwrap_or_default()), "{answer:?}: {kind:?}");
    }
}
