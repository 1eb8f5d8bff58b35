//! In which form a watch gets the payloads of its events.
use std::fmt;
use std::marker::PhantomData;

use synod_abi::EventPayload;
use synod_api::v1::{EventForm, Value};

use crate::Error;
use crate::error::{json_of, postcard_of};

/// A form of payloads: [`Json`], [`Postcard`] or [`Typed`].
pub trait Form: private::Form {}

impl<F: private::Form> Form for F {}

/// Payloads as JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {}

/// Payloads as their recipe encoded them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Postcard {}

/// Payloads as what their recipe emits. A member whose recipe emits something else refuses the
/// watch.
pub struct Typed<T>(PhantomData<fn() -> T>);

impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Typed")
    }
}

impl private::Form for Json {
    type Payload = String;
    const FORM: EventForm = EventForm::Json;
    const SIGNATURE: u64 = 0;

    fn read(payload: Option<Value>) -> Result<String, Error> {
        json_of(payload)
    }
}

impl private::Form for Postcard {
    type Payload = Vec<u8>;
    const FORM: EventForm = EventForm::Postcard;
    const SIGNATURE: u64 = 0;

    fn read(payload: Option<Value>) -> Result<Vec<u8>, Error> {
        postcard_of(payload)
    }
}

impl<T: EventPayload> private::Form for Typed<T> {
    type Payload = T;
    const FORM: EventForm = EventForm::Postcard;
    const SIGNATURE: u64 = T::SIGNATURE;

    fn read(payload: Option<Value>) -> Result<T, Error> {
        let bytes = postcard_of(payload)?;
        synod_abi::decode(&bytes).map_err(|_| {
            Error::Internal("an event's payload is not what its recipe emits; rebuild this client".into())
        })
    }
}

pub(crate) mod private {
    use super::{Error, EventForm, Value};

    /// What makes a form.
    pub trait Form: 'static {
        /// What a payload becomes.
        type Payload: Send + 'static;
        /// As it is asked for.
        const FORM: EventForm;
        /// Of the type that is expected; 0: any.
        const SIGNATURE: u64;

        /// Reads a payload.
        ///
        /// # Errors
        /// If it is not of this form.
        fn read(payload: Option<Value>) -> Result<Self::Payload, Error>;
    }
}
