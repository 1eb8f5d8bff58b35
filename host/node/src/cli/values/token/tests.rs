//! Unit tests of `token`.
use super::*;

const ID: &str = "0000000000000007aabbccddeeff0011";
const SECRET: &str = "ffffffffffffffff0000000000000001";

#[test]
fn a_token_is_written_as_it_is_read() {
    let text = format!("{ID}:{SECRET}");
    let token: Token = text.parse().expect("good");
    assert_eq!((token.to_string(), token.session[7], token.secret[15]), (text.clone(), 7, 1));
    assert_eq!(text.parse(), Ok(SessionName(token.session)), "the id is enough");
    assert_eq!(format!(" {ID}\n").parse(), Ok(SessionName(token.session)));
    assert!(!format!("{token:?}").contains(SECRET), "a secret is in no log");
}

#[test]
fn what_is_no_token_is_explained() {
    for bad in [
        "",
        ID,
        &format!("{ID}:"),
        &format!("{ID}:{SECRET}0"),
        &format!("{}:{SECRET}", ID.replace('0', "g")),
        "ü:ü",
    ] {
        assert!(bad.parse::<Token>().is_err_and(|why| why.contains("ID:SECRET")), "{bad}");
    }
    for bad in ["", "7", &ID[1..], &ID.replace('0', "+")] {
        assert!(bad.parse::<SessionName>().is_err_and(|why| why.contains("32 hexadecimal digits")), "{bad}");
    }
}

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
