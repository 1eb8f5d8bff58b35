//! Valid modules, made of any bytes: a recipe whose code is typed by construction.
//!
//! Every byte is a choice; when they are used up, the smallest choice is taken, so that every input
//! is a module. It makes what recipes may be made of: integers and floats, memory, globals, locals,
//! blocks, loops, tables of functions, and host calls. It makes no invalid ones: the target
//! `modules` does.
use std::fmt::Write as _;

use crate::machine::SCHEMA;

/// Functions beside the entry point, and parameters of each, all i32.
const FUNCTIONS: usize = 3;
/// Deepest expression.
const DEPTH: usize = 7;
/// Most instructions of a module.
const INSTRUCTIONS: usize = 300;

/// A type of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ty {
    I32,
    I64,
    F64,
}

impl Ty {
    const ALL: [Self; 3] = [Self::I32, Self::I64, Self::F64];

    fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }
}

/// What is left of the input, and the text so far.
struct Maker<'a> {
    rest: &'a [u8],
    text: String,
    room: usize,
    /// Blocks around what is being written that a branch may end.
    blocks: usize,
}

/// The module that `bytes` stand for.
pub(super) fn module(bytes: &[u8]) -> Vec<u8> {
    let mut maker = Maker { rest: bytes, text: String::new(), room: INSTRUCTIONS, blocks: 0 };
    for function in 0..FUNCTIONS {
        maker.function(&format!("(func $f{function} (type $f) (param i32 i32) (result i64)"));
    }
    let exports = "(export \"synod_operation\") (export \"synod_query\") (export \"synod_hook\")";
    maker.function(&format!("(func $entry {exports} (param i32 i32) (result i64)"));
    let schema: String = SCHEMA.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let text = format!("(module {HEAD} {} (@custom \"synod_schema\" \"{schema}\"))", maker.text);
    wat::parse_str(&text)
        .unwrap_or_else(|error| panic!("the generator wrote what is no Wasm: {error}\n{text}"))
}

