//! Rewrites an admitted module into the one that is compiled: memory of a fixed size, a bound on
//! the depth of calls that is the same on every machine, and no exports but the contract's.
//!
//! Native stacks overflow at a depth that depends on the processor and the compiler, so depth is
//! counted in Wasm, in a global of our own: up on entry, down on every way out. One too many traps,
//! and the host tells that trap from others by the global, which then stands above the limit; no
//! import is added, so indices keep their meaning. A trap leaves the count wrong, but the instance
//! is dropped after a trap.
//!
//! The original bytes stay the module's identity; nothing made here is stored or sent. [`VERSION`]
//! is part of the execution environment.
use std::convert::Infallible;

use synod_abi::{ENTRY_HOOK, ENTRY_INPUT, ENTRY_MEMORY, ENTRY_OPERATION, ENTRY_QUERY, limits};
use synod_machine::Fatal;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ExportKind, ExportSection, Function, GlobalSection, GlobalType,
    Instruction, MemorySection, MemoryType, Module, ValType,
};
use wasmtime::wasmparser::{
    CustomSectionReader, ExportSectionReader, FunctionBody, FunctionSectionReader, GlobalSectionReader,
    MemorySectionReader, Operator, Parser, TypeSectionReader,
};

/// Counted up with every change of what is written here.
pub(crate) const VERSION: u32 = 1;
/// Exported mutable i32 global of an instrumented module: how many calls are nested.
pub(crate) const DEPTH: &str = "synod_depth";

const EXPORTS: [&str; 5] = [ENTRY_MEMORY, ENTRY_OPERATION, ENTRY_QUERY, ENTRY_HOOK, ENTRY_INPUT];
const DEPTH_LIMIT: i32 = limits::CALL_DEPTH as i32;

/// Rewrites `module`, which must be admitted.
pub(crate) fn instrument(module: &[u8]) -> Result<Vec<u8>, Fatal> {
    let mut out = Module::new();
    Instrumenter::default()
        .parse_core_module(&mut out, Parser::new(0), module)
        .map_err(|error| Fatal(format!("an admitted module cannot be instrumented: {error}")))?;
    Ok(out.finish())
}

#[derive(Default)]
struct Instrumenter {
    /// The one result of each type, if it has one.
    results: Vec<Option<ValType>>,
    /// The type of each function that the module defines.
    functions: Vec<u32>,
    bodies: usize,
    depth_global: u32,
}

type Outcome = Result<(), Error<Infallible>>;

impl Reencode for Instrumenter {
    type Error = Infallible;

    fn parse_type_section(
        &mut self,
        types: &mut wasm_encoder::TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Outcome {
        for ty in section.clone().into_iter_err_on_gc_types() {
            let result = match ty?.results().first() {
                Some(result) => Some(self.val_type(*result)?),
                None => None,
            };
            self.results.push(result);
        }
        utils::parse_type_section(self, types, section)
    }

    fn parse_function_section(
        &mut self,
        functions: &mut wasm_encoder::FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Outcome {
        self.functions = section.clone().into_iter().collect::<Result<_, _>>()?;
        utils::parse_function_section(self, functions, section)
    }

    fn parse_memory_section(&mut self, memories: &mut MemorySection, _: MemorySectionReader<'_>) -> Outcome {
        memories.memory(MemoryType {
            minimum: limits::MEMORY_PAGES,
            maximum: Some(limits::MEMORY_PAGES),
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Outcome {
        self.depth_global = section.count();
        utils::parse_global_section(self, globals, section)?;
        globals.global(
            GlobalType { val_type: ValType::I32, mutable: true, shared: false },
            &ConstExpr::i32_const(0),
        );
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Outcome {
        for export in section {
            let export = export?;
            if EXPORTS.contains(&export.name) {
                utils::parse_export(self, exports, export)?;
            }
        }
        exports.export(DEPTH, ExportKind::Global, self.depth_global);
        Ok(())
    }

    fn parse_custom_section(&mut self, _: &mut Module, _: CustomSectionReader<'_>) -> Outcome {
        Ok(())
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Outcome {
        let ty = self.functions.get(self.bodies).copied().unwrap_or_default();
        let result = self.results.get(ty as usize).copied().flatten();
        self.bodies += 1;
        let mut function = self.new_function_with_parsed_locals(&body)?;
        self.enter(&mut function);
        // The body becomes a block, so branches to the function's own label land at its end; a
        // return becomes such a branch.
        function
            .instruction(&result.map_or(Instruction::Block(BlockType::Empty), |ty| {
                Instruction::Block(BlockType::Result(ty))
            }));
        let mut open_blocks = 1_u32;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            match operators.read()? {
                Operator::Return => {
                    function.instruction(&Instruction::Br(open_blocks - 1));
                }
                operator => {
                    match operator {
                        Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                            open_blocks += 1
                        }
                        Operator::End => open_blocks -= 1,
                        _ => {}
                    }
                    function.instruction(&self.instruction(operator)?);
                }
            }
        }
        self.leave(&mut function);
        code.function(&function);
        Ok(())
    }
}

impl Instrumenter {
    fn enter(&self, function: &mut Function) {
        function
            .instruction(&Instruction::GlobalGet(self.depth_global))
            .instruction(&Instruction::I32Const(1))
            .instruction(&Instruction::I32Add)
            .instruction(&Instruction::GlobalSet(self.depth_global))
            .instruction(&Instruction::GlobalGet(self.depth_global))
            .instruction(&Instruction::I32Const(DEPTH_LIMIT))
            .instruction(&Instruction::I32GtS)
            .instruction(&Instruction::If(BlockType::Empty))
            .instruction(&Instruction::Unreachable)
            .instruction(&Instruction::End);
    }

    fn leave(&self, function: &mut Function) {
        function
            .instruction(&Instruction::GlobalGet(self.depth_global))
            .instruction(&Instruction::I32Const(1))
            .instruction(&Instruction::I32Sub)
            .instruction(&Instruction::GlobalSet(self.depth_global))
            .instruction(&Instruction::End);
    }
}
