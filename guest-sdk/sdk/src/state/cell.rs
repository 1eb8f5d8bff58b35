//! One value.
use core::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use synod_abi::schema::StateKind;
use synod_abi::{Shape, Shaped};

use super::{StateField, prefix_key, read, write};
use crate::{Ctx, QueryCtx};

/// One value, or none.
#[derive(Debug)]
pub struct Cell<T> {
    prefix: u32,
    value: PhantomData<fn() -> T>,
}

impl<T: Shaped> StateField for Cell<T> {
    const KIND: StateKind = StateKind::Cell;
    const KEY: Shape = Shape::Unit;
    const VALUE: Shape = T::SHAPE;
}

impl<T: Shaped + Serialize + DeserializeOwned> Cell<T> {
    #[doc(hidden)]
    pub const fn at(prefix: u32) -> Self {
        Self { prefix, value: PhantomData }
    }

    /// The value, if there is one.
    pub fn get(&self, cx: &QueryCtx<'_>) -> Option<T> {
        read(cx, prefix_key(self.prefix), "cell")
    }

    /// Sets the value.
    pub fn put(&self, cx: &mut Ctx<'_>, value: &T) {
        write(cx, &prefix_key(self.prefix), value);
    }

    /// Removes the value, if there is one.
    pub fn delete(&self, cx: &mut Ctx<'_>) {
        cx.delete(&prefix_key(self.prefix));
    }
}
