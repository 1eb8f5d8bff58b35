//! What a file's text declares and imports, read token by token.
use std::collections::BTreeSet;

use synod_tests::source::code;

/// What a file declares and imports, without what is only compiled for tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Modules that have files of their own.
    pub(crate) children: BTreeSet<String>,
    /// Functions, types, constants and macros.
    pub(crate) items: BTreeSet<String>,
    /// Imports, one for each name.
    pub(crate) uses: Vec<Use>,
    /// Paths in code.
    pub(crate) inline: BTreeSet<Vec<String>>,
    /// Every word outside of imports.
    pub(crate) words: BTreeSet<String>,
}

/// An import of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// Where it comes from; ends with `*` for everything.
    pub(crate) path: Vec<String>,
    /// The name that it gets.
    pub(crate) name: String,
    /// Whether others may import it from here.
    pub(crate) exported: bool,
}

/// Keywords before the name of an item.
const ITEMS: [&str; 8] = ["fn", "struct", "enum", "union", "trait", "type", "const", "static"];
/// Where an item may begin, beside [`ITEMS`].
const BEFORE_ITEMS: [&str; 8] = ["mod", "use", "impl", "pub", "async", "unsafe", "extern", "macro_rules"];

/// Reads a file.
pub(crate) fn parse(text: &str) -> Parsed {
    let code = code(text);
    let tokens = tokens(&code);
    let mut parsed = Parsed::default();
    let mut at = 0;
    let mut exported = false;
    while at < tokens.len() {
        let next = |ahead: usize| tokens.get(at + ahead).copied().unwrap_or_default();
        at = match tokens[at] {
            "#" if next(1) == "[" || (next(1) == "!" && next(2) == "[") => attribute(&tokens, at),
            "pub" => {
                exported = true;
                at = if next(1) == "(" { closing(&tokens, at + 1) } else { at } + 1;
                continue;
            }
            "use" if next(1) != "<" => import(&tokens, at + 1, exported, &mut parsed.uses),
            "mod" if next(2) == ";" => {
                parsed.children.insert(next(1).to_owned());
                at + 3
            }
            "macro_rules" => {
                parsed.items.insert(next(2).to_owned());
                at + 3
            }
            // Before another keyword: `const fn`, `static mut`.
            keyword if ITEMS.contains(&keyword) && (ITEMS.contains(&next(1)) || next(1) == "mut") => at + 1,
            "mut" if at > 0 && tokens[at - 1] == "static" => {
                parsed.items.insert(next(1).to_owned());
                at + 2
            }
            keyword if ITEMS.contains(&keyword) && is_word(next(1)) => {
                parsed.items.insert(next(1).to_owned());
                parsed.words.insert(next(1).to_owned());
                at + 2
            }
            word if is_word(word) => path(&tokens, at, &mut parsed),
            _ => at + 1,
        };
        exported = false;
    }
    parsed
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if first.is_alphanumeric() || first == '_' => {
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
            }
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The bracket that closes the one at `open`.
fn closing(tokens: &[&str], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

/// What follows the attribute at `at`, and what it is on, if that is only compiled for tests.
fn attribute(tokens: &[&str], at: usize) -> usize {
    let open = at + tokens[at..].iter().position(|token| *token == "[").unwrap_or_default();
    let close = closing(tokens, open);
    let inside = &tokens[open..close.min(tokens.len())];
    let says = |word: &str| inside.contains(&word);
    if !(says("test") && (says("cfg") || inside.len() == 2)) || says("not") {
        return close + 1;
    }
    let mut start = close + 1;
    while tokens.get(start) == Some(&"#") {
        start = closing(tokens, start + 1) + 1;
    }
    item_end(tokens, start)
}

/// What follows the item, field or statement at `start`.
fn item_end(tokens: &[&str], start: usize) -> usize {
    let first = tokens.get(start).copied().unwrap_or_default();
    let is_item = ITEMS.contains(&first) || BEFORE_ITEMS.contains(&first);
    let imports = tokens.iter().skip(start).take(6).any(|token| *token == "use");
    let mut at = start;
    while at < tokens.len() {
        match tokens[at] {
            ";" => return at + 1,
            "," if !is_item => return at + 1,
            ")" | "]" | "}" => return at,
            "{" if !imports => return closing(tokens, at) + 1,
            "(" | "[" | "{" => at = closing(tokens, at),
            _ => {}
        }
        at += 1;
    }
    at
}

/// Reads the import at `at` and returns what follows it.
fn import(tokens: &[&str], at: usize, exported: bool, uses: &mut Vec<Use>) -> usize {
    let end = at + tokens[at..].iter().position(|token| *token == ";").unwrap_or(tokens.len() - at);
    branch(&tokens[at..end], &[], exported, uses);
    end + 1
}

/// Reads `a::b::{c, d as e, *}` below `prefix`.
fn branch(tokens: &[&str], prefix: &[String], exported: bool, uses: &mut Vec<Use>) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at] {
            "{" => {
                let close = closing(tokens, at);
                branches(&tokens[at + 1..close], &path, exported, uses);
                return;
            }
            "as" => {
                let name = tokens.get(at + 1).copied().unwrap_or_default().to_owned();
                uses.push(Use { path, name, exported });
                return;
            }
            "::" => {}
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
        at += 1;
    }
    if let Some(name) = path.last().cloned() {
        uses.push(Use { path, name, exported });
    }
}

/// Reads what stands between the braces of an import, by its commas.
fn branches(tokens: &[&str], path: &[String], exported: bool, uses: &mut Vec<Use>) {
    let mut start = 0;
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at] {
            "{" => at = closing(tokens, at),
            "," => {
                branch(&tokens[start..at], path, exported, uses);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if start < tokens.len() {
        branch(&tokens[start..], path, exported, uses);
    }
}

/// Reads the path or word at `at` and returns what follows it.
fn path(tokens: &[&str], at: usize, parsed: &mut Parsed) -> usize {
    let mut segments = vec![tokens[at].to_owned()];
    let mut end = at + 1;
    while tokens.get(end) == Some(&"::") && tokens.get(end + 1).is_some_and(|token| is_word(token)) {
        segments.push(tokens[end + 1].to_owned());
        end += 2;
    }
    parsed.words.extend(segments.iter().cloned());
    let begins = at == 0 || tokens[at - 1] != "::";
    if begins && segments.len() > 1 {
        parsed.inline.insert(segments);
    }
    end
}

#[cfg(test)]
mod tests;
