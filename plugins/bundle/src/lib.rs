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
mod tests {
    use super::*;

    #[test]
    fn every_recipe_is_a_module_under_a_name_of_its_own() {
        assert!(RECIPES.is_sorted_by(|a, b| a.name < b.name));
        for recipe in RECIPES {
            assert_eq!(recipe.module.first_chunk(), Some(b"\0asm\x01\0\0\0"), "{}", recipe.name);
            assert_eq!(super::recipe(recipe.name), Some(recipe));
        }
        assert_eq!(recipe("absent"), None);
    }

    #[test]
    fn no_module_tells_where_it_was_built() {
        let here = [env!("CARGO_MANIFEST_DIR").trim_end_matches("/plugins/bundle"), "/.cargo/", "/.rustup/"];
        for recipe in RECIPES {
            for path in here {
                let found = recipe.module.windows(path.len()).any(|window| window == path.as_bytes());
                assert!(!found, "{} holds {path}", recipe.name);
            }
        }
    }
}
