//! Reads and removes attributes.
use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Expr, ExprLit, Lit, Meta, Path, Result, Token};

/// Text of the `///` lines, without the blank that follows the slashes.
pub(crate) fn docs(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    lines
        .map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_string())
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_string()
}

/// Removes and returns the attributes called `name`.
pub(crate) fn take(attributes: &mut Vec<Attribute>, name: &str) -> Vec<Attribute> {
    attributes.extract_if(.., |attribute| attribute.path().is_ident(name)).collect()
}

/// Refuses serde's attributes: they would let the wire differ from the shape.
pub(crate) fn refuse_serde(attributes: &[Attribute]) -> Result<()> {
    match attributes.iter().find(|attribute| attribute.path().is_ident("serde")) {
        Some(attribute) => Err(Error::new_spanned(
            attribute,
            "serde attributes are refused: the wire is what the type says; to change it, change the type \
                and the recipe's version",
        )),
        None => Ok(()),
    }
}

/// Refuses `cfg`: one name must mean the same wherever it is compiled.
pub(crate) fn refuse_cfg(attributes: &[Attribute], what: &str) -> Result<()> {
    match attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr"))
    {
        Some(attribute) => Err(Error::new_spanned(
            attribute,
            format!("{what} cannot depend on cfg: host, client and recipe share one schema"),
        )),
        None => Ok(()),
    }
}

/// A `#[derive]` of those of `wanted` that the item does not derive by name.
pub(crate) fn missing_derives(attributes: &[Attribute], wanted: &[&str]) -> Result<TokenStream> {
    let mut named = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        let paths = attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated)?;
        named.extend(paths.iter().filter_map(|path| path.segments.last().map(|last| last.ident.to_string())));
    }
    for serde in ["Serialize", "Deserialize"] {
        if named.iter().any(|name| name == serde) {
            return Err(Error::new(
                proc_macro2::Span::call_site(),
                format!("this macro derives {serde} itself: remove it from #[derive]"),
            ));
        }
    }
    let paths = wanted.iter().filter(|name| !named.iter().any(|other| other == *name)).map(|name| {
        let ident = quote::format_ident!("{name}");
        match *name {
            "Clone" => quote!(::core::clone::Clone),
            "Debug" => quote!(::core::fmt::Debug),
            _ => quote!(::core::cmp::#ident),
        }
    });
    Ok(quote! {
        #[derive(
            #(#paths,)*
            ::synod_sdk::__private::serde::Serialize,
            ::synod_sdk::__private::serde::Deserialize
        )]
        #[serde(crate = "::synod_sdk::__private::serde")]
    })
}

/// The common part of `#[data]` and `#[errors]`: no generics.
pub(crate) fn refuse_generics(generics: &syn::Generics) -> Result<()> {
    if generics.params.is_empty() && generics.where_clause.is_none() {
        return Ok(());
    }
    Err(Error::new_spanned(
        generics,
        "a type on the wire has no generics: its shape is written into the schema",
    ))
}
