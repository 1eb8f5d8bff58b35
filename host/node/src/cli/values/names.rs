//! Names of things in a cluster: recipes as `NAME` or `NAME@VERSION`, the topics of a binding.
use std::str::FromStr;

use synod_abi::TopicFilter;
use synod_client::api::{Binding, RecipeRef};

/// A recipe by name, with or without a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecipeAt {
    /// The recipe's name.
    pub(crate) name: String,
    /// Its version; none was written if absent.
    pub(crate) version: Option<u32>,
}

impl FromStr for RecipeAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, version)) => match version.parse() {
                Ok(version) if version > 0 => (name, Some(version)),
                _ => return Err(format!("`{version}` is not a version: versions are numbers from 1")),
            },
        };
        synod_abi::RecipeName::new(name).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), version })
    }
}

/// A recipe as `name@version`; empty if there is none.
pub(crate) fn recipe_text(recipe: Option<&RecipeRef>) -> String {
    recipe.map(|recipe| format!("{}@{}", recipe.name, recipe.version)).unwrap_or_default()
}

/// The topics whose events a binding delivers.
pub(crate) fn topics(Binding { topic, prefix, .. }: &Binding) -> TopicFilter {
    if *prefix { TopicFilter::Prefix(topic.clone()) } else { TopicFilter::Exact(topic.clone()) }
}

#[cfg(test)]
mod tests;
