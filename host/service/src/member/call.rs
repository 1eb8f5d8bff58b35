//! Calls and queries: from names and JSON to ids and postcard, and back.
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use synod_abi::schema::EntryPointSchema;
use synod_abi::{Blob, SpaceName, limits};
use synod_machine::{Action, Answer, Call, Fatal, Outcome, Query, Rejection, Reply, StateView, directory};

use super::{Args, Asker, CallAnswer, Member, QueryOptions, View, rejected};
use crate::failure::{CallFailure, Reason, Rejected, UnavailableReason, Value};
use crate::ports::{Monotonic, Ports, QueryError, QueryPlan, QueryRunner, Runtime, Store};
use crate::read::{Consistency, DirectoryCache, Kind, SpaceEntry};
use crate::sessions::SessionKey;
use crate::transcode::{self, WriteError};

/// Most names that an error lists.
const LISTED_NAMES: usize = 16;

/// The form that an answer takes: that of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Postcard,
}

/// The space of a call, and the form of its answer.
pub(super) struct Target {
    pub(super) entry: Arc<SpaceEntry>,
    /// Of the directory, before the space was looked up.
    generation: u64,
    form: Form,
}

impl Args {
    pub(super) fn form(&self) -> Form {
        match self {
            Self::Json(_) => Form::Json,
            Self::Postcard { .. } => Form::Postcard,
        }
    }
}

impl<P: Ports> Member<P> {
    /// Calls an operation. The answer is this member's own apply, so that it reads its own writes.
    ///
    /// # Errors
    /// [`CallFailure`] distinguishes rejected, surely not applied, and unknown.
    pub async fn call(
        &self,
        space: &str,
        operation: &str,
        args: Args,
        asker: impl Into<Asker>,
        timeout: Duration,
    ) -> Result<CallAnswer, CallFailure> {
        let Asker { caller, room } = asker.into();
        let deadline = self.deadline(timeout);
        let name = space_name(space)?;
        let (target, call) = self.target(&name, operation, args, deadline).await?;
        let now = self.0.runtime.now();
        let outcome = self.0.proposer.propose_for(room, &Action::Call(call), caller, deadline, now).await?;
        self.answer(&name, operation, &target, &outcome).await
    }

    /// The space of a call, and the call, encoded. At once, if the space is known here.
    pub(super) async fn target(
        &self,
        name: &SpaceName,
        operation: &str,
        args: Args,
        deadline: Monotonic,
    ) -> Result<(Target, Call), CallFailure> {
        let form = args.form();
        let generation = self.0.directory.generation();
        let (entry, bytes) = match self.check_call(name, operation, &args).await {
            Err(CallFailure::Rejected(_)) => {
                self.0.reader.ready(Consistency::Linearizable, 0, deadline).boxed().await?;
                self.check_call(name, operation, &args).boxed().await?
            }
            checked => checked?,
        };
        let bytes = match (bytes, args) {
            (Some(bytes), _) | (None, Args::Postcard { bytes, .. }) => bytes,
            (None, Args::Json(_)) => Vec::new(),
        };
        let call = Call {
            space: entry.record.id,
            operation: synod_abi::OperationId::of(operation),
            args: Blob(bytes),
        };
        Ok((Target { entry, generation, form }, call))
    }

    /// The outcome of a call as its caller sees it.
    pub(super) async fn answer(
        &self,
        name: &SpaceName,
        operation: &str,
        target: &Target,
        outcome: &Outcome,
    ) -> Result<CallAnswer, CallFailure> {
        let entry = self.present(name, operation, target).await?;
        match Kind::Operation.find(&entry.schema, operation) {
            Some(point) => match answer(point, outcome, target.form) {
                Ok(answer) => Ok(answer),
                Err(failure) => Err(self.named(&outcome.result, failure).boxed().await),
            },
            None => rejected(unknown_entry_point(&entry, Kind::Operation, operation)),
        }
    }

