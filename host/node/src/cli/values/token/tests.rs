//! Unit tests of `values::token`.
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
