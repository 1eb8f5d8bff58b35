//! Imports are followed to where the item is defined.
use super::*;

const FILES: [(&str, &str); 6] = [
    ("src/lib.rs", "mod a; pub mod b; pub use b::inner::Deep; pub use b::*; const HERE: u8 = 0;"),
    ("src/a.rs", ""),
    ("src/b.rs", "pub(crate) mod inner; pub use inner::Other as Renamed; pub fn here() {}"),
    ("src/b/inner.rs", "pub struct Deep; pub struct Other; mod folder;"),
    ("src/b/inner/folder/mod.rs", "pub enum Leaf { One }"),
    ("src/b/inner/tests.rs", "use crate::a;"),
];

/// The modules that a file with `text` at `src/a.rs` imports.
fn imported(text: &str) -> Vec<String> {
    let files: BTreeMap<_, _> = FILES.into_iter().chain([("src/a.rs", text)]).collect();
    let tree = Tree::with("src/lib.rs", &|path: &str| files.get(path).map(|text| (*text).to_owned()));
    let from_a = tree.imports().into_iter().filter(|import| import.from == ["a"]);
    from_a.map(|import| import.to.join("::")).collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn imports_lead_to_the_file_that_defines_the_item() {
    for (text, module) in [
        ("use crate::Deep;", "b::inner"),
        ("use super::{Deep as D};", "b::inner"),
        ("use crate::b::Renamed;", "b::inner"),
        ("use crate::Renamed;", "b::inner"),
        ("use crate::b::here;", "b"),
        ("use crate::here;", "b"),
        ("use crate::b::inner::folder::Leaf::One;", "b::inner::folder"),
        ("use crate::b::inner::folder;", "b::inner::folder"),
        ("use crate::HERE;", ""),
        ("use super::b::{self};", "b"),
        ("use crate::b::*;", "b"),
        ("fn f() { crate::b::inner::made_by_a_macro() }", "b::inner"),
        ("pub use crate::Deep; struct S(Deep);", "b::inner"),
    ] {
        assert_eq!(imported(text), [module], "{text}");
    }
}

#[test]
fn what_is_not_of_this_crate_or_only_passed_on_is_no_import() {
    for text in [
        "use std::fmt; use other::b::Deep;",
        "pub use crate::Deep;",
        "use self::A; struct A; fn f(_: self::A) {}",
        "#[cfg(test)] use crate::Deep; #[cfg(test)] mod tests;",
        "// use crate::Deep;\n/* crate::b */ const S: &str = \"crate::b::here\";",
    ] {
        assert_eq!(imported(text), [""; 0], "{text}");
    }
}
