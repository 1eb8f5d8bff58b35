//! Text that misleads, and functions of every shape.
use super::*;

fn lengths(text: &str) -> Vec<(String, usize, usize)> {
    functions(text).into_iter().map(|function| (function.name, function.line, function.lines)).collect()
}

#[test]
fn comments_and_literals_are_blank_and_lines_stay() {
    let text = "a /* { /* nested } */ \n */ b // {\nc \"{ \\\" //\" d '{' '\\'' 'é' e::<'static>\n\
                r#\"fn x() { \" \"# br\"\\\" r#type for_r\"{\" f";
    let code = code(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.matches('\n').count(), text.matches('\n').count());
    let words: Vec<_> = code.split_whitespace().collect();
    assert_eq!(words, ["a", "b", "c", "d", "e::<'static>", "b", "r#type", "for_r", "f"]);
}

#[test]
fn what_never_ends_is_blank_to_the_end() {
    for text in ["\"open", "/* open", "r#\"open\"", "'\\", "// open", "\"open\\"] {
        assert_eq!(code(text).trim(), "", "{text}");
    }
}

#[test]
fn a_function_ends_with_its_own_brace() {
    let text = r##"impl A {
    fn one(&self) -> [u8; 4] {
        let s = "}";
        { r#"}"# }
    }

    fn short() {}
}
"##;
    assert_eq!(lengths(text), [("one".into(), 2, 4), ("short".into(), 7, 1)]);
}

#[test]
fn a_declaration_and_a_function_pointer_are_none() {
    let text = "trait A {
    fn declared(&self, f: fn (u32) -> u8) -> [u8; 2];
}
struct B(fn (u32));
const F: fn (u8) = f;
let a_fn = { 1 };
";
    assert_eq!(lengths(text), []);
}

#[test]
fn nested_functions_and_those_in_macros_are_found_too() {
    let text = "proptest! {
    #[test]
    fn outer(a in 0..9_usize, b in { any::<u8>() }) {
        fn inner() {
        }
    }
}
macro_rules! m {
    ($n:ident) => {
        fn $n()
        where
            u8: Copy,
        {
        }
    };
}
";
    assert_eq!(lengths(text), [("outer".into(), 3, 4), ("inner".into(), 4, 2), ("$n".into(), 10, 5)]);
}
