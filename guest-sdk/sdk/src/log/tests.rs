//! Unit tests of `log`.
use super::*;

#[test]
fn a_long_line_is_cut_at_a_character() {
    let line = Line::of(format_args!("{}ü{}", "x".repeat(LOG_LINE_BYTES - 1), "y".repeat(5_000)));
    assert_eq!(line.as_bytes(), "x".repeat(LOG_LINE_BYTES - 1).as_bytes());
}