    /// The same failure, naming the space whose handler or operation was the cause.
    async fn named(&self, result: &Result<Reply, Rejection>, failure: CallFailure) -> CallFailure {
        let id = match result {
            Err(Rejection::Handler { space: id, .. } | Rejection::Send { space: Some(id), .. }) => *id,
            _ => return failure,
        };
        let CallFailure::Rejected(mut rejected) = failure else { return failure };
        let record = self.read(move |view| directory::space_by_id(view, id)).await.ok().flatten();
        if let Some(name) = record.map(|record| record.name) {
            rejected.message =
                rejected.message.replacen(&format!("space {id}"), &format!("space `{name}`"), 1);
        }
        CallFailure::Rejected(rejected)
    }

    /// The space of a call, and its arguments if they had to be encoded.
    async fn check_call(
        &self,
        name: &SpaceName,
        operation: &str,
        args: &Args,
    ) -> Result<(Arc<SpaceEntry>, Option<Vec<u8>>), CallFailure> {
        let Some(entry) = self.space(name).await? else {
            return rejected(unknown_space(name));
        };
        let Some(point) = Kind::Operation.find(&entry.schema, operation) else {
            return rejected(unknown_entry_point(&entry, Kind::Operation, operation));
        };
        match args {
            Args::Json(text) => {
                let bytes = json_arguments(point, text)?;
                Ok((entry, Some(bytes)))
            }
            Args::Postcard { bytes, signature } => {
                check_length(bytes)?;
                if *signature != point.signature && !self.knew(&entry, operation, *signature).boxed().await? {
                    return rejected(schema_mismatch(&entry, operation));
                }
                Ok((entry, None))
            }
        }
    }

    /// Whether an earlier version of the space's recipe had the operation with this signature.
    async fn knew(
        &self,
        entry: &Arc<SpaceEntry>,
        operation: &str,
        signature: u64,
    ) -> Result<bool, CallFailure> {
        let (directory, entry) = (self.0.directory.clone(), entry.clone());
        let operation = operation.to_owned();
        self.read(move |view| directory.knew_signature(view, &entry, Kind::Operation, &operation, signature))
            .await
    }

    /// The space's present entry, if it still is the same space: the command may have run under a
    /// version that appended to the one its arguments were encoded for. It is not looked up unless
    /// the directory has changed since the call's space was.
    async fn present(
        &self,
        name: &SpaceName,
        operation: &str,
        Target { entry, generation, .. }: &Target,
    ) -> Result<Arc<SpaceEntry>, CallFailure> {
        if self.0.directory.generation() == *generation {
            return Ok(entry.clone());
        }
        let present = self.space(name).await?;
        Ok(present
            .filter(|present| {
                present.record.id == entry.record.id
                    && Kind::Operation.find(&present.schema, operation).is_some()
            })
            .unwrap_or_else(|| entry.clone()))
    }

    /// Runs a query on one view: the recipe's version, its schema, the rows and the revision are
    /// all of that moment. Returns the space that it read, too.
    ///
    /// # Errors
    /// [`CallFailure`]; never outcome unknown.
    pub async fn query(
        &self,
        space: &str,
        query: &str,
        args: Args,
        options: QueryOptions,
        timeout: Duration,
    ) -> Result<(CallAnswer, SpaceEntry), CallFailure> {
        let deadline = self.deadline(timeout);
        let name = space_name(space)?;
        if let Args::Postcard { bytes, .. } = &args {
            check_length(bytes)?;
        }
        if let Some(key) = &options.session {
            self.verify(key, deadline).await?;
        }
        let QueryOptions { consistency, at_least_revision, session } = options;
        let form = args.form();
        let read = async {
            self.0.reader.fresh(consistency, at_least_revision).await?;
            let asked = NamedQuery { name: name.clone(), query: query.to_owned(), args, session };
            let (plan, planned) = self.plan(asked);
            let answered = match self.0.queries.run(name, plan).await {
                Ok(answered) => answered,
                Err(QueryError::Busy(message)) => {
                    return Err(CallFailure::unavailable(UnavailableReason::Busy, message));
                }
                Err(QueryError::Fatal(fatal)) => return self.fatal(Err(fatal)),
            };
            let lost = |_| Fatal("a query has ended without a result".to_owned());
            let entry = self.fatal(planned.await.map_err(lost))??;
            let (Some(answer), Some(point)) = (answered, Kind::Query.find(&entry.schema, query)) else {
                return rejected(unknown_entry_point(&entry, Kind::Query, query));
            };
            let Answer { revision, time, result, logs } = answer;
            self.0.logs.extend(time, logs);
            let value = match result {
                Ok(bytes) => value(point, bytes, form).map_err(unreadable),
                Err(rejection) => Err(complete(point, &rejection, form)),
            };
            let value = value.map_err(|rejected| Rejected { revision, time, ..rejected })?;
            Ok((CallAnswer { value, revision, time }, entry))
        };
        self.0.reader.by(deadline, read).await?
    }

