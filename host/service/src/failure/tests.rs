//! Unit tests of `failure`: what clients are told of every rejection of the machine.
use synod_abi::schema::SchemaError;
use synod_abi::{
    AdmissionError, Blob, Fault, InvalidName, InvalidTopic, Limited, ModuleHash, RecipeName, RecipeRef,
    SpaceId, limits,
};
use synod_machine::{Change, Counted, DeliveryFailure, Incompatible};

use super::*;

/// A rejection, and the reason, status and limit that its caller is told.
type Row = (Rejection, &'static str, Status, Option<(&'static str, u64)>);

fn recipes_and_spaces() -> Vec<Row> {
    use Status::*;
    let recipe = RecipeRef { name: RecipeName::new("r").expect("a name"), version: 3 };
    let incompatible = Incompatible { name: "f".into(), change: Change::Removed };
    vec![
        (Rejection::Recipe { code: 7, error: Blob(vec![1]) }, "RECIPE_ERROR", FailedPrecondition, None),
        (Rejection::UnknownSpace, "UNKNOWN_SPACE", NotFound, None),
        (Rejection::UnknownRecipe, "UNKNOWN_RECIPE", NotFound, None),
        (Rejection::UnknownOperation, "UNKNOWN_OPERATION", NotFound, None),
        (
            Rejection::ArgumentsTooLong,
            "ARGUMENTS_TOO_LONG",
            ResourceExhausted,
            Some(("ARGS_BYTES", limits::ARGS_BYTES as u64)),
        ),
        (Rejection::NotAdmitted(AdmissionError::NotWasm), "NOT_ADMITTED", InvalidArgument, None),
        (Rejection::RecipeExists { hash: ModuleHash([1; 32]) }, "RECIPE_EXISTS", AlreadyExists, None),
        (Rejection::RecipeInUse, "RECIPE_IN_USE", FailedPrecondition, None),
        (Rejection::SpaceExists { recipe }, "SPACE_EXISTS", AlreadyExists, None),
        (Rejection::IncompatibleUpgrade(incompatible), "INCOMPATIBLE_UPGRADE", FailedPrecondition, None),
        (Rejection::AlreadyFormed, "ALREADY_FORMED", AlreadyExists, None),
        (Rejection::EnvironmentChanged, "ENVIRONMENT_CHANGED", FailedPrecondition, None),
        (Rejection::InvalidName(InvalidName::Empty), "INVALID_NAME", InvalidArgument, None),
        (
            Rejection::InvalidName(InvalidName::TooLong),
            "INVALID_NAME",
            InvalidArgument,
            Some(("NAME_BYTES", limits::NAME_BYTES as u64)),
        ),
        (Rejection::NotAllowed, "NOT_ALLOWED", PermissionDenied, None),
    ]
}

fn counted() -> Vec<Row> {
    let rows = [
        (Counted::Recipes, "RECIPES", limits::RECIPES as u64),
        (Counted::Spaces, "SPACES", limits::SPACES as u64),
        (Counted::SpaceIds, "SPACE_IDS", u64::from(u32::MAX)),
        (Counted::Sessions, "SESSIONS", u64::from(limits::SESSIONS)),
        (Counted::Deadlines, "DEADLINES", limits::DEADLINES),
    ];
    let row = |(what, name, value)| {
        (Rejection::TooMany { what }, "TOO_MANY", Status::ResourceExhausted, Some((name, value)))
    };
    rows.into_iter().map(row).collect()
}

fn sessions_and_requests() -> Vec<Row> {
    use Status::*;
    let outcomes = Some(("SESSION_OUTCOMES", u64::from(limits::SESSION_OUTCOMES)));
    let outcome_bytes = Some(("SESSION_OUTCOME_BYTES", limits::SESSION_OUTCOME_BYTES));
    let spaces = Some(("SESSION_SPACES", limits::SESSION_SPACES as u64));
    let tickets = Some(("SPACE_TICKETS", u64::from(limits::SPACE_TICKETS)));
    let label = Some(("SESSION_LABEL_BYTES", limits::SESSION_LABEL_BYTES as u64));
    let ttl = Rejection::TtlOutOfBounds { min_ttl_ms: 1, max_ttl_ms: 2 };
    vec![
        (Rejection::SessionEnded, "SESSION_EXPIRED", FailedPrecondition, None),
        (Rejection::ForeignSession, "FOREIGN_SESSION", PermissionDenied, None),
        (Rejection::RequestReused, "REQUEST_REUSED", InvalidArgument, None),
        (Rejection::AlreadyAcknowledged, "ALREADY_ACKNOWLEDGED", FailedPrecondition, None),
        (Rejection::InvalidRequest, "INVALID_REQUEST", InvalidArgument, None),
        (Rejection::TooManyOutcomes, "TOO_MANY_OUTCOMES", ResourceExhausted, outcomes),
        (Rejection::TooManyOutcomeBytes, "TOO_MANY_OUTCOMES", ResourceExhausted, outcome_bytes),
        (Rejection::TooManySpaces, "TOO_MANY_SPACES", ResourceExhausted, spaces),
        (Rejection::CannotWait, "CANNOT_WAIT", FailedPrecondition, None),
        (Rejection::TooManyWaiting, "TOO_MANY_WAITING", ResourceExhausted, tickets),
        (Rejection::WaitTimeout, "WAIT_TIMEOUT", Aborted, None),
        (Rejection::Cancelled, "CANCELLED", Aborted, None),
        (ttl, "TTL_OUT_OF_BOUNDS", OutOfRange, None),
        (Rejection::LabelTooLong, "LABEL_TOO_LONG", ResourceExhausted, label),
    ]
}

