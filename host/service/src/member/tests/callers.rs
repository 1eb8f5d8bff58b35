//! What callers are told when something is wrong, and that the member goes on.
use synod_abi::{Limit, MemberId, Revision, limits};
use synod_machine::Caller;

use super::rejection;
use crate::failure::{CallFailure, Reason, UnavailableReason, Value};
use crate::member::{Args, NewSpace, SpaceMade};
use crate::ports::{PrepareFailure, Role};
use crate::progress::lock;
use crate::read::Consistency;
use crate::testing::cluster::{Cluster, TIMEOUT, look};
use crate::testing::recipe;

fn call(
    cluster: &mut Cluster,
    number: u64,
    space: &str,
    operation: &str,
    args: Args,
) -> Result<Value, CallFailure> {
    let (member, space, operation) = (cluster.member(number), space.to_owned(), operation.to_owned());
    cluster
        .wait(async move { member.call(&space, &operation, args, Caller::default(), TIMEOUT).await })
        .map(|answer| answer.value)
}

fn json(text: &str) -> Args {
    Args::Json(text.to_owned())
}

#[test]
fn wrong_requests_are_rejected_with_reason_and_path_before_anything_is_proposed() {
    let mut cluster = Cluster::ready(2);
    let before = cluster.committed().len();
    let long = Args::Postcard { bytes: vec![0; limits::ARGS_BYTES + 1], signature: recipe::ADD_SIGNATURE };
    let cases = [
        ("Counter!", "add", json("{}"), Reason::InvalidName, None),
        ("nowhere", "add", json("{}"), Reason::UnknownSpace, None),
        ("counter", "subtract", json("{}"), Reason::UnknownOperation, None),
        ("counter", "get", json("{}"), Reason::UnknownOperation, None),
        ("counter", "add", json("{\"key\":\"k\",\"n\":-1}"), Reason::InvalidArguments, Some("$.n")),
        ("counter", "add", json("{\"key\":\"k\"}"), Reason::InvalidArguments, Some("$.n")),
        ("counter", "add", json("{\"key\":\"k\",\"n\":1,\"m\":2}"), Reason::InvalidArguments, Some("$.m")),
        ("counter", "add", json("{\"key\":"), Reason::InvalidArguments, Some("$")),
        ("counter", "add", Args::Postcard { bytes: Vec::new(), signature: 1 }, Reason::SchemaMismatch, None),
        ("counter", "add", long, Reason::ArgumentsTooLong, None),
    ];
    for (space, operation, args, reason, field) in cases {
        let rejected = rejection(call(&mut cluster, 2, space, operation, args.clone()));
        assert_eq!((rejected.reason, rejected.field.as_deref()), (reason, field), "{args:?}");
        assert!(!rejected.message.is_empty());
    }
    assert_eq!(cluster.committed().len(), before);
    assert_eq!(
        call(&mut cluster, 2, "counter", "add", json("{\"key\":\"k\",\"n\":\"1\"}")),
        Ok(Value::Json("\"1\"".into()))
    );
}

#[test]
fn garbage_with_the_right_signature_is_rejected_by_the_recipe() {
    let mut cluster = Cluster::ready(1);
    let garbage = Args::Postcard { bytes: vec![255; 9], signature: recipe::ADD_SIGNATURE };
    let rejected = rejection(call(&mut cluster, 1, "counter", "add", garbage));
    assert_eq!(rejected.fault, Some(synod_abi::Fault::BadArguments));
    assert_eq!(rejected.status, synod_abi::schema::Status::InvalidArgument);
}

#[test]
fn a_space_created_on_another_member_is_found_by_one_that_lags() {
    let mut cluster = Cluster::ready(3);
    cluster.hold_apply(2, true);
    let member = cluster.member(1);
    let created = cluster.wait(async move {
        member.create_space("team/a", "counter", None, Caller::default(), TIMEOUT).await
    });
    assert!(!created.expect("created").already);
    let member = cluster.member(2);
    let mut pending = cluster.sim.start(async move {
        member.call("team/a", "add", json("{\"key\":\"k\",\"n\":1}"), Caller::default(), TIMEOUT).await
    });
    cluster.run();
    assert!(look(&mut pending).is_none());
    cluster.hold_apply(2, false);
    cluster.run();
    assert!(look(&mut pending).is_some_and(|result| result.is_ok()));
}

