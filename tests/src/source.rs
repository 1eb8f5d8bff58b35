//! The project's Rust files as text, for the checks of layout and of imports.
//!
//! [`code`] blanks comments and literals, so that a brace or a path in one of them misleads nobody;
//! [`functions`] finds where each function ends by its braces. It does not expand macros: what a
//! macro's body spells out is seen as it stands there.
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of the checkout that hold Rust files.
pub const FOLDERS: [&str; 6] = ["guest-sdk", "host", "plugins", "proto", "tests", "examples"];

/// A Rust file of the checkout.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path below the root, with `/` between folders.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// A function, from the line of its `fn` to that of its closing brace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// What it is called.
    pub name: String,
    /// The line of its `fn`, from 1.
    pub line: usize,
    /// How many lines it has.
    pub lines: usize,
}

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}

/// Every Rust file of the checkout, in the order of paths.
///
/// # Panics
/// If a folder or a file cannot be read, or so few were found that the walk must be broken.
pub fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        collect(&root().join(folder), &mut paths);
    }
    paths.sort();
    assert!(paths.len() > 50, "only {} files were found: is the walk broken?", paths.len());
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Source {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let below = path.strip_prefix(root()).expect("below the root");
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    Source { path: parts.join("/"), text }
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

/// `text` with a space for every byte of a comment, string or character literal; lines stay where
/// they are.
pub fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => find(bytes, at, b"\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment(bytes, at),
            b'"' => string(bytes, at),
            b'\'' => character(bytes, at),
            b'r' if !continues_word(bytes, at) => raw_string(bytes, at),
            _ => at,
        };
        if end == at {
            at += 1;
            continue;
        }
        code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at = end;
    }
    String::from_utf8(code).expect("whole literals and comments were blanked")
}

/// Where `pattern` begins at or after `from`, or the end of the text.
fn find(bytes: &[u8], from: usize, pattern: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let found = rest.windows(pattern.len()).position(|window| window == pattern);
    found.map_or(bytes.len(), |found| from + found)
}

fn block_comment(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < bytes.len() {
        match &bytes[at..bytes.len().min(at + 2)] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at.min(bytes.len())
}

fn string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a character literal, or `start` for a lifetime.
fn character(bytes: &[u8], start: usize) -> usize {
    if bytes.get(start + 1) == Some(&b'\\') {
        return (find(bytes, start + 3, b"'") + 1).min(bytes.len());
    }
    let rest = std::str::from_utf8(&bytes[start + 1..]).unwrap_or_default();
    let Some(literal) = rest.chars().next() else { return start };
    let close = start + 1 + literal.len_utf8();
    if bytes.get(close) == Some(&b'\'') { close + 1 } else { start }
}

/// The end of a raw string, or `start` for any other word.
fn raw_string(bytes: &[u8], start: usize) -> usize {
    let hashes = bytes[start + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = start + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return start;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    (find(bytes, open + 1, &close) + close.len()).min(bytes.len())
}

/// Whether the byte at `at` goes on with a word, other than the `b` of a byte string.
fn continues_word(bytes: &[u8], at: usize) -> bool {
    let is_word = |at: usize| bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    match at.checked_sub(1) {
        None => false,
        Some(before) if bytes[before] == b'b' => before.checked_sub(1).is_some_and(is_word),
        Some(before) => is_word(before),
    }
}

/// The functions of a file that have a body, in the order of their first lines.
pub fn functions(text: &str) -> Vec<Function> {
    let code = code(text);
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = code[at..].find("fn ") {
        let start = at + next;
        at = start + 3;
        if start > 0 && (bytes[start - 1].is_ascii_alphanumeric() || bytes[start - 1] == b'_') {
            continue;
        }
        let name = code[at..].trim_start().split(|c: char| !(c.is_alphanumeric() || "_$#".contains(c)));
        let name = name.into_iter().next().unwrap_or_default().to_owned();
        let Some(end) = body(bytes, at).filter(|_| !name.is_empty()) else { continue };
        let line = 1 + code[..start].matches('\n').count();
        let lines = 1 + code[start..end].matches('\n').count();
        found.push(Function { name, line, lines });
    }
    found
}

/// Where the function's closing brace lies whose signature begins at `from`, if it has a body.
fn body(bytes: &[u8], from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    let mut opened = false;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'{' if depth == 0 && !opened => {
                opened = true;
                depth = 1;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b';' if depth == 0 && !opened => return None,
            _ => continue,
        }
        if depth < 0 {
            return None;
        }
        if opened && depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests;
