//! Why a command failed, as an exit code, a sentence, and the next step.
use std::process::ExitCode;

use serde_json::{Value, json};
use synod_api::reason;
use synod_build::BuildError;
use synod_client::Error;

use super::hints::SESSION_NEEDED;
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

/// The next step after a refusal, by its reason.
fn next_step(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "UNKNOWN_SPACE" => {
            "`synod space list` shows the spaces; `synod space create SPACE --recipe NAME` makes one"
        }
        "UNKNOWN_RECIPE" => {
            "`synod recipe list` shows what is installed; `synod recipe install FILE` adds to it"
        }
        "UNKNOWN_OPERATION" | "UNKNOWN_QUERY" | "INVALID_ARGUMENTS" | "SCHEMA_MISMATCH" => {
            "`synod space describe SPACE` shows operations, queries and their arguments"
        }
        "NOT_ADMITTED" => "`synod recipe check FILE` explains what the module breaks",
        "RECIPE_FAULT" => "`synod recipe logs` shows panics and what the recipe logged",
        "RECIPE_EXISTS" => "count up `version` in #[recipe(…)]; `synod dev` also takes `--replace`",
        "RECIPE_IN_USE" => "`synod recipe describe NAME@VERSION` names the spaces that run it",
        reason::SESSION_REQUIRED | reason::CANNOT_WAIT => SESSION_NEEDED,
        reason::WRONG_SECRET => {
            "the token is ID:SECRET as `synod session open` printed it; whoever has not got it opens a \
                session of its own"
        }
        reason::TTL_OUT_OF_BOUNDS => {
            "`synod session bounds` shows and sets the bounds; `--nearest` takes what is allowed"
        }
        reason::TOO_MANY_OUTCOMES => "close the session and open another one",
        reason::REQUEST_REUSED => {
            "one caller at a time may call in a session; try again when the other is done"
        }
        reason::COMPACTED => "`synod space describe SPACE` shows what is kept; `--from oldest` begins there",
        reason::REVISION_NOT_REACHED => {
            "`synod status` shows the present revision; watch from the next one at most"
        }
        reason::HANDLER_FAILED => {
            "`synod space describe SPACE` shows what is bound to it, `synod recipe logs` panics; \
                `--on-failure skip` lets calls go on"
        }
        reason::SEND_FAILED => "`synod recipe logs` shows panics and what the recipes logged",
        reason::NO_HANDLER => {
            "`synod recipe describe NAME` shows what a recipe hears of; the recipe audit hears of events"
        }
        reason::BINDING_CIRCLE | reason::UNKNOWN_BINDING | reason::TOO_MANY_BINDINGS => {
            "`synod space describe SPACE` shows its bindings"
        }
        "INCOMPATIBLE_UPGRADE" => "create a new space for the new version, or only append to the old one",
        _ => return None,
    })
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error {
            Error::Rejected(recipe) => {
                let json = recipe.json.as_deref().map(|json| {
                    serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.to_owned()))
                });
                let detail = Detail {
                    reason: Some(synod_api::REASON_RECIPE_ERROR.to_owned()),
                    recipe: Some((recipe.code, json)),
                    field: None,
                };
                Self { detail: Box::new(detail), ..Self::new(Exit::Rejected, format!("rejected: {recipe}")) }
            }
            Error::Refused(refused) => {
                let usage = matches!(
                    refused.reason.as_str(),
                    "BAD_ENDPOINT"
                        | "INVALID_ARGUMENTS"
                        | "INVALID_NAME"
                        | reason::INVALID_TOPIC
                        | reason::INVALID_REVISION
                );
                let next = next_step(&refused.reason).map(str::to_owned);
                let exit = if usage { Exit::Usage } else { Exit::Rejected };
                let detail = Detail {
                    reason: Some(refused.reason.clone()),
                    recipe: None,
                    field: refused.field.clone(),
                };
                Self { next, detail: Box::new(detail), ..Self::new(exit, refused.to_string()) }
            }
            Error::Unavailable(_) => Self::new(Exit::Unavailable, error.to_string()).next(
                "is a member running there? `synod status -e HOST:PORT` asks another; trying again is safe",
            ),
            Error::OutcomeUnknown(_) => Self::new(Exit::OutcomeUnknown, error.to_string())
                .next("look whether it was applied, with a query, before trying again"),
            Error::WaitTimeout => {
                let detail = Detail { reason: Some(reason::WAIT_TIMEOUT.to_owned()), ..Detail::default() };
                Self { detail: Box::new(detail), ..Self::new(Exit::WaitTimeout, error.to_string()) }
            }
            Error::SessionExpired(_) => {
                let detail = Detail { reason: Some(reason::SESSION_EXPIRED.to_owned()), ..Detail::default() };
                let failed = Self::new(Exit::SessionLost, error.to_string())
                    .next("`synod session open` opens a new one");
                Self { detail: Box::new(detail), ..failed }
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
