//! Every source file says what it is, stays readable in one sitting, and leaves nothing for later.
//!
//! These are rules that neither the compiler nor clippy knows. It reads text; what code means is
//! for reviewers.
use std::fs;

use synod_tests::source::{functions, root, sources};

/// Lines of a file.
const FILE_LINES: usize = 500;
/// Lines of a function, from its `fn` to its closing brace.
const FUNCTION_LINES: usize = 80;
/// Characters of a line of code: the width of `rustfmt.toml`, which leaves macros and literals
/// alone.
const CODE_WIDTH: usize = 110;
/// Characters of a line that is a comment.
const COMMENT_WIDTH: usize = 100;
/// A header shorter than this says nothing.
const HEADER_BYTES: usize = 8;
/// What must not stand in a file, written in parts so that this file may name it.
const FORBIDDEN: [&str; 4] =
    [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("TO", "DO"), concat!("FIX", "ME")];

/// Fails with `rule` and each place in the sources that `offences` returns.
fn check(rule: &str, offences: impl Fn(&str) -> Vec<(usize, String)>) {
    let mut found = Vec::new();
    for source in sources() {
        let here = offences(&source.text);
        found.extend(here.iter().map(|(line, what)| format!("{}:{line}: {what}", source.path)));
    }
    assert!(found.is_empty(), "{rule}:\n  {}\n{} in all", found.join("\n  "), found.len());
}

fn bare(text: &str) -> Vec<(usize, String)> {
    let header = text.lines().map_while(|line| line.strip_prefix("//!"));
    let bytes: usize = header.map(|line| line.trim().len()).sum();
    (bytes < HEADER_BYTES).then(|| (1, "no header".to_owned())).into_iter().collect()
}

fn long_file(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().count();
    (lines > FILE_LINES).then(|| (lines, format!("{lines} lines"))).into_iter().collect()
}

fn long_functions(text: &str) -> Vec<(usize, String)> {
    let long = functions(text).into_iter().filter(|function| function.lines > FUNCTION_LINES);
    long.map(|function| (function.line, format!("`{}` has {} lines", function.name, function.lines)))
        .collect()
}

fn wide_lines(text: &str) -> Vec<(usize, String)> {
    let mut wide = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let width = if line.trim_start().starts_with("//") { COMMENT_WIDTH } else { CODE_WIDTH };
        let characters = line.chars().count();
        if characters > width {
            wide.push((at + 1, format!("{characters} characters, at most {width} fit")));
        }
    }
    wide
}

fn left_for_later(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().enumerate();
    let left = lines.filter(|(_, line)| FORBIDDEN.iter().any(|word| line.contains(word)));
    left.map(|(at, line)| (at + 1, line.trim().to_owned())).collect()
}

#[test]
fn every_file_opens_with_what_it_is() {
    check("files begin with a `//!` header that says what they are", bare);
}

#[test]
fn no_file_is_too_long() {
    check("files have at most 500 lines; split by what changes together", long_file);
}

#[test]
fn no_function_is_too_long() {
    check("functions have at most 80 lines; name the parts", long_functions);
}

#[test]
fn no_line_is_too_long() {
    check("code ends at column 110, comments at 100", wide_lines);
}

#[test]
fn nothing_is_left_for_later() {
    check("finish it, or leave it out", left_for_later);
}

#[test]
fn scripts_say_what_they_are() {
    for script in [".ci/run", ".ci/setup", ".ci/libclang", "Makefile"] {
        let text = fs::read_to_string(root().join(script))
            .unwrap_or_else(|error| panic!("cannot read {script}: {error}"));
        let first = text.lines().find(|line| !line.starts_with("#!"));
        assert!(
            first.is_some_and(|line| line.starts_with("# ")),
            "{script} begins with a comment that says what it is"
        );
    }
}

#[test]
fn each_rule_finds_what_breaks_it() {
    let line = "let n = 1;\n";
    assert_eq!(bare("// no header\n").len(), 1);
    assert_eq!(bare("//! What it is.\n"), []);
    assert_eq!((long_file(&line.repeat(500)).len(), long_file(&line.repeat(501)).len()), (0, 1));
    let function = |lines: usize| format!("fn f() {{\n{}}}\n", line.repeat(lines - 2));
    assert_eq!((long_functions(&function(80)).len(), long_functions(&function(81)).len()), (0, 1));
    for (prefix, width) in [("    ", CODE_WIDTH), ("    //! ", COMMENT_WIDTH), ("//", COMMENT_WIDTH)] {
        let fits = format!("\n{prefix}{}", "ü".repeat(width - prefix.len()));
        assert_eq!(wide_lines(&fits), []);
        assert_eq!(wide_lines(&format!("{fits}ü"))[0].0, 2);
    }
    assert_eq!(left_for_later(&format!("{line}// {}: more", FORBIDDEN[2]))[0].0, 2);
}
