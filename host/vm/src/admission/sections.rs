//! Everything but function bodies: counts and sizes, imports against the host's table, and the
//! exports that every recipe has. Types are collected here, because the contract is about types and
//! wasmparser's are its own.
use synod_abi::schema::Schema;
use synod_abi::{
    AdmissionError, CONTEXT_BYTES, ENTRY_HOOK, ENTRY_INPUT, ENTRY_MEMORY, ENTRY_OPERATION, ENTRY_QUERY,
    HOST_CALLS, HOST_MODULE, Limited, ValueKind, limits,
};
use wasmtime::wasmparser::{
    ConstExpr, DataKind, DataSectionReader, ElementKind, ElementSectionReader, ExportSectionReader,
    ExternalKind, FuncType, FunctionSectionReader, GlobalSectionReader, GlobalType, Import,
    MemorySectionReader, Operator, Payload, SectionLimited, TableSectionReader, TypeRef, TypeSectionReader,
    ValType,
};

use super::{at_most, invalid, is_schema, schema};

const PAGE_BYTES: u64 = 64 * 1_024;
const MEMORY_BYTES: u64 = limits::MEMORY_PAGES * PAGE_BYTES;

/// A global: its type, and its value where that is a plain constant.
struct Global {
    ty: GlobalType,
    value: Option<u32>,
}

/// What the contract is checked against when the module ends.
#[derive(Default)]
pub(super) struct Sections<'a> {
    types: Vec<FuncType>,
    functions: Vec<u32>,
    globals: Vec<Global>,
    exports: Vec<(&'a str, ExternalKind, u32)>,
    schemas: Vec<&'a [u8]>,
}

