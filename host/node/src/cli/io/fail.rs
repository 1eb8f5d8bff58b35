//! Why a command failed, as an exit code, a sentence, and the next step.
use std::process::ExitCode;

use serde_json::{Value, json};
use synod_abi::{Reason, ReasonKind};
use synod_build::BuildError;
use synod_client::{Error, RecipeError, Refusal};

use crate::cli::values::args::Misfit;
use crate::settings::{Invalid, StartError};

/// What kind of thing happened: the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// A recipe's rules, a limit, or a rule of the cluster; nothing was changed.
    Rejected = 1,
    /// The command line, a config file, or an argument that does not fit the schema.
    Usage = 2,
    /// Surely not applied.
    Unavailable = 3,
    /// It may or may not have been applied.
    OutcomeUnknown = 4,
    /// Anything else.
    Internal = 5,
    /// The call waited as long as it was allowed to: a lock was not acquired, an election not won.
    WaitTimeout = 6,
    /// The session has ended, or could not be relied upon any more; or a leadership was lost to
    /// another.
    SessionLost = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Usage => "usage",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Internal => "internal",
            Self::WaitTimeout => "wait_timeout",
            Self::SessionLost => "session_lost",
        }
    }
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failed {
    pub(crate) exit: Exit,
    /// What was wrong.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) next: Option<String>,
    detail: Box<Detail>,
}

/// What programs are told beside the sentence.
#[derive(Clone, Debug, Default, PartialEq)]
struct Detail {
    /// Stable, in upper case.
    reason: Option<String>,
    /// The recipe's code and error.
    recipe: Option<(u32, Option<Value>)>,
    /// The path of the offending field.
    field: Option<String>,
}

impl Failed {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), next: None, detail: Box::default() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// The same, with the next step after a failure for this reason.
    #[must_use]
    pub(crate) fn next_after(mut self, reason: Reason) -> Self {
        self.next = reason.next_step().map(str::to_owned);
        self
    }

    fn because(mut self, reason: Reason) -> Self {
        self.detail.reason = Some(reason.into());
        self.next_after(reason)
    }

    fn of_recipe(error: &RecipeError) -> Self {
        let json = error
            .json
            .as_deref()
            .map(|json| serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.to_owned())));
        let mut failed = Self::new(Exit::Rejected, format!("rejected: {error}")).because(Reason::RecipeError);
        failed.detail.recipe = Some((error.code, json));
        failed
    }

    /// A reason that only a newer cluster knows is a rejection, too, without a next step.
    fn of_refusal(refusal: Refusal) -> Self {
        let known = refusal.known_reason();
        let exit = match known.map(Reason::kind) {
            Some(ReasonKind::BadRequest(_)) => Exit::Usage,
            Some(ReasonKind::Unavailable(_)) => Exit::Unavailable,
            Some(ReasonKind::OutcomeUnknown) => Exit::OutcomeUnknown,
            Some(ReasonKind::Rejected(_)) | None => Exit::Rejected,
        };
        let mut failed = Self::new(exit, refusal.to_string());
        failed.next = match &refusal.limit {
            Some((name, value)) if known == Some(Reason::RecipeFault) => {
                Some(format!("do less in one call: {name} is {value}, for every recipe"))
            }
            _ => known.and_then(Reason::next_step).map(str::to_owned),
        };
        failed.detail.reason = Some(refusal.reason);
        failed.detail.field = refusal.field;
        failed
    }

    /// What standard error shows to people.
    pub(crate) fn text(&self) -> String {
        let field = match &self.detail.field {
            Some(field) if !self.message.contains(field.as_str()) => format!("{field}: "),
            _ => String::new(),
        };
        let next = self.next.as_ref().map(|next| format!("\n  next: {next}")).unwrap_or_default();
        format!("error: {field}{}{next}", self.message)
    }

    /// What standard error shows to programs.
    pub(crate) fn json(&self) -> Value {
        let mut error =
            json!({ "kind": self.exit.name(), "exit_code": self.exit as u8, "message": self.message });
        let mut set = |name: &str, value: Value| error[name] = value;
        if let Some(reason) = &self.detail.reason {
            set("reason", json!(reason));
        }
        if let Some(field) = &self.detail.field {
            set("field", json!(field));
        }
        if let Some((code, recipe_error)) = &self.detail.recipe {
            set("code", json!(code));
            set("error", recipe_error.clone().unwrap_or(Value::Null));
        }
        if let Some(next) = &self.next {
            set("next", json!(next));
        }
        json!({ "error": error })
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error {
            Error::Rejected(recipe) => Self::of_recipe(&recipe),
            Error::Refused(refusal) => Self::of_refusal(refusal),
            Error::Unavailable(_) => Self::new(Exit::Unavailable, error.to_string()).next(
                "is a member running there? `synod status -e HOST:PORT` asks another; trying again is safe",
            ),
            Error::OutcomeUnknown(_) => Self::new(Exit::OutcomeUnknown, error.to_string())
                .next("look whether it was applied, with a query, before trying again"),
            Error::WaitTimeout => {
                Self::new(Exit::WaitTimeout, error.to_string()).because(Reason::WaitTimeout)
            }
            Error::SessionExpired(_) => {
                Self::new(Exit::SessionLost, error.to_string()).because(Reason::SessionExpired)
            }
            Error::Internal(_) => Self::new(Exit::Internal, error.to_string())
                .next("`synod status` shows the members' health; see their logs"),
        }
    }
}

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        let exit = match error {
            StartError::Usage(_) => Exit::Usage,
            StartError::Unavailable(_) => Exit::Unavailable,
            StartError::Fatal(_) => Exit::Internal,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<Invalid> for Failed {
    fn from(Invalid { message, next }: Invalid) -> Self {
        Self { next, ..Self::usage(message) }
    }
}

impl From<Misfit> for Failed {
    fn from(Misfit { message, expected }: Misfit) -> Self {
        Self::usage(message).next(expected)
    }
}

impl From<BuildError> for Failed {
    fn from(error: BuildError) -> Self {
        let exit = match error {
            BuildError::Cargo { .. } => Exit::Rejected,
            BuildError::Io { .. } | BuildError::Garbled { .. } => Exit::Internal,
            _ => Exit::Usage,
        };
        Self::new(exit, error.to_string())
    }
}

#[cfg(test)]
mod tests;
