//! The reasons that programs read: why something is unavailable, why something was rejected, and as
//! which gRPC status that is shown.
//!
//! Append-only. Messages are made where the failure is, see the module above.
use synod_abi::schema::Status;

/// Why something is surely not applied, and may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnavailableReason {
    /// The cluster has no leader that this member can reach.
    NoLeader,
    /// The queue of this member is full.
    QueueFull,
    /// The deadline passed first.
    Deadline,
    /// The disk of this member is full.
    DiskFull,
    /// The member is stopping.
    ShuttingDown,
    /// The leader refused, for example because it has lost its majority.
    Refused,
    /// Not enough members are ready.
    NotReady,
    /// As many queries run, or calls wait, as the member allows.
    Busy,
    /// The request that this one follows has neither run nor parked.
    OutOfOrder,
}

impl UnavailableReason {
    /// The reason in UPPER_CASE, for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoLeader => "NO_LEADER",
            Self::QueueFull => "QUEUE_FULL",
            Self::Deadline => "DEADLINE_EXCEEDED",
            Self::DiskFull => "DISK_FULL",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::Refused => "REFUSED",
            Self::NotReady => "NOT_READY",
            Self::Busy => "BUSY",
            Self::OutOfOrder => "OUT_OF_ORDER",
        }
    }

    /// When it is worth trying again.
    pub const fn retry_after_ms(self) -> u64 {
        match self {
            Self::QueueFull | Self::Busy | Self::Refused => 50,
            Self::NoLeader | Self::Deadline | Self::NotReady => 200,
            Self::DiskFull => 1_000,
            Self::ShuttingDown | Self::OutOfOrder => 0,
        }
    }
}

/// Why something was rejected. Append-only: programs match on [`as_str`](Self::as_str).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is what its message says")]
pub enum Reason {
    RecipeError,
    RecipeFault,
    UnknownSpace,
    UnknownRecipe,
    UnknownOperation,
    UnknownQuery,
    InvalidName,
    InvalidArguments,
    SchemaMismatch,
    ArgumentsTooLong,
    ModuleTooLong,
    ReplyTooLong,
    NotAdmitted,
    RecipeExists,
    RecipeInUse,
    SpaceExists,
    IncompatibleUpgrade,
    TooMany,
    AlreadyFormed,
    NotFormed,
    NotAllowed,
    RevisionNotReached,
    SessionExpired,
    WrongSecret,
    ForeignSession,
    RequestReused,
    AlreadyAcknowledged,
    InvalidRequest,
    TooManyOutcomes,
    TooManySpaces,
    CannotWait,
    TooManyWaiting,
    WaitTimeout,
    Cancelled,
    TtlOutOfBounds,
    LabelTooLong,
    SessionRequired,
    OutOfOrder,
    Compacted,
    SpaceDeleted,
    WatchTooSlow,
    UnknownWatch,
    WatchExists,
    TooManyWatches,
    InvalidTopic,
    InvalidRevision,
    HandlerFailed,
    SendFailed,
    NoHandler,
    BindingCircle,
    TooManyBindings,
    UnknownBinding,
    RetentionOutOfBounds,
}

