//! Unit tests of `pristine`: the map, and what is put back.
use super::*;
use crate::fixtures::{recipe, schema, wasm};

/// A module with the data segments of `data`, as text.
fn with_data(data: &str) -> Vec<u8> {
    wasm(&format!(
        r#"(module (memory (export "memory") 128) (global (export "synod_input") i32 (i32.const 65536)) {data}
            (func (export "synod_operation") (export "synod_query") (param i32 i32) (result i64)
                (i64.const 0))
            {})"#,
        schema()
    ))
}

fn with_marks(lines: &[usize]) -> Vec<u8> {
    let mut memory = vec![7; PAGES as usize * PAGE_BYTES];
    memory[GUEST_BYTES..].fill(0);
    lines.iter().for_each(|line| memory[MAP_START + line] = 1);
    memory
}

#[test]
fn segments_are_laid_over_zeros_in_their_order() {
    let module = with_data(
        r#"(data (i32.const 10) "abcd") (data (i32.const 12) "X") (data (i32.const 5000) "")
            (data (i32.add (i32.mul (i32.const 3) (i32.const 8)) (i32.const -4)) "e")"#,
    );
    crate::admit(&module).expect("constant expressions are places");
    let Pristine(image) = Pristine::of(&module).expect("it is admitted");
    assert_eq!(image[..24], *b"\0\0\0\0\0\0\0\0\0\0abXd\0\0\0\0\0\0e\0\0\0");
    assert_eq!(image.len() % LINE_BYTES, 0);
    assert_eq!(Pristine::of(&recipe("(i64.const 0)", "")).expect("it is admitted").0.len(), LINE_BYTES);
}

#[test]
fn data_outside_of_the_memory_of_a_recipe_is_not_admitted() {
    let last = GUEST_BYTES - 4;
    crate::admit(&with_data(&format!(r#"(data (i32.const {last}) "abcd")"#))).expect("it fits");
    for place in [
        format!("(i32.const {})", last + 1),
        format!("(i32.const {MAP_START})"),
        format!("(i32.add (i32.const {MAP_START}) (i32.const 0))"),
        "(i32.sub (i32.const 0) (i32.const 4))".to_string(),
    ] {
        let module = with_data(&format!(r#"(data {place} "abcd")"#));
        assert!(crate::admit(&module).is_err(), "{place}");
        assert!(Pristine::of(&module).is_err(), "{place}");
    }
}

#[test]
fn marked_lines_are_put_back_with_the_end_of_the_line_before() {
    let pristine = Pristine((0..2 * LINE_BYTES).map(|n| n as u8).collect());
    let lines = [0, 1, 3, 70, 71, 200, LINES - 1];
    let mut memory = with_marks(&lines);
    assert_eq!(marked_lines(&memory), lines.len());
    pristine.restore(&mut memory);
    assert_eq!(marked_lines(&memory), 0);
    for (at, byte) in memory[..GUEST_BYTES].iter().enumerate() {
        let (line, reached) = (at / LINE_BYTES, (at + STORE_REACH) / LINE_BYTES);
        let is_back = lines.contains(&line) || lines.contains(&reached);
        let was = pristine.0.get(at).copied().unwrap_or_default();
        assert_eq!(*byte, if is_back { was } else { 7 }, "{at}");
    }
    assert!(memory[GUEST_BYTES..].iter().all(|byte| *byte == 0));
}

#[test]
fn all_lines_can_be_marked_and_none() {
    let pristine = Pristine(vec![1; LINE_BYTES]);
    let mut memory = with_marks(&(0..LINES).collect::<Vec<_>>());
    assert_eq!(marked_lines(&memory), LINES);
    pristine.restore(&mut memory);
    assert_eq!(marked_lines(&memory), 0);
    assert!(memory[..LINE_BYTES].iter().all(|byte| *byte == 1));
    assert!(memory[LINE_BYTES..].iter().all(|byte| *byte == 0));
    memory[0] = 9;
    pristine.restore(&mut memory);
    assert_eq!(memory[0], 9, "nothing is marked, so nothing is put back");
}

#[test]
fn the_host_marks_every_line_that_it_writes_to() {
    for (start, len, lines) in [
        (0, 0, 0..0),
        (GUEST_BYTES, 0, 0..0),
        (5, 1, 0..1),
        (LINE_BYTES - 1, 1, 0..1),
        (LINE_BYTES - 1, 2, 0..2),
        (3 * LINE_BYTES, 2 * LINE_BYTES, 3..5),
        (GUEST_BYTES - 1, 1, LINES - 1..LINES),
    ] {
        let mut memory = with_marks(&[]);
        mark(&mut memory[GUEST_BYTES..], start as u32, len as u32);
        let expected: Vec<usize> = lines.collect();
        let found: Vec<usize> = (0..LINES).filter(|line| memory[MAP_START + line] != 0).collect();
        assert_eq!(found, expected, "{start} {len}");
    }
}
