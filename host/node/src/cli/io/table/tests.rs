//! Unit tests of `table`.
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
fn sizes_have_the_unit_that_fits() {
    let table =
        [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (64 << 20, "64.0 MiB"), (16 << 30, "16.0 GiB")];
    for (count, text) in table {
        assert_eq!(bytes(count), text);
    }
}

#[test]
fn a_summary_is_one_sentence_on_one_line() {
    assert_eq!(summary(" Takes `n`\n tokens. All or none.\n\nMore."), "Takes `n` tokens.");
    assert_eq!(summary("No full stop\n\nMore."), "No full stop");
    assert_eq!(summary(""), "");
}
