//! The functions that instrumentation adds: one for each entry point, which sets the globals first,
//! and those that stand for the instructions that write to much of memory at once.
use wasm_encoder::reencode::Reencode;
use wasm_encoder::{BlockType, CodeSection, Function, Instruction, MemArg};

use super::body::in_map;
use super::{Instrumenter, Outcome};
use crate::pristine::{GUEST_BYTES, LINE_SHIFT, MAP_START};

const DESTINATION: u32 = 0;
const SOURCE: u32 = 1;
const LEN: u32 = 2;

impl Instrumenter<'_> {
    /// Adds the functions, in the order of their indices.
    pub(super) fn add_functions(&mut self, code: &mut CodeSection) -> Outcome {
        for n in 0..self.plan.entries.len() {
            code.function(&self.entry_point(self.plan.entries[n].1)?);
        }
        let copy = Instruction::MemoryCopy { src_mem: 0, dst_mem: 0 };
        code.function(&bulk(&[DESTINATION], &Instruction::MemoryFill(0)));
        code.function(&bulk(&[DESTINATION, SOURCE], &copy));
        Ok(())
    }

    /// Gives the globals their first values, and calls `function`.
    fn entry_point(&mut self, function: u32) -> Result<Function, wasm_encoder::reencode::Error> {
        let mut entry = Function::new([]);
        for n in 0..self.plan.globals.len() {
            let global = &self.plan.globals[n];
            if !global.ty.mutable {
                continue;
            }
            let mut operators = global.init_expr.get_operators_reader();
            loop {
                let operator = operators.read()?;
                if matches!(operator, wasmtime::wasmparser::Operator::End) {
                    break;
                }
                entry.instruction(&self.instruction(operator)?);
            }
            entry.instruction(&Instruction::GlobalSet(n as u32));
        }
        entry
            .instruction(&Instruction::LocalGet(0))
            .instruction(&Instruction::LocalGet(1))
            .instruction(&Instruction::Call(function))
            .instruction(&Instruction::End);
        Ok(entry)
    }
}

/// The function that stands for an instruction which writes `LEN` bytes to `DESTINATION`, and uses
/// as many of each of `places`.
fn bulk(places: &[u32], instruction: &Instruction<'_>) -> Function {
    let mut function = Function::new([]);
    places.iter().for_each(|start| within_memory(&mut function, *start));
    mark(&mut function);
    function
        .instruction(&Instruction::LocalGet(DESTINATION))
        .instruction(&Instruction::LocalGet(SOURCE))
        .instruction(&Instruction::LocalGet(LEN))
        .instruction(instruction)
        .instruction(&Instruction::End);
    function
}

/// Traps as an access outside of memory does, unless `LEN` bytes from `start` lie in the memory
/// that the recipe has.
fn within_memory(function: &mut Function, start: u32) {
    function
        .instruction(&Instruction::LocalGet(start))
        .instruction(&Instruction::I64ExtendI32U)
        .instruction(&Instruction::LocalGet(LEN))
        .instruction(&Instruction::I64ExtendI32U)
        .instruction(&Instruction::I64Add)
        .instruction(&Instruction::I64Const(GUEST_BYTES as i64))
        .instruction(&Instruction::I64GtU)
        .instruction(&Instruction::If(BlockType::Empty))
        .instruction(&Instruction::I32Const(-1))
        .instruction(&Instruction::I32Load8U(MemArg { offset: 0, align: 0, memory_index: 0 }))
        .instruction(&Instruction::Drop)
        .instruction(&Instruction::End);
}

/// Marks the lines from that of `DESTINATION` to that of the last of `LEN` bytes.
fn mark(function: &mut Function) {
    let shift = [Instruction::I32Const(LINE_SHIFT as i32), Instruction::I32ShrU];
    let first = [&[Instruction::LocalGet(DESTINATION)], &shift[..]].concat();
    let last = [Instruction::LocalGet(DESTINATION), Instruction::LocalGet(LEN), Instruction::I32Add];
    let last = [&last[..], &[Instruction::I32Const(-1), Instruction::I32Add], &shift].concat();
    let one = [Instruction::I32Const(1)];
    let store = [Instruction::I32Const(1), Instruction::I32Store8(in_map())];
    // Of so few bytes, no line lies between the first and the last.
    let is_short = [Instruction::LocalGet(LEN), Instruction::I32Const(1 << LINE_SHIFT), Instruction::I32LeU];
    let at_least_a_byte = [Instruction::LocalGet(LEN), Instruction::If(BlockType::Empty)];
    let parts: [&[Instruction<'_>]; 17] = [
        &at_least_a_byte,
        &is_short,
        &[Instruction::If(BlockType::Empty)],
        &first,
        &store,
        &last,
        &store,
        &[Instruction::Else, Instruction::I32Const(MAP_START as i32)],
        &first,
        &[Instruction::I32Add],
        &one,
        &last,
        &first,
        &[Instruction::I32Sub],
        &one,
        &[Instruction::I32Add, Instruction::MemoryFill(0)],
        &[Instruction::End, Instruction::End],
    ];
    parts.into_iter().flatten().for_each(|instruction| {
        function.instruction(instruction);
    });
}
