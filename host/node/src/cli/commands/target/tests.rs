//! Unit tests of `commands::target`.
use super::*;

fn global() -> Global {
    Global { endpoint: "h:1".into(), output: Format::Table, timeout_ms: 1 }
}

fn target(rest: &str) -> Target {
    Target { space: "s".into(), name: "o".into(), rest: rest.split_whitespace().map(str::to_owned).collect() }
}

#[test]
fn synods_own_flags_may_stand_behind_the_arguments() {
    let mut reads = Reads::default();
    let words = "--key a --consistency serializable -o json --n=2 --endpoint=x:1 --timeout-ms 7 --wait 3";
    let (read, global) =
        own_flags(target(words), &global(), &mut Own::Query(&mut reads), &|_| false).expect("good");
    assert_eq!(
        read.rest,
        ["--key", "a", "--n=2", "--wait", "3"],
        "a query has an argument of its own called so"
    );
    assert_eq!((global.output, global.endpoint.as_str(), global.timeout_ms), (Format::Json, "x:1", 7));
    assert_eq!(reads, Reads::Serializable);
}

#[test]
fn a_calls_session_may_stand_behind_the_arguments() {
    let token = format!("{}:{}", "0a".repeat(16), "0b".repeat(16));
    let mut within = Within::default();
    let words = format!("--name a --session {token} --wait=1.5 --n 2");
    let (read, _) =
        own_flags(target(&words), &global(), &mut Own::Call(&mut within), &|_| false).expect("good");
    assert_eq!(read.rest, ["--name", "a", "--n", "2"]);
    assert_eq!(within, Within { session: token.parse().ok(), wait: Some(Duration::from_millis(1_500)) });
}

#[test]
fn a_wrong_own_flag_is_a_usage_error() {
    for rest in ["--output", "--output xml", "--timeout-ms soon", "--session 7", "--wait long"] {
        let mut within = Within::default();
        let failed =
            own_flags(target(rest), &global(), &mut Own::Call(&mut within), &|_| true).expect_err(rest);
        assert_eq!(failed.exit, Exit::Usage);
    }
}

#[test]
fn what_follows_an_argument_is_its_value_even_if_it_looks_like_a_flag_of_synod() {
    let takes_a_value = |name: &str| name != "force";
    for own in
        ["--output", "-o", "-e", "--session", "--wait", "--endpoint", "--timeout-ms", "-h", "--help", "--x"]
    {
        let words = format!("--value {own} --timeout-ms 7");
        let mut within = Within::default();
        let (read, global) =
            own_flags(target(&words), &global(), &mut Own::Call(&mut within), &takes_a_value).expect("good");
        assert_eq!((read.rest, global.timeout_ms), (vec!["--value".to_owned(), own.to_owned()], 7));
    }
    let mut within = Within::default();
    let own = &mut Own::Call(&mut within);
    let (read, global) =
        own_flags(target("--force -o json --n 1"), &global(), own, &takes_a_value).expect("good");
    assert_eq!(
        (read.rest, global.output),
        (target("--force --n 1").rest, Format::Json),
        "a boolean has none"
    );
}

#[test]
fn arguments_that_no_call_can_hold_are_refused_and_not_cut() {
    let longest = "x".repeat(STDIN_BYTES as usize);
    assert_eq!(read_arguments(longest.as_bytes()).expect("it fits"), longest);
    let failed = read_arguments(format!("{longest}x").as_bytes()).expect_err("a byte more");
    assert_eq!(failed.exit, Exit::Usage);
}
