//! The recipes that come with the `synod` binary, as compiled modules.
//!
//! They enter a cluster as any recipe does, by install commands that carry their bytes: a member
//! never applies anything from its own bundle. So members with other bundles agree, and this crate
//! is only a place to take modules from.

/// A bundled recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundled {
    /// The recipe's name.
    pub name: &'static str,
    /// Its module.
    pub module: &'static [u8],
}

/// All bundled recipes, by name. Empty in documentation builds that ask for it.
pub const RECIPES: &[Bundled] = include!(concat!(env!("OUT_DIR"), "/recipes.rs"));

/// The bundled recipe called `name`.
pub fn recipe(name: &str) -> Option<&'static Bundled> {
    RECIPES.iter().find(|recipe| recipe.name == name)
}

#[cfg(test)]
mod tests;
