//! `#[recipe]`: name, version, what it emits, and the handles as constants.
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Fields, Ident, ItemStruct, LitInt, LitStr, PathArguments, Result, Token, Type};

use crate::attributes::{docs, refuse_cfg, take};
use crate::data::shape_of;
use crate::names::{check_hashes, is_recipe_name, plain};

struct Arguments {
    name: LitStr,
    version: u32,
    emits: Option<Type>,
}

/// Types that look like a payload's and are of no recipe's crate, so that the macro could not
/// implement a trait for them.
const FOREIGN: [&str; 22] = [
    "bool",
    "char",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "str",
    "String",
    "Blob",
    "Token",
    "Time",
    "Revision",
    "SessionId",
    "TicketId",
    "TimerId",
    "Event",
];

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Arguments { name, version, emits } = syn::parse::Parser::parse2(arguments, args)?;
    let mut item: ItemStruct =
        syn::parse2(item).map_err(|error| Error::new(error.span(), "#[recipe] goes on a struct"))?;
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(&item.generics, "a recipe has no generics"));
    }
    if matches!(item.fields, Fields::Unnamed(_)) {
        return Err(Error::new_spanned(
            &item.fields,
            "the state fields of a recipe have names: their rows are found by them",
        ));
    }
    let (mut names, mut defs, mut handles) = (Vec::new(), Vec::new(), Vec::new());
    for field in &mut item.fields {
        refuse_cfg(&field.attrs, "a state field")?;
        let ident = field.ident.clone().expect("fields without names are refused above");
        let stored = stored_name(&ident, &take(&mut field.attrs, "state"))?;
        let (ty, docs) = (&field.ty, docs(&field.attrs));
        let prefix = quote!(__synod::fnv1a_32(#stored.as_bytes()));
        handles.push(quote_spanned!(ty.span()=> #ident: <#ty>::at(#prefix)));
        let field_trait = quote_spanned!(ty.span()=> <#ty as __synod::StateField>);
        defs.push(quote! {
            __synod::StateFieldDef {
                name: #stored,
                docs: #docs,
                prefix: #prefix,
                kind: #field_trait::KIND,
                key: &#field_trait::KEY,
                value: &#field_trait::VALUE,
            }
        });
        names.push((ident, stored));
    }
    check_hashes(
        "state fields",
        "choose another name with #[state(name = \"…\")]",
        names.iter().map(|(ident, name)| (ident, name.clone())),
    )?;
    let (ident, docs) = (&item.ident, docs(&item.attrs));
    let (event, emits, payload) = emitted(emits.as_ref());
    Ok(quote! {
        #item
        const _: () = {
            use ::synod_sdk::__private as __synod;
            impl __synod::RecipeState for #ident {
                const NAME: &'static str = #name;
                const VERSION: u32 = #version;
                const DOCS: &'static str = #docs;
                const FIELDS: &'static [__synod::StateFieldDef] = &[#(#defs),*];
                const INSTANCE: Self = Self { #(#handles),* };
                type Event = #event;
                const EMITS: ::core::option::Option<__synod::EmitsDef> = #emits;
            }
            #payload
        };
    })
}

/// The recipe's type of events, what it declares of them, and the implementation that lets them be
/// emitted.
fn emitted(ty: Option<&Type>) -> (TokenStream, TokenStream, TokenStream) {
    let Some(ty) = ty else {
        return (quote!(__synod::Never), quote!(::core::option::Option::None), TokenStream::new());
    };
    let payload = quote_spanned!(ty.span()=> <#ty as __synod::EventPayload>);
    let shape = shape_of(ty);
    (
        quote!(#ty),
        quote! {
            ::core::option::Option::Some(__synod::EmitsDef {
                shape: #shape,
                signature: #payload::SIGNATURE,
            })
        },
        quote_spanned! {ty.span()=>
            #[allow(long_running_const_eval)]
            impl __synod::EventPayload for #ty {
                const SIGNATURE: u64 = {
                    const SHAPE: &__synod::Shape = #shape;
                    SHAPE.signature::<{ SHAPE.signature_len() }>()
                };
            }
        },
    )
}

/// Checks what can be seen of the type that a recipe is to emit.
fn payload(ty: Type) -> Result<Type> {
    const REMEDY: &str =
        "an event's payload is a #[data] type of this crate: wrap it, `#[data] pub struct Change(…);`";
    let Type::Path(path) = &ty else { return Err(Error::new_spanned(&ty, REMEDY)) };
    match path.path.segments.last() {
        Some(last)
            if !matches!(last.arguments, PathArguments::None)
                || FOREIGN.iter().any(|name| last.ident == name) =>
        {
            Err(Error::new_spanned(&ty, format!("`{}` cannot be emitted as it is; {REMEDY}", quote!(#ty))))
        }
        _ => Ok(ty),
    }
}

fn arguments(input: ParseStream<'_>) -> Result<Arguments> {
    const USAGE: &str = "write #[recipe(name = \"…\", version = 1)], and `emits = Type` if it emits events";
    let (mut name, mut version, mut emits) = (None, None, None);
    while !input.is_empty() {
        let key: Ident = input.parse()?;
        input.parse::<Token![=]>()?;
        if key == "name" {
            let text: LitStr = input.parse()?;
            if !is_recipe_name(&text.value()) {
                return Err(Error::new_spanned(
                    text,
                    "a recipe's name is made of a-z, 0-9, '-', '_' and '.', begins with a letter or digit, \
                        and has at most 128 bytes",
                ));
            }
            name = Some(text);
        } else if key == "version" {
            let number: LitInt = input.parse()?;
            version = match number.base10_parse()? {
                0 => return Err(Error::new_spanned(number, "versions begin at 1")),
                version => Some(version),
            };
        } else if key == "emits" {
            emits = Some(payload(input.parse()?)?);
        } else {
            return Err(Error::new_spanned(&key, format!("`{key}` is not known; {USAGE}")));
        }
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    match (name, version) {
        (Some(name), Some(version)) => Ok(Arguments { name, version, emits }),
        _ => Err(input.error(USAGE)),
    }
}

fn stored_name(ident: &Ident, attributes: &[Attribute]) -> Result<String> {
    match attributes {
        [] => Ok(plain(ident)),
        [attribute] => attribute.parse_args_with(|input: ParseStream<'_>| {
            let key: Ident = input.parse()?;
            if key != "name" {
                return Err(Error::new_spanned(key, "write #[state(name = \"…\")]"));
            }
            input.parse::<Token![=]>()?;
            let name: LitStr = input.parse()?;
            if name.value().is_empty() {
                return Err(Error::new_spanned(name, "the name is empty"));
            }
            Ok(name.value())
        }),
        [_, more, ..] => Err(Error::new_spanned(more, "a field has one #[state]")),
    }
}
