//! What operators ask for: recipes, spaces, bindings, and calls as people type them.
use futures::FutureExt;
use synod_abi::TopicFilter;
use synod_machine::{Binding, Caller as Who, OnFailure};
use synod_service::{Args, Consistency, NewSpace, QueryOptions, Value};

use super::{ATTEMPT, Again, DEADLINE, Failed, PATIENCE, SimClient};
use crate::peers::SimMember;

impl SimClient {
    /// Installs a module, and creates a space for it if `with_space`.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn install(&self, module: &[u8], with_space: bool) -> Result<(), Failed> {
        let serve = |member: SimMember| {
            let module = module.to_vec();
            let space = if with_space { NewSpace::OfRecipe } else { NewSpace::None };
            async move { member.install(module, false, space, Who::default(), DEADLINE).await }.boxed()
        };
        self.ask(Again::Always, (ATTEMPT, PATIENCE), serve).await.map(drop)
    }

    /// Forgets a version of a recipe.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn remove_recipe(&self, name: &'static str, version: u32) -> Result<(), Failed> {
        let serve = move |member: SimMember| {
            async move { member.remove_recipe(name, version, Who::default(), DEADLINE).await }.boxed()
        };
        self.ask(Again::Never, (ATTEMPT, PATIENCE), serve).await.map(drop)
    }

    /// Creates a space.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn create_space(&self, space: &str, recipe: &'static str, version: u32) -> Result<(), Failed> {
        let serve = |member: SimMember| {
            let space = space.to_owned();
            let create = async move {
                member.create_space(&space, recipe, Some(version), Who::default(), DEADLINE).await
            };
            create.boxed()
        };
        self.ask(Again::Never, (ATTEMPT, PATIENCE), serve).await.map(drop)
    }

    /// Moves a space to another version of its recipe.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn upgrade_space(&self, space: &str, to: u32) -> Result<(), Failed> {
        let serve = |member: SimMember| {
            let space = space.to_owned();
            async move { member.upgrade_space(&space, to, Who::default(), DEADLINE).await }.boxed()
        };
        self.ask(Again::Never, (ATTEMPT, PATIENCE), serve).await.map(drop)
    }

    /// Deletes a space and its rows.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn delete_space(&self, space: &str) -> Result<(), Failed> {
        let serve = |member: SimMember| {
            let space = space.to_owned();
            async move { member.delete_space(&space, Who::default(), DEADLINE).await }.boxed()
        };
        self.ask(Again::Never, (ATTEMPT, PATIENCE), serve).await.map(drop)
    }

    /// Has the space `handler` react to the events of `source`.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn bind(&self, handler: &str, source: &str) -> Result<(), Failed> {
        let name = |text: &str| text.parse().expect("a name");
        let filter = TopicFilter::Prefix(String::new());
        let binding = Binding { handler: name(handler), source: name(source), filter };
        let serve = |member: SimMember| {
            let binding = binding.clone();
            async move { member.bind_space(binding, OnFailure::Reject, Who::default(), DEADLINE).await }
                .boxed()
        };
        self.ask(Again::Always, (ATTEMPT, PATIENCE), serve).await.map(drop)
    }

    /// Calls an operation with arguments in JSON; what it answers in JSON.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn call_json(&self, space: &str, operation: &str, args: &str) -> Result<String, Failed> {
        let serve = |member: SimMember| {
            let (space, operation, args) =
                (space.to_owned(), operation.to_owned(), Args::Json(args.to_owned()));
            async move { member.call(&space, &operation, args, Who::default(), DEADLINE).await }.boxed()
        };
        let (address, answer) = self.ask(Again::Never, (ATTEMPT, PATIENCE), serve).await?;
        self.heard(&address, answer.revision.0);
        Ok(text_of(answer.value))
    }

    /// The same of a query.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn query_json(&self, space: &str, query: &str) -> Result<String, Failed> {
        let options =
            QueryOptions { consistency: Consistency::Linearizable, at_least_revision: 0, session: None };
        let serve = |member: SimMember| {
            let (space, query) = (space.to_owned(), query.to_owned());
            let ask = async move {
                let args = Args::Json(String::new());
                let (answer, _) = member.query(&space, &query, args, options, DEADLINE).await?;
                Ok(answer)
            };
            ask.boxed()
        };
        let (address, answer) = self.ask(Again::Always, (ATTEMPT, PATIENCE), serve).await?;
        self.heard(&address, answer.revision.0);
        Ok(text_of(answer.value))
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::Json(text) => text,
        Value::Postcard(_) => panic!("a call in JSON is answered in JSON"),
    }
}
