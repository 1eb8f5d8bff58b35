//! `synod.v1.SpaceAdmin`: creating, upgrading and deleting spaces, the retention of their events,
//! their bindings, and hooks that they are owed.
use std::time::Duration;

use synod_abi::{Revision, SpaceName};
use synod_api::v1::space_admin_server::SpaceAdmin;
use synod_api::v1::{
    self as api, BindSpaceReply, BindSpaceRequest, CompactReply, CompactRequest, CreateSpaceReply,
    CreateSpaceRequest, DeleteSpaceReply, DeleteSpaceRequest, DescribeSpaceReply, DescribeSpaceRequest,
    ListSpacesReply, ListSpacesRequest, OwedHooksReply, OwedHooksRequest, Retention, SetRetentionReply,
    SetRetentionRequest, SettleHookReply, SettleHookRequest, UnbindSpaceReply, UnbindSpaceRequest,
    UpgradeSpaceReply, UpgradeSpaceRequest,
};
use synod_machine::{Binding, Caller, OnFailure};
use synod_service::{
    Bound, CallFailure, CompactionDone, Consistency, NamedBinding, Reason, Rejected, RetentionChange,
    SpaceListing,
};
use tonic::{Request, Response, Status};

use super::paging::{PAGE, all_pages};
use super::{Front, convert, owed, watches};

/// The spaces of the cluster.
pub(crate) struct SpaceAdminService(pub(crate) Front);

/// Every space, by name.
pub(super) async fn all_spaces(
    front: &Front,
    consistency: Consistency,
    timeout: Duration,
) -> Result<Vec<SpaceListing>, CallFailure> {
    let read = |after: Option<SpaceName>, consistency| async move {
        front.member.spaces(after.as_ref(), PAGE, consistency, timeout).await
    };
    all_pages(consistency, |space: &SpaceListing| space.record.name.clone(), read).await
}

/// The binding in a request, and how failures of its handler are treated.
pub(super) fn binding(binding: Option<api::Binding>) -> Result<(Binding, OnFailure), CallFailure> {
    let missing = || {
        CallFailure::from(
            Rejected::new(Reason::InvalidArguments, "the binding is missing").in_field("binding"),
        )
    };
    let binding = binding.ok_or_else(missing)?;
    let on_failure = match binding.on_failure() {
        api::OnFailure::Unspecified | api::OnFailure::Reject => OnFailure::Reject,
        api::OnFailure::Skip => OnFailure::Skip,
    };
    let name = |name: &str, field: &str| {
        SpaceName::new(name).map_err(|error| {
            CallFailure::from(
                Rejected::new(Reason::InvalidName, format!("{name:?} is not the name of a space: {error}"))
                    .in_field(field),
            )
        })
    };
    let api::Binding { space, source, topic, prefix, .. } = binding;
    let handler = name(&space, "binding.space")?;
    let source = name(&source, "binding.source")?;
    Ok((Binding { handler, source, filter: watches::filter(topic, prefix) }, on_failure))
}

#[tonic::async_trait]
impl SpaceAdmin for SpaceAdminService {
    async fn create(
        &self,
        request: Request<CreateSpaceRequest>,
    ) -> Result<Response<CreateSpaceReply>, Status> {
        let timeout = self.0.timeout(&request);
        let CreateSpaceRequest { name, recipe } = request.into_inner();
        let recipe = recipe.ok_or_else(|| {
            Status::invalid_argument("`recipe` is missing: name the recipe that the space is to run")
        })?;
        let version = (recipe.version != 0).then_some(recipe.version);
        let created =
            self.0.member.create_space(&name, &recipe.name, version, Caller::default(), timeout).await;
        let created = created.map_err(|failure| self.0.status(failure))?;
        let header = Some(self.0.header(created.revision, self.0.member.applied().time()));
        Ok(Response::new(CreateSpaceReply {
            header,
            space: Some(convert::created(&created)),
            already: created.already,
        }))
    }

