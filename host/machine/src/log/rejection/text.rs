//! The sentences for people: what was wrong, the limit, and what to do.
//!
//! Clients of any kind receive them as they are, so they name no command of the CLI: what to do
//! there is [`Reason::next_step`](synod_abi::Reason::next_step).
use core::fmt;

use synod_abi::limits::{
    ARGS_BYTES, BINDINGS, ENTRY_WRITE_BYTES, EVENT_AGE_FLOOR_MS, EVENT_BYTES_CEILING, EVENTS_CEILING,
    SESSION_LABEL_BYTES, SESSION_OUTCOME_BYTES, SESSION_OUTCOMES, SESSION_SPACES, SPACE_BINDINGS, SPACE_OWED,
    SPACE_TICKETS,
};

use super::{Change, DeliveryFailure, Incompatible, Rejection};

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipe { code, .. } => write!(f, "the recipe refused with code {code}"),
            Self::Fault(fault) => fault.fmt(f),
            Self::NotAdmitted(error) => error.fmt(f),
            Self::IncompatibleUpgrade(incompatible) => incompatible.fmt(f),
            Self::InvalidName(error) => error.fmt(f),
            Self::InvalidTopic(error) => error.fmt(f),
            Self::TooMany { what } => what.fmt(f),
            Self::RecipeExists { hash } => write!(
                f,
                "another module, {hash}, is installed under this name and version; count the version up"
            ),
            Self::SpaceExists { recipe } => {
                write!(f, "the space exists and runs {recipe}; upgrade it, or choose another name")
            }
            Self::ArgumentsTooLong => {
                write!(f, "the encoded arguments are longer than {ARGS_BYTES} bytes; send less in one call")
            }
            Self::Deferred => write!(
                f,
                "the entry has written {ENTRY_WRITE_BYTES} bytes before this command, which is proposed again"
            ),
            Self::TooManyOutcomes => write!(
                f,
                "the session already has {SESSION_OUTCOMES} outcomes that its client has not acknowledged, \
                the maximum; acknowledge those that arrived"
            ),
            Self::TooManyOutcomeBytes => write!(
                f,
                "the outcomes that the session's client has not acknowledged have {SESSION_OUTCOME_BYTES} \
                bytes, the maximum; acknowledge those that arrived"
            ),
            Self::TooManySpaces => write!(
                f,
                "the session has already called {SESSION_SPACES} spaces that react to its end, the maximum; \
                use another session"
            ),
            Self::TooManyWaiting => {
                write!(f, "{SPACE_TICKETS} calls already wait in this space, the maximum; try again later")
            }
            Self::TtlOutOfBounds { min_ttl_ms, max_ttl_ms } => {
                write!(f, "the time to live of a session is from {min_ttl_ms} to {max_ttl_ms} ms here")
            }
            Self::LabelTooLong => write!(f, "the label of a session has at most {SESSION_LABEL_BYTES} bytes"),
            Self::Handler { space, why } => {
                write!(f, "the handler of space {space}, which is bound to this one's events, failed: {why}")
            }
            Self::Send { space: Some(space), why } => {
                write!(f, "an operation that the recipe sent to space {space} failed: {why}")
            }
            Self::Send { space: None, why } => write!(f, "an operation that the recipe sent failed: {why}"),
            Self::TooManyBindings => {
                write!(
                    f,
                    "one of the spaces already has {SPACE_BINDINGS} bindings, the maximum; unbind some first"
                )
            }
            Self::TooManyBindingsInAll => {
                write!(f, "the cluster already has {BINDINGS} bindings, the maximum; unbind some first")
            }
            Self::TooManyOwed => write!(
                f,
                "the space is owed {SPACE_OWED} hooks of its recipe that failed, the maximum; upgrade the \
                recipe, or run or drop them"
            ),
            Self::RetentionOutOfBounds => write!(
                f,
                "a space keeps at most {EVENTS_CEILING} events and {EVENT_BYTES_CEILING} bytes of them, and \
                for at least {EVENT_AGE_FLOOR_MS} ms"
            ),
            _ => f.write_str(self.fixed_text()),
        }
    }
}

