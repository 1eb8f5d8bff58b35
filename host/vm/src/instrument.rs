//! Rewrites an admitted module into the one that is compiled: memory of a fixed size with a map of
//! what was written behind it, a bound on the stack of a call that is the same on every machine,
//! entry points that set the globals, and no exports but the contract's.
//!
//! Native stacks overflow at a depth that depends on the processor and the compiler, so their bytes
//! are counted in Wasm, in a global of our own: each function adds on entry what its frame has at
//! most, see [`body`], and subtracts it on every way out. Too much traps, and the host tells that
//! trap from others by the global, which then stands above the limit; no import is added, so
//! indices keep their meaning. A trap leaves the sum wrong, but the instance is dropped after a
//! trap. What the map is for is said in [`crate::pristine`].
//!
//! The original bytes stay the module's identity; nothing made here is stored or sent. [`VERSION`]
//! is part of the execution environment.
mod added;
mod body;
mod plan;

use std::convert::Infallible;

use synod_abi::{ENTRY_INPUT, ENTRY_MEMORY, limits};
use synod_machine::Fatal;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, ExportKind, ExportSection, GlobalSection, GlobalType, MemorySection, MemoryType,
    Module, ValType,
};
use wasmtime::wasmparser::{
    CodeSectionReader, CustomSectionReader, ExportSectionReader, FunctionBody, FunctionSectionReader,
    GlobalSectionReader, MemorySectionReader, Parser, TypeSectionReader,
};

use crate::pristine;
use plan::Plan;

/// Counted up with every change of what is written here.
pub(crate) const VERSION: u32 = 3;
/// Exported mutable i32 global of an instrumented module: bytes of stack that nested calls have.
pub(crate) const STACK: &str = "synod_stack";

const STACK_LIMIT: i32 = limits::CALL_STACK_BYTES as i32;

/// Rewrites `module`, which must be admitted.
pub(crate) fn instrument(module: &[u8]) -> Result<Vec<u8>, Fatal> {
    let mut out = Module::new();
    let rewritten = Plan::of(module).map_err(Error::from).and_then(|plan| {
        Instrumenter { plan, bodies: 0 }.parse_core_module(&mut out, Parser::new(0), module)
    });
    rewritten.map_err(|error| Fatal(format!("an admitted module cannot be instrumented: {error}")))?;
    Ok(out.finish())
}

/// What the frame of each function of an admitted module is counted as, in bytes.
#[cfg(test)]
pub(crate) fn frames(module: &[u8]) -> Result<Vec<u32>, wasmtime::wasmparser::BinaryReaderError> {
    let plan = Plan::of(module)?;
    let mut frames = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let wasmtime::wasmparser::Payload::CodeSectionEntry(body) = payload? {
            let params = plan.body_type(frames.len()).map_or(0, |ty| ty.params().len() as u32);
            let mut locals = params;
            for group in body.get_locals_reader()? {
                locals += group?.0;
            }
            frames.push(body::frame_bytes(locals, &body)?);
        }
    }
    Ok(frames)
}

struct Instrumenter<'a> {
    plan: Plan<'a>,
    /// Function bodies that are done.
    bodies: usize,
}

type Outcome = Result<(), Error<Infallible>>;

impl Reencode for Instrumenter<'_> {
    type Error = Infallible;

    fn parse_type_section(
        &mut self,
        types: &mut wasm_encoder::TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Outcome {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([ValType::I32; 3], []);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut wasm_encoder::FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Outcome {
        utils::parse_function_section(self, functions, section)?;
        self.plan.added_types().for_each(|ty| {
            functions.function(ty);
        });
        Ok(())
    }

    fn parse_memory_section(&mut self, memories: &mut MemorySection, _: MemorySectionReader<'_>) -> Outcome {
        memories.memory(MemoryType {
            minimum: pristine::PAGES,
            maximum: Some(pristine::PAGES),
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
            if [ENTRY_MEMORY, ENTRY_INPUT].contains(&export.name) {
                utils::parse_export(self, exports, export)?;
            }
        }
        for (entry, function) in self.plan.entry_points() {
            exports.export(entry, ExportKind::Func, function);
        }
        exports.export(STACK, ExportKind::Global, self.plan.stack_global());
        Ok(())
    }

    fn parse_custom_section(&mut self, _: &mut Module, _: CustomSectionReader<'_>) -> Outcome {
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Outcome {
        utils::parse_code_section(self, code, section)?;
        self.add_functions(code)
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Outcome {
        let function = self.rewrite(&body)?;
        self.bodies += 1;
        code.function(&function);
        Ok(())
    }
}
