//! Token bucket per key: at most `burst` tokens, refilled at `per_second`.
//!
//! A bucket is two numbers and a time, brought up to date when it is asked for: nothing runs in
//! between, so a million idle keys cost nothing. Time is the cluster's, the same on every member.
//! It limits how often, not how many at once; whoever needs that wants a semaphore.
use synod_sdk::prelude::*;

/// Milli-tokens in a token: one token a second is one milli-token a millisecond.
const MILLI: u64 = 1_000;

/// What a key may do.
#[data]
pub struct Limit {
    /// Tokens in a full bucket, at least 1.
    pub burst: u32,
    /// Tokens that flow in per second, at least 1.
    pub per_second: u32,
}

/// A bucket, as it was left.
#[data]
struct Bucket {
    milli: u64,
    at: Time,
}

/// What is left.
#[data]
pub struct Taken {
    /// Whole tokens in the bucket.
    pub left: u32,
}

/// Why a call is refused.
#[errors]
pub enum RateError {
    /// Configure the key first.
    #[error(1, not_found)]
    NoLimit,
    /// Try again after `retry_ms`.
    #[error(2, resource_exhausted)]
    Limited {
        /// Milliseconds until the bucket holds enough, if nobody else takes any.
        retry_ms: u64,
    },
    /// A bucket never holds that many; take at most `burst` at once.
    #[error(3, invalid_argument)]
    MoreThanBurst {
        /// The most that can be taken at once.
        burst: u32,
    },
    /// `burst` and `per_second` are at least 1; `remove` takes the limit away.
    #[error(4, invalid_argument)]
    ZeroLimit,
}

/// Token buckets by key.
#[recipe(name = "rate-limit", version = 1)]
pub struct RateLimit {
    /// What each key may do.
    limits: Map<String, Limit>,
    /// What each key has; a key without a bucket has all of its burst.
    buckets: Map<String, Bucket>,
}

#[ops]
impl RateLimit {
    /// Sets the limit of a key. The bucket keeps what it holds, up to the new burst; that of a new
    /// key is full.
    #[op]
    fn configure(&self, cx: &mut Ctx, key: String, limit: Limit) -> Result<(), RateError> {
        ensure!(limit.burst > 0 && limit.per_second > 0, RateError::ZeroLimit);
        if let Some(former) = self.limits.get(cx, &key) {
            let (at, milli) = (cx.now(), self.level(cx, &key, &former).min(capacity(&limit)));
            self.buckets.put(cx, &key, &Bucket { milli, at });
        }
        self.limits.put(cx, &key, &limit);
        Ok(())
    }

    /// Takes the limit and the bucket of a key away, and returns whether there was one.
    #[op]
    fn remove(&self, cx: &mut Ctx, key: String) -> bool {
        let there = self.limits.contains(cx, &key);
        self.limits.delete(cx, &key);
        self.buckets.delete(cx, &key);
        there
    }

    /// Takes `n` tokens, all or none.
    #[op]
    fn take(&self, cx: &mut Ctx, key: String, n: u32) -> Result<Taken, RateError> {
        let limit = self.limits.get(cx, &key).ok_or(RateError::NoLimit)?;
        ensure!(n <= limit.burst, RateError::MoreThanBurst { burst: limit.burst });
        let (at, have, want) = (cx.now(), self.level(cx, &key, &limit), u64::from(n) * MILLI);
        ensure!(
            have >= want,
            RateError::Limited { retry_ms: (want - have).div_ceil(u64::from(limit.per_second)) }
        );
        self.buckets.put(cx, &key, &Bucket { milli: have - want, at });
        Ok(taken(have - want))
    }

    /// What is left for a key, at the time of the last command.
    #[query]
    fn left(&self, cx: &QueryCtx, key: String) -> Result<Taken, RateError> {
        let limit = self.limits.get(cx, &key).ok_or(RateError::NoLimit)?;
        Ok(taken(self.level(cx, &key, &limit)))
    }

    /// The limit of a key, if it has one.
    #[query]
    fn limit(&self, cx: &QueryCtx, key: String) -> Option<Limit> {
        self.limits.get(cx, &key)
    }

    /// Milli-tokens in the bucket now.
    fn level(&self, cx: &QueryCtx, key: &str, limit: &Limit) -> u64 {
        let full = capacity(limit);
        let Some(bucket) = self.buckets.get(cx, key) else { return full };
        let refilled = cx.now().since_ms(bucket.at).saturating_mul(u64::from(limit.per_second));
        bucket.milli.saturating_add(refilled).min(full)
    }
}

fn capacity(limit: &Limit) -> u64 {
    u64::from(limit.burst) * MILLI
}

fn taken(milli: u64) -> Taken {
    Taken { left: (milli / MILLI) as u32 }
}

#[cfg(test)]
mod tests;
