//! Unit tests of `values::units`.
use super::*;

#[test]
fn ages_and_sizes_have_units() {
    let ages = [("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("0s", 0)];
    for (text, seconds) in ages {
        assert_eq!(age(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    for bad in ["", "24", "h", "1.5h", "-1s", "1w", "1 h", "99999999999999999999d", "18446744073709551615d"] {
        assert!(age(bad).is_err(), "{bad}");
    }
    let sizes = [("0", 0), ("65536", 65_536), ("1KiB", 1_024), ("64MiB", 64 << 20), ("16GiB", 16 << 30)];
    for (text, bytes) in sizes {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for bad in ["", "KiB", "1KB", "1.5MiB", "-1", "99999999999999999999", "18446744073709551615GiB"] {
        assert!(size(bad).is_err(), "{bad}");
    }
}

#[test]
fn seconds_are_read_down_to_milliseconds() {
    let table = [
        ("10", Some(10_000)),
        ("0", Some(0)),
        ("0.5", Some(500)),
        ("2.005", Some(2_005)),
        (".25", Some(250)),
        ("3.", Some(3_000)),
    ];
    for (text, ms) in table {
        assert_eq!(seconds(text).ok(), ms.map(Duration::from_millis), "{text}");
    }
    for bad in ["", ".", "-1", "1e3", "1.2345", "ten", "31536001", "1.2.3", "99999999999999999999"] {
        assert!(seconds(bad).is_err(), "{bad}");
    }
    assert_eq!(
        (in_seconds(10_000), in_seconds(2_050), in_seconds(5)),
        ("10 s".into(), "2.05 s".into(), "0.005 s".into())
    );
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
fn hashes_are_shown_whole_to_programs_and_short_to_people() {
    assert_eq!(hex(&[0, 255, 16]), "00ff10");
    assert_eq!(short_hex(&[0xab; 32]), "abababababab");
    assert_eq!(short_hex(&[]), "-");
}

#[test]
fn offsets_of_clocks_have_the_unit_that_fits() {
    let table = [(0, "+0 ms"), (-1_999, "-1999 ms"), (90_000, "+90 s"), (2 * 86_400_000, "+2 d")];
    for (ms, text) in table {
        assert_eq!(offset(ms), text);
    }
    assert_eq!(offset(i64::MIN), "-106751991167 d");
}
