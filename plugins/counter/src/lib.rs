//! Named counters: the primitive behind ids, tickets and statistics, decided in one round trip.
//!
//! A counter that nobody changed is 0 and takes no room. It does not expire, and has no floor or
//! ceiling but those of an `i64`; whoever needs a limit per time wants a rate limit.
use synod_sdk::prelude::*;

/// Most rows of one page of `list`.
const PAGE_ROWS: u32 = 1_000;

/// A named counter.
#[data]
pub struct Count {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: i64,
}

/// A page of counters.
#[data]
pub struct Page {
    /// Counters, by name.
    pub rows: Vec<Count>,
    /// There are more: pass it as `from` for the next page.
    pub next: Option<String>,
}

/// Why a counter refuses.
#[errors]
pub enum CounterError {
    /// The sum does not fit in 64 bits; the counter keeps its value.
    #[error(1, out_of_range)]
    Overflow {
        /// The counter's value.
        current: i64,
    },
    /// The counter has another value than expected; read it and decide again.
    #[error(2, aborted)]
    Conflict {
        /// The counter's value.
        current: i64,
    },
}

/// Named counters.
#[recipe(name = "counter", version = 1)]
pub struct Counters {
    /// Value by name; 0 has no row.
    counts: Map<String, i64>,
}

#[ops]
impl Counters {
    /// Adds `by`, which may be negative, and returns the sum.
    #[op]
    fn add(&self, cx: &mut Ctx, key: String, by: i64) -> Result<i64, CounterError> {
        let current = self.value(cx, &key);
        let sum = current.checked_add(by).ok_or(CounterError::Overflow { current })?;
        self.store(cx, &key, sum);
        Ok(sum)
    }

    /// Sets the counter and returns its former value.
    #[op]
    fn set(&self, cx: &mut Ctx, key: String, value: i64) -> i64 {
        let former = self.value(cx, &key);
        self.store(cx, &key, value);
        former
    }

    /// Sets the counter to `new` if its value is `expected`.
    #[op]
    fn compare_and_set(
        &self,
        cx: &mut Ctx,
        key: String,
        expected: i64,
        new: i64,
    ) -> Result<(), CounterError> {
        let current = self.value(cx, &key);
        ensure!(current == expected, CounterError::Conflict { current });
        self.store(cx, &key, new);
        Ok(())
    }

    /// Sets the counter to 0, which frees its row, and returns its former value.
    #[op]
    fn reset(&self, cx: &mut Ctx, key: String) -> i64 {
        let former = self.value(cx, &key);
        self.counts.delete(cx, &key);
        former
    }

    /// The counter's value; 0 if nothing was counted.
    #[query]
    fn get(&self, cx: &QueryCtx, key: String) -> i64 {
        self.value(cx, &key)
    }

    /// Counters other than 0 whose names begin with `prefix`, at most `limit` (1,000 if absent or
    /// more), beginning at `from`.
    #[query]
    fn list(&self, cx: &QueryCtx, prefix: String, limit: Option<u32>, from: Option<String>) -> Page {
        let limit = limit.unwrap_or(PAGE_ROWS).clamp(1, PAGE_ROWS) as usize;
        let from = from.filter(|from| *from > prefix).unwrap_or_else(|| prefix.clone());
        let mut counts =
            self.counts.range(cx, from..).at_most(limit + 1).take_while(|(key, _)| key.starts_with(&prefix));
        let rows = counts.by_ref().take(limit).map(|(key, value)| Count { key, value }).collect();
        Page { rows, next: counts.next().map(|(key, _)| key) }
    }

    fn value(&self, cx: &QueryCtx, key: &str) -> i64 {
        self.counts.get(cx, key).unwrap_or(0)
    }

    fn store(&self, cx: &mut Ctx, key: &str, value: i64) {
        match value {
            0 => self.counts.delete(cx, key),
            value => self.counts.put(cx, key, &value),
        }
    }
}
