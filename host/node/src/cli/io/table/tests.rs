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
