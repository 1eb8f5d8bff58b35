//! `#[errors]`: codes and statuses of what a recipe refuses with.
use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::ParseStream;
use syn::{Attribute, Data, DeriveInput, Error, Ident, LitInt, Result, Token};

use crate::attributes::{docs, missing_derives, refuse_cfg, refuse_generics, refuse_serde, take};
use crate::data::enum_shape;

const STATUSES: [(&str, &str); 8] = [
    ("failed_precondition", "FailedPrecondition"),
    ("invalid_argument", "InvalidArgument"),
    ("not_found", "NotFound"),
    ("already_exists", "AlreadyExists"),
    ("permission_denied", "PermissionDenied"),
    ("resource_exhausted", "ResourceExhausted"),
    ("aborted", "Aborted"),
    ("out_of_range", "OutOfRange"),
];

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !args.is_empty() {
        return Err(Error::new_spanned(
            args,
            "#[errors] takes no arguments: codes are on the variants, #[error(code)]",
        ));
    }
    let mut item: DeriveInput =
        syn::parse2(item).map_err(|error| Error::new(error.span(), "#[errors] goes on an enum"))?;
    refuse_generics(&item.generics)?;
    refuse_serde(&item.attrs)?;
    let Data::Enum(data) = &mut item.data else {
        return Err(Error::new_spanned(&item.ident, "#[errors] goes on an enum"));
    };
    if data.variants.is_empty() {
        return Err(Error::new_spanned(&item.ident, "what never refuses returns T instead of Result<T, E>"));
    }
    let (mut codes, mut arms, mut texts, mut seen) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for variant in &mut data.variants {
        refuse_serde(&variant.attrs)?;
        refuse_cfg(&variant.attrs, "an error")?;
        if let Some((_, number)) = &variant.discriminant {
            return Err(Error::new_spanned(
                number,
                "a variant's code is in #[error(code)]: remove the number",
            ));
        }
        let (code, status) = code_of(&variant.ident, &take(&mut variant.attrs, "error"))?;
        let number: u32 = code.base10_parse()?;
        if number == 0 {
            return Err(Error::new_spanned(code, "codes begin at 1"));
        }
        if seen.contains(&number) {
            return Err(Error::new_spanned(code, format!("two variants have the code {number}")));
        }
        seen.push(number);
        for field in &variant.fields {
            refuse_serde(&field.attrs)?;
            refuse_cfg(&field.attrs, "a field")?;
        }
        let (ident, text) = (&variant.ident, docs(&variant.attrs).replace('\n', " "));
        codes.push(quote! { __synod::ErrorCode { code: #number, status: __synod::Status::#status } });
        arms.push(quote! { Self::#ident { .. } => #number, });
        texts.push(quote! { Self::#ident { .. } => #text, });
    }
    let derives = missing_derives(&item.attrs, &["Clone", "Debug", "PartialEq", "Eq"])?;
    let Data::Enum(data) = &item.data else { unreachable!("checked above") };
    let (name, shape) = (&item.ident, enum_shape(&item.ident, &item.attrs, data)?);
    Ok(quote! {
        #derives
        #item
        const _: () = {
            use ::synod_sdk::__private as __synod;
            const SHAPE: __synod::EnumShape = #shape;
            impl __synod::Shaped for #name {
                const SHAPE: __synod::Shape = __synod::Shape::Enum(&SHAPE);
            }
            impl __synod::RecipeError for #name {
                const ERRORS: __synod::ErrorsDef =
                    __synod::ErrorsDef { shape: &SHAPE, codes: &[#(#codes),*] };
                fn code(&self) -> u32 {
                    match self { #(#arms)* }
                }
            }
            impl ::core::fmt::Display for #name {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    let text = match self { #(#texts)* };
                    if text.is_empty() {
                        ::core::write!(f, "{self:?}")
                    } else {
                        ::core::write!(f, "{self:?}: {text}")
                    }
                }
            }
            impl ::core::error::Error for #name {}
        };
    })
}

fn code_of(variant: &Ident, attributes: &[Attribute]) -> Result<(LitInt, Ident)> {
    let [attribute] = attributes else {
        return Err(Error::new_spanned(
            variant,
            "every variant has one #[error(code)] or #[error(code, status)]; a code is for ever",
        ));
    };
    attribute.parse_args_with(|input: ParseStream<'_>| {
        let code: LitInt = input
            .parse()
            .map_err(|error| Error::new(error.span(), "write #[error(code)], a number from 1"))?;
        if input.is_empty() {
            return Ok((code, Ident::new("FailedPrecondition", variant.span())));
        }
        input.parse::<Token![,]>()?;
        let status: Ident = input.parse()?;
        let known = STATUSES
            .iter()
            .find(|(name, _)| status == name)
            .map(|(_, known)| Ident::new(known, status.span()));
        let known = known.ok_or_else(|| {
            let names: Vec<_> = STATUSES.iter().map(|(name, _)| *name).collect();
            Error::new_spanned(&status, format!("`{status}` is not a status; there are {}", names.join(", ")))
        })?;
        Ok((code, known))
    })
}
