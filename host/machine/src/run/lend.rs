//! A value that is lent out and given back.
use core::ops::{Deref, DerefMut};

/// Holds a value, except while it is lent to somebody who takes it by value.
///
/// Whoever lends it does nothing with it until it is back: otherwise using it panics.
#[derive(Debug)]
pub(crate) struct Lent<T>(Option<T>);

const AWAY: &str = "nothing uses the value while it is lent";

impl<T> Lent<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// Takes the value out, to be given back by [`Lent::give_back`].
    pub(crate) fn lend(&mut self) -> T {
        self.0.take().expect(AWAY)
    }

    /// Puts the value back.
    pub(crate) fn give_back(&mut self, value: T) {
        self.0 = Some(value);
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.expect(AWAY)
    }
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(AWAY)
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(AWAY)
    }
}
