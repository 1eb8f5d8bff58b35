//! Unit tests of `settings::address`.
use super::*;

#[test]
fn addresses_are_host_and_port() {
    for good in ["127.0.0.1:7070", "db1.example:0", "[::1]:7070", "localhost:65535"] {
        let address: HostPort = good.parse().expect(good);
        assert_eq!(address.to_string(), good);
    }
    for bad in [
        "",
        "7070",
        ":7070",
        "host:",
        "host:70000",
        "::1:7070",
        "http://host:1",
        "a b:1",
        "h:+1",
        "[[a]]:1",
        "a]:1",
        "a\nb:1",
    ] {
        let error = bad.parse::<HostPort>().expect_err(bad);
        assert!(error.contains("host:port"), "{error}");
    }
}

#[test]
fn peers_have_a_name_an_address_and_perhaps_a_client_port() {
    let plain: PeerSpec = "a=10.0.0.1:7071".parse().expect("plain");
    assert_eq!(
        (plain.name.as_str(), plain.peer.to_string().as_str(), plain.client),
        ("a", "10.0.0.1:7071", None)
    );
    let full: PeerSpec = "b-2=[::1]:7071/7070".parse().expect("with client port");
    assert_eq!(full.client.map(|c| c.to_string()).as_deref(), Some("[::1]:7070"));
    for bad in ["a", "=h:1", "A=h:1", "a=h", "a=h:1/x", "a=h:1/+2"] {
        assert!(bad.parse::<PeerSpec>().is_err(), "{bad}");
    }
}
