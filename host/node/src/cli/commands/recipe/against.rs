//! What changes between two versions of a recipe for those who use it: whether spaces can be
//! upgraded, what clients of the former version notice, and which of their calls a cluster refuses.
use std::path::Path;

use serde_json::{Value, json};
use synod_abi::schema::{EntryPointSchema, Schema};
use synod_machine::{UpgradeNote, check_upgrade, upgrade_notes};

use super::module;
use crate::cli::io::cluster::{Global, decode};
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::values::names::RecipeAt;

/// The former version that `against` names: a module, a crate's folder, or an installed recipe.
pub(super) async fn former(against: &str, global: &Global) -> Result<Schema, Failed> {
    let path = Path::new(against);
    if path.exists() {
        let module = module::read(path)?;
        return Ok(synod_vm::admit(&module).map_err(|_| module::refused(&module))?.schema);
    }
    let RecipeAt { name, version } = against.parse().map_err(|why| {
        Failed::usage(format!("`{against}` is neither a file nor a recipe: {why}"))
            .next("name a .wasm file, the folder of a recipe's crate, or an installed NAME[@VERSION]")
    })?;
    decode(&global.client().await?.describe_recipe(&name, version.unwrap_or(0)).await?.schema)
}

/// What is noticed of an upgrade from `old` to `new`.
///
/// # Errors
/// It would be refused.
pub(super) fn notes(old: &Schema, new: &Schema) -> Result<Vec<UpgradeNote>, Failed> {
    let (old_recipe, new_recipe) = (&old.recipe, &new.recipe);
    if old_recipe.name != new_recipe.name {
        return Err(Failed::usage(format!("{new_recipe} is another recipe than {old_recipe}")));
    }
    if new_recipe.version <= old_recipe.version {
        let message = format!("{new_recipe} is not newer than {old_recipe}");
        return Err(Failed::new(Exit::Rejected, message)
            .next("count up `version` in #[recipe(…)]: what is installed never changes"));
    }
    check_upgrade(old, new).map_err(|incompatible| {
        Failed::new(Exit::Rejected, format!("no space of {old_recipe} can be upgraded: {incompatible}"))
    })?;
    Ok(upgrade_notes(old, new))
}

/// The notes for people.
pub(super) fn text(old: &Schema, notes: &[UpgradeNote]) -> String {
    let notes: String = notes.iter().map(|note| format!("\n  note: {note}")).collect();
    format!("spaces of {} can be upgraded{notes}", old.recipe)
}

/// The same for programs.
pub(super) fn json(old: &Schema, notes: &[UpgradeNote]) -> Value {
    let notes = notes.iter().map(|note| json!({ "name": note.name, "text": note.to_string() }));
    json!({ "from": old.recipe.to_string(), "notes": notes.collect::<Vec<_>>() })
}

/// Operations and queries that a client of `removed` called by a signature that none of `others`
/// has: what still runs, and what is still installed of the versions before it.
pub(super) fn refused_calls(removed: &Schema, others: &[Schema]) -> Vec<String> {
    let known = |points: fn(&Schema) -> &[EntryPointSchema], point: &EntryPointSchema| {
        let same = |other: &EntryPointSchema| other.name == point.name && other.signature == point.signature;
        others.iter().any(|other| points(other).iter().any(same))
    };
    let unknown = |points: fn(&Schema) -> &[EntryPointSchema]| {
        let unknown = points(removed).iter().filter(move |point| !known(points, point));
        unknown.map(|point| point.name.clone())
    };
    unknown(|schema| &schema.operations).chain(unknown(|schema| &schema.queries)).collect()
}

#[cfg(test)]
mod tests;
