//! `synod query`: one query of a space.
use clap::{Args, ValueEnum};
use synod_client::api::Consistency;

use super::target::{Kind, Target, arguments, own_flags, show};
use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;

/// Flags of `synod query`.
#[derive(Args, Clone, Debug)]
pub(crate) struct QueryArgs {
    /// Which state may be read.
    #[arg(long, value_enum, default_value_t)]
    consistency: Reads,
    #[command(flatten)]
    target: Target,
}

/// Which state a query may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Reads {
    /// The newest: everything acknowledged before the query is in it.
    #[default]
    Linearizable,
    /// The asked member's own, which may lag; needs no leader.
    Serializable,
}

/// Runs the query and shows its answer. `global` takes up the flags that stand among its
/// arguments.
pub(crate) async fn run(args: QueryArgs, global: &mut Global) -> Result<(), Failed> {
    let (target, adapted) = own_flags(args.target, global, None, &|_| true)?;
    *global = adapted;
    let consistency = match args.consistency {
        Reads::Linearizable => Consistency::Linearizable,
        Reads::Serializable => Consistency::Serializable,
    };
    let arguments = arguments(&target, Kind::Query, global, None).await?;
    let Some((client, json)) = arguments else { return Ok(()) };
    show(global.output, client.query_json(&target.space, &target.name, &json, consistency).await?)
}
