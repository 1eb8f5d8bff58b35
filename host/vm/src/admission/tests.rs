//! Every shape that is refused, and that what stands at a limit is admitted and compiles.
use synod_abi::schema::SchemaError;
use synod_abi::{AdmissionError, Limited, limits};

use super::*;
use crate::fixtures::{
    DONE, IMPORTS, MEMORY, emitting_schema, hearing_schema, hooked, hooked_schema, modules, recipe, schema,
    wasm,
};

const ENTRIES: &str =
    r#"(func (export "synod_operation") (export "synod_query") (param i32 i32) (result i64) (i64.const 0))"#;

fn module(parts: &[&str]) -> Vec<u8> {
    wasm(&format!("(module {})", parts.join("\n")))
}

/// A whole recipe, and `more`.
fn with(more: &str) -> Vec<u8> {
    module(&[MEMORY, more, ENTRIES, &schema()])
}

fn refusal(bytes: &[u8]) -> AdmissionError {
    admit(bytes).expect_err("it is refused")
}

#[track_caller]
fn limited(bytes: &[u8], what: Limited, actual: u64, limit: u64) {
    assert_eq!(refusal(bytes), AdmissionError::Limit { what, actual, limit });
}

/// Admitted, and good enough for both compilers.
#[track_caller]
fn compiles(bytes: &[u8]) {
    admit(bytes).expect("it is admitted");
    modules().prepare_committed(module_hash(bytes), bytes).expect("it compiles");
}

#[test]
fn a_recipe_is_admitted_with_its_schema_and_hash() {
    let bytes = recipe(DONE, "");
    let admitted = admit(&bytes).expect("it is admitted");
    assert_eq!(admitted.schema.recipe.to_string(), "fixture@1");
    assert_eq!(admitted.hash, module_hash(&bytes));
    assert!(explain(&bytes).starts_with("fixture@1 is admitted"));
}

#[test]
fn what_is_not_wasm_is_called_so() {
    for bytes in [&b""[..], b"\0asm", b"#!/bin/sh", b"\0asm\x02\0\0\0", b"\0asm\x0d\0\x01\0"] {
        assert_eq!(refusal(bytes), AdmissionError::NotWasm);
    }
}

/// How many bytes can be cut off before the recipe itself is: the section of names that `wat` puts
/// last.
fn admitted_cuts(bytes: &[u8]) -> usize {
    (1..bytes.len()).filter(|cut| admit(&bytes[..bytes.len() - cut]).is_ok()).max().unwrap_or_default()
}

#[test]
fn a_module_cut_anywhere_is_refused() {
    let bytes = recipe(DONE, "");
    let end_of_schema = bytes.len() - admitted_cuts(&bytes);
    for len in 0..end_of_schema {
        let error = refusal(&bytes[..len]);
        let expected = matches!(
            error,
            AdmissionError::NotWasm
                | AdmissionError::Truncated { .. }
                | AdmissionError::MissingExport { .. }
                | AdmissionError::MissingSchema
                | AdmissionError::Invalid { .. }
        );
        assert!(expected, "cut at {len}: {error:?}");
    }
    assert_eq!(
        refusal(&bytes[..bytes.len() - 1]),
        AdmissionError::Truncated { offset: bytes.len() as u64 - 1 }
    );
}

#[test]
fn random_damage_never_panics() {
    let bytes = recipe(DONE, "(table 1 1 funcref) (elem (i32.const 0) $entry)");
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            let _ = admit(&damaged);
            let _ = explain(&damaged);
        }
    }
}