    async fn list(&self, request: Request<ListSpacesRequest>) -> Result<Response<ListSpacesReply>, Status> {
        let timeout = self.0.timeout(&request);
        let consistency = convert::consistency(request.into_inner().consistency());
        let spaces = all_spaces(&self.0, consistency, timeout).await;
        let spaces = spaces.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(ListSpacesReply {
            header: Some(self.0.present_header()),
            spaces: spaces.iter().map(convert::space_info).collect(),
        }))
    }

    async fn upgrade(
        &self,
        request: Request<UpgradeSpaceRequest>,
    ) -> Result<Response<UpgradeSpaceReply>, Status> {
        let timeout = self.0.timeout(&request);
        let UpgradeSpaceRequest { name, to_version } = request.into_inner();
        let upgraded = self.0.member.upgrade_space(&name, to_version, Caller::default(), timeout).await;
        let upgraded = upgraded.map_err(|failure| self.0.status(failure))?;
        let header = Some(self.0.header(upgraded.revision, self.0.member.applied().time()));
        Ok(Response::new(UpgradeSpaceReply { header, space: Some(convert::created(&upgraded)) }))
    }

    async fn delete(
        &self,
        request: Request<DeleteSpaceRequest>,
    ) -> Result<Response<DeleteSpaceReply>, Status> {
        let timeout = self.0.timeout(&request);
        let revision =
            self.0.member.delete_space(&request.into_inner().name, Caller::default(), timeout).await;
        let revision = revision.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(DeleteSpaceReply {
            header: Some(self.0.header(revision, self.0.member.applied().time())),
        }))
    }

    async fn describe(
        &self,
        request: Request<DescribeSpaceRequest>,
    ) -> Result<Response<DescribeSpaceReply>, Status> {
        let timeout = self.0.timeout(&request);
        let request = request.into_inner();
        let consistency = convert::consistency(request.consistency());
        let described = self.0.member.describe_space(&request.name, consistency, timeout).await;
        let described = described.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(DescribeSpaceReply {
            header: Some(self.0.present_header()),
            space: Some(convert::space_description(described)),
        }))
    }

    async fn bind(&self, request: Request<BindSpaceRequest>) -> Result<Response<BindSpaceReply>, Status> {
        let timeout = self.0.timeout(&request);
        let bound = async {
            let (binding, on_failure) = binding(request.into_inner().binding)?;
            let bound =
                self.0.member.bind_space(binding.clone(), on_failure, Caller::default(), timeout).await?;
            Ok((NamedBinding { binding, on_failure, bound: bound.revision }, bound))
        };
        let (binding, Bound { already, revision }) = bound.await.map_err(|failure| self.0.status(failure))?;
        let header = Some(self.0.header(revision, self.0.member.applied().time()));
        Ok(Response::new(BindSpaceReply { header, binding: Some(convert::binding(binding)), already }))
    }

    async fn unbind(
        &self,
        request: Request<UnbindSpaceRequest>,
    ) -> Result<Response<UnbindSpaceReply>, Status> {
        let timeout = self.0.timeout(&request);
        let unbound = match binding(request.into_inner().binding) {
            Ok((binding, _)) => self.0.member.unbind_space(binding, Caller::default(), timeout).await,
            Err(failure) => Err(failure),
        };
        let revision = unbound.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(UnbindSpaceReply {
            header: Some(self.0.header(revision, self.0.member.applied().time())),
        }))
    }

    async fn set_retention(
        &self,
        request: Request<SetRetentionRequest>,
    ) -> Result<Response<SetRetentionReply>, Status> {
        let timeout = self.0.timeout(&request);
        let SetRetentionRequest { name, retention } = request.into_inner();
        let Retention { events, bytes, age_ms } = retention.unwrap_or_default();
        let change = RetentionChange { events, bytes, age_ms };
        let log = self.0.member.set_event_retention(&name, change, Caller::default(), timeout).await;
        let log = log.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(SetRetentionReply {
            header: Some(self.0.present_header()),
            events: Some(convert::event_log(&log)),
        }))
    }

    async fn compact(&self, request: Request<CompactRequest>) -> Result<Response<CompactReply>, Status> {
        let timeout = self.0.timeout(&request);
        let CompactRequest { name, through_revision } = request.into_inner();
        let through = (through_revision != 0).then_some(Revision(through_revision));
        let done = self.0.member.compact_events(&name, through, Caller::default(), timeout).await;
        let CompactionDone { through, events } = done.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(CompactReply {
            header: Some(self.0.present_header()),
            compacted_revision: through.0,
            events,
        }))
    }

    async fn owed_hooks(
        &self,
        request: Request<OwedHooksRequest>,
    ) -> Result<Response<OwedHooksReply>, Status> {
        let timeout = self.0.timeout(&request);
        let listed = owed::list(&self.0, request.into_inner(), timeout).await;
        listed.map(Response::new).map_err(|failure| self.0.status(failure))
    }

    async fn settle_hook(
        &self,
        request: Request<SettleHookRequest>,
    ) -> Result<Response<SettleHookReply>, Status> {
        let timeout = self.0.timeout(&request);
        let settled = owed::settle(&self.0, request.into_inner(), timeout).await;
        settled.map(Response::new).map_err(|failure| self.0.status(failure))
    }
}

#[cfg(test)]
mod tests;
