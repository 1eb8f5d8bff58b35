//! Unit tests of `access`.
use synod_abi::{Revision, TopicFilter};

use super::*;
use crate::{
    Binding, Call, EventRetention, OnFailure, OpenSession, Request, SessionCall, Settling, TtlPolicy,
};

#[test]
fn every_action_says_what_it_touches_and_anyone_may_do_it() {
    let space = SpaceName::new("team/locks").unwrap();
    let recipe = RecipeRef { name: RecipeName::new("lock").unwrap(), version: 2 };
    let operation = OperationId::of("acquire");
    let call = Call { space: SpaceId(7), operation, args: Vec::new().into() };
    let session = SessionId([3; 16]);
    let (nonce, secret_hash, label) = ([1; 16], [2; 32], Default::default());
    let open = OpenSession { nonce, secret_hash, ttl_ms: 0, ttl_policy: TtlPolicy::Exact, label };
    let in_session = Action::SessionCall(SessionCall { call: call.clone(), request: Request::default() });
    let create = Action::CreateSpace { name: space.clone(), recipe: recipe.name.clone(), version: None };
    let binding =
        Binding { handler: space.clone(), source: SpaceName::new("kv").unwrap(), filter: TopicFilter::all() };
    let of_binding = vec![Right::AdministerSpace(&space), Right::ReadEvents(&binding.source)];
    let retain = Action::SetEventRetention { name: space.clone(), retention: EventRetention::default() };
    let cases: [(Action, Vec<Right<'_>>); 22] = [
        (Action::FormCluster { cluster: Default::default() }, vec![Right::ConfigureCluster]),
        (Action::SetEnvironment { environment: Default::default() }, vec![Right::ConfigureCluster]),
        (
            Action::ChangeEnvironment { from: Default::default(), to: Default::default() },
            vec![Right::ConfigureCluster],
        ),
        (Action::InstallRecipe { module: Vec::new().into(), replace: false }, vec![Right::InstallRecipe]),
        (Action::RemoveRecipe { recipe: recipe.clone() }, vec![Right::RemoveRecipe(&recipe)]),
        (create, vec![Right::AdministerSpace(&space), Right::UseRecipe(&recipe.name)]),
        (Action::UpgradeSpace { name: space.clone(), to: 3 }, vec![Right::AdministerSpace(&space)]),
        (Action::DeleteSpace { name: space.clone() }, vec![Right::AdministerSpace(&space)]),
        (Action::Call(call.clone()), vec![Right::CallSpace(SpaceId(7), operation)]),
        (Action::OpenSession(open), vec![Right::OpenSession]),
        (Action::EndSession { session, cause: EndCause::Closed }, vec![Right::CloseSession(session)]),
        (Action::EndSession { session, cause: EndCause::Expired }, vec![Right::ExpireSession(session)]),
        (in_session, vec![Right::UseSession, Right::CallSpace(SpaceId(7), operation)]),
        (Action::CancelRequest { request: Default::default() }, vec![Right::UseSession]),
        (Action::Tick, vec![Right::FireTimers]),
        (Action::SetSessionBounds { bounds: Default::default() }, vec![Right::ConfigureCluster]),
        (Action::BindSpace { binding: binding.clone(), on_failure: OnFailure::Skip }, of_binding.clone()),
        (Action::UnbindSpace { binding: binding.clone() }, of_binding),
        (retain, vec![Right::AdministerSpace(&space)]),
        (
            Action::CompactEvents { space: SpaceId(7), through: Revision(9) },
            vec![Right::CompactEvents(SpaceId(7))],
        ),
        (Action::Checkpoint(Default::default()), vec![Right::CompareDigests]),
        (
            Action::SettleHook { name: space.clone(), number: 1, how: Settling::Run },
            vec![Right::AdministerSpace(&space)],
        ),
    ];
    for (action, rights) in &cases {
        let set = access_set(action);
        assert_eq!(set.rights().collect::<Vec<_>>(), *rights, "{action:?}");
        assert!(set.allows(Principal::Anyone) && set.allows(Principal::System));
    }
}