fn events() -> Vec<Row> {
    use Status::*;
    let fuel = Some(("CALL_FUEL", limits::CALL_FUEL));
    let handler = |why| Rejection::Handler { space: SpaceId(1), why };
    let send = |why| Rejection::Send { space: None, why };
    let out_of_fuel = DeliveryFailure::Fault(Fault::OutOfFuel);
    let refused = DeliveryFailure::Refused { code: 3 };
    let bindings = Some(("SPACE_BINDINGS", limits::SPACE_BINDINGS as u64));
    let in_all = Some(("BINDINGS", u64::from(limits::BINDINGS)));
    let topic = Some(("EVENT_TOPIC_BYTES", limits::EVENT_TOPIC_BYTES as u64));
    vec![
        (handler(out_of_fuel), "HANDLER_FAILED", FailedPrecondition, fuel),
        (handler(refused), "HANDLER_FAILED", FailedPrecondition, None),
        (send(out_of_fuel), "SEND_FAILED", FailedPrecondition, fuel),
        (send(DeliveryFailure::Unknown), "SEND_FAILED", FailedPrecondition, None),
        (Rejection::NoHandler, "NO_HANDLER", FailedPrecondition, None),
        (Rejection::BindingCircle, "BINDING_CIRCLE", FailedPrecondition, None),
        (Rejection::TooManyBindings, "TOO_MANY_BINDINGS", ResourceExhausted, bindings),
        (Rejection::TooManyBindingsInAll, "TOO_MANY_BINDINGS", ResourceExhausted, in_all),
        (Rejection::UnknownBinding, "UNKNOWN_BINDING", NotFound, None),
        (Rejection::InvalidTopic(InvalidTopic::Empty), "INVALID_TOPIC", InvalidArgument, None),
        (Rejection::InvalidTopic(InvalidTopic::TooLong), "INVALID_TOPIC", InvalidArgument, topic),
        (Rejection::RetentionOutOfBounds, "RETENTION_OUT_OF_BOUNDS", OutOfRange, None),
        (Rejection::TooManyOwed, "TOO_MANY_OWED", ResourceExhausted, Some(("SPACE_OWED", 100_000))),
        (Rejection::UnknownOwed, "UNKNOWN_OWED", NotFound, None),
    ]
}

fn faults() -> Vec<Row> {
    use Status::*;
    let rows = [
        (Fault::Trap, FailedPrecondition, None),
        (Fault::Panic, FailedPrecondition, None),
        (Fault::OutOfFuel, ResourceExhausted, Some(("CALL_FUEL", limits::CALL_FUEL))),
        (Fault::TooDeep, ResourceExhausted, Some(("CALL_STACK_BYTES", 4_194_304))),
        (Fault::OutOfMemory, ResourceExhausted, Some(("MEMORY_PAGES", limits::MEMORY_PAGES))),
        (Fault::KeyTooLong, ResourceExhausted, Some(("KEY_BYTES", limits::KEY_BYTES as u64))),
        (Fault::ValueTooLong, ResourceExhausted, Some(("VALUE_BYTES", limits::VALUE_BYTES as u64))),
        (Fault::TooManyWrites, ResourceExhausted, Some(("CALL_WRITE_BYTES", 4 << 20))),
        (Fault::TooManyReads, ResourceExhausted, Some(("CALL_READ_BYTES", 16 << 20))),
        (Fault::TooManyHostCalls, ResourceExhausted, Some(("CALL_HOST_CALLS", 262_144))),
        (Fault::BadHostCall, FailedPrecondition, None),
        (Fault::CorruptState, FailedPrecondition, None),
        (Fault::BadArguments, InvalidArgument, None),
        (Fault::BadReply, ResourceExhausted, Some(("REPLY_BYTES", limits::REPLY_BYTES as u64))),
        (Fault::QueryTimeout, FailedPrecondition, None),
        (Fault::TooManyTimers, ResourceExhausted, Some(("TIMERS", limits::TIMERS))),
        (Fault::TooManySpaceTimers, ResourceExhausted, Some(("SPACE_TIMERS", 100_000))),
        (Fault::BadTopic, ResourceExhausted, Some(("EVENT_TOPIC_BYTES", 512))),
        (Fault::TooManyEvents, ResourceExhausted, Some(("CALL_EVENT_BYTES", 1 << 20))),
        (Fault::TooManySends, ResourceExhausted, Some(("CALL_SENDS", limits::CALL_SENDS as u64))),
        (Fault::TooDeepDelivery, ResourceExhausted, Some(("DELIVERY_DEPTH", 8))),
        (Fault::TooManyDeliveries, ResourceExhausted, Some(("CAUSE_DELIVERIES", 4_096))),
    ];
    rows.map(|(fault, status, limit)| (Rejection::Fault(fault), "RECIPE_FAULT", status, limit)).into()
}

