//! What every request carries: the cluster that it is for, once the client has heard which one
//! answers, so that an address that has come to be another cluster's is noticed.
use std::sync::{Arc, OnceLock};

use synod_abi::ClusterId;
use synod_api::CLUSTER_METADATA;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};

/// A connection whose requests name the cluster.
pub(crate) type Wire = InterceptedService<tonic::transport::Channel, Cluster>;

/// The cluster of a client, once it is known: that of the first answer. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster(Arc<OnceLock<MetadataValue<Ascii>>>);

impl Cluster {
    /// An answer is of the cluster with this id.
    pub(crate) fn heard(&self, id: &[u8]) {
        if self.0.get().is_some() {
            return;
        }
        if let Ok(id) = id.try_into()
            && let Ok(named) = MetadataValue::try_from(ClusterId(id).to_string())
        {
            let _first_stays = self.0.set(named);
        }
    }
}

impl Interceptor for Cluster {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(named) = self.0.get() {
            request.metadata_mut().insert(CLUSTER_METADATA, named.clone());
        }
        Ok(request)
    }
}
