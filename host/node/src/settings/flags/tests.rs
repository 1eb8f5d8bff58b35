//! Unit tests of `settings::flags`.
use super::*;

fn settings(text: &str) -> Settings {
    Settings::parse(text).expect("the text is valid")
}

fn refused(text: &str, mode: Mode) -> String {
    settings(text).into_options(mode).expect_err(text).message
}

#[test]
fn dev_needs_nothing() {
    let options = Settings::default().into_options(Mode::Dev).expect("defaults do");
    assert_eq!((options.name.as_str(), options.client_addr.to_string().as_str()), ("dev", "127.0.0.1:7070"));
    assert!(options.bundled && options.replace && options.peers.is_empty() && options.peer_addr.is_none());
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let flags = settings("name = 'a'\nheartbeat-ms = 50");
    let file = settings("name = 'z'\ndata = '/d'\nheartbeat-ms = 70\nreplace = true\nlog-format = 'json'");
    let merged = flags.or(file);
    assert_eq!(merged.log(), (LogFormat::Json, "info,openraft=warn".to_owned()));
    let options = merged.into_options(Mode::Start).expect("good");
    assert_eq!((options.name.as_str(), options.heartbeat_ms, options.election_max_ms), ("a", 50, 600));
    assert_eq!((options.data_dir.as_path(), options.replace), (Path::new("/d"), true));
}

#[test]
fn the_own_entry_among_the_peers_gives_the_addresses() {
    let text = "name = 'b'\ndata = '/d'\npeers = ['b=h2:7/17', 'a=h1:7/17', 'c=h3:7']";
    let options = settings(text).into_options(Mode::Start).expect("good");
    assert_eq!(options.peers.iter().map(|peer| peer.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(options.peer_addr.map(|a| a.to_string()).as_deref(), Some("h2:7"));
    assert_eq!(options.client_addr.to_string(), "h2:17");
    assert_eq!(options.client_advertise.map(|a| a.to_string()).as_deref(), Some("h2:17"));
}

#[test]
fn what_cannot_be_is_refused_with_the_flag_and_the_reason() {
    let table = [
        ("", Mode::Start, "--name"),
        ("name = 'a'", Mode::Start, "--data"),
        ("name = 'A b'\ndata = 'd'", Mode::Start, "a-z"),
        ("name = 'x'\ndata = 'd'\npeers = ['a=h:1', 'b=h:2']", Mode::Start, "has only a, b"),
        ("name = 'a'\ndata = 'd'\npeers = ['a=h:1', 'a=h:2']", Mode::Start, "two members are called `a`"),
        (
            "name = 'a'\ndata = 'd'\npeers = ['a=h:1', 'b=h:1']",
            Mode::Start,
            "`a` and `b` both have the address h:1",
        ),
        ("name = 'a'\ndata = 'd'\npeers = ['a=h:1', 'b=h:2/1']", Mode::Start, "both have the address h:1"),
        ("name = 'a'\ndata = 'd'\npeers = ['a=h:1/1']", Mode::Start, "both have the address h:1"),
        ("name = 'a'\ndata = 'd'\npeers = ['a=0.0.0.0:1']", Mode::Start, "nobody can connect to 0.0.0.0:1"),
        ("name = 'a'\ndata = 'd'\npeers = ['a=[::]:1']", Mode::Start, "nobody can connect to [::]:1"),
        ("name = 'a'\ndata = 'd'\npeers = ['a=h:0']", Mode::Start, "nobody can connect to h:0"),
        ("client-addr = '0.0.0.0:7070'", Mode::Dev, "told to connect to 0.0.0.0:7070"),
        ("client-addr = '[::]:7070'", Mode::Dev, "told to connect to [::]:7070"),
        ("client-advertise = '0.0.0.0:7070'", Mode::Dev, "told to connect to 0.0.0.0:7070"),
        ("name = 'a'\ndata = 'd'\npeers = ['a=h']", Mode::Start, "host:port"),
        ("peers = ['dev=h:1']", Mode::Dev, "no --peers"),
        ("client-addr = 'nowhere'", Mode::Dev, "--client-addr"),
        ("heartbeat-ms = 300", Mode::Dev, "twice the heartbeat, 600"),
        ("election-max-ms = 400", Mode::Dev, "larger than --election-min-ms"),
        ("snapshot-entries = 0", Mode::Dev, "at least 1"),
        ("block-cache-mib = 7", Mode::Dev, "--block-cache-mib is 7; it must be at least 8"),
        ("write-buffer-mib = 0", Mode::Dev, "--write-buffer-mib is 0"),
        ("scrub-mib-per-second = 0", Mode::Dev, "--scrub-mib-per-second is 0; it must be at least 1"),
        ("open-files = 63", Mode::Dev, "--open-files is 63; it must be at least 64"),
    ];
    for (text, mode, expected) in table {
        let error = refused(text, mode);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_member_may_listen_everywhere_if_it_says_where_it_is() {
    let text =
        "name = 'a'\ndata = '/d'\nclient-addr = '0.0.0.0:7'\npeer-addr = '[::]:9'\npeers = ['a=h1:9/7']";
    let options = settings(text).into_options(Mode::Start).expect("good");
    assert_eq!(options.client_advertise.map(|a| a.to_string()).as_deref(), Some("h1:7"));
}

#[test]
fn a_misspelt_setting_is_an_error_that_names_it() {
    let error = Settings::parse("hartbeat-ms = 1").expect_err("unknown name");
    assert!(error.to_string().contains("hartbeat-ms"), "{error}");
    let error = Settings::parse("heartbeat-ms = 'soon'").expect_err("wrong type");
    assert!(error.to_string().contains("heartbeat-ms"), "{error}");
}

#[test]
fn a_setting_for_tests_is_none_of_a_file_and_no_hint() {
    for text in ["hartbeat-ms = 1", "crash-at = 'all_promised'"] {
        let error = Settings::parse(text).expect_err("unknown name").to_string();
        let hint = error.split_once("expected").map_or("", |(_, names)| names);
        assert!(hint.contains("heartbeat-ms") && !hint.contains("crash-at"), "{error}");
    }
}
