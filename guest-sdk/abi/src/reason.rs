//! Why a request failed, for programs: each reason is listed once, in `for_each_reason!`.
//!
//! The list is the reference: wire text, gRPC status, documentation, and what to do next all come
//! from it, in every crate. It is append-only, because clients match on the text. A client that is
//! older than its cluster meets texts that are not listed here: [`Reason::parse`] returns `None`
//! for them, and the kind on the wire says how to treat the failure.
//!
//! The sentence for people is not here: it is made where the failure happens, with its values.
use alloc::string::String;
use core::fmt;

use crate::schema::Status;

/// What a reason means for whoever sent the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasonKind {
    /// Something that the caller wrote is wrong in itself: an argument, a name, a topic, an
    /// address. Nothing was changed.
    BadRequest(Status),
    /// The state, a limit or a rule forbids it. Nothing was changed.
    Rejected(Status),
    /// Surely not applied: it may be tried again. Shown as gRPC's `UNAVAILABLE`.
    Unavailable(UnavailableReason),
    /// It may or may not have been applied. Shown as gRPC's `UNKNOWN`.
    OutcomeUnknown,
}

/// Every reason: its documentation, name, wire text, and
/// - of an unavailable one, when it is worth trying again, in milliseconds;
/// - of the others, their kind with the gRPC status;
/// - if there is one, the next step of somebody at the command line.
///
/// `$define` is a macro that takes the list.
// rustfmt would pull the lines of a continued literal to the left, further each time.
#[rustfmt::skip]
macro_rules! for_each_reason {
    ($define:ident) => {
        $define! {
            unavailable {
                /// The cluster has no leader that this member can reach.
                NoLeader = "NO_LEADER", retry_after_ms 200;
                /// The queue of this member is full.
                QueueFull = "QUEUE_FULL", retry_after_ms 50;
                /// The deadline passed first.
                Deadline = "DEADLINE_EXCEEDED", retry_after_ms 200;
                /// The disk of this member is full.
                DiskFull = "DISK_FULL", retry_after_ms 1_000;
                /// The member is stopping: another one answers now.
                ShuttingDown = "SHUTTING_DOWN", retry_after_ms 0;
                /// The leader refused, for example because it has lost its majority.
                Refused = "REFUSED", retry_after_ms 50;
                /// Not enough members are ready, or the cluster is not formed yet.
                NotReady = "NOT_READY", retry_after_ms 200;
                /// The member, or the entry that was being filled, can take no more now.
                Busy = "BUSY", retry_after_ms 50;
                /// The request that this one follows has neither run nor parked: send that one
                /// first.
                OutOfOrder = "OUT_OF_ORDER", retry_after_ms 0;
                /// The request is for another cluster than the one of this member: its address
                /// was another member's before, or a list of addresses mixes clusters.
                WrongCluster = "WRONG_CLUSTER", retry_after_ms 0;
            }
            others {
                /// The reply was lost, or the member stopped waiting for it.
                OutcomeUnknown = "OUTCOME_UNKNOWN", OutcomeUnknown;

                /// The address of a member is malformed. Only the client library reports it.
                BadEndpoint = "BAD_ENDPOINT", BadRequest(InvalidArgument);
                /// A name breaks the rules for names.
                InvalidName = "INVALID_NAME", BadRequest(InvalidArgument);
                /// An argument is missing or has the wrong type; the failure names the field.
                InvalidArguments = "INVALID_ARGUMENTS", BadRequest(InvalidArgument),
                    next "`synod space describe SPACE` shows operations, queries and their arguments";
                /// A topic, or a prefix of topics, is empty or too long.
                InvalidTopic = "INVALID_TOPIC", BadRequest(InvalidArgument);
                /// The revision cannot be one.
                InvalidRevision = "INVALID_REVISION", BadRequest(InvalidArgument);

                /// The recipe failed with its own error: the failure's `code` and `error`. The
                /// status is the one that the recipe declares for it.
                RecipeError = "RECIPE_ERROR", Rejected(FailedPrecondition);
                /// The host ended the recipe's call; the failure names the fault.
                RecipeFault = "RECIPE_FAULT", Rejected(FailedPrecondition),
                    next "`synod recipe logs` shows panics and what the recipe logged";
                /// There is no space of that name.
                UnknownSpace = "UNKNOWN_SPACE", Rejected(NotFound),
                    next "`synod space list` shows the spaces; `synod space create SPACE --recipe NAME` \
                         makes one";
                /// There is no recipe of that name, or not in that version.
                UnknownRecipe = "UNKNOWN_RECIPE", Rejected(NotFound),
                    next "`synod recipe list` shows what is installed; `synod recipe install FILE` \
                         adds to it";
                /// The recipe has no such operation.
                UnknownOperation = "UNKNOWN_OPERATION", Rejected(NotFound),
                    next "`synod space describe SPACE` shows operations, queries and their arguments";
                /// The recipe has no such query.
                UnknownQuery = "UNKNOWN_QUERY", Rejected(NotFound),
                    next "`synod space describe SPACE` shows operations, queries and their arguments";
                /// The client was compiled with another version of the recipe's types.
                SchemaMismatch = "SCHEMA_MISMATCH", Rejected(FailedPrecondition),
                    next "`synod space describe SPACE` shows operations, queries and their arguments";
                /// The encoded arguments are too long.
                ArgumentsTooLong = "ARGUMENTS_TOO_LONG", Rejected(ResourceExhausted);
                /// The module is too long.
                ModuleTooLong = "MODULE_TOO_LONG", Rejected(ResourceExhausted);
                /// The module takes more time or memory to compile than a module may before it is
                /// proposed; the failure names the limit.
                ModuleTooCostly = "MODULE_TOO_COSTLY", Rejected(ResourceExhausted),
                    next "split the module's large functions, or make it smaller";
                /// The result is too long to be shown as JSON. The operation was carried out.
                ReplyTooLong = "REPLY_TOO_LONG", Rejected(ResourceExhausted);
                /// The module breaks a rule for modules.
                NotAdmitted = "NOT_ADMITTED", Rejected(InvalidArgument),
                    next "`synod recipe check FILE` explains what the module breaks";
                /// Another module is installed under this name and version.
                RecipeExists = "RECIPE_EXISTS", Rejected(AlreadyExists),
                    next "count up `version` in #[recipe(…)]; `synod dev` also takes `--replace`";
                /// A space runs the recipe.
                RecipeInUse = "RECIPE_IN_USE", Rejected(FailedPrecondition),
                    next "`synod recipe describe NAME@VERSION` names the spaces that run it";
                /// A space of this name runs another recipe or version.
                SpaceExists = "SPACE_EXISTS", Rejected(AlreadyExists);
                /// The upgrade changes what it may only append to.
                IncompatibleUpgrade = "INCOMPATIBLE_UPGRADE", Rejected(FailedPrecondition),
                    next "create a new space for the new version, or only append to the old one";
                /// The cluster has the maximum of sessions, recipes or spaces; the failure names
                /// the limit.
                TooMany = "TOO_MANY", Rejected(ResourceExhausted);
                /// The cluster is formed already.
                AlreadyFormed = "ALREADY_FORMED", Rejected(AlreadyExists);
                /// The cluster's execution environment is no longer the one to be changed.
                EnvironmentChanged = "ENVIRONMENT_CHANGED", Rejected(FailedPrecondition);
                /// The caller has no right to do this.
                NotAllowed = "NOT_ALLOWED", Rejected(PermissionDenied);
                /// The cluster has not reached the revision that was asked for.
                RevisionNotReached = "REVISION_NOT_REACHED", Rejected(OutOfRange),
                    next "`synod status` shows the present revision; watch from the next one at most";
                /// There is no such session: it was closed, it expired, or it never was.
                SessionExpired = "SESSION_EXPIRED", Rejected(FailedPrecondition),
                    next "`synod session open` opens a new one";
                /// The secret is not that of the session.
                WrongSecret = "WRONG_SECRET", Rejected(PermissionDenied),
                    next "the token is ID:SECRET as `synod session open` printed it; without it, open a \
                         session of your own";
                /// The session belongs to another principal.
                ForeignSession = "FOREIGN_SESSION", Rejected(PermissionDenied);
                /// The request id was used for another call of this session.
                RequestReused = "REQUEST_REUSED", Rejected(InvalidArgument),
                    next "one caller at a time may call in a session; try again when the other is done";
                /// The outcome of the request was acknowledged and is gone; the request is not
                /// executed again.
                AlreadyAcknowledged = "ALREADY_ACKNOWLEDGED", Rejected(FailedPrecondition);
                /// The id of the request, its acknowledgements, or what it follows are not valid.
                InvalidRequest = "INVALID_REQUEST", Rejected(InvalidArgument);
                /// The session has the maximum of outcomes that its client has not acknowledged.
                /// The request is not recorded.
                TooManyOutcomes = "TOO_MANY_OUTCOMES", Rejected(ResourceExhausted),
                    next "close the session and open another one";
                /// The session has called the maximum of spaces that react to its end. Recorded as
                /// the outcome of the request.
                TooManySpaces = "TOO_MANY_SPACES", Rejected(ResourceExhausted);
                /// The operation would wait, which only a session's plain call may.
                CannotWait = "CANNOT_WAIT", Rejected(FailedPrecondition),
                    next "this operation may wait for another call, so call it in a session: \
                         `synod session open` prints a TOKEN for `synod call --session TOKEN …`";
                /// The maximum of calls wait: in the space, where it is the outcome of the request,
                /// or on the client's stream.
                TooManyWaiting = "TOO_MANY_WAITING", Rejected(ResourceExhausted);
                /// The call waited as long as its caller allowed.
                WaitTimeout = "WAIT_TIMEOUT", Rejected(Aborted);
                /// The caller cancelled the request.
                Cancelled = "CANCELLED", Rejected(Aborted);
                /// The time to live is out of the cluster's bounds, or a bound is out of its own.
                TtlOutOfBounds = "TTL_OUT_OF_BOUNDS", Rejected(OutOfRange),
                    next "`synod session bounds` shows and sets the bounds; `--nearest` takes what is \
                         allowed";
                /// The label of the session is too long.
                LabelTooLong = "LABEL_TOO_LONG", Rejected(ResourceExhausted);
                /// The operation may wait, so it needs a session, and the call has none.
                SessionRequired = "SESSION_REQUIRED", Rejected(FailedPrecondition),
                    next "this operation may wait for another call, so call it in a session: \
                         `synod session open` prints a TOKEN for `synod call --session TOKEN …`";
                /// Events that the watch asks for are compacted.
                Compacted = "COMPACTED", Rejected(OutOfRange),
                    next "`synod space describe SPACE` shows what is kept; `--from oldest` begins there";
                /// The space was deleted, or its name belongs to a newer space.
                SpaceDeleted = "SPACE_DELETED", Rejected(NotFound);
                /// The client did not read its updates in time; it may resume where it was.
                WatchTooSlow = "WATCH_TOO_SLOW", Rejected(ResourceExhausted);
                /// The stream has no such watch.
                UnknownWatch = "UNKNOWN_WATCH", Rejected(NotFound);
                /// The stream has a watch of that id, which goes on.
                WatchExists = "WATCH_EXISTS", Rejected(AlreadyExists);
                /// The stream, or the member, has the maximum of watches.
                TooManyWatches = "TOO_MANY_WATCHES", Rejected(ResourceExhausted);
                /// A handler of an event that the call emitted failed, and its binding rejects the
                /// call then.
                HandlerFailed = "HANDLER_FAILED", Rejected(FailedPrecondition),
                    next "`synod space describe SPACE` shows what is bound to it, `synod recipe logs` \
                         panics; `--on-failure skip` lets calls go on";
                /// An operation that the call sent failed, so the call is rejected.
                SendFailed = "SEND_FAILED", Rejected(FailedPrecondition),
                    next "`synod recipe logs` shows panics and what the recipes logged";
                /// The recipe of the space reacts to no events.
                NoHandler = "NO_HANDLER", Rejected(FailedPrecondition),
                    next "`synod recipe describe NAME` shows what a recipe hears of; the recipe audit \
                         hears of events";
                /// The binding would make two spaces react to each other without end.
                BindingCircle = "BINDING_CIRCLE", Rejected(FailedPrecondition),
                    next "`synod space describe SPACE` shows its bindings";
                /// The space, or the cluster, has the maximum of bindings.
                TooManyBindings = "TOO_MANY_BINDINGS", Rejected(ResourceExhausted),
                    next "`synod space describe SPACE` shows its bindings";
                /// There is no such binding.
                UnknownBinding = "UNKNOWN_BINDING", Rejected(NotFound),
                    next "`synod space describe SPACE` shows its bindings";
                /// How many events a space is to keep is out of bounds.
                RetentionOutOfBounds = "RETENTION_OUT_OF_BOUNDS", Rejected(OutOfRange);
                /// The space is owed the maximum of hooks that failed, so it takes no further
                /// session. Recorded as the outcome of the request.
                TooManyOwed = "TOO_MANY_OWED", Rejected(ResourceExhausted),
                    next "`synod space owed SPACE` shows why its hooks fail; upgrade its recipe, or \
                         run or drop them";
                /// The space is not owed such a hook, or not any more.
                UnknownOwed = "UNKNOWN_OWED", Rejected(NotFound),
                    next "`synod space owed SPACE` shows what it is owed";

                /// The query that begins a watch or a cache is none, or asks more than once. Only
                /// the client library reports it.
                BadQuery = "BAD_QUERY", Rejected(InvalidArgument);
                /// The request is larger than a member decodes. Only the client library reports it.
                RequestTooLarge = "REQUEST_TOO_LARGE", Rejected(ResourceExhausted);
            }
        }
    };
}

