//! `synod.v1.Recipes`: installing, describing and removing recipes, and what they log.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use synod_abi::schema::Schema;
use synod_abi::{EntryPoint, RecipeRef};
use synod_api::v1::describe_recipe_request::Target;
use synod_api::v1::recipes_server::Recipes;
use synod_api::v1::{
    DescribeRecipeReply, DescribeRecipeRequest, InstallReply, InstallRequest, ListRecipesReply,
    ListRecipesRequest, LogLine, LogsRequest, RecipeInfo, RemoveRecipeReply, RemoveRecipeRequest,
};
use synod_machine::directory::{self, RecipeRecord};
use synod_machine::{Caller, Fatal};
use synod_service::{
    CallFailure, Consistency, LogRecord, NewSpace, Reason, RecipeEntry, Rejected, SpaceListing, SpaceMade,
};
use tonic::{Request, Response, Status};

use super::paging::{PAGE, all_pages};
use super::space_admin::all_spaces;
use super::{Front, convert, stopped};

/// Lines that are read from the ring at once.
const LOG_LINES: usize = 256;
/// How long looking a name up may take, in this member's own state.
const LOOKUP: Duration = Duration::from_secs(5);

/// The recipes of the cluster.
#[derive(Clone)]
pub(crate) struct RecipesService(pub(crate) Front);

impl RecipesService {
    fn info(&self, entry: &RecipeEntry, spaces: &[SpaceListing]) -> RecipeInfo {
        let RecipeEntry { record, schema } = entry;
        RecipeInfo {
            recipe: Some(convert::recipe_ref(&record.recipe)),
            hash: record.hash.0.to_vec(),
            module_bytes: record.module_bytes,
            docs: schema.docs.clone(),
            spaces: spaces
                .iter()
                .map(|space| &space.record)
                .filter(|space| space.recipe == record.recipe)
                .map(|space| space.name.to_string())
                .collect(),
            operations: schema.operations.len() as u32,
            queries: schema.queries.len() as u32,
        }
    }

    async fn described(
        &self,
        name: &str,
        version: Option<u32>,
        consistency: Consistency,
        timeout: Duration,
    ) -> Result<RecipeEntry, CallFailure> {
        self.0.member.describe_recipe(name, version, consistency, timeout).await
    }

    async fn all(&self, timeout: Duration) -> Result<Vec<RecipeEntry>, CallFailure> {
        let member = &self.0.member;
        let read = |after: Option<RecipeRef>, consistency| async move {
            member.recipes(after.as_ref(), PAGE, consistency, timeout).await
        };
        let records =
            all_pages(Consistency::Linearizable, |record: &RecipeRecord| record.recipe.clone(), read).await?;
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            let name = record.recipe.name.as_str();
            let version = Some(record.recipe.version);
            entries.push(member.describe_recipe(name, version, Consistency::Serializable, timeout).await?);
        }
        Ok(entries)
    }

    /// The schemas of recipes that are installed.
    async fn schemas(&self, recipes: impl Iterator<Item = RecipeRef>) -> BTreeMap<RecipeRef, Arc<Schema>> {
        let mut schemas = BTreeMap::new();
        for recipe in recipes.collect::<BTreeSet<_>>() {
            let (name, version) = (recipe.name.as_str(), Some(recipe.version));
            let entry = self.0.member.describe_recipe(name, version, Consistency::Serializable, LOOKUP).await;
            schemas.extend(entry.ok().map(|entry| (recipe, entry.schema)));
        }
        schemas
    }

    /// Whether what the lines are to be of is there, as far as this member knows.
    async fn check_wanted(&self, wanted: &LogsRequest) -> Result<(), CallFailure> {
        let LogsRequest { recipe, space, .. } = wanted;
        if !recipe.is_empty() {
            self.0.member.describe_recipe(recipe, None, Consistency::Serializable, LOOKUP).await?;
        }
        if !space.is_empty() {
            self.0.member.find_space(space).await?;
        }
        Ok(())
    }

    async fn lines(&self, records: Vec<LogRecord>, wanted: &LogsRequest) -> Vec<LogLine> {
        let spaces = self.0.spaces_by_id(records.iter().map(|record| record.space).collect()).await;
        let spaces = spaces.unwrap_or_default();
        let schemas = self.schemas(spaces.values().flatten().map(|space| space.recipe.clone())).await;
        let lines = records.into_iter().map(|record| {
            let space = spaces.get(&record.space).and_then(Option::as_ref);
            let schema = space.and_then(|space| schemas.get(&space.recipe));
            LogLine {
                member_id: self.0.identity.me.0,
                time_ms: record.time.0,
                recipe: space.map(|space| convert::recipe_ref(&space.recipe)),
                space: space.map_or_else(
                    || format!("(deleted space {})", record.space),
                    |space| space.name.to_string(),
                ),
                entry_point: point_name(record.entry_point, schema.map(|schema| &**schema)),
                level: u32::from(record.level),
                text: record.text,
                dropped: 0,
            }
        });
        let recipe_fits = |line: &LogLine| {
            wanted.recipe.is_empty()
                || line.recipe.as_ref().is_some_and(|recipe| recipe.name == wanted.recipe)
        };
        let space_fits = |line: &LogLine| wanted.space.is_empty() || line.space == wanted.space;
        let level_fits = |line: &LogLine| wanted.max_level == 0 || line.level <= wanted.max_level;
        lines.filter(|line| recipe_fits(line) && space_fits(line) && level_fits(line)).collect()
    }
}

