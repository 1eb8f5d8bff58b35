//! One number.
use core::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use synod_abi::schema::StateKind;
use synod_abi::{Shape, Shaped};

use super::{StateField, prefix_key, read, write};
use crate::{Ctx, QueryCtx};

/// A number that a [`Counter`] can hold: `i64` or `u64`.
pub trait CounterValue: Shaped + Serialize + DeserializeOwned + Copy + Default + private::Sealed {
    #[doc(hidden)]
    fn plus(self, by: Self) -> Option<Self>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for i64 {}
    impl Sealed for u64 {}
}

impl CounterValue for i64 {
    fn plus(self, by: Self) -> Option<Self> {
        self.checked_add(by)
    }
}

impl CounterValue for u64 {
    fn plus(self, by: Self) -> Option<Self> {
        self.checked_add(by)
    }
}

/// One number, 0 at first. For a number per key use a `Map<K, i64>`.
#[derive(Debug)]
pub struct Counter<N = i64> {
    prefix: u32,
    value: PhantomData<fn() -> N>,
}

impl<N: CounterValue> StateField for Counter<N> {
    const KIND: StateKind = StateKind::Counter;
    const KEY: Shape = Shape::Unit;
    const VALUE: Shape = N::SHAPE;
}

impl<N: CounterValue> Counter<N> {
    #[doc(hidden)]
    pub const fn at(prefix: u32) -> Self {
        Self { prefix, value: PhantomData }
    }

    /// The number.
    pub fn get(&self, cx: &QueryCtx<'_>) -> N {
        read(cx, prefix_key(self.prefix), "counter").unwrap_or_default()
    }

    /// Sets the number.
    pub fn set(&self, cx: &mut Ctx<'_>, value: N) {
        write(cx, &prefix_key(self.prefix), &value);
    }

    /// Adds `by` and returns the sum.
    ///
    /// # Panics
    /// If the sum does not fit, which ends the call; see [`Counter::checked_add`].
    pub fn add(&self, cx: &mut Ctx<'_>, by: N) -> N {
        self.checked_add(cx, by).expect("the counter does not overflow")
    }

    /// Adds `by` and returns the sum; changes nothing and returns `None` if it does not fit.
    pub fn checked_add(&self, cx: &mut Ctx<'_>, by: N) -> Option<N> {
        let sum = self.get(cx).plus(by)?;
        self.set(cx, sum);
        Some(sum)
    }
}