impl<'a> Sections<'a> {
    pub(super) fn check(&mut self, payload: &Payload<'a>) -> Result<(), AdmissionError> {
        match payload {
            Payload::TypeSection(section) => self.collect_types(section),
            Payload::ImportSection(section) => {
                count(section, Limited::Imports)?;
                section.clone().into_imports().try_for_each(|import| self.import(&import.map_err(invalid)?))
            }
            Payload::FunctionSection(section) => self.collect_functions(section),
            Payload::TableSection(section) => tables(section),
            Payload::MemorySection(section) => memories(section),
            Payload::GlobalSection(section) => self.collect_globals(section),
            Payload::ExportSection(section) => self.collect_exports(section),
            Payload::StartSection { .. } => Err(AdmissionError::StartFunction),
            Payload::ElementSection(section) => element_segments(section),
            Payload::DataSection(section) => data_segments(section),
            Payload::CodeSectionEntry(body) => at_most(Limited::FunctionBytes, body.range().len() as u64),
            Payload::CustomSection(section) if is_schema(section.name()) => {
                self.schemas.push(section.data());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn collect_types(&mut self, section: &TypeSectionReader<'a>) -> Result<(), AdmissionError> {
        count(section, Limited::Types)?;
        for ty in section.clone().into_iter_err_on_gc_types() {
            let ty = ty.map_err(invalid)?;
            at_most(Limited::TypeParams, ty.params().len() as u64)?;
            at_most(Limited::TypeResults, ty.results().len() as u64)?;
            self.types.push(ty);
        }
        Ok(())
    }

    fn collect_functions(&mut self, section: &FunctionSectionReader<'a>) -> Result<(), AdmissionError> {
        let functions = u64::from(section.count()) + self.functions.len() as u64;
        at_most(Limited::Functions, functions)?;
        for ty in section.clone() {
            self.functions.push(ty.map_err(invalid)?);
        }
        Ok(())
    }

    fn collect_globals(&mut self, section: &GlobalSectionReader<'a>) -> Result<(), AdmissionError> {
        count(section, Limited::Globals)?;
        for global in section.clone() {
            let global = global.map_err(invalid)?;
            self.globals.push(Global { ty: global.ty, value: plain(&global.init_expr) });
        }
        Ok(())
    }

    fn collect_exports(&mut self, section: &ExportSectionReader<'a>) -> Result<(), AdmissionError> {
        count(section, Limited::Exports)?;
        for export in section.clone() {
            let export = export.map_err(invalid)?;
            self.exports.push((export.name, export.kind, export.index));
        }
        Ok(())
    }

    /// Checks what only the whole module shows, and decodes the schema; it comes with its bytes.
    pub(super) fn finish(self) -> Result<(Schema, Vec<u8>), AdmissionError> {
        self.export(ENTRY_MEMORY, ExternalKind::Memory)?;
        for entry in [ENTRY_OPERATION, ENTRY_QUERY] {
            self.entry(entry)?;
        }
        let input = self.globals.get(self.export(ENTRY_INPUT, ExternalKind::Global)? as usize);
        match input {
            Some(Global {
                ty: GlobalType { content_type: ValType::I32, mutable: false, .. },
                value: Some(address),
            }) => {
                within_memory(*address, CONTEXT_BYTES + limits::ARGS_BYTES)?;
            }
            _ => return Err(AdmissionError::WrongType { name: ENTRY_INPUT.to_string() }),
        }
        let (schema, bytes) = schema(&self.schemas)?;
        if schema.hooks.any() {
            self.entry(ENTRY_HOOK)?;
        }
        Ok((schema, bytes))
    }

    /// Checks that there is an entry point called `name`.
    fn entry(&self, name: &str) -> Result<(), AdmissionError> {
        let function = self.export(name, ExternalKind::Func)?;
        let ty = self.functions.get(function as usize).and_then(|ty| self.types.get(*ty as usize));
        let right = ty
            .is_some_and(|ty| ty.params() == [ValType::I32, ValType::I32] && ty.results() == [ValType::I64]);
        if right { Ok(()) } else { Err(AdmissionError::WrongType { name: name.to_string() }) }
    }

    fn export(&self, name: &str, kind: ExternalKind) -> Result<u32, AdmissionError> {
        match self.exports.iter().find(|export| export.0 == name) {
            None => Err(AdmissionError::MissingExport { name: name.to_string() }),
            Some((_, actual, index)) if *actual == kind => Ok(*index),
            Some(_) => Err(AdmissionError::WrongType { name: name.to_string() }),
        }
    }

    fn import(&mut self, import: &Import<'a>) -> Result<(), AdmissionError> {
        let call = HOST_CALLS.iter().find(|call| import.module == HOST_MODULE && import.name == call.name);
        let Some(call) = call else {
            return Err(AdmissionError::UnknownImport {
                module: import.module.to_string(),
                name: import.name.to_string(),
            });
        };
        let wrong = || AdmissionError::WrongType { name: import.name.to_string() };
        let TypeRef::Func(index) = import.ty else {
            return Err(wrong());
        };
        let ty = self.types.get(index as usize).ok_or_else(wrong)?;
        let params = call.params.iter().map(value_type).eq(ty.params().iter().copied());
        let result = call.result.iter().map(value_type).eq(ty.results().iter().copied());
        if !(params && result) {
            return Err(wrong());
        }
        self.functions.push(index);
        Ok(())
    }
}

fn tables(section: &TableSectionReader<'_>) -> Result<(), AdmissionError> {
    count(section, Limited::Tables)?;
    for table in section.clone() {
        let elements = table.map_err(invalid)?.ty.initial;
        at_most(Limited::TableElements, elements)?;
    }
    Ok(())
}

fn memories(section: &MemorySectionReader<'_>) -> Result<(), AdmissionError> {
    count(section, Limited::Memories)?;
    for memory in section.clone() {
        at_most(Limited::MemoryPages, memory.map_err(invalid)?.initial)?;
    }
    Ok(())
}

fn element_segments(section: &ElementSectionReader<'_>) -> Result<(), AdmissionError> {
    count(section, Limited::ElementSegments)?;
    for element in section.clone() {
        if !matches!(element.map_err(invalid)?.kind, ElementKind::Active { .. }) {
            return Err(AdmissionError::PassiveSegment);
        }
    }
    Ok(())
}

fn data_segments(section: &DataSectionReader<'_>) -> Result<(), AdmissionError> {
    count(section, Limited::DataSegments)?;
    for data in section.clone() {
        let data = data.map_err(invalid)?;
        let DataKind::Active { offset_expr, .. } = &data.kind else {
            return Err(AdmissionError::PassiveSegment);
        };
        let offset =
            constant(offset_expr).ok_or(AdmissionError::Invalid { offset: data.range.start as u64 })?;
        within_memory(offset, data.data.len())?;
    }
    Ok(())
}

fn value_type(kind: &ValueKind) -> ValType {
    match kind {
        ValueKind::I32 => ValType::I32,
        ValueKind::I64 => ValType::I64,
    }
}

fn count<T>(section: &SectionLimited<'_, T>, what: Limited) -> Result<(), AdmissionError> {
    at_most(what, u64::from(section.count()))
}

fn within_memory(start: u32, bytes: usize) -> Result<(), AdmissionError> {
    let end = u64::from(start) + bytes as u64;
    if end > MEMORY_BYTES {
        return Err(AdmissionError::Limit {
            what: Limited::MemoryPages,
            actual: end.div_ceil(PAGE_BYTES),
            limit: limits::MEMORY_PAGES,
        });
    }
    Ok(())
}

/// The value of `i32.const n; end`.
fn plain(expression: &ConstExpr<'_>) -> Option<u32> {
    let mut operators = expression.get_operators_reader();
    match (operators.read().ok()?, operators.read().ok()?) {
        (Operator::I32Const { value }, Operator::End) => Some(value as u32),
        _ => None,
    }
}

/// The value of a constant expression of type i32.
pub(crate) fn constant(expression: &ConstExpr<'_>) -> Option<u32> {
    let mut operators = expression.get_operators_reader();
    let mut operands = Vec::new();
    loop {
        let value = match operators.read().ok()? {
            Operator::I32Const { value } => value as u32,
            Operator::End => return operands.pop(),
            operator => {
                let (right, left) = (operands.pop()?, operands.pop()?);
                match operator {
                    Operator::I32Add => u32::wrapping_add(left, right),
                    Operator::I32Sub => u32::wrapping_sub(left, right),
                    Operator::I32Mul => u32::wrapping_mul(left, right),
                    _ => return None,
                }
            }
        };
        operands.push(value);
    }
}
