//! Recipes, spaces and the cluster: one method per unary RPC.
use std::future::Future;
use std::time::Duration;

use prost::Message;
use synod_api::v1::cluster_client::ClusterClient;
use synod_api::v1::describe_recipe_request::Target;
use synod_api::v1::recipes_client::RecipesClient;
use synod_api::v1::space_admin_client::SpaceAdminClient;
use synod_api::v1::{
    BindSpaceReply, BindSpaceRequest, Binding, CompactReply, CompactRequest, Consistency, CreateSpaceReply,
    CreateSpaceRequest, DeleteSpaceRequest, DescribeRecipeReply, DescribeRecipeRequest, DescribeSpaceRequest,
    DigestAtReply, DigestAtRequest, EventLog, InstallReply, InstallRequest, ListRecipesRequest,
    ListSpacesRequest, LogLine, LogsRequest, MembersReply, MembersRequest, OwedHooksReply, OwedHooksRequest,
    RecipeInfo, RecipeRef, RemoveRecipeRequest, Retention, ScrubRequest, SetRetentionRequest,
    SettleHookReply, SettleHookRequest, Settling, SpaceInfo, StartedScrub, StatusReply, StatusRequest,
    UnbindSpaceRequest, UpgradeSpaceRequest,
};
use tokio_stream::{Stream, StreamExt};
use tonic::{Response, Status};

use super::attempts::Pace;
use super::client::Client;
use super::trouble::{check_size, trouble_of};
use super::wire::Wire;
use crate::Error;
use crate::core::{Decision, Effect, Trouble, missing_majority};
use crate::error::missing;

/// What a client waits longer than the member was asked to.
const DIGEST_SLACK_MS: u64 = 5_000;

macro_rules! sized {
    ($client:ident, $channel:expr) => {
        $client::new($channel)
            .max_decoding_message_size(synod_api::REPLY_BYTES)
            .max_encoding_message_size(synod_api::REQUEST_BYTES)
    };
}
pub(super) use sized;

impl Client {
    /// Runs a unary method by the policy.
    pub(crate) async fn unary<T, F, A>(&self, effect: Effect, pace: Pace, method: F) -> Result<T, Error>
    where
        F: Fn(Wire) -> A,
        A: Future<Output = Result<Response<T>, Trouble>>,
    {
        let method = &method;
        self.run(effect, pace, |link, timeout_ms| async move {
            match tokio::time::timeout(Duration::from_millis(timeout_ms), method(link.wire())).await {
                Ok(answer) => answer.map(Response::into_inner),
                Err(_) => Err(Trouble::NoAnswer(format!("no answer within {timeout_ms} ms"))),
            }
        })
        .await
    }

