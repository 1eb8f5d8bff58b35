//! Unit tests of `io::table`.
use super::*;

#[test]
fn columns_line_up_and_numbers_stand_right() {
    let rows = [
        ["a".to_owned(), "9".to_owned()],
        ["longer".to_owned(), "1000".to_owned()],
        [String::new(), "1".to_owned()],
    ];
    let text = table(["NAME", "COUNT>"], rows);
    let expected = "NAME    COUNT\na           9\nlonger   1000\n-           1";
    assert_eq!(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"), expected);
}

#[test]
fn what_steers_a_terminal_stands_as_escapes_and_a_row_is_a_line() {
    let rows =
        [["two\nlines \u{1b}[31m".to_owned()], ["\u{202e}abc \u{9b}".to_owned()], ["é😀\u{301}".to_owned()]];
    let text = table(["LABEL"], rows);
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines, ["LABEL", "two\\nlines \\u{1b}[31m", "\\u{202e}abc \\u{9b}", "é😀\u{301}"]);
}