/// What the source of a recipe calls what ran.
fn point_name(entry_point: EntryPoint, schema: Option<&Schema>) -> String {
    let hook = match entry_point {
        EntryPoint::Operation(id) | EntryPoint::Query(id) => {
            let mut points =
                schema.into_iter().flat_map(|schema| schema.operations.iter().chain(&schema.queries));
            return points
                .find(|point| point.id() == id)
                .map_or_else(String::new, |point| point.name.clone());
        }
        EntryPoint::SessionEnd => "on_session_end",
        EntryPoint::Timer => "on_timer",
        EntryPoint::Cancel => "on_cancel",
        EntryPoint::Event => "on_event",
    };
    hook.to_owned()
}

fn replace_is_off() -> CallFailure {
    let message = "this member does not replace installed recipes: count the version up, or start it with \
        --replace (development only)";
    Rejected::new(Reason::NotAllowed, message).into()
}

#[tonic::async_trait]
impl Recipes for RecipesService {
    type LogsStream = BoxStream<'static, Result<LogLine, Status>>;

    async fn install(&self, request: Request<InstallRequest>) -> Result<Response<InstallReply>, Status> {
        let timeout = self.0.install_timeout(&request);
        let InstallRequest { module, replace, no_space, space } = request.into_inner();
        if replace && !self.0.replace {
            return Err(self.0.status(replace_is_off()));
        }
        let new_space = match (no_space, space.is_empty()) {
            (true, _) => NewSpace::None,
            (false, true) => NewSpace::OfRecipe,
            (false, false) => NewSpace::Named(space),
        };
        let reply = async {
            let installed =
                self.0.member.install(module, replace, new_space, Caller::default(), timeout).await?;
            let name = installed.recipe.name.as_str();
            let version = Some(installed.recipe.version);
            let entry =
                self.0.member.describe_recipe(name, version, Consistency::Serializable, timeout).await?;
            let spaces = all_spaces(&self.0, Consistency::Serializable, timeout).await?;
            let (space, space_already) = match &installed.space {
                SpaceMade::None => (None, false),
                SpaceMade::Created(created) => (Some(convert::created(created)), created.already),
                SpaceMade::Kept { name, .. } => {
                    (spaces.iter().find(|space| space.record.name == *name).map(convert::space_info), true)
                }
            };
            let header = Some(self.0.header(installed.revision, self.0.member.applied().time()));
            Ok(InstallReply {
                header,
                recipe: Some(self.info(&entry, &spaces)),
                already: installed.already,
                space,
                space_already,
            })
        };
        reply.await.map(Response::new).map_err(|failure| self.0.status(failure))
    }

