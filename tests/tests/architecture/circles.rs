//! Files that import each other in a circle: nobody can read one of them first.
use std::collections::{BTreeMap, BTreeSet};

use super::complain;
use super::modules::Tree;

/// The first circle of imports between the files of modules below `folder`, as the files that it
/// runs through; the last is the first again.
fn circle(tree: &Tree, folder: &[&str]) -> Option<Vec<String>> {
    let below = |path: &[String]| path.len() >= folder.len() && path.iter().zip(folder).all(|(a, b)| a == b);
    let mut edges = BTreeMap::<Vec<String>, BTreeSet<Vec<String>>>::new();
    for import in tree.imports() {
        if below(&import.from) && below(&import.to) {
            edges.entry(import.from).or_default().insert(import.to);
        }
    }
    let mut done = BTreeSet::new();
    let starts: Vec<_> = edges.keys().cloned().collect();
    let found = starts.iter().find_map(|start| search(&edges, &mut vec![start.clone()], &mut done));
    found.map(|circle| circle.iter().map(|path| tree.file(path).to_owned()).collect())
}

/// Goes deeper from the last module of `way`, until it comes to one that is on the way.
fn search(
    edges: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    way: &mut Vec<Vec<String>>,
    done: &mut BTreeSet<Vec<String>>,
) -> Option<Vec<Vec<String>>> {
    let at = way.last().cloned()?;
    if done.contains(&at) {
        return None;
    }
    for next in edges.get(&at).into_iter().flatten() {
        if let Some(start) = way.iter().position(|module| module == next) {
            return Some(way[start..].iter().chain([next]).cloned().collect());
        }
        way.push(next.clone());
        if let Some(circle) = search(edges, way, done) {
            return Some(circle);
        }
        way.pop();
    }
    done.insert(at);
    None
}

#[test]
fn no_files_of_the_machine_import_each_other_in_a_circle() {
    let circle = circle(&Tree::read("host/machine/src/lib.rs"), &[]);
    complain("files import each other in a circle", &circle.unwrap_or_default());
}

#[test]
fn no_files_of_the_cli_import_each_other_in_a_circle() {
    let circle = circle(&Tree::read("host/node/src/lib.rs"), &["cli"]);
    complain("files import each other in a circle", &circle.unwrap_or_default());
}

#[test]
fn a_circle_is_found_and_nothing_else() {
    let tree = |cycles: bool| {
        let back = if cycles { "use super::one::One;" } else { "" };
        let three = format!("{back} pub struct Three;");
        Tree::with("lib.rs", &|path: &str| {
            let text = match path {
                "lib.rs" => "mod one; mod two; mod three; pub use one::One;",
                "/one.rs" => "use crate::two; pub struct One; fn f(_: two::Two) {}",
                "/two.rs" => "pub use crate::three::Three; pub struct Two(Three);",
                "/three.rs" => &three,
                _ => return None,
            };
            Some(text.to_owned())
        })
    };
    let files = ["/one.rs", "/two.rs", "/three.rs", "/one.rs"].map(str::to_owned);
    assert_eq!(circle(&tree(true), &[]), Some(files.to_vec()));
    assert_eq!(circle(&tree(true), &["one"]), None, "what lies elsewhere is not looked at");
    assert_eq!(circle(&tree(false), &[]), None);
}
