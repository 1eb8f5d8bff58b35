//! `#[data]`: derives, the shape, and with `key` the key codec.
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, DataEnum, DeriveInput, Error, Fields, Ident, Result, Type};

use crate::attributes::{docs, missing_derives, refuse_cfg, refuse_generics, refuse_serde};
use crate::names::plain;

const MOST_KEY_VARIANTS: usize = 256;

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let key = match args.to_string().as_str() {
        "" => false,
        "key" => true,
        _ => return Err(Error::new_spanned(args, "write #[data] or #[data(key)]")),
    };
    let item: DeriveInput =
        syn::parse2(item).map_err(|error| Error::new(error.span(), "#[data] goes on a struct or an enum"))?;
    check(&item)?;
    let derives = missing_derives(
        &item.attrs,
        if key {
            &["Clone", "Debug", "PartialEq", "Eq", "PartialOrd", "Ord"]
        } else {
            &["Clone", "Debug", "PartialEq", "Eq"]
        },
    )?;
    let name = &item.ident;
    let shape = shape(&item)?;
    let codec = if key { key_codec(&item)? } else { TokenStream::new() };
    Ok(quote! {
        #derives
        #item
        const _: () = {
            #[allow(unused_imports)]
            use ::synod_sdk::__private as __synod;
            impl __synod::Shaped for #name {
                const SHAPE: __synod::Shape = #shape;
            }
            #codec
        };
    })
}

fn check(item: &DeriveInput) -> Result<()> {
    refuse_generics(&item.generics)?;
    refuse_serde(&item.attrs)?;
    let fields = |fields: &Fields| {
        fields.iter().try_for_each(|field| {
            refuse_serde(&field.attrs)?;
            refuse_cfg(&field.attrs, "a field")
        })
    };
    match &item.data {
        syn::Data::Struct(data) => fields(&data.fields),
        syn::Data::Enum(data) => {
            if data.variants.is_empty() {
                return Err(Error::new_spanned(&item.ident, "an enum without variants has no values"));
            }
            data.variants.iter().try_for_each(|variant| {
                refuse_serde(&variant.attrs)?;
                refuse_cfg(&variant.attrs, "a variant")?;
                if let Some((_, number)) = &variant.discriminant {
                    return Err(Error::new_spanned(
                        number,
                        "a variant's number on the wire is its position, counted from 0: remove the number",
                    ));
                }
                fields(&variant.fields)
            })
        }
        syn::Data::Union(data) => {
            Err(Error::new(data.union_token.span, "a union cannot cross the boundary: use an enum"))
        }
    }
}

