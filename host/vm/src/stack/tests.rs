//! Modules made to have the largest native frames that admission lets through: no frame that the
//! compiler really makes is larger than what it is counted as, recursion in each ends by count, and
//! a thread touches no more of its stack than that.
use std::collections::BTreeSet;

use synod_abi::{Fault, limits};
use synod_machine::Completion;

use super::*;
use crate::engine::{Edition, Kind, engine};
use crate::fixtures::{Bench, recipe};
use crate::instrument::{frames, instrument};

/// The frames of a module's functions: what their prologues add to the stack limit before they
/// compare with it. Small ones are not looked at.
#[cfg(target_arch = "x86_64")]
fn native_frames(module: &[u8]) -> Vec<usize> {
    const PROLOGUE_BYTES: usize = 96;
    /// `add r10, imm32` and `add r11, imm32`.
    const ADD_IMM32: [[u8; 3]; 2] = [[0x49, 0x81, 0xc2], [0x49, 0x81, 0xc3]];
    let engine = engine(Edition::First, Kind::Apply).expect("the engine starts");
    let module =
        wasmtime::Module::new(&engine, instrument(module).expect("it is admitted")).expect("it compiles");
    let text = module.text();
    let frame = |start: usize, len: usize| {
        let prologue = &text[start..start + len.min(PROLOGUE_BYTES)];
        let at = prologue.windows(3).position(|code| ADD_IMM32.iter().any(|add| add == code))?;
        prologue[at + 3..].first_chunk::<4>().map(|size| u32::from_le_bytes(*size) as usize)
    };
    module.functions().map(|function| frame(function.offset, function.len).unwrap_or_default()).collect()
}

/// Prologues of other processors are not read: there, only that recursion ends by count is checked.
#[cfg(not(target_arch = "x86_64"))]
fn native_frames(_: &[u8]) -> Vec<usize> {
    Vec::new()
}

/// Checks that no frame is larger than what it is counted as; the largest.
#[track_caller]
fn frames_are_counted(module: &[u8]) -> usize {
    let counted = frames(module).expect("it is admitted");
    let native = native_frames(module);
    for (n, (native, counted)) in native.iter().zip(counted).enumerate() {
        assert!(*native <= counted as usize, "function {n} has a frame of {native} bytes, counted {counted}");
    }
    native.into_iter().max().unwrap_or_default()
}

#[track_caller]
fn ends_by_count(functions: &str) {
    let module = recipe("(call $deep)", functions);
    frames_are_counted(&module);
    assert_eq!(Bench::of(&module).call(1), Completion::Faulted(Fault::TooDeep));
}

fn declared(n: usize, ty: &str) -> String {
    format!("(local {})", format!("{ty} ").repeat(n))
}

fn set(n: usize, ty: &str) -> String {
    (0..n).map(|n| format!("(local.set {n} ({ty}.load (i32.const {})))", n * 8)).collect()
}

fn locals(n: usize, ty: &str) -> String {
    declared(n, ty) + &set(n, ty)
}

#[test]
fn all_locals_live_across_the_call() {
    let n = limits::FUNCTION_LOCALS as usize;
    for (ty, add, answer) in [("i64", "i64.add", ""), ("f64", "f64.add", "i64.reinterpret_f64")] {
        let sum: String = (1..n).map(|n| format!("local.get {n} {add} ")).collect();
        ends_by_count(&format!(
            "(func $deep (result i64) {} (call $deep) drop local.get 0 {sum} {answer})",
            locals(n, ty)
        ));
    }
}

#[test]
fn as_many_operands_as_are_admitted() {
    let operands = limits::OPERAND_STACK as usize - 2;
    for (ty, add, answer) in [("i64", "i64.xor", ""), ("f64", "f64.add", "i64.reinterpret_f64")] {
        let push: String =
            (0..operands).map(|n| format!("local.get 0 {ty}.load offset={} ", n * 8)).collect();
        let pop = format!("{add} ").repeat(operands - 1);
        let body = format!(
            "(local i32) (local.set 0 (i32.load (i32.const 0))) {push} (drop (call $deep)) {pop} {answer}"
        );
        ends_by_count(&format!("(func $deep (result i64) {body})"));
    }
}

#[test]
fn all_operands_and_all_locals() {
    let (operands, n) = (limits::OPERAND_STACK as usize - 2, limits::FUNCTION_LOCALS as usize);
    let push: String = (0..operands).map(|n| format!("i32.const {n} f64.load ")).collect();
    let pop = "f64.add ".repeat(operands - 1);
    let sum: String = (0..n).map(|n| format!("local.get {n} f64.add ")).collect();
    let (declare, set) = (declared(n, "f64"), set(n, "f64"));
    let body = format!(
        "{declare} (drop (call $deep)) {set} {push} (drop (call $deep)) {pop} {sum} i64.reinterpret_f64"
    );
    ends_by_count(&format!("(func $deep (result i64) {body})"));
}

