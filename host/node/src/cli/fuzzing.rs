//! Arbitrary words of a command line, for [`crate::fuzzing`]: arguments of an operation, and values
//! with units. What begins with `@` names a file, which no input of a test may choose.
use serde_json::Value;
use synod_abi::schema::{EntryPointSchema, Schema};

use super::values::{args, people, schema, time, token, units};

/// One word a line: arguments of `point`; and each word as a duration, a size, a session.
pub fn arguments(point: &EntryPointSchema, text: &str) {
    if text.contains('@') {
        return;
    }
    let words: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Ok(object) = args::object(point, &words) {
        let known = |name: &String| point.args.iter().any(|field| field.name == *name);
        assert!(object.keys().all(known), "an argument that the operation does not have: {object:?}");
        for field in &point.args {
            if let Some(value) = object.get(&field.name) {
                let _shown = people::shown(&field.shape, value.clone());
            }
        }
    }
    for word in &words {
        let (_, _, _) = (units::seconds(word), units::age(word), units::size(word));
        if let Ok(ms) = word.parse() {
            let (_, _) = (time::utc(ms), units::in_seconds(ms));
        }
        if let Ok(token) = word.parse::<token::Token>() {
            assert!(token.to_string().parse() == Ok(token), "a token that is written otherwise");
        }
        let _name = word.parse::<token::SessionName>();
        if let Ok(value) = serde_json::from_str::<Value>(word) {
            let _shown = people::shown(&point.result, value);
        }
    }
}

/// A schema as `synod recipe describe` shows it.
pub fn described(of: &Schema) -> String {
    schema::text(of)
}
