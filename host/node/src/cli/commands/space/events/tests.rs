//! Unit tests of `commands::space::events`.
use super::*;
use crate::cli::values::parse::parse;

#[test]
fn retention_has_units() {
    let args: RetentionArgs = parse("retention kv --bytes 64MiB --age 24h").expect("good");
    assert_eq!(
        (args.events, args.bytes, args.age),
        (None, Some(64 << 20), Some(Duration::from_secs(86_400)))
    );
    for bad in ["retention kv --age 24", "retention kv --bytes 1MB"] {
        assert!(parse::<RetentionArgs>(bad).is_err(), "{bad}");
    }
    assert!(parse::<CompactArgs>("compact kv --through 0").is_err());
}