#[test]
fn callers_built_with_an_earlier_version_go_on_after_an_upgrade() {
    let mut cluster = Cluster::ready(2);
    let old = Args::Postcard { bytes: recipe::add_args("k", 1).0, signature: recipe::ADD_SIGNATURE };
    let new = Args::Postcard {
        bytes: synod_abi::encode(&("k", 1_u64, Some("note"))),
        signature: recipe::ADD_2_SIGNATURE,
    };
    assert_eq!(
        rejection(call(&mut cluster, 2, "counter", "add", new.clone())).reason,
        Reason::SchemaMismatch
    );
    let member = cluster.member(1);
    let installed = cluster.wait(async move {
        let installed =
            member.install(recipe::module(2), false, NewSpace::OfRecipe, Caller::default(), TIMEOUT).await?;
        member.upgrade_space("counter", 2, Caller::default(), TIMEOUT).await?;
        Ok::<_, CallFailure>(installed)
    });
    let installed = installed.expect("installed");
    assert!(matches!(installed.space, SpaceMade::Kept { recipe, .. } if recipe.version == 1));
    assert_eq!(call(&mut cluster, 2, "counter", "add", old), Ok(Value::Postcard(vec![1])));
    assert_eq!(call(&mut cluster, 2, "counter", "add", new), Ok(Value::Postcard(vec![2])));
    assert_eq!(
        call(&mut cluster, 2, "counter", "add", json("{\"key\":\"k\",\"n\":1}")),
        Ok(Value::Json("\"3\"".into()))
    );
}

#[test]
fn a_module_is_admitted_and_prepared_before_it_is_proposed() {
    let mut cluster = Cluster::ready(1);
    let before = cluster.committed().len();
    let install = |cluster: &mut Cluster, module: Vec<u8>| {
        let member = cluster.member(1);
        cluster.wait(async move {
            member.install(module, false, NewSpace::None, Caller::default(), TIMEOUT).await
        })
    };
    assert_eq!(rejection(install(&mut cluster, b"not a module".to_vec())).reason, Reason::NotAdmitted);
    let too_long = rejection(install(&mut cluster, vec![0; limits::MODULE_BYTES + 1]));
    assert_eq!(too_long.limit.map(|limit| limit.value), Some(limits::MODULE_BYTES as u64));
    let limit = Limit { name: "COMPILE_TIMEOUT_MS", value: 30_000 };
    let slow = PrepareFailure::TooCostly { limit, message: "it takes too long".into() };
    *lock(&cluster.node(1).preparer.ready) = Some(slow);
    let too_costly = rejection(install(&mut cluster, recipe::module(2)));
    assert_eq!((too_costly.reason, too_costly.limit), (Reason::ModuleTooCostly, Some(limit)));
    let unready = PrepareFailure::Unavailable("one of three members has compiled it".into());
    *lock(&cluster.node(1).preparer.ready) = Some(unready);
    let unprepared = install(&mut cluster, recipe::module(2));
    assert!(matches!(unprepared, Err(CallFailure::Unavailable { reason: UnavailableReason::NotReady, .. })));
    assert_eq!(cluster.committed().len(), before);
    let again = install(&mut cluster, recipe::module(1));
    assert!(matches!(again, Err(CallFailure::Unavailable { .. })));
    *lock(&cluster.node(1).preparer.ready) = None;
    assert!(install(&mut cluster, recipe::module(1)).expect("installed").already);
}

