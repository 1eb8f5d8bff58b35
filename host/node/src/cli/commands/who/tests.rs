//! Unit tests of `commands::who`.
use super::*;

#[test]
fn what_a_recipe_answers_is_read_and_shown() {
    let answer = r#"[
        {"name": "db", "session": "ab", "owner": "", "since": "1000", "token": "7"},
        {"name": "db", "session": "cd", "owner": "thread", "since": "2000", "token": null}
    ]"#;
    let claims: Vec<Claimed> = serde_json::from_str(answer).expect("it is what a recipe answers");
    let found: Vec<_> = claims.into_iter().map(|claim| ("lock".to_owned(), claim)).collect();
    let text = text("db", &found);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["lock", "db", "holds", "7", "1970-01-01T00:00:01.000Z", "ab", "-"]);
    assert_eq!(lines[2], ["lock", "db", "waits", "-", "1970-01-01T00:00:02.000Z", "cd", "thread"]);
    let json = to_json("lock", &found[0].1);
    assert_eq!((&json["holds"], &json["token"], &json["since_ms"]), (&json!(true), &json!(7), &json!(1000)));
}

#[test]
fn what_is_no_number_where_one_belongs_is_an_error() {
    for since in [r#""soon""#, r#""-1""#, "1000"] {
        let answer =
            format!(r#"{{"name": "db", "session": "ab", "owner": "", "since": {since}, "token": null}}"#);
        assert!(serde_json::from_str::<Claimed>(&answer).is_err(), "{since}");
    }
}