impl Reason {
    /// The reason in UPPER_CASE, for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RecipeError => "RECIPE_ERROR",
            Self::RecipeFault => "RECIPE_FAULT",
            Self::UnknownSpace => "UNKNOWN_SPACE",
            Self::UnknownRecipe => "UNKNOWN_RECIPE",
            Self::UnknownOperation => "UNKNOWN_OPERATION",
            Self::UnknownQuery => "UNKNOWN_QUERY",
            Self::InvalidName => "INVALID_NAME",
            Self::InvalidArguments => "INVALID_ARGUMENTS",
            Self::SchemaMismatch => "SCHEMA_MISMATCH",
            Self::ArgumentsTooLong => "ARGUMENTS_TOO_LONG",
            Self::ModuleTooLong => "MODULE_TOO_LONG",
            Self::ReplyTooLong => "REPLY_TOO_LONG",
            Self::NotAdmitted => "NOT_ADMITTED",
            Self::RecipeExists => "RECIPE_EXISTS",
            Self::RecipeInUse => "RECIPE_IN_USE",
            Self::SpaceExists => "SPACE_EXISTS",
            Self::IncompatibleUpgrade => "INCOMPATIBLE_UPGRADE",
            Self::TooMany => "TOO_MANY",
            Self::AlreadyFormed => "ALREADY_FORMED",
            Self::NotFormed => "NOT_FORMED",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::RevisionNotReached => "REVISION_NOT_REACHED",
            Self::SessionExpired => "SESSION_EXPIRED",
            Self::WrongSecret => "WRONG_SECRET",
            Self::ForeignSession => "FOREIGN_SESSION",
            Self::RequestReused => "REQUEST_REUSED",
            Self::AlreadyAcknowledged => "ALREADY_ACKNOWLEDGED",
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::TooManyOutcomes => "TOO_MANY_OUTCOMES",
            Self::TooManySpaces => "TOO_MANY_SPACES",
            Self::CannotWait => "CANNOT_WAIT",
            Self::TooManyWaiting => "TOO_MANY_WAITING",
            Self::WaitTimeout => "WAIT_TIMEOUT",
            Self::Cancelled => "CANCELLED",
            Self::TtlOutOfBounds => "TTL_OUT_OF_BOUNDS",
            Self::LabelTooLong => "LABEL_TOO_LONG",
            Self::SessionRequired => "SESSION_REQUIRED",
            Self::OutOfOrder => "OUT_OF_ORDER",
            Self::Compacted => "COMPACTED",
            Self::SpaceDeleted => "SPACE_DELETED",
            Self::WatchTooSlow => "WATCH_TOO_SLOW",
            Self::UnknownWatch => "UNKNOWN_WATCH",
            Self::WatchExists => "WATCH_EXISTS",
            Self::TooManyWatches => "TOO_MANY_WATCHES",
            Self::InvalidTopic => "INVALID_TOPIC",
            Self::InvalidRevision => "INVALID_REVISION",
            Self::HandlerFailed => "HANDLER_FAILED",
            Self::SendFailed => "SEND_FAILED",
            Self::NoHandler => "NO_HANDLER",
            Self::BindingCircle => "BINDING_CIRCLE",
            Self::TooManyBindings => "TOO_MANY_BINDINGS",
            Self::UnknownBinding => "UNKNOWN_BINDING",
            Self::RetentionOutOfBounds => "RETENTION_OUT_OF_BOUNDS",
        }
    }

    /// The gRPC status that it is shown as; a recipe's own errors carry theirs in
    /// [`Rejected::status`](super::Rejected::status).
    pub const fn status(self) -> Status {
        match self {
            Self::UnknownSpace
            | Self::UnknownRecipe
            | Self::UnknownOperation
            | Self::UnknownQuery
            | Self::UnknownWatch
            | Self::UnknownBinding
            | Self::SpaceDeleted => Status::NotFound,
            Self::InvalidName
            | Self::InvalidArguments
            | Self::NotAdmitted
            | Self::RequestReused
            | Self::InvalidRequest
            | Self::InvalidTopic
            | Self::InvalidRevision => Status::InvalidArgument,
            Self::ArgumentsTooLong
            | Self::ModuleTooLong
            | Self::ReplyTooLong
            | Self::TooMany
            | Self::TooManyOutcomes
            | Self::TooManySpaces
            | Self::TooManyWaiting
            | Self::LabelTooLong
            | Self::WatchTooSlow
            | Self::TooManyWatches
            | Self::TooManyBindings => Status::ResourceExhausted,
            Self::RecipeExists | Self::SpaceExists | Self::AlreadyFormed | Self::WatchExists => {
                Status::AlreadyExists
            }
            Self::NotAllowed | Self::WrongSecret | Self::ForeignSession => Status::PermissionDenied,
            Self::RevisionNotReached
            | Self::TtlOutOfBounds
            | Self::Compacted
            | Self::RetentionOutOfBounds => Status::OutOfRange,
            Self::WaitTimeout | Self::Cancelled | Self::OutOfOrder => Status::Aborted,
            Self::RecipeError
            | Self::RecipeFault
            | Self::SchemaMismatch
            | Self::RecipeInUse
            | Self::IncompatibleUpgrade
            | Self::NotFormed
            | Self::SessionExpired
            | Self::AlreadyAcknowledged
            | Self::CannotWait
            | Self::SessionRequired
            | Self::HandlerFailed
            | Self::SendFailed
            | Self::NoHandler
            | Self::BindingCircle => Status::FailedPrecondition,
        }
    }
}
