//! What `#[recipe]`, `#[ops]` and `#[errors]` implement, and the wire of arguments and replies.
use alloc::vec::Vec;
use core::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
#[cfg(not(target_arch = "wasm32"))]
use synod_abi::Transport;
use synod_abi::schema::{ErrorsDef, SchemaDef, StateFieldDef};
use synod_abi::{
    DecodeError, EntryPoint, OperationId, REPLY_BAD_ARGUMENTS, REPLY_ERROR, REPLY_RESULT, Shape, decode_from,
    encode_into,
};

use crate::{Ctx, QueryCtx};

/// The name, version and state of a recipe: `#[recipe]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no name, version and state",
    note = "put #[recipe(name = \"…\", version = 1)] on the struct"
)]
pub trait RecipeState: Sized + 'static {
    /// Its name.
    const NAME: &'static str;
    /// Its version.
    const VERSION: u32;
    /// Its documentation.
    const DOCS: &'static str;
    /// Its state fields.
    const FIELDS: &'static [StateFieldDef];
    /// Its handles.
    const INSTANCE: Self;
    /// What its events carry: the `T` of `emits = T`, an [`EventPayload`](synod_abi::EventPayload);
    /// [`Never`] if it emits none.
    type Event;
    /// The same, as the schema has it.
    const EMITS: Option<EmitsDef>;
}

/// What a recipe emits.
#[derive(Clone, Copy, Debug)]
pub struct EmitsDef {
    /// Its shape.
    pub shape: &'static Shape,
    /// Its [`SIGNATURE`](synod_abi::EventPayload::SIGNATURE).
    pub signature: u64,
}

/// A recipe: `#[ops]` implements it.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a recipe", note = "put #[ops] on its impl block")]
pub trait Recipe: RecipeState {
    /// Its schema.
    const SCHEMA: SchemaDef;
    /// Its encoded schema.
    const SCHEMA_BYTES: &'static [u8];

    /// Its typed client.
    #[cfg(not(target_arch = "wasm32"))]
    type Client<'t, T: Transport + 't>;
    /// Its typed client without `async`: each method waits for the answer on this thread.
    #[cfg(not(target_arch = "wasm32"))]
    type BlockingClient<'t, T: Transport + 't>;

    /// The client of the space called `space`.
    #[cfg(not(target_arch = "wasm32"))]
    fn client<T: Transport>(transport: &T, space: impl Into<String>) -> Self::Client<'_, T>;
    /// The blocking client of the space called `space`.
    #[cfg(not(target_arch = "wasm32"))]
    fn blocking<T: Transport>(transport: &T, space: impl Into<String>) -> Self::BlockingClient<'_, T>;

    /// Runs an operation; returns the reply.
    #[doc(hidden)]
    fn operation(id: OperationId, cx: &mut Ctx<'_>, args: &[u8]) -> Vec<u8>;
    /// Runs a query; returns the reply.
    #[doc(hidden)]
    fn query(id: OperationId, cx: &QueryCtx<'_>, args: &[u8]) -> Vec<u8>;
    /// Runs a hook; returns the reply.
    #[doc(hidden)]
    fn hook(entry: EntryPoint, cx: &mut Ctx<'_>, args: &[u8]) -> Vec<u8>;
}

/// An error enum of a recipe: `#[errors]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error of a recipe",
    note = "put #[errors] on the enum, and #[error(code)] on its variants"
)]
pub trait RecipeError: Serialize + DeserializeOwned + fmt::Debug {
    /// Its shape, codes and statuses.
    const ERRORS: ErrorsDef;
    /// The code of this variant.
    fn code(&self) -> u32;
}

/// The error of an operation that does not refuse: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl core::error::Error for Never {}

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("this operation does not refuse"))
    }
}

/// Arguments as they lie on the wire: the postcard of each behind that of the one before.
#[derive(Debug)]
pub struct Args<'a>(pub &'a [u8]);

impl Args<'_> {
    /// The next argument.
    ///
    /// # Errors
    /// [`DecodeError`] if it is malformed or missing.
    pub fn required<T: DeserializeOwned>(&mut self) -> Result<T, DecodeError> {
        decode_from(&mut self.0)
    }

    /// The next argument; `None` if the caller did not know of it yet.
    ///
    /// # Errors
    /// [`DecodeError`] if it is malformed.
    pub fn optional<T: DeserializeOwned>(&mut self) -> Result<Option<T>, DecodeError> {
        if self.0.is_empty() { Ok(None) } else { decode_from(&mut self.0) }
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// [`DecodeError`] if the caller sent more than this recipe knows.
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError) }
    }
}

/// The reply to arguments that do not decode, and to an unknown entry point.
pub fn bad_arguments() -> Vec<u8> {
    Vec::from([REPLY_BAD_ARGUMENTS])
}

/// The reply with a result.
pub fn replied<T: Serialize>(result: &T) -> Vec<u8> {
    encode_into(result, Vec::from([REPLY_RESULT]))
}

/// The reply with a business error.
pub fn refused<E: RecipeError>(error: &E) -> Vec<u8> {
    let [a, b, c, d] = error.code().to_le_bytes();
    encode_into(error, Vec::from([REPLY_ERROR, a, b, c, d]))
}