macro_rules! define_reason {
    (
        unavailable {
            $(
                $(#[doc = $u_doc:literal])+
                $unavailable:ident = $u_text:literal, retry_after_ms $ms:literal;
            )+
        }
        others {
            $(
                $(#[doc = $doc:literal])+
                $name:ident = $text:literal, $kind:ident $(($status:ident))? $(, next $next:literal)?;
            )+
        }
    ) => {
        /// Why a request failed, for programs. Clients match on [`as_str`](Self::as_str).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(
                $(#[doc = $u_doc])+
                #[doc = ""]
                #[doc = concat!(
                    "`", $u_text, "`: surely not applied, gRPC status `UNAVAILABLE`, worth another try \
                    after ", stringify!($ms), " ms."
                )]
                $unavailable,
            )+
            $(
                $(#[doc = $doc])+
                #[doc = ""]
                #[doc = concat!(
                    "`", $text, "`: [`ReasonKind::", stringify!($kind), "`]"
                    $(, ", gRPC status [`Status::", stringify!($status), "`]")?, "."
                )]
                $(#[doc = concat!("\n\nNext: ", $next, ".")])?
                $name,
            )+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$unavailable,)+ $(Self::$name,)+];

            /// The reason in UPPER_CASE, as it is on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$unavailable => $u_text,)+
                    $(Self::$name => $text,)+
                }
            }

            /// The reason with this text; `None` for one that a newer cluster knows.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($u_text => Some(Self::$unavailable),)+
                    $($text => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// What it means for whoever sent the request.
            pub const fn kind(self) -> ReasonKind {
                match self {
                    $(Self::$unavailable => ReasonKind::Unavailable(UnavailableReason::$unavailable),)+
                    $(Self::$name => ReasonKind::$kind $((Status::$status))?,)+
                }
            }

            /// Its documentation, in one line.
            pub const fn doc(self) -> &'static str {
                match self {
                    $(Self::$unavailable => concat!($($u_doc),+).trim_ascii(),)+
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// What somebody at the command line does next, if there is something.
            pub const fn next_step(self) -> Option<&'static str> {
                match self {
                    $(Self::$unavailable => None,)+
                    $(Self::$name => optional!($($next)?),)+
                }
            }
        }
    };
}

