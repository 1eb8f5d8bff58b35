//! Unit tests of `commands::recipe::logs`.
use super::*;

#[test]
fn a_log_line_says_when_where_and_how_much_was_lost() {
    let line = LogLine {
        time_ms: 5,
        space: "s".into(),
        entry_point: "take".into(),
        level: 1,
        text: "oh".into(),
        dropped: 2,
        ..LogLine::default()
    };
    assert_eq!(log_text(&line), "… 2 lines dropped …\n1970-01-01T00:00:00.005Z ERROR s.take [] oh");
    assert_eq!(log_json(&line)["dropped"], 2);
}