#[test]
fn what_is_compiled_of_removed_recipes_goes_on_every_member() {
    let mut cluster = Cluster::ready(2);
    let hash = |version| recipe::admit(&recipe::module(version)).expect("it is admitted").hash;
    let member = cluster.member(1);
    let install = async move {
        member.install(recipe::module(2), false, NewSpace::None, Caller::default(), TIMEOUT).await
    };
    cluster.wait(install).expect("installed");
    for number in [1, 2] {
        let loaded = cluster.node(number).vm.loaded();
        assert!(loaded.contains(&hash(1)) && loaded.contains(&hash(2)), "member {number} has {loaded:?}");
    }
    cluster.hold_apply(2, true);
    let member = cluster.member(1);
    let remove = async move { member.remove_recipe("counter", 2, Caller::default(), TIMEOUT).await };
    cluster.wait(remove).expect("removed");
    assert_eq!(cluster.node(1).vm.loaded(), [hash(1)]);
    assert_eq!(cluster.node(2).vm.loaded().len(), 2);
    cluster.install_snapshot(1, 2);
    assert_eq!(cluster.node(2).vm.loaded(), [hash(1)]);
}

#[test]
fn recipes_and_spaces_are_listed_described_and_removed() {
    let mut cluster = Cluster::ready(2);
    let member = cluster.member(2);
    let (recipes, spaces, described, in_use) = cluster.wait(async move {
        let fresh = Consistency::Linearizable;
        (
            member.recipes(None, 10, fresh, TIMEOUT).await.expect("recipes"),
            member.spaces(None, 10, fresh, TIMEOUT).await.expect("spaces"),
            member.describe_space("counter", Consistency::Linearizable, TIMEOUT).await.expect("a space"),
            member.remove_recipe("counter", 1, Caller::default(), TIMEOUT).await,
        )
    });
    assert_eq!((recipes.items.len(), spaces.items.len()), (1, 1));
    assert_eq!(described.entry.schema.operations[0].name, "add");
    assert_eq!(rejection(in_use).reason, Reason::RecipeInUse);
    let member = cluster.member(2);
    let (deleted, removed, unknown) = cluster.wait(async move {
        (
            member.delete_space("counter", Caller::default(), TIMEOUT).await,
            member.remove_recipe("counter", 1, Caller::default(), TIMEOUT).await,
            member.describe_recipe("counter", None, Consistency::Linearizable, TIMEOUT).await,
        )
    });
    assert!(deleted.expect("deleted") < removed.expect("removed"));
    assert_eq!(rejection(unknown).reason, Reason::UnknownRecipe);
    let gone = call(&mut cluster, 1, "counter", "add", json("{\"key\":\"k\",\"n\":1}"));
    assert_eq!(rejection(gone).reason, Reason::UnknownSpace);
}

#[test]
fn a_cluster_that_is_not_formed_yet_asks_to_try_again() {
    let mut cluster = Cluster::new(1);
    cluster.elect(1);
    let member = cluster.member(1);
    let early = cluster
        .wait(async move { member.create_space("a", "counter", None, Caller::default(), TIMEOUT).await });
    assert!(
        matches!(early, Err(CallFailure::Unavailable { reason: UnavailableReason::NotReady, .. })),
        "{early:?}"
    );
}

#[test]
fn status_says_who_leads_and_how_far_the_state_is() {
    let mut cluster = Cluster::ready(2);
    let mut add = cluster.start_add(2, "k", 1);
    cluster.run();
    let revision = look(&mut add).expect("an answer").expect("a sum").revision;
    let leader = cluster.member(1).status();
    let follower = cluster.member(2).status();
    let head = leader.head;
    assert_eq!((leader.leadership.role, follower.leadership.role), (Role::Leader, Role::Follower));
    assert_eq!(follower.leadership.leader, Some(MemberId(1)));
    assert_eq!((head.revision, head.counts.spaces, head.counts.recipes), (revision, 1, 1));
    assert!(revision > Revision(0) && head.cluster.is_some());
    assert_eq!(leader.applied, follower.applied);
    let index = leader.applied.index;
    assert_eq!(cluster.member(2).applied().digest_at(index), Some(leader.applied));
    assert_eq!(cluster.member(2).applied().digest_at(index + 1), None);
    assert!(leader.proposer.commands >= 4 && leader.proposer.waiting == 0);
}
