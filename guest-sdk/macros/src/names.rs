//! Names as the schema has them, and the checks that need them at expansion, where a message can
//! point at the name. The ids themselves are computed by `synod-abi` in what the macros write.
use std::collections::HashMap;

use syn::ext::IdentExt;
use syn::{Error, Ident, Result};

/// The name without `r#`.
pub(crate) fn plain(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// FNV-1a, as in `synod_abi::fnv1a_32`.
pub(crate) fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Refuses names of which two have one hash, and hashes that mark the ends of the key space.
pub(crate) fn check_hashes<'a>(
    what: &str,
    remedy: &str,
    names: impl Iterator<Item = (&'a Ident, String)>,
) -> Result<()> {
    let mut seen = HashMap::new();
    for (ident, name) in names {
        let hash = fnv1a_32(name.as_bytes());
        if hash == 0 || hash == u32::MAX {
            return Err(Error::new_spanned(
                ident,
                format!("the hash of the name `{name}` is reserved; {remedy}"),
            ));
        }
        if let Some(other) = seen.insert(hash, name.clone()) {
            let why = if other == name {
                format!("two {what} are called `{name}`")
            } else {
                format!("the {what} `{other}` and `{name}` have the same hash")
            };
            return Err(Error::new_spanned(ident, format!("{why}; {remedy}")));
        }
    }
    Ok(())
}

/// Whether `name` is a recipe's name, as in `synod_abi::RecipeName`.
pub(crate) fn is_recipe_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 128 && name.starts_with(plain) && name.chars().all(|c| plain(c) || "-_.".contains(c))
}

#[cfg(test)]
mod tests;
