//! Which modules a cluster accepts. Pure: the verdict depends on the bytes alone, so every member
//! reaches the same one, and `synod recipe check` reaches it before anything is sent.
//!
//! It reads the module once. Our own limits come before wasmparser's validation of the same
//! section, so that what is too large is called too large, and nothing large is worked through
//! first. WebAssembly's own rules, with the features of LIME1, are wasmparser's to check. It
//! compiles and runs nothing.
mod functions;
mod sections;

use synod_abi::schema::{SECTION, Schema};
use synod_abi::{AdmissionError, Limited};
use synod_machine::{Admitted, module_hash};
use wasmtime::wasmparser::{
    BinaryReaderError, Chunk, Encoding, Parser, Payload, ValidPayload, Validator, WasmFeatures,
};

use sections::Sections;
pub(crate) use sections::constant;

/// The features of WebAssembly that recipes may use: what Rust emits for `wasm32-unknown-unknown`.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::LIME1;

const HEADER: &[u8; 8] = b"\0asm\x01\0\0\0";

/// Checks a module.
///
/// # Errors
/// The first rule that it breaks.
pub fn admit(module: &[u8]) -> Result<Admitted, AdmissionError> {
    at_most(Limited::ModuleBytes, module.len() as u64)?;
    if !module.starts_with(HEADER) {
        return Err(AdmissionError::NotWasm);
    }
    let mut validator = Validator::new_with_features(FEATURES);
    let mut parser = Parser::new(0);
    parser.set_features(FEATURES);
    let mut sections = Sections::default();
    let mut bodies = functions::Bodies::default();
    let mut rest = module;
    loop {
        let payload = match parser.parse(rest, rest.is_empty()).map_err(invalid)? {
            Chunk::NeedMoreData(_) => return Err(AdmissionError::Truncated { offset: module.len() as u64 }),
            Chunk::Parsed { consumed, payload } => {
                rest = &rest[consumed..];
                payload
            }
        };
        if matches!(payload, Payload::Version { encoding: Encoding::Component, .. }) {
            return Err(AdmissionError::NotWasm);
        }
        sections.check(&payload)?;
        match validator.payload(&payload).map_err(invalid)? {
            ValidPayload::Ok | ValidPayload::Parser(_) => {}
            ValidPayload::Func(function, body) => bodies.check(function, &body)?,
            ValidPayload::End(_) => break,
        }
    }
    let (schema, schema_bytes) = sections.finish()?;
    Ok(Admitted { hash: module_hash(module), schema, schema_bytes })
}

/// The verdict on a module, for people: with wasmparser's words where [`admit`] only has an offset.
pub fn explain(module: &[u8]) -> String {
    match admit(module) {
        Ok(Admitted { hash, schema, .. }) => format!(
            "{} is admitted: {} bytes, {} operations, {} queries, {} hooks, module {hash}",
            schema.recipe,
            module.len(),
            schema.operations.len(),
            schema.queries.len(),
            [schema.hooks.session_end, schema.hooks.timer.is_some(), schema.hooks.cancel, schema.hooks.event]
                .map(u8::from)
                .iter()
                .sum::<u8>()
        ),
        Err(error @ (AdmissionError::Invalid { .. } | AdmissionError::Truncated { .. })) => {
            match Validator::new_with_features(FEATURES).validate_all(module) {
                Err(cause) => format!("{error}: {cause}"),
                Ok(_) => error.to_string(),
            }
        }
        Err(error) => error.to_string(),
    }
}

fn schema(sections: &[&[u8]]) -> Result<(Schema, Vec<u8>), AdmissionError> {
    let [section] = sections else {
        return Err(AdmissionError::MissingSchema);
    };
    at_most(Limited::SchemaBytes, section.len() as u64)?;
    let schema = Schema::decode(section).map_err(AdmissionError::BadSchema)?;
    Ok((schema, section.to_vec()))
}

fn at_most(what: Limited, actual: u64) -> Result<(), AdmissionError> {
    let limit = what.limit().value;
    if actual > limit { Err(AdmissionError::Limit { what, actual, limit }) } else { Ok(()) }
}

fn invalid(error: BinaryReaderError) -> AdmissionError {
    AdmissionError::Invalid { offset: error.offset() as u64 }
}

fn is_schema(name: &str) -> bool {
    name == SECTION
}

#[cfg(test)]
mod tests;
