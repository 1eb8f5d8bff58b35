//! Unit tests of `cargo`.
use super::*;

#[test]
fn of_a_long_text_the_end_is_kept() {
    let text: Vec<u8> = (0..KEPT_TEXT_BYTES as u32 + 7).flat_map(u32::to_le_bytes).collect();
    let kept = last_bytes(&text[..]).unwrap();
    assert_eq!(kept, text[text.len() - KEPT_TEXT_BYTES..]);
}

#[test]
fn a_tool_that_does_not_run_is_an_error() {
    let error = workspace(Command::new("/nonexistent/cargo"), Path::new("/")).unwrap_err().to_string();
    assert!(error.starts_with("cannot run /nonexistent/cargo: "), "{error}");
}

#[test]
fn messages_that_later_cargos_add_are_skipped() {
    assert!(matches!(
        serde_json::from_str(r#"{"reason":"build-finished","success":true}"#),
        Ok(Message::Other)
    ));
    assert!(matches!(serde_json::from_str(r#"{"reason":"new","x":[1]}"#), Ok(Message::Other)));
}
