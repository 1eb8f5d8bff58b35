//! Unit tests of `commands::space::bindings`.
use super::*;
use crate::cli::Cli;
use crate::cli::commands::Command;
use crate::cli::commands::space::SpaceCommand;
use clap::Parser;

fn parse(line: &str) -> Result<SpaceCommand, clap::Error> {
    let Command::Space(command) = Cli::try_parse_from(line.split_whitespace())?.command else {
        panic!("a space")
    };
    Ok(command)
}

#[test]
fn a_binding_is_written_as_it_is_shown() {
    let table = [
        ("kv:config/", "config/", true, "kv:config/"),
        ("team/kv", "", true, "team/kv"),
        ("kv:a", "a", false, "kv:a"),
        ("kv:a*", "a", true, "kv:a*"),
    ];
    for (text, topic, prefix, shown) in table {
        let SpaceCommand::Bind(BindArgs { binding, on_failure }) =
            parse(&format!("synod space bind audit --on {text} --on-failure skip")).expect(text)
        else {
            panic!("a binding")
        };
        let binding = binding.to_api(on_failure);
        assert_eq!(
            (binding.space.as_str(), binding.topic.as_str(), binding.prefix),
            ("audit", topic, prefix)
        );
        assert_eq!((source_text(&binding).as_str(), binding.on_failure()), (shown, api::OnFailure::Skip));
    }
    let long = format!("synod space bind audit --on kv:{}", "x".repeat(513));
    for bad in
        ["synod space bind audit", "synod space bind audit --on KV", "synod space bind audit --on :a", &long]
    {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