/// The position of the variant, which is the first byte of its encoding.
fn variant(rejection: &Rejection) -> u8 {
    synod_abi::encode(rejection)[0]
}

fn told(rejection: &Rejection) -> Rejected {
    match CallFailure::from(Rejected::of(rejection)) {
        CallFailure::Rejected(rejected) => *rejected,
        other => panic!("{rejection:?} is told as {other:?}"),
    }
}

#[test]
fn every_rejection_is_told_with_its_reason_status_limit_and_a_text() {
    let tables = [recipes_and_spaces(), counted(), sessions_and_requests(), events(), faults()];
    let mut variants = std::collections::BTreeSet::new();
    for (rejection, reason, status, limit) in tables.into_iter().flatten() {
        let rejected = told(&rejection);
        let told_limit = rejected.limit.map(|limit| (limit.name, limit.value));
        assert_eq!(
            (rejected.reason.as_str(), rejected.status, told_limit),
            (reason, status, limit),
            "{rejection:?}"
        );
        assert!(!rejected.message.is_empty(), "{rejection:?}");
        if let Some((_, value)) = limit {
            let shown = [value.to_string(), (value * 64).to_string()];
            let is_named = shown.iter().any(|number| rejected.message.contains(number));
            assert!(is_named || rejected.fault.is_some(), "{}", rejected.message);
        }
        variants.insert(variant(&rejection));
    }
    let passing = [Rejection::Deferred, Rejection::NotFormed, Rejection::OutOfOrder];
    variants.extend(passing.iter().map(variant));
    let count = u8::try_from(variants.len()).expect("few variants");
    assert!(variants.into_iter().eq(0..count), "a rejection is missing here");
    let beyond = [&[count][..], &[0; 64]].concat();
    assert!(synod_abi::decode::<Rejection>(&beyond).is_err(), "the newest rejection is missing here");
}

#[test]
fn what_passes_is_unavailable() {
    let table = [
        (Rejection::Deferred, UnavailableReason::Busy),
        (Rejection::NotFormed, UnavailableReason::NotReady),
        (Rejection::OutOfOrder, UnavailableReason::OutOfOrder),
    ];
    for (rejection, reason) in table {
        let failure = CallFailure::from(Rejected::of(&rejection));
        assert_eq!(failure, CallFailure::unavailable(reason, rejection.to_string()));
        assert_ne!(rejection.to_string(), "");
    }
}

#[test]
fn a_refused_module_names_what_is_too_large() {
    let table = [
        (Limited::ModuleBytes, "MODULE_BYTES", limits::MODULE_BYTES as u64),
        (Limited::Functions, "MODULE_FUNCTIONS", u64::from(limits::MODULE_FUNCTIONS)),
        (Limited::Tables, "MODULE_TABLES", 1),
        (Limited::SchemaBytes, "SCHEMA_BYTES", limits::SCHEMA_BYTES as u64),
    ];
    for (what, name, limit) in table {
        let error = AdmissionError::Limit { what, actual: limit + 1, limit };
        let rejected = told(&Rejection::NotAdmitted(error));
        assert_eq!(rejected.limit, Some(Limit { name, value: limit }));
        assert_eq!(rejected.status, Status::InvalidArgument);
    }
    let schema = told(&Rejection::NotAdmitted(AdmissionError::BadSchema(SchemaError::Malformed)));
    assert_eq!(schema.limit, None);
}

#[test]
fn a_recipes_own_error_and_a_fault_are_handed_on() {
    let recipe = told(&Rejection::Recipe { code: 7, error: Blob(vec![1, 2]) });
    assert_eq!((recipe.code, recipe.error), (7, Some(Value::Postcard(vec![1, 2]))));
    for why in [DeliveryFailure::Fault(Fault::Trap), DeliveryFailure::WouldWait] {
        let failed = told(&Rejection::Handler { space: SpaceId(1), why });
        assert_eq!((failed.fault, failed.code, failed.error), (why.fault(), 0, None));
    }
}
