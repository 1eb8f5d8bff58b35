//! What the clients of a benchmark do: one request after another, each encoded as a typed client would.
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use synod_abi::schema::Schema;
use synod_abi::{Blob, encode};
use synod_client::api::{CallRequest, Consistency, Value, value::Form};
use synod_client::core::mix;
use synod_client::{Client, Error};

use crate::cli::fail::{Exit, Failed};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `add` of the recipe counter: the smallest replicated write.
    CounterAdd,
    /// `put` of the recipe kv, with values of --value-bytes.
    KvPut,
    /// `get` of the recipe kv: a linearizable query.
    KvGet,
}

impl Kind {
    /// The recipe, and the name of the space if none is given.
    pub(crate) const fn recipe(self) -> &'static str {
        match self {
            Self::CounterAdd => "counter",
            Self::KvPut | Self::KvGet => "kv",
        }
    }

    const fn entry_point(self) -> &'static str {
        match self {
            Self::CounterAdd => "add",
            Self::KvPut => "put",
            Self::KvGet => "get",
        }
    }
}

/// A workload, ready to run.
pub(crate) struct Workload {
    kind: Kind,
    space: String,
    signature: u64,
    keys: u64,
    value: Blob,
    drawn: AtomicU64,
}

impl Workload {
    /// Prepares `kind` on a space whose recipe has `schema`.
    pub(crate) fn new(kind: Kind, space: &str, schema: &Schema, keys: u64, value_bytes: usize) -> Result<Self, Failed> {
        let name = kind.entry_point();
        let point = match kind {
            Kind::CounterAdd | Kind::KvPut => schema.operation(name),
            Kind::KvGet => schema.query(name),
        };
        let fits = schema.recipe.name.as_str() == kind.recipe();
        let Some(point) = point.filter(|_| fits) else {
            let message = format!("`{space}` runs {}, but this workload needs `{name}` of the recipe {}", schema.recipe, kind.recipe());
            return Err(Failed::new(Exit::Rejected, message)
                .next(format!("`synod space create SPACE --recipe {}`, then `--space SPACE`", kind.recipe())));
        };
        let value = Blob((0..value_bytes).map(|at| mix(at as u64) as u8).collect());
        Ok(Self { kind, space: space.to_owned(), signature: point.signature, keys: keys.max(1), value, drawn: AtomicU64::new(0) })
    }

    /// One request.
    pub(crate) async fn run(&self, client: &Client) -> Result<(), Error> {
        let key = format!("bench-{}", mix(self.drawn.fetch_add(1, Ordering::Relaxed)) % self.keys);
        let args = match self.kind {
            Kind::CounterAdd => encode(&(key, 1_i64)),
            Kind::KvPut => encode(&(key, &self.value)),
            Kind::KvGet => encode(&(key,)),
        };
        let args = Value { form: Some(Form::Postcard(args)), signature: self.signature };
        match self.kind {
            Kind::KvGet => client.query(&self.space, self.kind.entry_point(), args, Consistency::Linearizable).await.map(drop),
            Kind::CounterAdd | Kind::KvPut => {
                let operation = self.kind.entry_point().to_owned();
                let request = CallRequest { space: self.space.clone(), operation, args: Some(args), ..CallRequest::default() };
                client.call(request).await.map(drop)
            }
        }
    }
}