/// What all modules have; locals 0 and 1 are the parameters.
const HEAD: &str = r#"
    (type $f (func (param i32 i32) (result i64)))
    (import "synod_1_0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
    (import "synod_1_0" "put" (func $put (param i32 i32 i32 i32)))
    (import "synod_1_0" "delete" (func $delete (param i32 i32)))
    (import "synod_1_0" "next_token" (func $next_token (result i64)))
    (memory (export "memory") 2)
    (table 4 4 funcref)
    (elem (i32.const 0) func $f0 $f1 $f2)
    (global $counter (mut i32) (i32.const 0))
    (global $wide (mut i64) (i64.const 7))
    (global (export "synod_input") i32 (i32.const 65536))
    (data (i32.const 1024) "\00")"#;

impl Maker<'_> {
    fn choose(&mut self, among: usize) -> usize {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                usize::from(*first) % among
            }
            None => 0,
        }
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push(' ');
    }

    fn function(&mut self, head: &str) {
        self.put(head);
        self.put("(local $i i32) (local $l i64) (local $d f64)");
        for _ in 0..self.choose(6) {
            self.statement(0);
        }
        match self.choose(3) {
            0 => self.put("(i64.const 0x40000000001)"),
            _ => self.value(Ty::I64, 0),
        }
        self.put(")");
    }

    /// Code that leaves no value.
    fn statement(&mut self, depth: usize) {
        if depth >= DEPTH || self.room == 0 {
            return;
        }
        self.room -= 1;
        match self.choose(12) {
            0 => self.with("(local.set $i", &[Ty::I32], depth),
            1 => self.with("(local.set $l", &[Ty::I64], depth),
            2 => self.with("(local.set $d", &[Ty::F64], depth),
            3 => self.with("(global.set $counter", &[Ty::I32], depth),
            4 => self.with("(global.set $wide", &[Ty::I64], depth),
            5 => {
                let store = ["i32.store", "i32.store8", "i32.store16 offset=3"][self.choose(3)];
                self.with(&format!("({store}"), &[Ty::I32, Ty::I32], depth);
            }
            6 => self.with("(i64.store offset=8", &[Ty::I32, Ty::I64], depth),
            7 => self.with("(call $put", &[Ty::I32; 4], depth),
            8 => self.with("(call $delete", &[Ty::I32; 2], depth),
            9 => self.block(depth),
            10 => {
                self.put("(if");
                self.value(Ty::I32, depth + 1);
                self.put("(then");
                self.blocks += 1;
                self.statement(depth + 1);
                self.put(") (else");
                self.statement(depth + 1);
                self.blocks -= 1;
                self.put("))");
            }
            _ => {
                let ty = Ty::ALL[self.choose(3)];
                self.with("(drop", &[ty], depth);
            }
        }
    }

    /// A block that may be left, or a loop that may go on for as long as its fuel lasts.
    fn block(&mut self, depth: usize) {
        let head = ["(block", "(loop"][self.choose(2)];
        self.put(head);
        self.blocks += 1;
        for _ in 0..1 + self.choose(3) {
            self.statement(depth + 1);
        }
        let to = self.choose(self.blocks);
        match self.choose(3) {
            0 => {}
            1 => self.with(&format!("(br_if {to}"), &[Ty::I32], depth),
            _ => {
                self.put(&format!("(br_table {to} 0"));
                self.value(Ty::I32, depth + 1);
                self.put(")");
            }
        }
        self.blocks -= 1;
        self.put(")");
    }

    /// `head` with operands of these types.
    fn with(&mut self, head: &str, operands: &[Ty], depth: usize) {
        self.put(head);
        for ty in operands {
            self.value(*ty, depth + 1);
        }
        self.put(")");
    }

    /// Code that leaves one value.
    fn value(&mut self, ty: Ty, depth: usize) {
        if depth >= DEPTH || self.room == 0 {
            return self.constant(ty);
        }
        self.room -= 1;
        match (ty, self.choose(9)) {
            (Ty::I32, 0) => self.put(["(local.get 0)", "(local.get 1)", "(local.get $i)"][depth % 3]),
            (Ty::I64, 0) => self.put("(local.get $l)"),
            (Ty::F64, 0) => self.put("(local.get $d)"),
            (Ty::I32, 1) => self.put("(global.get $counter)"),
            (Ty::I64, 1) => self.put("(global.get $wide)"),
            (Ty::I32, 2) => {
                let load = ["i32.load", "i32.load8_u offset=1", "i32.load16_s"][self.choose(3)];
                self.with(&format!("({load}"), &[Ty::I32], depth);
            }
            (Ty::I64, 2) => self.with("(i64.load", &[Ty::I32], depth),
            (Ty::I32, 3) => self.with("(call $get", &[Ty::I32; 4], depth),
            (Ty::I64, 3) => self.put("(call $next_token)"),
            (Ty::I64, 4) => {
                let callee = self.choose(FUNCTIONS);
                self.with(&format!("(call $f{callee}"), &[Ty::I32; 2], depth);
            }
            (Ty::I64, 5) => self.with("(call_indirect (type $f)", &[Ty::I32; 3], depth),
            (Ty::I32, 4) => self.with("(i32.wrap_i64", &[Ty::I64], depth),
            (Ty::I32, 5) => self.with("(i32.trunc_sat_f64_s", &[Ty::F64], depth),
            (Ty::F64, 1) => self.with("(f64.convert_i64_u", &[Ty::I64], depth),
            (Ty::F64, 2) => self.with("(f64.reinterpret_i64", &[Ty::I64], depth),
            (Ty::I64, 6) => self.with("(i64.reinterpret_f64", &[Ty::F64], depth),
            (_, 7) => self.with("(select", &[ty, ty, Ty::I32], depth),
            (_, 8) => self.constant(ty),
            _ => self.binary(ty, depth),
        }
    }

    fn binary(&mut self, ty: Ty, depth: usize) {
        const INTEGER: [&str; 10] =
            ["add", "sub", "mul", "div_s", "div_u", "rem_s", "shl", "rotr", "xor", "and"];
        const FLOAT: [&str; 7] = ["add", "sub", "mul", "div", "min", "max", "copysign"];
        let operation = if ty == Ty::F64 { FLOAT[self.choose(7)] } else { INTEGER[self.choose(10)] };
        self.with(&format!("({}.{operation}", ty.name()), &[ty, ty], depth);
    }

    fn constant(&mut self, ty: Ty) {
        let number = [0i64, 1, -1, 2, 1_024, 4_096, 65_535, 65_536, 131_071, i64::from(i32::MIN)];
        let number = number[self.choose(10)];
        let _ = match ty {
            Ty::F64 if self.choose(4) == 3 => write!(self.text, "(f64.const nan) "),
            _ => write!(self.text, "({}.const {number}) ", ty.name()),
        };
    }
}
