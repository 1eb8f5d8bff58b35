//! A function of the recipe, rewritten: it counts its frame, and marks lines of memory before it
//! writes to them.
//!
//! A compiler may keep every value that a function makes in a slot of its own, of 16 bytes at most,
//! for as long as the function runs; it has been made to, see the tests of `stack`. So a frame is
//! counted by the function's locals and instructions, and not by what is alive across a call in
//! Wasm.
use synod_abi::limits::MEMORY_PAGES;
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{BlockType, Function, Instruction, MemArg, ValType};
use wasmtime::wasmparser::{BinaryReaderError, FunctionBody, MemArg as Place, Operator};

use super::{Instrumenter, STACK_LIMIT};
use crate::pristine::{LINE_SHIFT, MAP_START};

/// Locals that are added to a function that stores: the address, and a value of each type.
const ADDED_LOCALS: [ValType; 5] = [ValType::I32, ValType::I32, ValType::I64, ValType::F32, ValType::F64];

/// Bytes of a frame without values: what is saved on entry, and arguments of the calls that it
/// makes.
const FRAME_BYTES: u32 = 256;
/// Least that a frame is counted as: functions of small frames may be nested about a thousand deep,
/// and that ends them before the stack in the recipe's own memory does, which has 32 KiB and traps.
const LEAST_FRAME_BYTES: u32 = 4_096;
/// Bytes of the largest slot of a value.
const VALUE_BYTES: u32 = 16;
/// Values that marking a line makes.
const MARK_VALUES: u32 = 2;

/// A store: how many bytes it writes at `address + offset`, and which of the added locals holds
/// such a value.
struct Stored {
    offset: u64,
    bytes: u32,
    local: u32,
}

/// With LIME1, nothing else writes to memory but `memory.fill` and `memory.copy`.
fn stored(operator: &Operator<'_>) -> Option<Stored> {
    let store = |place: &Place, bytes, local| Some(Stored { offset: place.offset, bytes, local });
    match operator {
        Operator::I32Store8 { memarg } => store(memarg, 1, 1),
        Operator::I32Store16 { memarg } => store(memarg, 2, 1),
        Operator::I32Store { memarg } => store(memarg, 4, 1),
        Operator::I64Store8 { memarg } => store(memarg, 1, 2),
        Operator::I64Store16 { memarg } => store(memarg, 2, 2),
        Operator::I64Store32 { memarg } => store(memarg, 4, 2),
        Operator::I64Store { memarg } => store(memarg, 8, 2),
        Operator::F32Store { memarg } => store(memarg, 4, 3),
        Operator::F64Store { memarg } => store(memarg, 8, 4),
        _ => None,
    }
}

/// The place in the map that belongs to the line whose number is the address.
pub(super) fn in_map() -> MemArg {
    MemArg { offset: MAP_START as u64, align: 0, memory_index: 0 }
}

type Rewritten<T> = Result<T, Error<std::convert::Infallible>>;

