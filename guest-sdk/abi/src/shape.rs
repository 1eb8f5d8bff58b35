//! Shapes: what a type looks like on the wire, for people, JSON and upgrade checks. A constant per
//! type, made by `#[data]`.
//!
//! Our own rather than postcard-schema's: that one has no documentation, shows byte strings as
//! arrays of numbers, and knows no tokens, times or sessions. Floats, `usize`, hash maps and
//! recursive types have no shape, so a recipe that uses them does not compile.
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

/// What a type looks like on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the plain kinds are what their names say")]
pub enum Shape {
    Unit,
    Bool,
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    Char,
    String,
    /// A [`Blob`](crate::Blob): base64 in JSON.
    Bytes,
    /// A [`Token`](crate::Token).
    Token,
    /// A [`Time`](crate::Time).
    Time,
    /// A [`Revision`](crate::Revision).
    Revision,
    /// A [`SessionId`](crate::SessionId): 32 hexadecimal digits in JSON.
    SessionId,
    /// An `Option`; never directly in another one, which JSON could not tell apart.
    Option(&'static Shape),
    /// A `Vec`, `VecDeque` or `BTreeSet`.
    List(&'static Shape),
    /// A `BTreeMap`: an object if its keys are strings, otherwise a list of pairs.
    Map(&'static Shape, &'static Shape),
    /// A tuple of two or more.
    Tuple(&'static [&'static Shape]),
    Struct(&'static StructShape),
    Enum(&'static EnumShape),
}

impl Shape {
    /// Whether every value of this shape takes at least one byte. Lists of others would let a few
    /// bytes claim any number of items.
    pub const fn takes_bytes(&self) -> bool {
        match self {
            Self::Unit => false,
            Self::Tuple(items) => {
                let mut i = 0;
                while i < items.len() {
                    if items[i].takes_bytes() {
                        return true;
                    }
                    i += 1;
                }
                false
            }
            Self::Struct(shape) => {
                let mut i = 0;
                while i < shape.fields.len() {
                    if shape.fields[i].shape.takes_bytes() {
                        return true;
                    }
                    i += 1;
                }
                false
            }
            _ => true,
        }
    }

    const fn listed(&self) -> &Self {
        assert!(self.takes_bytes(), "a list of values without content has no bytes to count: use a number");
        self
    }
}

/// A struct with named fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StructShape {
    /// Its name.
    pub name: &'static str,
    /// Its documentation.
    pub docs: &'static str,
    /// Its fields, in the order of the wire.
    pub fields: &'static [FieldShape],
}

/// A named field, argument or part of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldShape {
    /// Its name.
    pub name: &'static str,
    /// Its documentation.
    pub docs: &'static str,
    /// Its shape.
    pub shape: &'static Shape,
}

/// An enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnumShape {
    /// Its name.
    pub name: &'static str,
    /// Its documentation.
    pub docs: &'static str,
    /// Its variants, in the order of their numbers on the wire, from 0.
    pub variants: &'static [VariantShape],
}

/// A variant: without fields `"A"` in JSON, with them `{"A": {…}}`. Variants with one unnamed field
/// hold it as field `"0"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VariantShape {
    /// Its name.
    pub name: &'static str,
    /// Its documentation.
    pub docs: &'static str,
    /// Its fields.
    pub fields: &'static [FieldShape],
}

/// A type that can cross the boundary. `#[data]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument, a result or stored state",
    note = "put #[data] on it; floats, usize, isize, HashMap and recursive types have no shape"
)]
pub trait Shaped {
    /// Its shape.
    const SHAPE: Shape;
}

macro_rules! shaped {
    ($($type:ty => $shape:ident),* $(,)?) => {
        $(impl Shaped for $type { const SHAPE: Shape = Shape::$shape; })*
    };
}

shaped! {
    () => Unit, bool => Bool, u8 => U8, u16 => U16, u32 => U32, u64 => U64, u128 => U128,
    i8 => I8, i16 => I16, i32 => I32, i64 => I64, i128 => I128,
    char => Char, String => String, str => String,
    crate::Blob => Bytes, crate::Token => Token, crate::Time => Time, crate::Revision => Revision,
    crate::SessionId => SessionId, crate::TicketId => U64, crate::TimerId => U64,
}

impl<T: Shaped> Shaped for Option<T> {
    const SHAPE: Shape = {
        assert!(
            !matches!(T::SHAPE, Shape::Option(_) | Shape::Unit),
            "an Option of an Option, or of (), looks like null in JSON: use an enum"
        );
        Shape::Option(&T::SHAPE)
    };
}

impl<T: Shaped> Shaped for Vec<T> {
    const SHAPE: Shape = Shape::List(T::SHAPE.listed());
}

impl<T: Shaped> Shaped for VecDeque<T> {
    const SHAPE: Shape = Shape::List(T::SHAPE.listed());
}

impl<T: Shaped> Shaped for BTreeSet<T> {
    const SHAPE: Shape = Shape::List(T::SHAPE.listed());
}

impl<K: Shaped, V: Shaped> Shaped for BTreeMap<K, V> {
    const SHAPE: Shape = Shape::Map(K::SHAPE.listed(), &V::SHAPE);
}

impl<T: Shaped + ?Sized> Shaped for Box<T> {
    const SHAPE: Shape = T::SHAPE;
}

impl<T: Shaped + ?Sized> Shaped for &T {
    const SHAPE: Shape = T::SHAPE;
}

macro_rules! tuple {
    ($($type:ident)+) => {
        impl<$($type: Shaped),+> Shaped for ($($type,)+) {
            const SHAPE: Shape = Shape::Tuple(&[$(&$type::SHAPE),+]);
        }
    };
}

tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