    /// What a query thread does before it runs the query, and the space that it finds, or why the
    /// query does not run.
    fn plan(
        &self,
        asked: NamedQuery,
    ) -> (QueryPlan<View<P>>, oneshot::Receiver<Result<SpaceEntry, CallFailure>>) {
        let (found, planned) = oneshot::channel();
        let (store, directory) = (self.0.store.clone(), self.0.directory.clone());
        let plan = move || {
            let view = store.view()?;
            let (entry, query) = match asked.find(&directory, &view)? {
                Ok((entry, query)) => (Ok(entry), Some((view, query))),
                Err(failure) => (Err(failure), None),
            };
            let _ = found.send(entry);
            Ok(query)
        };
        (Box::new(plan), planned)
    }
}

/// A query by the names that its caller used.
struct NamedQuery {
    name: SpaceName,
    query: String,
    args: Args,
    session: Option<SessionKey>,
}

impl NamedQuery {
    /// The query by the ids that `view` has for it, with its arguments in postcard; or why it does
    /// not run.
    fn find(
        self,
        directory: &DirectoryCache,
        view: &impl StateView,
    ) -> Result<Result<(SpaceEntry, Query), CallFailure>, Fatal> {
        let Self { name, query, args, session } = self;
        let Some(entry) = directory.space_in(view, &name)? else {
            return Ok(rejected(unknown_space(&name)));
        };
        let Some(point) = Kind::Query.find(&entry.schema, &query) else {
            return Ok(rejected(unknown_entry_point(&entry, Kind::Query, &query)));
        };
        let args = match args {
            Args::Json(text) => match json_arguments(point, &text) {
                Ok(bytes) => bytes,
                Err(failure) => return Ok(Err(failure)),
            },
            Args::Postcard { bytes, signature } => {
                let knows = signature == point.signature
                    || directory.knew_signature(view, &entry, Kind::Query, &query, signature)?;
                if !knows {
                    return Ok(rejected(schema_mismatch(&entry, &query)));
                }
                bytes
            }
        };
        let query = Query {
            space: entry.record.id,
            module: entry.record.module,
            query: point.id(),
            args,
            session: session.map(|key| key.session),
        };
        Ok(Ok((entry, query)))
    }
}

pub(crate) fn space_name(name: &str) -> Result<SpaceName, CallFailure> {
    SpaceName::new(name).map_err(|error| {
        Rejected::new(Reason::InvalidName, format!("{name:?} is not the name of a space: {error}")).into()
    })
}

pub(crate) fn unknown_space(name: &SpaceName) -> Rejected {
    Rejected::new(
        Reason::UnknownSpace,
        format!(
            "there is no space `{name}`; create it with `synod space create {name} --recipe NAME`, or see \
                `synod space list`"
        ),
    )
}

