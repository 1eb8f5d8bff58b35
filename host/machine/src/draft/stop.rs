//! Why a command goes no further.
use crate::log::rejection::Rejection;
use crate::ports::Fatal;

/// Why a command goes no further: for a reason that every member has, or for one of this member.
#[derive(Debug)]
pub(crate) enum Stop {
    Rejected(Rejection),
    Fatal(Fatal),
}

impl From<Fatal> for Stop {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// Splits a result in two: the rejection stays, what is fatal goes on up.
pub(crate) fn or_rejected<T>(result: Result<T, Stop>) -> Result<Result<T, Rejection>, Fatal> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Rejected(rejection)) => Ok(Err(rejection)),
        Err(Stop::Fatal(fatal)) => Err(fatal),
    }
}