fn shape(item: &DeriveInput) -> Result<TokenStream> {
    match &item.data {
        syn::Data::Struct(data) => Ok(match &data.fields {
            Fields::Named(fields) => {
                let (name, docs) = (plain(&item.ident), docs(&item.attrs));
                let fields = fields
                    .named
                    .iter()
                    .map(|field| field_shape(field.ident.as_ref(), &field.attrs, &field.ty));
                let shape = quote! {
                    __synod::StructShape { name: #name, docs: #docs, fields: &[#(#fields),*] }
                };
                quote!(__synod::Shape::Struct(&#shape))
            }
            Fields::Unit => quote!(__synod::Shape::Unit),
            Fields::Unnamed(fields) => {
                let shapes: Vec<_> = fields.unnamed.iter().map(|field| shape_of(&field.ty)).collect();
                match shapes.as_slice() {
                    [] => {
                        return Err(Error::new_spanned(
                            &item.ident,
                            "write a struct without fields as `struct Name;`",
                        ));
                    }
                    [one] => quote!(*#one),
                    more => quote!(__synod::Shape::Tuple(&[#(#more),*])),
                }
            }
        }),
        syn::Data::Enum(data) => {
            let shape = enum_shape(&item.ident, &item.attrs, data)?;
            Ok(quote!(__synod::Shape::Enum(&#shape)))
        }
        syn::Data::Union(_) => unreachable!("refused by check"),
    }
}

/// The `EnumShape` of an enum.
pub(crate) fn enum_shape(ident: &Ident, attributes: &[Attribute], data: &DataEnum) -> Result<TokenStream> {
    let mut variants = Vec::new();
    for variant in &data.variants {
        let (name, docs) = (plain(&variant.ident), docs(&variant.attrs));
        if matches!(&variant.fields, Fields::Unnamed(fields) if fields.unnamed.len() != 1) {
            return Err(Error::new_spanned(
                &variant.fields,
                "a variant has named fields, or one without a name",
            ));
        }
        let fields =
            variant.fields.iter().map(|field| field_shape(field.ident.as_ref(), &field.attrs, &field.ty));
        variants.push(quote! { __synod::VariantShape { name: #name, docs: #docs, fields: &[#(#fields),*] } });
    }
    let (name, docs) = (plain(ident), docs(attributes));
    Ok(quote! { __synod::EnumShape { name: #name, docs: #docs, variants: &[#(#variants),*] } })
}

/// The `FieldShape` of a field; one without a name is called `0`.
pub(crate) fn field_shape(ident: Option<&Ident>, attributes: &[Attribute], ty: &Type) -> TokenStream {
    let (name, docs, shape) = (ident.map_or_else(|| "0".into(), plain), docs(attributes), shape_of(ty));
    quote! { __synod::FieldShape { name: #name, docs: #docs, shape: #shape } }
}

/// A reference to the shape of `ty`, so spanned that the compiler points at the type.
pub(crate) fn shape_of(ty: &Type) -> TokenStream {
    quote_spanned!(ty.span()=> &<#ty as __synod::Shaped>::SHAPE)
}

fn key_codec(item: &DeriveInput) -> Result<TokenStream> {
    let name = &item.ident;
    let (encode, decode) = match &item.data {
        syn::Data::Struct(data) => {
            let (pattern, encode, decode) = key_fields(&data.fields);
            (
                quote! { let Self #pattern = self; #(#encode)* },
                quote! { ::core::result::Result::Ok(Self #decode) },
            )
        }
        syn::Data::Enum(data) => {
            if data.variants.len() > MOST_KEY_VARIANTS {
                return Err(Error::new_spanned(name, "a key has at most 256 variants"));
            }
            let (mut encodes, mut decodes) = (Vec::new(), Vec::new());
            for (number, variant) in data.variants.iter().enumerate() {
                let (number, ident) = (number as u8, &variant.ident);
                let (pattern, encode, decode) = key_fields(&variant.fields);
                encodes.push(quote! { Self::#ident #pattern => { __out.push(#number); #(#encode)* } });
                decodes.push(quote! { #number => ::core::result::Result::Ok(Self::#ident #decode), });
            }
            (
                quote! { match self { #(#encodes)* } },
                quote! {
                    match <u8 as __synod::OwnedKey>::decode_key(__bytes)? {
                        #(#decodes)*
                        _ => ::core::result::Result::Err(__synod::KeyError),
                    }
                },
            )
        }
        syn::Data::Union(_) => unreachable!("refused by check"),
    };
    Ok(quote! {
        impl __synod::Key for #name {
            fn encode_key(&self, __out: &mut __synod::Vec<u8>) { #encode }
        }
        impl __synod::OwnedKey for #name {
            fn decode_key(__bytes: &mut &[u8]) -> ::core::result::Result<Self, __synod::KeyError> { #decode }
        }
    })
}

/// Pattern, encoding statements and decoding constructor of fields as key parts.
fn key_fields(fields: &Fields) -> (TokenStream, Vec<TokenStream>, TokenStream) {
    let binding = |at: usize| format_ident!("__part_{at}", span = Span::mixed_site());
    let encode = fields.iter().enumerate().map(|(at, field)| {
        let (binding, ty) = (binding(at), &field.ty);
        quote_spanned!(ty.span()=> <#ty as __synod::Key>::encode_key(#binding, __out);)
    });
    let decode = fields.iter().map(|field| {
        let ty = &field.ty;
        quote_spanned!(ty.span()=> <#ty as __synod::OwnedKey>::decode_key(__bytes)?)
    });
    let bindings = (0..fields.len()).map(binding);
    match fields {
        Fields::Named(named) => {
            let names: Vec<_> = named.named.iter().map(|field| &field.ident).collect();
            (quote!({ #(#names: #bindings),* }), encode.collect(), quote!({ #(#names: #decode),* }))
        }
        Fields::Unnamed(_) => (quote!((#(#bindings),*)), encode.collect(), quote!((#(#decode),*))),
        Fields::Unit => (TokenStream::new(), Vec::new(), TokenStream::new()),
    }
}
