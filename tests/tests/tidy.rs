//! Every source file says what it is, stays readable in one sitting, and leaves nothing for later.
//!
//! These are rules that neither the compiler nor clippy knows. It reads text; what code means is
//! for reviewers.
use std::fs;
use std::path::{Path, PathBuf};

const FOLDERS: [&str; 6] = ["guest-sdk", "host", "plugins", "proto", "tests", "examples"];
const LINES: usize = 800;
/// A header shorter than this says nothing.
const HEADER_BYTES: usize = 8;
/// What must not stand in a file, written in parts so that this file may name it.
const FORBIDDEN: [&str; 4] =
    [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("TO", "DO"), concat!("FIX", "ME")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for item in fs::read_dir(dir).unwrap_or_else(|error| panic!("cannot read {}: {error}", dir.display())) {
        let path = item.expect("the folder can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // `symlink_metadata` and not `is_dir`: the SDK link of a recipe leads out of the checkout.
        let kind = path.symlink_metadata().expect("the file is there").file_type();
        if kind.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, files);
        } else if kind.is_file() && name.ends_with(".rs") {
            files.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&root().join(folder), &mut files);
    }
    files.sort();
    assert!(files.len() > 50, "only {} files were found: is the walk broken?", files.len());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        (path.strip_prefix(root()).expect("below the root").to_owned(), text)
    };
    files.into_iter().map(read).collect()
}

fn complain(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn every_file_opens_with_what_it_is() {
    let bare = |(path, text): (PathBuf, String)| {
        let header: usize =
            text.lines().map_while(|line| line.strip_prefix("//!")).map(|line| line.trim().len()).sum();
        (header < HEADER_BYTES).then(|| path.display().to_string())
    };
    complain(
        "files begin with a `//!` header that says what they are",
        &sources().into_iter().filter_map(bare).collect::<Vec<_>>(),
    );
}

#[test]
fn no_file_is_longer_than_800_lines() {
    let long = |(path, text): (PathBuf, String)| {
        let lines = text.lines().count();
        (lines > LINES).then(|| format!("{}: {lines} lines", path.display()))
    };
    complain(
        "files have at most 800 lines; split by what changes together",
        &sources().into_iter().filter_map(long).collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_left_for_later() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        for (at, line) in text.lines().enumerate() {
            if FORBIDDEN.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", path.display(), at + 1, line.trim()));
            }
        }
    }
    complain("finish it, or leave it out", &found);
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
