//! Modules that are installed while clients call: a bundled recipe as later versions of itself, and
//! a recipe that misbehaves.
use std::path::Path;

use synod_abi::schema;
use synod_build::{Options, build};

/// The bundled recipe that has later versions.
pub const UPGRADED: &str = "counter";
/// Its versions, the bundled one among them.
pub const VERSIONS: u32 = 6;
/// The recipe that misbehaves.
pub const HOSTILE: &str = "hostile";

/// The modules.
#[derive(Debug)]
pub struct Modules {
    versions: Vec<Vec<u8>>,
    hostile: Vec<u8>,
}

impl Modules {
    /// Builds the recipe that misbehaves, which takes cargo some seconds the first time.
    ///
    /// # Panics
    /// It cannot be built; cargo's message is on stderr.
    pub fn build() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes").join(HOSTILE);
        let built = build::recipe(&folder, &Options::default()).expect("the recipe builds");
        let bundled = synod_bundle::RECIPES.iter().find(|bundled| bundled.name == UPGRADED);
        let bundled = bundled.expect("it is in the bundle").module;
        let versions = (1..=VERSIONS).map(|version| as_version(bundled, version));
        Self { versions: versions.collect(), hostile: built.wasm }
    }

    /// [`UPGRADED`] as `version`, from 1 to [`VERSIONS`].
    pub fn upgraded(&self, version: u32) -> &[u8] {
        &self.versions[version as usize - 1]
    }

    /// [`HOSTILE`].
    pub fn hostile(&self) -> &[u8] {
        &self.hostile
    }
}

/// The same module with another version in its schema: four bytes after the format, the name's
/// length in two bytes, and the name.
fn as_version(module: &[u8], version: u32) -> Vec<u8> {
    let len = (UPGRADED.len() as u16).to_le_bytes();
    let named = [schema::SECTION.as_bytes(), &[schema::FORMAT], &len, UPGRADED.as_bytes()].concat();
    let start = module.windows(named.len()).position(|window| window == named);
    let at = start.expect("a recipe has a schema") + named.len();
    let mut module = module.to_vec();
    let place = &mut module[at..at + size_of::<u32>()];
    assert_eq!(place, 1_u32.to_le_bytes(), "the bundled recipe is version 1");
    place.copy_from_slice(&version.to_le_bytes());
    module
}
