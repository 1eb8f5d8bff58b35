//! Compiling a module before it is installed, on this member and on the others, so that no apply
//! thread has to.
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use synod_abi::{AdmissionError, ModuleHash};
use synod_machine::Admitted;
use synod_service::ports::{PrepareFailure, Preparer};
use synod_vm::{Editions, PrepareError, Wanted};

use crate::server::net::peers::Peers;
use crate::server::net::roster::Roster;

/// Compiles modules on this member, away from the runtime's threads.
#[derive(Clone)]
pub(crate) struct Compiler(pub(crate) Editions);

impl Compiler {
    /// Compiles a module, if it is not compiled. Dropping the future ends the compilation.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub(crate) async fn compile(&self, hash: ModuleHash, module: Arc<[u8]>) -> Result<(), PrepareError> {
        let editions = self.0.clone();
        let (wanted, _wanted_by) = Wanted::new();
        let compiled = tokio::task::spawn_blocking(move || editions.prepare(hash, &module, &wanted)).await;
        compiled.unwrap_or_else(|error| {
            Err(PrepareError::CompilerDied { hash, cause: format!("its thread ended: {error}") })
        })
    }
}

/// Readies a majority of the members.
#[derive(Clone)]
pub(crate) struct MajorityPreparer {
    /// This member's compiler.
    pub(crate) compiler: Compiler,
    /// The others.
    pub(crate) peers: Peers,
    /// Who they are.
    pub(crate) roster: Arc<Roster>,
}

impl Preparer for MajorityPreparer {
    fn admit(&self, module: Arc<[u8]>) -> BoxFuture<'static, Result<Admitted, AdmissionError>> {
        Box::pin(async move {
            let admitted = tokio::task::spawn_blocking(move || synod_vm::admit(&module)).await;
            admitted.expect("admission does not panic, whatever the bytes, and nobody aborts it")
        })
    }

    fn prepare(&self, hash: ModuleHash, module: Arc<[u8]>) -> BoxFuture<'static, Result<(), PrepareFailure>> {
        let this = self.clone();
        Box::pin(async move {
            let members = this.roster.members();
            let voters = members.values().filter(|member| member.votes).count();
            if voters == 0 {
                return Err(PrepareFailure::Unavailable("the members are not known yet".to_owned()));
            }
            let majority = voters / 2 + 1;
            this.compiler.compile(hash, module.clone()).await.map_err(failure)?;
            let me = this.roster.me();
            let others = members.iter().filter(|(id, member)| member.votes && **id != me);
            let mut asked: FuturesUnordered<_> = others
                .map(|(id, member)| (*id, member.name.clone()))
                .map(|(id, name)| {
                    let peers = this.peers.clone();
                    let module = module.clone();
                    async move { (name, peers.prepare(id, hash, &module).await) }
                })
                .collect();
            let mut ready = 1;
            let mut problems = Vec::new();
            while ready < majority {
                match asked.next().await {
                    Some((_, Ok(()))) => ready += 1,
                    Some((name, Err(problem))) => problems.push(format!("{name}: {problem}")),
                    None => {
                        return Err(PrepareFailure::Unavailable(format!(
                            "only {ready} of {majority} needed members could compile the module: {}",
                            problems.join("; ")
                        )));
                    }
                }
            }
            // The other members go on compiling, so that their apply threads do not have to.
            tokio::spawn(async move { while asked.next().await.is_some() {} });
            Ok(())
        })
    }
}

/// What this member's failure to compile a module means for its installation.
fn failure(error: PrepareError) -> PrepareFailure {
    let message = error.to_string();
    match error {
        PrepareError::TooCostly { limit, .. } => PrepareFailure::TooCostly { limit, message },
        PrepareError::NotAdmitted(_)
        | PrepareError::WrongHash { .. }
        | PrepareError::Busy
        | PrepareError::Abandoned
        | PrepareError::CompilerDied { .. }
        | PrepareError::Compile { .. } => PrepareFailure::Unavailable(message),
    }
}