    /// The same for methods without limits or time of their own.
    pub(super) async fn simple<T, F, A>(&self, effect: Effect, method: F) -> Result<T, Error>
    where
        F: Fn(Wire) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        let method = &method;
        self.unary(effect, Pace::Usual, |channel| async move {
            method(channel).await.map_err(|status| trouble_of(&status))
        })
        .await
    }

    /// Installs a recipe; installing the same module again is no error.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn install_recipe(&self, request: InstallRequest) -> Result<InstallReply, Error> {
        let effect = if request.replace { Effect::Changes } else { Effect::Idempotent };
        let size = request.encoded_len();
        let request = &request;
        let reply = self
            .unary(effect, Pace::Slow(self.options().install_timeout_ms), |channel| async move {
                check_size(size)?;
                sized!(RecipesClient, channel)
                    .install(request.clone())
                    .await
                    .map_err(|status| trouble_of(&status))
            })
            .await?;
        self.heard(reply.header.as_ref());
        Ok(reply)
    }

    /// Every recipe and version.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_recipes(&self) -> Result<Vec<RecipeInfo>, Error> {
        let list = |channel| async move { sized!(RecipesClient, channel).list(ListRecipesRequest {}).await };
        Ok(self.simple(Effect::Idempotent, list).await?.recipes)
    }

    /// One recipe with its schema; version 0 is the largest installed one.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn describe_recipe(&self, name: &str, version: u32) -> Result<DescribeRecipeReply, Error> {
        let recipe = RecipeRef { name: name.to_owned(), version };
        self.describe(Target::Recipe(recipe), Consistency::Linearizable).await
    }

    /// The recipe that a space runs, with its schema; [`space_info`](Self::space_info) describes
    /// the space itself.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn describe_space(&self, space: &str) -> Result<DescribeRecipeReply, Error> {
        self.describe_space_from(space, Consistency::Linearizable).await
    }

    /// The same from a state that is as fresh as `consistency` says.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn describe_space_from(
        &self,
        space: &str,
        consistency: Consistency,
    ) -> Result<DescribeRecipeReply, Error> {
        self.describe(Target::Space(space.to_owned()), consistency).await
    }

    async fn describe(&self, target: Target, consistency: Consistency) -> Result<DescribeRecipeReply, Error> {
        let request = &DescribeRecipeRequest { target: Some(target), consistency: consistency as i32 };
        let describe =
            |channel| async move { sized!(RecipesClient, channel).describe(request.clone()).await };
        self.simple(Effect::Idempotent, describe).await
    }

    /// What recipes logged on the member that answers. The stream ends with its lines, or with
    /// `follow` when the connection does.
    ///
    /// # Errors
    /// See [`Error`]; an item is an error if the stream breaks.
    pub async fn recipe_logs(
        &self,
        request: LogsRequest,
    ) -> Result<impl Stream<Item = Result<LogLine, Error>> + Unpin + use<>, Error> {
        let request = &request;
        let logs = |channel| async move { sized!(RecipesClient, channel).logs(request.clone()).await };
        let lines = self.simple(Effect::Idempotent, logs).await?;
        let policy = self.options().policy;
        Ok(lines.map(move |line| {
            line.map_err(|status| {
                match policy.decide(Effect::Idempotent, trouble_of(&status), u32::MAX, u64::MAX, 0) {
                    Decision::GiveUp(error) => error,
                    Decision::Retry { .. } => Error::Unavailable(status.message().to_owned()),
                }
            })
        }))
    }

    /// Forgets one version of a recipe.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_recipe(&self, name: &str, version: u32) -> Result<(), Error> {
        let request = &RemoveRecipeRequest { recipe: Some(RecipeRef { name: name.to_owned(), version }) };
        let remove = |channel| async move { sized!(RecipesClient, channel).remove(request.clone()).await };
        let reply = self.simple(Effect::Changes, remove).await?;
        self.heard(reply.header.as_ref());
        Ok(())
    }

    /// Creates a space; version 0 is the largest installed one. The same again is no error.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_space(
        &self,
        space: &str,
        recipe: &str,
        version: u32,
    ) -> Result<CreateSpaceReply, Error> {
        let recipe = RecipeRef { name: recipe.to_owned(), version };
        let request = &CreateSpaceRequest { name: space.to_owned(), recipe: Some(recipe) };
        let create = |channel| async move { sized!(SpaceAdminClient, channel).create(request.clone()).await };
        let reply = self.simple(Effect::Changes, create).await?;
        self.heard(reply.header.as_ref());
        Ok(reply)
    }

    /// Every space.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_spaces(&self) -> Result<Vec<SpaceInfo>, Error> {
        self.list_spaces_from(Consistency::Linearizable).await
    }

    /// The same from a state that is as fresh as `consistency` says.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_spaces_from(&self, consistency: Consistency) -> Result<Vec<SpaceInfo>, Error> {
        let request = ListSpacesRequest { consistency: consistency as i32 };
        let list = |channel| async move { sized!(SpaceAdminClient, channel).list(request).await };
        Ok(self.simple(Effect::Idempotent, list).await?.spaces)
    }

    /// Moves a space to a newer version of its recipe.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn upgrade_space(&self, space: &str, to_version: u32) -> Result<SpaceInfo, Error> {
        let request = &UpgradeSpaceRequest { name: space.to_owned(), to_version };
        let upgrade =
            |channel| async move { sized!(SpaceAdminClient, channel).upgrade(request.clone()).await };
        let reply = self.simple(Effect::Changes, upgrade).await?;
        self.heard(reply.header.as_ref());
        reply.space.ok_or_else(|| missing("space"))
    }

    /// Deletes a space and everything in it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_space(&self, space: &str) -> Result<(), Error> {
        let request = &DeleteSpaceRequest { name: space.to_owned() };
        let delete = |channel| async move { sized!(SpaceAdminClient, channel).delete(request.clone()).await };
        let reply = self.simple(Effect::Changes, delete).await?;
        self.heard(reply.header.as_ref());
        Ok(())
    }

    /// One space: how many events it keeps, and its bindings in both directions.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn space_info(&self, space: &str) -> Result<SpaceInfo, Error> {
        self.space_info_from(space, Consistency::Linearizable).await
    }

    /// The same from a state that is as fresh as `consistency` says.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn space_info_from(&self, space: &str, consistency: Consistency) -> Result<SpaceInfo, Error> {
        let request = &DescribeSpaceRequest { name: space.to_owned(), consistency: consistency as i32 };
        let describe =
            |channel| async move { sized!(SpaceAdminClient, channel).describe(request.clone()).await };
        self.simple(Effect::Idempotent, describe).await?.space.ok_or_else(|| missing("space"))
    }

    /// Binds a space to another's events: its recipe's handler runs in the very command that emits
    /// them. The same again is no error, and may change what becomes of failures.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn bind_space(&self, binding: Binding) -> Result<BindSpaceReply, Error> {
        let request = &BindSpaceRequest { binding: Some(binding) };
        let bind = |channel| async move { sized!(SpaceAdminClient, channel).bind(request.clone()).await };
        let reply = self.simple(Effect::Changes, bind).await?;
        self.heard(reply.header.as_ref());
        Ok(reply)
    }

    /// Takes a binding back.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn unbind_space(&self, binding: Binding) -> Result<(), Error> {
        let request = &UnbindSpaceRequest { binding: Some(binding) };
        let unbind = |channel| async move { sized!(SpaceAdminClient, channel).unbind(request.clone()).await };
        let reply = self.simple(Effect::Changes, unbind).await?;
        self.heard(reply.header.as_ref());
        Ok(())
    }

    /// Sets how many events a space keeps; absent values stay as they are. Returns the present
    /// ones.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn set_retention(&self, space: &str, retention: Retention) -> Result<EventLog, Error> {
        let request = &SetRetentionRequest { name: space.to_owned(), retention: Some(retention) };
        let set =
            |channel| async move { sized!(SpaceAdminClient, channel).set_retention(request.clone()).await };
        let reply = self.simple(Effect::Changes, set).await?;
        self.heard(reply.header.as_ref());
        reply.events.ok_or_else(|| missing("account of events"))
    }

    /// Forgets a space's events up to a revision; 0: all that there are.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn compact(&self, space: &str, through_revision: u64) -> Result<CompactReply, Error> {
        let request = &CompactRequest { name: space.to_owned(), through_revision };
        let compact =
            |channel| async move { sized!(SpaceAdminClient, channel).compact(request.clone()).await };
        let effect = if through_revision == 0 { Effect::Changes } else { Effect::Idempotent };
        let reply = self.simple(effect, compact).await?;
        self.heard(reply.header.as_ref());
        Ok(reply)
    }

    /// Hooks that a space is owed, with numbers above `after_number`, by number; `limit` 0: as many
    /// as a reply has.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn owed_hooks(
        &self,
        space: &str,
        after_number: u64,
        limit: u32,
    ) -> Result<OwedHooksReply, Error> {
        let request = &OwedHooksRequest { name: space.to_owned(), after_number, limit };
        let list =
            |channel| async move { sized!(SpaceAdminClient, channel).owed_hooks(request.clone()).await };
        self.simple(Effect::Idempotent, list).await
    }

    /// Runs or drops a hook that a space is owed.
    ///
    /// # Errors
    /// See [`Error`]. That the hook fails again is none.
    pub async fn settle_hook(
        &self,
        space: &str,
        number: u64,
        how: Settling,
    ) -> Result<SettleHookReply, Error> {
        let request = &SettleHookRequest { name: space.to_owned(), number, how: how.into() };
        let settle =
            |channel| async move { sized!(SpaceAdminClient, channel).settle_hook(request.clone()).await };
        let reply = self.simple(Effect::Changes, settle).await?;
        self.heard(reply.header.as_ref());
        Ok(reply)
    }

    /// The members, and who leads, as the answering member knows them: no other one is asked.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn members(&self) -> Result<MembersReply, Error> {
        let members =
            |channel| async move { sized!(ClusterClient, channel).members(MembersRequest {}).await };
        self.simple(Effect::Idempotent, members).await
    }

    /// The cluster as the answering member sees it, and each member's own status; with `local`,
    /// only that member's. One that sees no majority may be cut off from the others, so those are
    /// asked as well before it is believed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn status(&self, local: bool) -> Result<StatusReply, Error> {
        let status =
            |channel| async move { sized!(ClusterClient, channel).status(StatusRequest { local }).await };
        let first = self.simple(Effect::Idempotent, status).await?;
        if local || missing_majority(&first.members).is_none() {
            return Ok(first);
        }
        Ok(self.status_with_majority().await.unwrap_or(first))
    }

    /// Has every member scrub its state at once, or with `local` only the member that answers;
    /// [`status`](Self::status) shows how that goes.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn scrub(&self, local: bool) -> Result<Vec<StartedScrub>, Error> {
        let scrub =
            |channel| async move { sized!(ClusterClient, channel).scrub(ScrubRequest { local }).await };
        Ok(self.simple(Effect::Idempotent, scrub).await?.scrubs)
    }

    /// The digests of the member that answers right after entry `index`; waits up to `wait_ms` for
    /// it to be applied.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn digest_at(&self, index: u64, wait_ms: u64) -> Result<DigestAtReply, Error> {
        let request = DigestAtRequest { index, wait_ms };
        self.unary(
            Effect::Idempotent,
            Pace::Slow(wait_ms.saturating_add(DIGEST_SLACK_MS)),
            |channel| async move {
                sized!(ClusterClient, channel).digest_at(request).await.map_err(|status| trouble_of(&status))
            },
        )
        .await
    }
}