fn unknown_entry_point(entry: &SpaceEntry, kind: Kind, name: &str) -> Rejected {
    let (reason, word, points) = match kind {
        Kind::Operation => (Reason::UnknownOperation, "operation", &entry.schema.operations),
        Kind::Query => (Reason::UnknownQuery, "query", &entry.schema.queries),
    };
    let names: Vec<&str> = points.iter().take(LISTED_NAMES).map(|point| point.name.as_str()).collect();
    let recipe = &entry.record.recipe;
    Rejected::new(reason, format!("{recipe} has no {word} called {name:?}; it has: {}", names.join(", ")))
}

fn schema_mismatch(entry: &SpaceEntry, entry_point: &str) -> Rejected {
    Rejected::new(
        Reason::SchemaMismatch,
        format!(
            "the caller was built with another `{entry_point}` than that of {} or an earlier installed \
                version; rebuild it with the installed recipe, or send JSON",
            entry.record.recipe
        ),
    )
}

fn json_arguments(point: &EntryPointSchema, text: &str) -> Result<Vec<u8>, CallFailure> {
    let bytes = transcode::arguments_from_json(point, text)
        .map_err(|error| Rejected::new(Reason::InvalidArguments, error.message).in_field(error.path))?;
    check_length(&bytes)?;
    Ok(bytes)
}

fn check_length(args: &[u8]) -> Result<(), CallFailure> {
    if args.len() > limits::ARGS_BYTES {
        rejected(Rejected::of(&Rejection::ArgumentsTooLong))
    } else {
        Ok(())
    }
}

fn answer(point: &EntryPointSchema, outcome: &Outcome, form: Form) -> Result<CallAnswer, CallFailure> {
    let bytes = match &outcome.result {
        Ok(Reply::Result(bytes)) => bytes.0.clone(),
        Ok(_) => Vec::new(),
        Err(rejection) => return rejected(complete(point, rejection, form).at(outcome)),
    };
    match value(point, bytes, form) {
        Ok(value) => Ok(CallAnswer { value, revision: outcome.revision, time: outcome.time }),
        Err(error) => rejected(unreadable(error).at(outcome)),
    }
}

/// A result in the caller's form.
fn value(point: &EntryPointSchema, bytes: Vec<u8>, form: Form) -> Result<Value, WriteError> {
    match form {
        Form::Postcard => Ok(Value::Postcard(bytes)),
        Form::Json => transcode::to_json(&point.result, &bytes).map(Value::Json),
    }
}

/// A result that cannot be shown: the call was applied all the same, which the message says.
fn unreadable(error: WriteError) -> Rejected {
    let message = format!("the operation was carried out, but its result cannot be shown: {error}");
    match error {
        WriteError::TooLarge => {
            Rejected::new(Reason::ReplyTooLong, message).at_limit("JSON_BYTES", transcode::JSON_BYTES as u64)
        }
        WriteError::Malformed => Rejected {
            fault: Some(synod_abi::Fault::BadReply),
            ..Rejected::new(Reason::RecipeFault, message)
        },
    }
}

/// A rejection, with the recipe's own error in the caller's form.
fn complete(point: &EntryPointSchema, rejection: &Rejection, form: Form) -> Rejected {
    let rejected = Rejected::of(rejection);
    let Rejection::Recipe { code, error } = rejection else { return rejected };
    let Some(errors) = &point.errors else { return rejected };
    let Some(at) = errors.codes.iter().position(|(known, _)| known == code) else { return rejected };
    let (status, variant) = (errors.codes[at].1, errors.shape.variants.get(at));
    let Ok(text) = transcode::error_to_json(errors, &error.0) else { return rejected };
    let docs = variant.and_then(|variant| variant.docs.lines().next()).unwrap_or_default();
    let message = if docs.is_empty() {
        format!("{}: {text}", point.name)
    } else {
        format!("{}: {text}: {docs}", point.name)
    };
    let error = match form {
        Form::Json => Some(Value::Json(text)),
        Form::Postcard => rejected.error,
    };
    Rejected { status, message, error, ..rejected }
}