#[test]
fn expressions_that_the_compiler_keeps_across_the_call() {
    let n = 75;
    let pairs: BTreeSet<(usize, usize)> = (0..n).flat_map(|a| (a..n).map(move |b| (a, b))).collect();
    let before: String =
        pairs.iter().map(|(a, b)| format!("local.get {a} local.get {b} f64.mul drop ")).collect();
    let after: String =
        pairs.iter().map(|(a, b)| format!("local.get {a} local.get {b} f64.mul f64.add ")).collect();
    let body =
        format!("{} {before} (drop (call $deep)) f64.const 0 {after} i64.reinterpret_f64", locals(n, "f64"));
    ends_by_count(&format!("(func $deep (result i64) {body})"));
}

#[test]
fn nested_loops_that_carry_all_locals() {
    let n = limits::FUNCTION_LOCALS as usize;
    let depth = limits::BLOCK_DEPTH as usize - 1;
    let open = "loop ".repeat(depth);
    let (declare, set) = (declared(n, "f64"), set(n, "f64"));
    let close = "local.get 0 i32.trunc_sat_f64_s br_if 0 end ".repeat(depth);
    let sum: String = (1..n).map(|n| format!("local.get {n} f64.add ")).collect();
    let body =
        format!("{declare} {open} (drop (call $deep)) {set} {close} local.get 0 {sum} i64.reinterpret_f64");
    ends_by_count(&format!("(func $deep (result i64) {body})"));
}

#[test]
fn short_lives_that_share_no_slot() {
    let ends = "i64.reinterpret_f64";
    for (step, times) in [
        ("call $f local.get 0 f64.add local.set 0 local.get 1 local.set 2 local.get 0 local.set 1 ", 430),
        ("call $f call $f call $f f64.add f64.add f64.add ", 720),
        ("call $f f64.add ", 2_100),
    ] {
        let body = format!(
            "(local f64 f64 f64) (drop (call $deep)) f64.const 0 {} local.get 2 f64.add {ends}",
            step.repeat(times)
        );
        ends_by_count(&format!(
            "(func $f (result f64) (f64.load (i32.const 0))) (func $deep (result i64) {body})"
        ));
    }
}

#[test]
fn the_frames_of_bundled_recipes() {
    for bundled in synod_bundle::RECIPES {
        let largest = frames_are_counted(bundled.module);
        assert!(largest < 16_384, "{}: {largest}", bundled.name);
    }
}

/// Bytes of the stack of this thread that are resident.
#[cfg(target_os = "linux")]
fn resident_stack_bytes() -> usize {
    let local = 0_u8;
    let here = std::ptr::from_ref(std::hint::black_box(&local)).addr();
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("the kernel tells");
    let mut within = false;
    for line in maps.lines() {
        let bounds = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
        let bounds = bounds.and_then(|(start, end)| {
            Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
        });
        match (bounds, line.strip_prefix("Rss:")) {
            (Some(bounds), _) => within = bounds.contains(&here),
            (None, Some(rss)) if within => {
                return rss.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1_024;
            }
            _ => {}
        }
    }
    panic!("no mapping has the address {here:x}")
}

/// Recursion with frames as large as they get touches what is counted, on a thread that runs
/// recipes.
#[cfg(target_os = "linux")]
#[test]
fn the_deepest_recursion_with_the_largest_frames_touches_a_few_mebibytes() {
    let calls = "call $f f64.add ".repeat(2_100);
    let module = recipe(
        "(call $deep)",
        &format!(
            "(func $f (result f64) (f64.load (i32.const 0)))
            (func $deep (result i64) (drop (call $deep)) f64.const 0 {calls} i64.reinterpret_f64)"
        ),
    );
    let touched = spawn("test", move || {
        let mut bench = Bench::of(&module);
        let before = resident_stack_bytes();
        assert_eq!(bench.call(1), Completion::Faulted(Fault::TooDeep));
        resident_stack_bytes() - before
    });
    let touched = touched.expect("a thread").join().expect("it ends");
    let counted = limits::CALL_STACK_BYTES as usize;
    assert!((counted / 4..counted).contains(&touched), "{touched} bytes are resident");
}

#[test]
fn a_thread_of_ours_runs_what_any_thread_runs() {
    let here = std::thread::current().id();
    assert_ne!(on_large(|| std::thread::current().id()).expect("a thread"), here);
    let ours = spawn("test", || {
        (std::thread::current().id(), on_large(|| std::thread::current().id()).expect("no thread is needed"))
    });
    let (outer, inner) = ours.expect("a thread").join().expect("it ends");
    assert_eq!(outer, inner);
}
