//! Exact counters: numbers kept beside the rows that they count.
//!
//! A counter that would fall below zero contradicts its rows. Saturating at zero would let members
//! go on with a wrong number, so the member stops instead.
use alloc::format;

use crate::ports::Fatal;

/// A number that counts rows or their bytes.
pub(crate) trait Counter {
    /// Takes `less` away; `what` names the counter if it has less than that.
    ///
    /// # Errors
    /// [`Fatal`] if the counter would fall below zero.
    fn take(&mut self, less: Self, what: &str) -> Result<(), Fatal>;
}

macro_rules! counters {
    ($($number:ty)*) => {
        $(
            impl Counter for $number {
                fn take(&mut self, less: Self, what: &str) -> Result<(), Fatal> {
                    *self = self.checked_sub(less).ok_or_else(|| below_zero(what))?;
                    Ok(())
                }
            }
        )*
    };
}

counters! { u32 u64 usize }

fn below_zero(what: &str) -> Fatal {
    Fatal(format!(
        "the number of {what} would fall below zero: the data of this member is damaged; remove its data \
            directory and let it join again"
    ))
}

#[cfg(test)]
mod tests;
