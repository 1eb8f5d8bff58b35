//! `synod.v1.SpaceAdmin`: making, moving and deleting spaces.
use std::time::Duration;

use synod_api::v1::space_admin_server::SpaceAdmin;
use synod_api::v1::{
    CreateSpaceReply, CreateSpaceRequest, DeleteSpaceReply, DeleteSpaceRequest, ListSpacesReply, ListSpacesRequest, UpgradeSpaceReply,
    UpgradeSpaceRequest,
};
use synod_machine::Caller;
use synod_machine::directory::{HookFailures, SpaceRecord};
use synod_service::{CallFailure, Consistency};
use tonic::{Request, Response, Status};

use super::{Front, convert};

/// Spaces that one read of the directory takes.
const PAGE: usize = 1_024;

/// The spaces of the cluster.
pub(crate) struct SpaceAdminService(pub(crate) Front);

/// A space, and the failures of its hooks if there were any.
pub(super) type Listed = (SpaceRecord, Option<HookFailures>);

/// Every space, by name.
pub(super) async fn all_spaces(front: &Front, timeout: Duration) -> Result<Vec<Listed>, CallFailure> {
    let (mut spaces, mut consistency) = (Vec::<Listed>::new(), Consistency::Linearizable);
    loop {
        let after = spaces.last().map(|(space, _)| space.name.clone());
        let page = front.member.spaces(after.as_ref(), PAGE, consistency, timeout).await?;
        spaces.extend(page.items);
        if !page.more {
            return Ok(spaces);
        }
        consistency = Consistency::Serializable;
    }
}

#[tonic::async_trait]
impl SpaceAdmin for SpaceAdminService {
    async fn create(&self, request: Request<CreateSpaceRequest>) -> Result<Response<CreateSpaceReply>, Status> {
        let timeout = self.0.timeout(&request);
        let CreateSpaceRequest { name, recipe } = request.into_inner();
        let recipe = recipe.ok_or_else(|| Status::invalid_argument("`recipe` is missing: name the recipe that the space is to run"))?;
        let version = (recipe.version != 0).then_some(recipe.version);
        let created = self.0.member.create_space(&name, &recipe.name, version, Caller::default(), timeout).await;
        let created = created.map_err(|failure| self.0.status(failure))?;
        let header = Some(self.0.header(created.revision, self.0.member.applied().time()));
        Ok(Response::new(CreateSpaceReply { header, space: Some(convert::created(&created)), already: created.already }))
    }

    async fn list(&self, request: Request<ListSpacesRequest>) -> Result<Response<ListSpacesReply>, Status> {
        let spaces = all_spaces(&self.0, self.0.timeout(&request)).await.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(ListSpacesReply {
            header: Some(self.0.present_header()),
            spaces: spaces.iter().map(convert::space_info).collect(),
        }))
    }

    async fn upgrade(&self, request: Request<UpgradeSpaceRequest>) -> Result<Response<UpgradeSpaceReply>, Status> {
        let timeout = self.0.timeout(&request);
        let UpgradeSpaceRequest { name, to_version } = request.into_inner();
        let upgraded = self.0.member.upgrade_space(&name, to_version, Caller::default(), timeout).await;
        let upgraded = upgraded.map_err(|failure| self.0.status(failure))?;
        let header = Some(self.0.header(upgraded.revision, self.0.member.applied().time()));
        Ok(Response::new(UpgradeSpaceReply { header, space: Some(convert::created(&upgraded)) }))
    }

    async fn delete(&self, request: Request<DeleteSpaceRequest>) -> Result<Response<DeleteSpaceReply>, Status> {
        let timeout = self.0.timeout(&request);
        let revision = self.0.member.delete_space(&request.into_inner().name, Caller::default(), timeout).await;
        let revision = revision.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(DeleteSpaceReply { header: Some(self.0.header(revision, self.0.member.applied().time())) }))
    }
}
