//! What is read of a text, and what is left out.
use super::*;

fn names(text: &str) -> Vec<(String, String, bool)> {
    let uses = parse(text).uses.into_iter();
    uses.map(|import| (import.path.join("::"), import.name, import.exported)).collect()
}

fn one(path: &str, name: &str, exported: bool) -> (String, String, bool) {
    (path.to_owned(), name.to_owned(), exported)
}

#[test]
fn an_import_has_one_path_for_each_name() {
    assert_eq!(
        names("use a::{b::{self, c as d}, e::*, f,};\npub(in crate::x) use g; pub use h::I as J;"),
        [
            one("a::b", "b", false),
            one("a::b::c", "d", false),
            one("a::e::*", "*", false),
            one("a::f", "f", false),
            one("g", "g", true),
            one("h::I", "J", true),
        ]
    );
}

#[test]
fn what_only_tests_compile_is_left_out() {
    let text = "#[cfg(test)] mod tests; #[cfg(any(test, feature = \"x\"))] pub mod testing;\n\
                #[cfg(test)] use a::{b, c}; #[test] fn f() { crate::d::e() }\n\
                #[cfg(test)] #[path = \"x\"] impl A { fn g() { crate::h::i() } }\n\
                struct S { #[cfg(test)] x: crate::j::K, y: crate::l::M }\n\
                #[cfg(not(test))] mod kept; mod file;";
    let parsed = parse(text);
    assert_eq!(parsed.children, ["file", "kept"].map(str::to_owned).into());
    assert_eq!(parsed.uses, []);
    assert_eq!(parsed.inline, [["crate", "l", "M"].map(str::to_owned).to_vec()].into());
}

#[test]
fn items_are_those_that_a_path_can_end_in() {
    let text = "pub const fn a() {} pub(crate) struct B<T>(T); enum C { D } macro_rules! e { () => {} }\n\
                trait F { const G: u8; } static mut H: u8 = 0; type I = fn(u8); impl F for C {}";
    let items = parse(text).items;
    for item in ["a", "B", "C", "e", "F", "G", "I"] {
        assert!(items.contains(item), "{item} of {items:?}");
    }
    assert!(!items.contains("D") && !items.contains("fn"), "{items:?}");
}
