//! What instrumentation knows of a module before it writes the first section: types, functions,
//! globals and entry points, and the indices of what it adds behind them.
use synod_abi::{ENTRY_HOOK, ENTRY_OPERATION, ENTRY_QUERY};
use wasmtime::wasmparser::{BinaryReaderError, ExternalKind, FuncType, Global, Parser, Payload};

const ENTRIES: [&str; 3] = [ENTRY_OPERATION, ENTRY_QUERY, ENTRY_HOOK];

/// A module's parts, by index.
#[derive(Default)]
pub(super) struct Plan<'a> {
    types: Vec<FuncType>,
    imports: u32,
    /// The type of each function that the module defines.
    functions: Vec<u32>,
    pub(super) globals: Vec<Global<'a>>,
    /// Name and function of each entry point.
    pub(super) entries: Vec<(&'a str, u32)>,
}

impl<'a> Plan<'a> {
    pub(super) fn of(module: &'a [u8]) -> Result<Self, BinaryReaderError> {
        let mut plan = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(section) => {
                    plan.types = section.into_iter_err_on_gc_types().collect::<Result<_, _>>()?;
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        import?;
                        plan.imports += 1;
                    }
                }
                Payload::FunctionSection(section) => {
                    plan.functions = section.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::GlobalSection(section) => {
                    plan.globals = section.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.kind == ExternalKind::Func && ENTRIES.contains(&export.name) {
                            plan.entries.push((export.name, export.index));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(plan)
    }

    /// The type of the n-th function that the module defines.
    pub(super) fn body_type(&self, body: usize) -> Option<&FuncType> {
        self.types.get(*self.functions.get(body)? as usize)
    }

    /// The global that counts stack.
    pub(super) fn stack_global(&self) -> u32 {
        self.globals.len() as u32
    }

    /// Types of the functions that are added, in order: one for each entry point, then [`fill`] and
    /// [`copy`], whose type is added behind the module's.
    ///
    /// [`fill`]: Plan::fill
    /// [`copy`]: Plan::copy
    pub(super) fn added_types(&self) -> impl Iterator<Item = u32> {
        let of_bulk = self.types.len() as u32;
        let entries = self.entries.iter().map(|(_, function)| {
            let ty = function.checked_sub(self.imports).and_then(|body| self.functions.get(body as usize));
            ty.copied().unwrap_or_default()
        });
        entries.chain([of_bulk, of_bulk])
    }

    /// Name of each entry point, and the function that is added for it.
    pub(super) fn entry_points(&self) -> impl Iterator<Item = (&'a str, u32)> {
        self.entries.iter().map(|(name, _)| *name).zip(self.added()..)
    }

    /// The function that does what `memory.fill` does.
    pub(super) fn fill(&self) -> u32 {
        self.added() + self.entries.len() as u32
    }

    /// The function that does what `memory.copy` does.
    pub(super) fn copy(&self) -> u32 {
        self.fill() + 1
    }

    /// The first function that is added.
    fn added(&self) -> u32 {
        self.imports + self.functions.len() as u32
    }
}