macro_rules! define_unavailable_reason {
    (
        unavailable { $($(#[$doc:meta])+ $name:ident = $text:literal, retry_after_ms $ms:literal;)+ }
        others { $($other:tt)+ }
    ) => {
        /// Why something is surely not applied, and may be tried again: the reasons of
        /// [`ReasonKind::Unavailable`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum UnavailableReason {
            $($(#[$doc])+ $name,)+
        }

        impl UnavailableReason {
            /// When it is worth trying again, in milliseconds; 0: on another member, now.
            pub const fn retry_after_ms(self) -> u64 {
                match self {
                    $(Self::$name => $ms,)+
                }
            }
        }

        impl From<UnavailableReason> for Reason {
            fn from(reason: UnavailableReason) -> Self {
                match reason {
                    $(UnavailableReason::$name => Self::$name,)+
                }
            }
        }
    };
}

macro_rules! optional {
    () => {
        None
    };
    ($given:literal) => {
        Some($given)
    };
}

for_each_reason!(define_reason);
for_each_reason!(define_unavailable_reason);

impl Reason {
    /// The gRPC status; `None` where the kind has a status of its own. A recipe's own error and a
    /// fault can have another.
    pub const fn status(self) -> Option<Status> {
        match self.kind() {
            ReasonKind::BadRequest(status) | ReasonKind::Rejected(status) => Some(status),
            ReasonKind::Unavailable(_) | ReasonKind::OutcomeUnknown => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.as_str().into()
    }
}

#[cfg(test)]
mod tests;
