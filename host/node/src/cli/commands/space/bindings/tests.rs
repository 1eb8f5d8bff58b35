//! Unit tests of `commands::space::bindings`.
use super::*;
use crate::cli::values::parse::parse;

#[test]
fn a_binding_is_written_as_it_is_shown() {
    let table = [
        ("kv:config/", "config/", true, "kv:config/"),
        ("team/kv", "", true, "team/kv"),
        ("kv:a", "a", false, "kv:a"),
        ("kv:a*", "a", true, "kv:a*"),
    ];
    for (text, topic, prefix, shown) in table {
        let line = format!("bind audit --on {text} --on-failure skip");
        let BindArgs { binding, on_failure } = parse(&line).expect(text);
        let binding = binding.to_api(on_failure);
        assert_eq!(
            (binding.space.as_str(), binding.topic.as_str(), binding.prefix),
            ("audit", topic, prefix)
        );
        assert_eq!((source_text(&binding).as_str(), binding.on_failure()), (shown, api::OnFailure::Skip));
    }
    let long = format!("bind audit --on kv:{}", "x".repeat(513));
    for bad in ["bind audit", "bind audit --on KV", "bind audit --on :a", &long] {
        assert!(parse::<BindArgs>(bad).is_err(), "{bad}");
    }
}
