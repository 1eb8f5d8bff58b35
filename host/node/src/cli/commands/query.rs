//! `synod query`: one query of a space.
use clap::Args;

use super::target::{Kind, Own, Prepared, Reads, Target, arguments, own_flags, show};
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

/// Runs the query and shows its answer. `global` takes up the flags that stand among its
/// arguments.
pub(crate) async fn run(args: QueryArgs, global: &mut Global) -> Result<(), Failed> {
    let mut reads = args.consistency;
    let (target, adapted) = own_flags(args.target, global, &mut Own::Query(&mut reads), &|_| true)?;
    *global = adapted;
    let arguments = arguments(&target, Kind::Query, global, &mut Own::Query(&mut reads)).await?;
    let Some(Prepared { client, json, result }) = arguments else { return Ok(()) };
    let answer = client.query_json(&target.space, &target.name, &json, reads.into()).await?;
    show(global.output, answer, result.as_ref())
}