    async fn list(&self, request: Request<ListRecipesRequest>) -> Result<Response<ListRecipesReply>, Status> {
        let timeout = self.0.timeout(&request);
        let reply = async {
            let entries = self.all(timeout).await?;
            let spaces = all_spaces(&self.0, Consistency::Serializable, timeout).await?;
            let recipes = entries.iter().map(|entry| self.info(entry, &spaces)).collect();
            Ok(ListRecipesReply { header: Some(self.0.present_header()), recipes })
        };
        reply.await.map(Response::new).map_err(|failure| self.0.status(failure))
    }

    async fn describe(
        &self,
        request: Request<DescribeRecipeRequest>,
    ) -> Result<Response<DescribeRecipeReply>, Status> {
        let timeout = self.0.timeout(&request);
        let request = request.into_inner();
        let consistency = convert::consistency(request.consistency());
        let target = request
            .target
            .ok_or_else(|| Status::invalid_argument("`target` is missing: name a recipe or a space"))?;
        let reply = async {
            let entry = match target {
                Target::Recipe(recipe) => {
                    let version = (recipe.version != 0).then_some(recipe.version);
                    self.described(&recipe.name, version, consistency, timeout).await?
                }
                Target::Space(space) => {
                    let described = self.0.member.describe_space(&space, consistency, timeout).await?;
                    let recipe = described.entry.record.recipe;
                    let version = Some(recipe.version);
                    self.described(recipe.name.as_str(), version, Consistency::Serializable, timeout).await?
                }
            };
            let spaces = all_spaces(&self.0, Consistency::Serializable, timeout).await?;
            let hash = entry.record.hash;
            let schema = self.0.member.read(move |view| directory::schema_bytes(view, hash)).await?;
            let schema_json =
                serde_json::to_string(&*entry.schema).map_err(|error| stopped(Fatal(error.to_string())))?;
            Ok(DescribeRecipeReply {
                header: Some(self.0.present_header()),
                recipe: Some(self.info(&entry, &spaces)),
                schema: schema.unwrap_or_default(),
                schema_json,
            })
        };
        reply.await.map(Response::new).map_err(|failure| self.0.status(failure))
    }

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let wanted = request.into_inner();
        self.check_wanted(&wanted).await.map_err(|failure| self.0.status(failure))?;
        let ring = self.0.member.logs().clone();
        let newest = ring.after(0, usize::MAX);
        let next = newest.last().map_or(0, |record| record.number);
        let mut lines = self.lines(newest, &wanted).await;
        if wanted.tail_lines != 0 {
            lines.drain(..lines.len().saturating_sub(wanted.tail_lines as usize));
        }
        let past = stream::iter(lines.into_iter().map(Ok));
        if !wanted.follow {
            return Ok(Response::new(past.boxed()));
        }
        let service = self.clone();
        let future =
            stream::unfold((next, service, ring, wanted), |(seen, service, ring, wanted)| async move {
                ring.more_than(seen).await;
                let records = ring.after(seen, LOG_LINES);
                let dropped = records.first().map_or(0, |record| record.number.saturating_sub(seen + 1));
                let next = records.last().map_or(seen, |record| record.number);
                let mut lines = service.lines(records, &wanted).await;
                if let Some(first) = lines.first_mut() {
                    first.dropped = dropped;
                }
                Some((stream::iter(lines.into_iter().map(Ok)), (next, service, ring, wanted)))
            });
        Ok(Response::new(self.0.until_leaving(past.chain(future.flatten()))))
    }

    async fn remove(
        &self,
        request: Request<RemoveRecipeRequest>,
    ) -> Result<Response<RemoveRecipeReply>, Status> {
        let timeout = self.0.timeout(&request);
        let recipe = request.into_inner().recipe.filter(|recipe| recipe.version != 0);
        let recipe = recipe.ok_or_else(|| Status::invalid_argument("`recipe` needs a name and a version"))?;
        let revision =
            self.0.member.remove_recipe(&recipe.name, recipe.version, Caller::default(), timeout).await;
        let revision = revision.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(RemoveRecipeReply {
            header: Some(self.0.header(revision, self.0.member.applied().time())),
        }))
    }
}