#[test]
fn features_outside_of_lime1_are_invalid_and_explained() {
    for feature in [
        "(func (drop (v128.const i32x4 0 0 0 0)))",
        "(func $f (return_call $f))",
        "(func (param externref))",
        "(func (memory.atomic.notify (i32.const 0) (i32.const 0)) drop)",
        "(tag)",
        "(table 1 funcref) (func (table.fill (i32.const 0) (ref.null func) (i32.const 0)))",
        "(global $g i32 (i32.const 1)) (func (global.set $g (i32.const 1)))",
        "(func (result i32))",
    ] {
        let bytes = with(feature);
        assert!(
            matches!(refusal(&bytes), AdmissionError::Invalid { .. }),
            "{feature}: {:?}",
            refusal(&bytes)
        );
        assert!(explain(&bytes).len() > refusal(&bytes).to_string().len(), "{feature}");
    }
    let memory64 = module(&[r#"(memory (export "memory") i64 1)"#, ENTRIES, &schema()]);
    assert!(matches!(refusal(&memory64), AdmissionError::Invalid { .. }));
    let shared = module(&[r#"(memory (export "memory") 1 1 shared)"#, ENTRIES, &schema()]);
    assert!(matches!(refusal(&shared), AdmissionError::Invalid { .. }));
}

#[test]
fn features_of_lime1_are_admitted_and_compile() {
    compiles(&with(
        r#"(func (param f32 i32) (result i32)
            (memory.copy (i32.const 1) (i32.const 2) (i32.const 3))
            (memory.fill (i32.const 1) (i32.const 2) (i32.const 3))
            (drop (i32.trunc_sat_f32_s (local.get 0))) (i32.extend8_s (local.get 1)))
          (global (mut i32) (i32.add (i32.const 1) (i32.const 2)))"#,
    ));
}

#[test]
fn imports_are_the_hosts_table_and_nothing_else() {
    let unknown = |text: &str| {
        matches!(refusal(&module(&[text, MEMORY, ENTRIES, &schema()])), AdmissionError::UnknownImport { .. })
    };
    assert!(unknown(r#"(import "env" "now" (func))"#));
    assert!(unknown(r#"(import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))"#));
    assert!(unknown(r#"(import "synod_1_0" "now" (func))"#));
    assert!(unknown(r#"(import "synod_9_0" "get" (func (param i32 i32 i32 i32) (result i32)))"#));
    assert!(
        unknown(r#"(import "synod_1_0" "memory" (memory 1))"#)
            || unknown(r#"(import "env" "g" (global i32))"#)
    );
    for wrong in [
        r#"(import "synod_1_0" "get" (func (param i32 i32 i32) (result i32)))"#,
        r#"(import "synod_1_0" "get" (func (param i32 i32 i32 i64) (result i32)))"#,
        r#"(import "synod_1_0" "next_token" (func (result i32)))"#,
        r#"(import "synod_1_0" "get" (global i32))"#,
    ] {
        assert!(
            matches!(
                refusal(&module(&[wrong, MEMORY, ENTRIES, &schema()])),
                AdmissionError::WrongType { .. }
            ),
            "{wrong}"
        );
    }
    compiles(&module(&[IMPORTS, MEMORY, ENTRIES, &schema()]));
}

#[test]
fn every_export_of_the_contract_is_needed_with_its_type() {
    let whole = format!("{MEMORY} {ENTRIES} {}", schema());
    for name in ["memory", "synod_input", "synod_operation", "synod_query"] {
        let without = wasm(&format!("(module {})", whole.replace(&format!("(export \"{name}\")"), "")));
        assert_eq!(refusal(&without), AdmissionError::MissingExport { name: name.to_string() });
    }
    for (name, from, to) in [
        (
            "synod_operation",
            "(param i32 i32) (result i64) (i64.const 0)",
            "(param i32 i32) (result i32) (i32.const 0)",
        ),
        ("synod_operation", "(param i32 i32)", "(param i32)"),
        ("synod_input", "i32 (i32.const 65536)", "(mut i32) (i32.const 65536)"),
        ("synod_input", "i32 (i32.const 65536)", "i64 (i64.const 65536)"),
        ("synod_input", "i32 (i32.const 65536)", "i32 (i32.add (i32.const 65535) (i32.const 1))"),
    ] {
        let wrong = wasm(&format!("(module {})", whole.replace(from, to)));
        assert_eq!(refusal(&wrong), AdmissionError::WrongType { name: name.to_string() }, "{to}");
    }
    let swapped = module(&[
        r#"(memory 1)
            (global (export "memory") i32 (i32.const 1))
            (global (export "synod_input") i32 (i32.const 1))"#,
        ENTRIES,
        &schema(),
    ]);
    assert_eq!(refusal(&swapped), AdmissionError::WrongType { name: "memory".to_string() });
}

#[test]
fn the_input_buffer_and_data_lie_within_memory() {
    let input = |address: u64| {
        wasm(&format!("(module {} {ENTRIES} {})", MEMORY.replace("65536", &address.to_string()), schema()))
    };
    let last = limits::MEMORY_PAGES * 65_536 - (synod_abi::CONTEXT_BYTES + limits::ARGS_BYTES) as u64;
    compiles(&input(last));
    limited(&input(last + 1), Limited::MemoryPages, limits::MEMORY_PAGES + 1, limits::MEMORY_PAGES);
    limited(&input(0xffff_ffff), Limited::MemoryPages, 65_545, limits::MEMORY_PAGES);
    limited(&with(r#"(data (i32.const 8388608) "x")"#), Limited::MemoryPages, 129, limits::MEMORY_PAGES);
}

#[test]
fn start_functions_and_segments_that_are_not_active_are_refused() {
    assert_eq!(refusal(&with("(func $s) (start $s)")), AdmissionError::StartFunction);
    assert_eq!(refusal(&with(r#"(data "passive")"#)), AdmissionError::PassiveSegment);
    assert_eq!(refusal(&with("(func $f) (elem declare func $f)")), AdmissionError::PassiveSegment);
    assert_eq!(refusal(&with("(func $f) (elem func $f)")), AdmissionError::PassiveSegment);
}

#[test]
fn there_is_one_schema_and_it_decodes() {
    assert_eq!(refusal(&module(&[MEMORY, ENTRIES])), AdmissionError::MissingSchema);
    assert_eq!(refusal(&module(&[MEMORY, ENTRIES, &schema(), &schema()])), AdmissionError::MissingSchema);
    let other = |bytes: &str| {
        refusal(&module(&[MEMORY, ENTRIES, &format!("(@custom \"synod_schema\" \"{bytes}\")")]))
    };
    assert_eq!(other("\\09"), AdmissionError::BadSchema(SchemaError::UnknownFormat));
    assert_eq!(other("\\01"), AdmissionError::BadSchema(SchemaError::Malformed));
    let large = "x".repeat(limits::SCHEMA_BYTES + 1);
    let error = AdmissionError::Limit {
        what: Limited::SchemaBytes,
        actual: limits::SCHEMA_BYTES as u64 + 1,
        limit: limits::SCHEMA_BYTES as u64,
    };
    assert_eq!(other(&large), error);
}

#[test]
fn modules_have_a_largest_size() {
    let mut bytes = with("");
    let room = limits::MODULE_BYTES - bytes.len();
    // A custom section: id, length in five bytes of LEB128, a name of no bytes.
    let len = room - 6;
    bytes.extend([
        0,
        len as u8 | 0x80,
        (len >> 7) as u8 | 0x80,
        (len >> 14) as u8 | 0x80,
        (len >> 21) as u8 | 0x80,
        0,
        0,
    ]);
    bytes.resize(limits::MODULE_BYTES, 0);
    compiles(&bytes);
    bytes.push(0);
    limited(&bytes, Limited::ModuleBytes, limits::MODULE_BYTES as u64 + 1, limits::MODULE_BYTES as u64);
}

#[test]
fn counts_have_limits_and_what_stands_at_them_compiles() {
    let functions = limits::MODULE_FUNCTIONS as usize;
    let globals = limits::MODULE_GLOBALS as usize;
    let exports = limits::MODULE_EXPORTS as usize;
    let types = limits::MODULE_TYPES as usize;
    let data = limits::MODULE_DATA_SEGMENTS as usize;
    let elements = limits::MODULE_ELEMENT_SEGMENTS as usize;
    let exported = |n: usize| (0..n).map(|n| format!("(export \"e{n}\" (memory 0))")).collect::<String>();
    let typed = |n: usize| {
        let kinds = ["i32", "i64", "f32", "f64"];
        (0..n)
            .map(|n| {
                format!(
                    "(type (func (param {} {} {} {} {})))",
                    kinds[n % 4],
                    kinds[n / 4 % 4],
                    kinds[n / 16 % 4],
                    kinds[n / 64 % 4],
                    kinds[n / 256 % 4]
                )
            })
            .collect::<String>()
    };
    let segments = |n: usize| format!("(table 1 funcref) (func $f) {}", "(elem (i32.const 0) $f)".repeat(n));
    for (what, limit, at, above) in [
        (
            Limited::Functions,
            functions,
            with(&"(func)".repeat(functions - 1)),
            with(&"(func)".repeat(functions)),
        ),
        (
            Limited::Globals,
            globals,
            with(&"(global i32 (i32.const 1))".repeat(globals - 1)),
            with(&"(global i32 (i32.const 1))".repeat(globals)),
        ),
        (Limited::Exports, exports, with(&exported(exports - 4)), with(&exported(exports - 3))),
        (Limited::Types, types, with(&typed(types - 1)), with(&typed(types))),
        (
            Limited::DataSegments,
            data,
            with(&"(data (i32.const 9) \"x\")".repeat(data - 1)),
            with(&"(data (i32.const 9) \"x\")".repeat(data)),
        ),
        (Limited::ElementSegments, elements, with(&segments(elements)), with(&segments(elements + 1))),
        (Limited::Tables, 1, with("(table 1 funcref)"), with("(table 1 funcref) (table 1 funcref)")),
        (Limited::Memories, 1, with(""), with("(memory 1)")),
    ] {
        compiles(&at);
        limited(&above, what, limit as u64 + 1, limit as u64);
    }
    let imports = limits::MODULE_IMPORTS as usize;
    let import = r#"(import "synod_1_0" "next_token" (func (result i64)))"#;
    compiles(&module(&[&import.repeat(imports), MEMORY, ENTRIES, &schema()]));
    limited(
        &module(&[&import.repeat(imports + 1), MEMORY, ENTRIES, &schema()]),
        Limited::Imports,
        imports as u64 + 1,
        imports as u64,
    );
}

#[test]
fn sizes_have_limits_and_what_stands_at_them_compiles() {
    let params = |n: usize| with(&format!("(func {})", "(param i32)".repeat(n)));
    compiles(&params(limits::TYPE_PARAMS));
    limited(&params(limits::TYPE_PARAMS + 1), Limited::TypeParams, 17, 16);
    limited(&with("(func (result i32 i32) unreachable)"), Limited::TypeResults, 2, 1);
    let table = |n: u64| with(&format!("(table {n} funcref)"));
    compiles(&table(limits::TABLE_ELEMENTS));
    limited(
        &table(limits::TABLE_ELEMENTS + 1),
        Limited::TableElements,
        limits::TABLE_ELEMENTS + 1,
        limits::TABLE_ELEMENTS,
    );
    let pages = |n: u64| {
        wasm(&format!(
            "(module {} {ENTRIES} {})",
            MEMORY.replace("\"memory\") 1", &format!("\"memory\") {n}")),
            schema()
        ))
    };
    compiles(&pages(limits::MEMORY_PAGES));
    limited(
        &pages(limits::MEMORY_PAGES + 1),
        Limited::MemoryPages,
        limits::MEMORY_PAGES + 1,
        limits::MEMORY_PAGES,
    );
}

#[test]
fn functions_have_limits_and_what_stands_at_them_compiles() {
    let locals = |n: u32| with(&format!("(func (param i32) (local {}))", "i64 ".repeat(n as usize - 1)));
    compiles(&locals(limits::FUNCTION_LOCALS));
    limited(&locals(limits::FUNCTION_LOCALS + 1), Limited::FunctionLocals, 501, 500);
    let many = |n: usize| {
        with(&format!("(func (local {}))", "i64 ".repeat(limits::FUNCTION_LOCALS as usize)).repeat(n))
    };
    limited(
        &many(100),
        Limited::ModuleLocals,
        u64::from(limits::MODULE_LOCALS) + 2,
        u64::from(limits::MODULE_LOCALS),
    );
    let targets =
        |n: u32| with(&format!("(func (block (br_table {} (i32.const 0))))", "0 ".repeat(n as usize + 1)));
    compiles(&targets(limits::BR_TABLE_TARGETS));
    limited(&targets(limits::BR_TABLE_TARGETS + 1), Limited::BrTableTargets, 1_025, 1_024);
    let nested =
        |n: u32| with(&format!("(func {} {})", "block ".repeat(n as usize), "end ".repeat(n as usize)));
    compiles(&nested(limits::BLOCK_DEPTH));
    limited(&nested(limits::BLOCK_DEPTH + 1), Limited::BlockDepth, 257, 256);
    let beside = |n: u32| format!("(func {})", "block end ".repeat(n as usize));
    compiles(&with(&beside(limits::FUNCTION_BLOCKS)));
    limited(&with(&beside(limits::FUNCTION_BLOCKS + 1)), Limited::FunctionBlocks, 4_097, 4_096);
    let full = limits::MODULE_BLOCKS / limits::FUNCTION_BLOCKS;
    let rest = limits::MODULE_BLOCKS % limits::FUNCTION_BLOCKS;
    let blocks = |rest| with(&(beside(limits::FUNCTION_BLOCKS).repeat(full as usize) + &beside(rest)));
    compiles(&blocks(rest));
    limited(&blocks(rest + 1), Limited::ModuleBlocks, 100_001, 100_000);
    let operands = |n: u32| {
        with(&format!("(func {} {})", "i32.const 0 ".repeat(n as usize), "drop ".repeat(n as usize)))
    };
    compiles(&operands(limits::OPERAND_STACK));
    limited(&operands(limits::OPERAND_STACK + 1), Limited::OperandStack, 1_001, 1_000);
    let body = |n: usize| with(&format!("(func {})", "nop ".repeat(n)));
    compiles(&body(limits::FUNCTION_BYTES - 2));
    limited(
        &body(limits::FUNCTION_BYTES - 1),
        Limited::FunctionBytes,
        limits::FUNCTION_BYTES as u64 + 1,
        limits::FUNCTION_BYTES as u64,
    );
}

#[test]
fn a_name_of_our_own_export_does_no_harm() {
    compiles(&with(r#"(global (export "synod_depth") (mut i32) (i32.const 7))"#));
}

#[test]
fn a_recipe_with_hooks_exports_them() {
    let bytes = hooked(DONE, "");
    compiles(&bytes);
    assert!(explain(&bytes).contains("4 hooks"), "{}", explain(&bytes));
    let missing = module(&[MEMORY, ENTRIES, &hooked_schema()]);
    assert_eq!(refusal(&missing), AdmissionError::MissingExport { name: "synod_hook".into() });
    let wrong = |export: &str| refusal(&module(&[MEMORY, ENTRIES, export, &hooked_schema()]));
    let expected = AdmissionError::WrongType { name: "synod_hook".into() };
    assert_eq!(wrong(r#"(func (export "synod_hook") (param i32) (result i64) (i64.const 0))"#), expected);
    assert_eq!(wrong(r#"(global (export "synod_hook") i32 (i32.const 0))"#), expected);
    compiles(&with(r#"(global (export "synod_hook") i32 (i32.const 0))"#));
}

#[test]
fn a_handler_is_a_hook_and_what_is_emitted_is_none() {
    let hook = r#"(func (export "synod_hook") (param i32 i32) (result i64) (i64.const 0))"#;
    let missing = module(&[MEMORY, ENTRIES, &hearing_schema()]);
    assert_eq!(refusal(&missing), AdmissionError::MissingExport { name: "synod_hook".into() });
    let hearing = module(&[MEMORY, ENTRIES, hook, &hearing_schema()]);
    compiles(&hearing);
    assert!(explain(&hearing).contains("1 hooks"), "{}", explain(&hearing));
    let emitting = module(&[MEMORY, ENTRIES, &emitting_schema()]);
    compiles(&emitting);
    let schema = admit(&emitting).expect("it is admitted").schema;
    assert!(schema.emits.is_some() && !schema.hooks.any());
}