impl core::error::Error for Rejection {}

impl Rejection {
    /// The text of a rejection that has no values; of others, whose text is made above, it is
    /// empty.
    const fn fixed_text(&self) -> &'static str {
        match self {
            Self::UnknownSpace => "there is no such space; create it, or look at the list of spaces",
            Self::UnknownRecipe => "there is no such recipe, or not this version; install it first",
            Self::UnknownOperation => "the recipe has no such operation; look at its schema",
            Self::RecipeInUse => "spaces use this recipe; upgrade or delete them first",
            Self::AlreadyFormed => "the cluster is formed already",
            Self::EnvironmentChanged => {
                "the cluster's execution environment is no longer the one to be changed"
            }
            Self::NotAllowed => "the caller may not do this",
            Self::NotFormed => "the cluster is not formed yet; try again when its first leader has named it",
            Self::SessionEnded => {
                "there is no such session: it was closed, it expired, or it never was; open a new one"
            }
            Self::ForeignSession => "the session belongs to another principal",
            Self::RequestReused => "the request id was used for another call of this session; count ids up",
            Self::AlreadyAcknowledged => {
                "the outcome of this request was acknowledged and is gone; it is not executed again"
            }
            Self::InvalidRequest => {
                "a request has an id from 1, acknowledges only ids below its own, and follows one below \
                its own"
            }
            Self::OutOfOrder => {
                "the request that this one follows has not run yet; send that one, then this one again"
            }
            Self::CannotWait => {
                "the operation would wait, which only a session's own call may; open a session for it"
            }
            Self::WaitTimeout => "the call waited as long as it was allowed to",
            Self::Cancelled => "the caller cancelled the request",
            Self::NoHandler => "the space's recipe does not react to events; give it an `#[on_event]`",
            Self::BindingCircle => {
                "the events of the handler's space already reach the source, so they would feed each other"
            }
            Self::UnknownBinding => "there is no such binding; look at the list of bindings",
            Self::UnknownOwed => "the space is not owed such a hook; it may have succeeded meanwhile",
            Self::Recipe { .. }
            | Self::Fault(_)
            | Self::ArgumentsTooLong
            | Self::NotAdmitted(_)
            | Self::RecipeExists { .. }
            | Self::SpaceExists { .. }
            | Self::IncompatibleUpgrade(_)
            | Self::TooMany { .. }
            | Self::Deferred
            | Self::InvalidName(_)
            | Self::TooManyOutcomes
            | Self::TooManyOutcomeBytes
            | Self::TooManySpaces
            | Self::TooManyWaiting
            | Self::TtlOutOfBounds { .. }
            | Self::LabelTooLong
            | Self::Handler { .. }
            | Self::Send { .. }
            | Self::TooManyBindings
            | Self::TooManyBindingsInAll
            | Self::TooManyOwed
            | Self::InvalidTopic(_)
            | Self::RetentionOutOfBounds => "",
        }
    }
}

impl fmt::Display for DeliveryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Refused { code } => write!(f, "it refused with code {code}"),
            Self::Unknown => f.write_str("there is no such space or operation"),
            Self::WouldWait => f.write_str("it would wait, which only a session's plain call may"),
        }
    }
}

impl fmt::Display for Incompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.change {
            Change::Removed => write!(f, "`{name}` is gone; an upgrade without migration may only append"),
            Change::Arguments => {
                write!(f, "the arguments of `{name}` changed; only optional ones may be appended")
            }
            Change::Result => write!(f, "the result of `{name}` changed; only enum variants may be appended"),
            Change::Errors => write!(f, "the errors of `{name}` changed; only variants may be appended"),
            Change::Kind => write!(f, "the state field `{name}` has another kind"),
            Change::Key => write!(f, "the keys of the state field `{name}` changed"),
            Change::Value => write!(
                f,
                "the values of the state field `{name}` changed; only enum variants may be appended"
            ),
            Change::Payload => {
                write!(f, "the payload of `{name}` changed; only enum variants may be appended")
            }
            Change::NotNewer => write!(f, "the space has version {name} already, a later one"),
        }
    }
}
