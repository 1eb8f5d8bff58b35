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
    let words = "--key a -o json --n=2 --endpoint=x:1 --timeout-ms 7 --wait 3";
    let (read, global) = own_flags(target(words), &global(), None).expect("good");
    assert_eq!(
        read.rest,
        ["--key", "a", "--n=2", "--wait", "3"],
        "a query has an argument of its own called so"
    );
    assert_eq!((global.output, global.endpoint.as_str(), global.timeout_ms), (Format::Json, "x:1", 7));
}

#[test]
fn a_calls_session_may_stand_behind_the_arguments() {
    let token = format!("{}:{}", "0a".repeat(16), "0b".repeat(16));
    let mut within = Within::default();
    let words = format!("--name a --session {token} --wait=1.5 --n 2");
    let (read, _) = own_flags(target(&words), &global(), Some(&mut within)).expect("good");
    assert_eq!(read.rest, ["--name", "a", "--n", "2"]);
    assert_eq!(within, Within { session: token.parse().ok(), wait: Some(Duration::from_millis(1_500)) });
}

#[test]
fn a_wrong_own_flag_is_a_usage_error() {
    for rest in ["--output", "--output xml", "--timeout-ms soon", "--session 7", "--wait long"] {
        let failed = own_flags(target(rest), &global(), Some(&mut Within::default())).expect_err(rest);
        assert_eq!(failed.exit, Exit::Usage);
    }
}
