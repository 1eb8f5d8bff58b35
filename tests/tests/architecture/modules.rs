//! The modules of a crate and what each imports, as its text says.
//!
//! Imports are followed through `pub use` to the file that defines the item, so that a folder's
//! module may list what the folder offers without importing it. What is only compiled for tests is
//! left out. It reads tokens and expands no macros: a path that a macro makes is not seen, and
//! neither is a method that is called on a value.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use synod_tests::source::root;

use super::text::{self, Use};

/// Re-exports that are followed one after the other, before it must be a circle.
const HOPS: usize = 16;

/// The modules of a crate: their paths below the crate's root, which is the empty path.
pub(crate) struct Tree {
    modules: BTreeMap<Vec<String>, Module>,
}

struct Module {
    file: String,
    parsed: text::Parsed,
}

/// A module that imports from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    /// The path of the module that imports.
    pub(crate) from: Vec<String>,
    /// The path of the module that defines what is imported.
    pub(crate) to: Vec<String>,
    /// The import as it is written.
    pub(crate) path: String,
}

impl Tree {
    /// Reads the crate whose root is `file`, a path below the checkout's.
    pub(crate) fn read(file: &str) -> Self {
        let read = |path: &str| fs::read_to_string(root().join(path)).ok();
        Self::with(file, &read)
    }

    /// The crate whose root is `file`, with `read` for the text of each file.
    pub(crate) fn with(file: &str, read: &impl Fn(&str) -> Option<String>) -> Self {
        let mut tree = Self { modules: BTreeMap::new() };
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        tree.add(Vec::new(), file.to_owned(), folder, read);
        tree
    }

    fn add(&mut self, path: Vec<String>, file: String, folder: &str, read: &impl Fn(&str) -> Option<String>) {
        let text = read(&file).unwrap_or_else(|| panic!("{file} is missing"));
        let parsed = text::parse(&text);
        for child in &parsed.children {
            let beside = format!("{folder}/{child}.rs");
            let inside = format!("{folder}/{child}/mod.rs");
            let file = if read(&beside).is_some() { beside } else { inside };
            let path = path.iter().chain([child]).cloned().collect();
            self.add(path, file, &format!("{folder}/{child}"), read);
        }
        self.modules.insert(path, Module { file, parsed });
    }

    /// The paths of all modules.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Vec<String>> {
        self.modules.keys()
    }

    /// The file of a module.
    pub(crate) fn file(&self, path: &[String]) -> &str {
        &self.modules[path].file
    }

    /// What each module imports from others of the crate.
    pub(crate) fn imports(&self) -> BTreeSet<Import> {
        let mut imports = BTreeSet::new();
        for (from, module) in &self.modules {
            let parsed = &module.parsed;
            let used =
                parsed.uses.iter().filter(|import| !import.exported || parsed.words.contains(&import.name));
            for path in used.map(|import| &import.path).chain(&parsed.inline) {
                let to = self.resolve(from, path, 0);
                if let Some(to) = to.filter(|to| to != from) {
                    imports.insert(Import { from: from.clone(), to, path: path.join("::") });
                }
            }
        }
        imports
    }

    /// The module that defines what `path` names in the module `from`, if that is in this crate.
    fn resolve(&self, from: &[String], path: &[String], hops: usize) -> Option<Vec<String>> {
        let first = path.first()?;
        let mut at = from.to_vec();
        let mut rest = &path[1..];
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()?),
            _ if self.modules[from].parsed.children.contains(first) => at.push(first.clone()),
            _ => return None,
        }
        while let Some((next, after)) = rest.split_first() {
            let parsed = &self.modules[&at].parsed;
            if next == "super" {
                at.pop()?;
            } else if parsed.children.contains(next) {
                at.push(next.clone());
            } else if next == "*" || parsed.items.contains(next) {
                return Some(at);
            } else {
                return Some(self.exporter(&at, rest, hops).unwrap_or(at));
            }
            rest = after;
        }
        Some(at)
    }

    /// The module that defines `rest`, which `at` does not define but may re-export.
    fn exporter(&self, at: &[String], rest: &[String], hops: usize) -> Option<Vec<String>> {
        if hops == HOPS {
            return None;
        }
        let uses = &self.modules[at].parsed.uses;
        let whole = |import: &Use| import.path.iter().chain(&rest[1..]).cloned().collect::<Vec<_>>();
        if let Some(import) = uses.iter().find(|import| import.name == rest[0]) {
            return self.resolve(at, &whole(import), hops + 1);
        }
        uses.iter().filter(|import| import.name == "*").find_map(|import| {
            let module = self.resolve(at, &import.path, hops + 1)?;
            let parsed = &self.modules[&module].parsed;
            if parsed.items.contains(&rest[0]) || parsed.children.contains(&rest[0]) {
                return Some(module);
            }
            self.exporter(&module, rest, hops + 1)
        })
    }
}

#[cfg(test)]
mod tests;
