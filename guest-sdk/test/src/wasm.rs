//! Compiled modules on wasmtime, as members run them. Only with the feature `wasm`: it takes
//! minutes to compile.
use std::path::Path;
use std::sync::Arc;

use synod_vm::{Modules, WasmVm};

use crate::host::MODULE_VARIABLE;
use crate::vm::{Engine, EngineVm};

/// The engine of members, and what was compiled for it.
pub(crate) struct Wasmtime(Arc<Modules>);

impl Wasmtime {
    pub(crate) fn start() -> Self {
        Self(Modules::in_memory().unwrap_or_else(|error| panic!("the Wasm engine does not start: {error}")))
    }
}

impl Engine for Wasmtime {
    fn fingerprint(&self) -> [u8; 32] {
        self.0.engine_fingerprint()
    }

    fn vm(&self) -> EngineVm {
        Box::new(
            WasmVm::new(self.0.clone())
                .unwrap_or_else(|error| panic!("the Wasm engine does not link: {error}")),
        )
    }
}

/// The module that the environment names, if it is of `recipe`: a test may link further recipes.
pub(crate) fn named_module(recipe: &str) -> Option<Vec<u8>> {
    let path = std::env::var_os(MODULE_VARIABLE)?;
    let path = Path::new(&path);
    let module = std::fs::read(path).unwrap_or_else(|error| {
        panic!("{MODULE_VARIABLE} names {}, which cannot be read: {error}", path.display())
    });
    let admitted = synod_vm::admit(&module)
        .unwrap_or_else(|error| panic!("{} is not admitted: {error}", path.display()));
    (admitted.schema.recipe.name.as_str() == recipe).then_some(module)
}