impl Instrumenter<'_> {
    pub(super) fn rewrite(&mut self, body: &FunctionBody<'_>) -> Rewritten<Function> {
        let ty = self.plan.body_type(self.bodies);
        let params = ty.map_or(0, |ty| ty.params().len() as u32);
        let result = ty.and_then(|ty| ty.results().first()).copied();
        let result = result.map(|result| self.val_type(result)).transpose()?;
        let (mut function, first_added) = self.with_locals(params, body)?;
        let frame = frame_bytes(first_added, body)? as i32;
        self.enter(&mut function, frame);
        // The body becomes a block, so branches to the function's own label land at its end; a
        // return becomes such a branch.
        function
            .instruction(&result.map_or(Instruction::Block(BlockType::Empty), |ty| {
                Instruction::Block(BlockType::Result(ty))
            }));
        let mut open_blocks = 1_u32;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let operator = operators.read()?;
            match &operator {
                Operator::Return => {
                    function.instruction(&Instruction::Br(open_blocks - 1));
                    continue;
                }
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => open_blocks += 1,
                Operator::End => open_blocks -= 1,
                _ => {}
            }
            self.operator(&mut function, operator, first_added)?;
        }
        self.leave(&mut function, frame);
        Ok(function)
    }

    /// The function with its locals and those that are added; the second is the first of these.
    fn with_locals(&mut self, params: u32, body: &FunctionBody<'_>) -> Rewritten<(Function, u32)> {
        let (mut locals, mut first_added) = (Vec::new(), params);
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            first_added += count;
            locals.push((count, self.val_type(ty)?));
        }
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            if stored(&operators.read()?).is_some() {
                locals.extend(ADDED_LOCALS.map(|ty| (1, ty)));
                break;
            }
        }
        Ok((Function::new(locals), first_added))
    }

    fn operator(
        &mut self,
        function: &mut Function,
        operator: Operator<'_>,
        first_added: u32,
    ) -> Rewritten<()> {
        if let Some(store) = stored(&operator) {
            let (address, value) = (first_added, first_added + store.local);
            function.instruction(&Instruction::LocalSet(value)).instruction(&Instruction::LocalTee(address));
            mark(function, address, &store);
            function.instruction(&Instruction::LocalGet(value));
        }
        match operator {
            Operator::MemoryFill { .. } => function.instruction(&Instruction::Call(self.plan.fill())),
            Operator::MemoryCopy { .. } => function.instruction(&Instruction::Call(self.plan.copy())),
            Operator::MemorySize { .. } => function.instruction(&Instruction::I32Const(MEMORY_PAGES as i32)),
            // Growing by nothing answers the size, by more fails.
            Operator::MemoryGrow { .. } => function
                .instruction(&Instruction::I32Eqz)
                .instruction(&Instruction::If(BlockType::Result(ValType::I32)))
                .instruction(&Instruction::I32Const(MEMORY_PAGES as i32))
                .instruction(&Instruction::Else)
                .instruction(&Instruction::I32Const(-1))
                .instruction(&Instruction::End),
            operator => function.instruction(&self.instruction(operator)?),
        };
        Ok(())
    }

    fn enter(&self, function: &mut Function, frame: i32) {
        let stack = self.plan.stack_global();
        function
            .instruction(&Instruction::GlobalGet(stack))
            .instruction(&Instruction::I32Const(frame))
            .instruction(&Instruction::I32Add)
            .instruction(&Instruction::GlobalSet(stack))
            .instruction(&Instruction::GlobalGet(stack))
            .instruction(&Instruction::I32Const(STACK_LIMIT))
            .instruction(&Instruction::I32GtS)
            .instruction(&Instruction::If(BlockType::Empty))
            .instruction(&Instruction::Unreachable)
            .instruction(&Instruction::End);
    }

    fn leave(&self, function: &mut Function, frame: i32) {
        let stack = self.plan.stack_global();
        function
            .instruction(&Instruction::GlobalGet(stack))
            .instruction(&Instruction::I32Const(frame))
            .instruction(&Instruction::I32Sub)
            .instruction(&Instruction::GlobalSet(stack))
            .instruction(&Instruction::End);
    }
}

/// The most bytes that the native frame of a function has which has so many parameters and locals.
pub(crate) fn frame_bytes(locals: u32, body: &FunctionBody<'_>) -> Result<u32, BinaryReaderError> {
    let mut values = locals;
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        values += match operators.read()? {
            Operator::LocalGet { .. }
            | Operator::LocalSet { .. }
            | Operator::LocalTee { .. }
            | Operator::GlobalSet { .. }
            | Operator::Drop
            | Operator::Nop
            | Operator::Else
            | Operator::End
            | Operator::Return
            | Operator::Unreachable
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. } => 0,
            operator if stored(&operator).is_some() => MARK_VALUES,
            _ => 1,
        };
    }
    Ok((FRAME_BYTES + VALUE_BYTES * values).max(LEAST_FRAME_BYTES))
}

/// Marks the line of the last byte that `store` writes. Where the sum overflows, the store itself
/// lies outside of memory.
fn mark(function: &mut Function, address: u32, store: &Stored) {
    let to_last = (store.offset as u32).wrapping_add(store.bytes - 1);
    function.instruction(&Instruction::LocalGet(address));
    if to_last != 0 {
        function.instruction(&Instruction::I32Const(to_last as i32)).instruction(&Instruction::I32Add);
    }
    function
        .instruction(&Instruction::I32Const(LINE_SHIFT as i32))
        .instruction(&Instruction::I32ShrU)
        .instruction(&Instruction::I32Const(1))
        .instruction(&Instruction::I32Store8(in_map()));
}
