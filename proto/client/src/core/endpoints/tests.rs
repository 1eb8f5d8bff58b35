//! Unit tests of `endpoints`.
use super::*;

#[test]
fn lists_are_read_once_each_and_in_order() {
    let read = parse_endpoints("b:2, a:1,http://b:2/,,[::1]:7070").expect("a good list");
    assert_eq!(read, ["b:2", "a:1", "[::1]:7070"]);
}

#[test]
fn what_is_no_address_is_refused_by_name() {
    for bad in ["", ",", "host", "host:", "host:0", "host:99999", "::1:7070", "a:1,b", "https://a:1", "u@h:1"]
    {
        let error = parse_endpoints(bad).expect_err(bad);
        assert!(matches!(&error, Error::Refused(refused) if refused.reason == "BAD_ENDPOINT"), "{error}");
    }
    let many = (1..=65).map(|port| format!("h:{port}")).collect::<Vec<_>>().join(",");
    assert!(parse_endpoints(&many).is_err());
}
