//! What commands do, told as transcripts over the script recipe.
use proptest::prelude::*;
use synod_abi::{Blob, ClusterId, Direction, EntryPoint, Fault, Revision, SpaceId, Time, encode, limits};

use crate::log::rejection::{Change, Incompatible};
use crate::testing::*;
use crate::*;

mod ceilings;
mod directory_commands;

fn outcomes(applied: &Applied) -> Vec<&Outcome> {
    applied.outcomes.iter().map(|outcome| &outcome.outcome).collect()
}

fn revision(member: &Member) -> u64 {
    member.machine.head().revision.0
}

#[test]
fn a_cluster_is_formed_before_anything_else() {
    let mut member = Member::blank();
    assert_eq!(member.one(create("a")), Err(Rejection::NotFormed));
    let [form, environment, ..] = forming();
    assert_eq!(member.one(form), Ok(Reply::Done));
    assert_eq!(member.one(install(SCRIPT_1)), Err(Rejection::NotFormed));
    assert_eq!(member.one(environment), Ok(Reply::Done));
    assert_eq!(
        member.one(Action::FormCluster { cluster: ClusterId([1; 16]) }),
        Err(Rejection::AlreadyFormed)
    );
    assert_eq!(member.machine.head().cluster, Some(ClusterId([9; 16])));
    assert_eq!(revision(&member), 2, "rejected commands take no revision");
}

#[test]
fn calls_see_what_earlier_ones_of_the_entry_wrote() {
    let mut member = Member::formed();
    let applied =
        member.apply(5, [call(1, &[put("k", "v")]), call(1, &[get("k"), delete("k")]), call(1, &[get("k")])]);
    let results: Vec<_> =
        applied.outcomes.iter().map(|outcome| seen(outcome.outcome.result.as_ref().unwrap())).collect();
    assert_eq!(results, [vec![], vec!["v".to_string()], vec!["absent".to_string()]]);
    let revisions: Vec<_> =
        outcomes(&applied).iter().map(|outcome| (outcome.revision, outcome.time)).collect();
    assert_eq!(revisions, [5, 6, 7].map(|revision| (Revision(revision), Time(5))));
}

#[test]
fn a_rejected_command_leaves_nothing_but_its_outcome() {
    let mut member = Member::formed();
    member.run(&[put("k", "old"), Step::Token]).unwrap();
    let (before, rows) = (*member.machine.head(), member.state.clone());
    for end in [Step::Refuse(3), Step::Fault(Fault::OutOfFuel)] {
        member.vm.discarded.clear();
        let refused = member.run(&[put("k", "new"), put("other", "x"), delete("k"), Step::Token, end]);
        assert!(matches!(
            refused,
            Err(Rejection::Recipe { code: 3, .. } | Rejection::Fault(Fault::OutOfFuel))
        ));
        assert_eq!(member.vm.discarded, [SpaceId(1)]);
    }
    let head = *member.machine.head();
    assert_eq!(
        (head.revision, head.tokens, head.rows, head.commands),
        (before.revision, before.tokens, before.rows, before.commands + 2)
    );
    assert!(member.state.rows(Table::State).eq(rows.rows(Table::State)));
    assert_eq!(member.run(&[get("k"), get("other"), Step::Token]).unwrap(), ["old", "absent", "2"]);
}

#[test]
fn an_instance_lives_until_the_entry_ends_or_its_writes_are_discarded() {
    let mut member = Member::formed();
    let remember = || call(1, &[Step::Remember]);
    let refused_reads = || call(1, &[Step::Remember, get("k"), Step::Refuse(1)]);
    let refused_writes = || call(1, &[put("k", "v"), Step::Refuse(1)]);
    let refused_token = || call(1, &[Step::Token, Step::Refuse(1)]);
    let applied = member.apply(
        0,
        [remember(), refused_reads(), remember(), refused_writes(), remember(), refused_token(), remember()],
    );
    let counts: Vec<_> = applied
        .outcomes
        .iter()
        .filter_map(|outcome| outcome.outcome.result.as_ref().ok())
        .flat_map(seen)
        .collect();
    assert_eq!(counts, ["1", "3", "1", "1"]);
    assert_eq!(member.run(&[Step::Remember]).unwrap(), ["1"]);
}

#[test]
fn time_never_goes_back() {
    let mut member = Member::formed();
    let times = [10, 4, 11].map(|stamp| member.apply(stamp, [call(1, &[])]).outcomes[0].outcome.time.0);
    assert_eq!(times, [10, 10, 11]);
}

#[test]
fn tokens_and_seeds_are_never_drawn_twice() {
    let mut member = Member::formed();
    let draw = [Step::Token, Step::Token, Step::Seed];
    let applied = member.apply(0, [call(1, &draw), call(1, &draw)]);
    let [first, second] = [0, 1].map(|n| seen(applied.outcomes[n].outcome.result.as_ref().unwrap()));
    member.restart();
    let third = member.run(&draw).unwrap();
    assert_eq!([&first[..2], &second[..2], &third[..2]].concat(), ["1", "2", "3", "4", "5", "6"]);
    assert!(first[2] != second[2] && second[2] != third[2]);
}

#[test]
fn what_cannot_be_called_says_why() {
    let mut member = Member::formed();
    assert_eq!(member.one(call(2, &[])), Err(Rejection::UnknownSpace));
    let mut other =
        Call { space: SpaceId(1), operation: synod_abi::OperationId::of("look"), args: Blob::default() };
    assert_eq!(member.one(Action::Call(other.clone())), Err(Rejection::UnknownOperation));
    other.operation = synod_abi::OperationId::of("run");
    other.args = vec![0; limits::ARGS_BYTES + 1].into();
    assert_eq!(member.one(Action::Call(other)), Err(Rejection::ArgumentsTooLong));
    assert_eq!(revision(&member), 4);
}

#[test]
fn commands_past_the_write_limit_are_deferred_and_leave_no_trace() {
    let mut member = Member::formed();
    let needed = limits::ENTRY_WRITE_BYTES.div_ceil(15 * limits::VALUE_BYTES);
    let before = *member.machine.head();
    let applied = member.apply(0, (0..needed + 2).map(|_| call(1, &[Step::Fill(15)])));
    let deferred: Vec<_> =
        outcomes(&applied).iter().map(|outcome| outcome.result == Err(Rejection::Deferred)).collect();
    assert_eq!(deferred, [vec![false; needed], vec![true; 2]].concat());
    let after = *member.machine.head();
    assert_eq!(
        (after.revision.0, after.commands),
        (before.revision.0 + needed as u64, before.commands + needed as u64)
    );
    assert_eq!(applied.outcomes[needed].outcome.revision, after.revision);
    assert!(member.run(&[]).is_ok(), "the next entry has the whole limit");
}

#[test]
fn a_member_stops_before_an_environment_that_it_does_not_support() {
    let mut member = Member::formed();
    let before = *member.machine.head();
    let stopped = member.try_apply(0, [change(ENVIRONMENT, OTHER)]).unwrap_err();
    let ours = format!("supports semantics {} and engine 0707", Environment::SEMANTICS);
    let theirs = format!("is semantics {} and engine 0808", OTHER.semantics);
    assert!(stopped.0.contains(&theirs) && stopped.0.contains(&ours), "{stopped}");
    assert!(member.try_apply(0, []).unwrap_err().0.contains("stopped"), "it does not go on");
    assert_eq!(directory::head(&member.state), Ok(Some(before)), "another binary goes on from here");
}

#[test]
fn a_state_of_an_environment_that_is_not_supported_is_not_loaded() {
    let mut member = Member::supporting(&[ENVIRONMENT, OTHER]);
    assert_eq!(member.one(change(ENVIRONMENT, OTHER)), Ok(Reply::Done));
    let refused = Machine::load(&member.state, &[ENVIRONMENT]).unwrap_err();
    assert!(refused.0.contains("start this member with the binary that the others run"), "{refused}");
    assert!(Machine::load(&member.state, &[OTHER]).is_ok());
}

#[test]
fn an_environment_holds_from_the_entry_after_its_command_on() {
    let mut member = Member::supporting(&[ENVIRONMENT, OTHER]);
    let applied = member.apply(0, [change(ENVIRONMENT, OTHER), call(1, &[])]);
    assert!(outcomes(&applied).iter().all(|outcome| outcome.result.is_ok()));
    assert_eq!(member.vm.environment, Some(ENVIRONMENT), "the entry goes on as it began");
    member.run(&[]).unwrap();
    assert_eq!(member.vm.environment, Some(OTHER));
}

#[test]
fn a_change_names_what_it_replaces_so_that_a_late_one_undoes_nothing() {
    let third = Environment { semantics: OTHER.semantics, engine: [9; 32] };
    let mut member = Member::supporting(&[ENVIRONMENT, OTHER, third]);
    for (action, expected) in [
        (change(OTHER, third), Err(Rejection::EnvironmentChanged)),
        (change(ENVIRONMENT, OTHER), Ok(Reply::Done)),
        (change(ENVIRONMENT, OTHER), Ok(Reply::Done)),
        (change(OTHER, third), Ok(Reply::Done)),
        (change(ENVIRONMENT, OTHER), Err(Rejection::EnvironmentChanged)),
        (Action::SetEnvironment { environment: ENVIRONMENT }, Err(Rejection::AlreadyFormed)),
        (Action::SetEnvironment { environment: third }, Ok(Reply::Done)),
    ] {
        assert_eq!(member.one(action.clone()), expected, "{action:?}");
    }
    assert_eq!(member.machine.head().environment, Some(third));
    let unformed = Member::blank().one(change(ENVIRONMENT, OTHER));
    assert_eq!(unformed, Err(Rejection::NotFormed));
}

const OTHER: Environment = Environment { semantics: Environment::SEMANTICS + 1, engine: [8; 32] };

fn change(from: Environment, to: Environment) -> Action {
    Action::ChangeEnvironment { from, to }
}

#[test]
fn malformed_repeated_and_oversized_entries_stop_the_member() {
    for (entry, why) in [
        (vec![0, 1, 0xff], "malformed"),
        ([encode(&Entry { stamp: Time(0), commands: vec![] }), vec![0]].concat(), "malformed"),
    ] {
        let Member { mut machine, state, mut vm, index, .. } = Member::formed();
        assert!(machine.apply(state, &mut vm, index + 1, &entry).unwrap_err().0.contains(why));
    }
    let unknown_action = [vec![0, 1], vec![0, 0, 0], vec![0, 0], vec![99]].concat();
    let Member { mut machine, state, mut vm, index, .. } = Member::formed();
    assert!(
        machine.apply(state, &mut vm, index + 1, &unknown_action).unwrap_err().0.contains("newer binary")
    );
    let mut member = Member::formed();
    member.index -= 1;
    assert!(member.try_apply(0, []).unwrap_err().0.contains("again"));
    let mut member = Member::formed();
    let commands = (0..limits::ENTRY_COMMANDS + 1).map(|_| call(1, &[]));
    assert!(member.try_apply(0, commands).unwrap_err().0.contains("1025 commands, the limit is 1024"));
}

#[test]
fn a_newer_format_is_not_read() {
    let mut state = MemoryState::default();
    let head = directory::Head { format: directory::FORMAT + 1, ..directory::Head::EMPTY };
    state.commit(&[Write::Put {
        table: Table::System,
        key: crate::rows::head::head_key(),
        value: [encode(&head), vec![1, 2]].concat(),
    }]);
    assert!(
        Machine::load(&state, &[ENVIRONMENT]).unwrap_err().0.contains("format 6, this binary reads format 5")
    );
}

#[test]
fn an_older_format_is_not_read_either() {
    let mut state = MemoryState::default();
    state.commit(&[Write::Put {
        table: Table::System,
        key: crate::rows::head::head_key(),
        value: encode(&1_u32),
    }]);
    let refused = Machine::load(&state, &[ENVIRONMENT]).unwrap_err();
    assert!(refused.0.contains("format 1, this binary reads format 5 and nothing older"), "{refused}");
}

#[test]
fn a_checkpoint_is_handed_on_and_changes_neither_rows_nor_revision() {
    let mut member = Member::formed();
    let digests = crate::DigestRecord { index: 7, chain: [1; 32], state: [2; 32] };
    let before = directory::head(&member.state).unwrap().unwrap();
    let applied = member.apply(0, [Action::Checkpoint(digests)]);
    assert_eq!(applied.checkpoints, [digests]);
    assert_eq!(applied.outcomes[0].outcome.result, Ok(Reply::Done));
    let after = directory::head(&member.state).unwrap().unwrap();
    assert_eq!((after.rows, applied.writes.len()), (before.rows, 1), "the head alone is written");
    assert_eq!(after.revision, before.revision, "users see no change");
}

#[test]
fn a_state_of_another_cluster_is_told_from_ones_own_and_from_none() {
    let member = Member::formed();
    let [ours, other] = [9, 8].map(|byte| ClusterId([byte; 16]));
    assert_eq!(verify_cluster(&member.state, ours), Ok(()));
    assert_eq!(verify_cluster(&MemoryState::default(), other), Ok(()), "it is not formed yet");
    let refused = verify_cluster(&member.state, other).unwrap_err();
    assert!(refused.0.contains(&format!("of cluster {ours}")), "{refused}");
}

#[test]
fn the_chain_tells_apart_what_the_state_does_not() {
    let run = |steps: &[Step], index_gap| {
        let mut member = Member::formed();
        member.index += index_gap;
        let applied = member.apply(0, [call(1, steps)]);
        (applied.chain, applied.state)
    };
    let (chain, state) = run(&[put("k", "v")], 0);
    assert_eq!(run(&[put("k", "v")], 0), (chain, state));
    for (steps, gap) in [
        (vec![put("k", "x"), put("k", "v")], 0),
        (vec![put("k", "v"), get("k")], 0),
        (vec![put("k", "v")], 1),
    ] {
        let (other_chain, other_state) = run(&steps, gap);
        assert_eq!(other_state, state, "{steps:?}");
        assert_ne!(other_chain, chain, "{steps:?}");
    }
}

#[test]
fn a_query_reads_one_moment_and_cannot_write() {
    let mut member = Member::formed();
    member.run(&[put("k", "v"), Step::Token]).unwrap();
    let moment = member.state.clone();
    member.apply(7, [call(1, &[put("k", "w")])]);
    let look = |member: &mut Member, view: &MemoryState, name: &str, steps: &[Step]| {
        let space = directory::space(view, &space(name)).unwrap().unwrap();
        let query = Query {
            space: space.id,
            module: space.module,
            query: synod_abi::OperationId::of("look"),
            args: encode(steps),
            session: None,
        };
        crate::query(view.clone(), &mut member.vm, &query).unwrap()
    };
    let reads = [get("k"), range("", "", Direction::Backward, 5), Step::Log("hello".into())];
    let answer = look(&mut member, &moment, "a", &reads);
    assert_eq!((answer.revision, answer.time), (Revision(5), Time(0)));
    assert_eq!(seen(&Reply::Result(answer.result.unwrap().into())), ["v", "k=v", "end"]);
    assert_eq!(
        answer.logs,
        [LogLine {
            space: SpaceId(1),
            entry_point: EntryPoint::Query(synod_abi::OperationId::of("look")),
            level: 3,
            text: "hello".into()
        }]
    );
    let now = member.state.clone();
    for write in [put("k", "x"), delete("k"), Step::Token] {
        assert_eq!(look(&mut member, &now, "a", &[write]).result, Err(Rejection::Fault(Fault::BadHostCall)));
    }
    member.vm = ScriptVm::default();
    assert!(look(&mut member, &now, "a", &reads).result.is_ok(), "the module is loaded when it is needed");
}

/// A store that fails from some read on.
#[derive(Clone)]
struct Failing(MemoryState);

impl StateView for Failing {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        if table == Table::State { Err(Fatal("the disk failed".into())) } else { self.0.get(table, key) }
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: RangeLimit,
    ) -> Result<(Vec<Row>, bool), Fatal> {
        if table == Table::State {
            Err(Fatal("the disk failed".into()))
        } else {
            self.0.range(table, from, to, direction, limit)
        }
    }
}

#[test]
fn a_failing_store_stops_the_member_and_is_never_an_outcome() {
    for step in [get("k"), range("", "", Direction::Forward, 1), put("k", "v")] {
        let Member { mut machine, state, mut vm, index, .. } = Member::formed();
        let entry = encode(&Entry { stamp: Time(0), commands: vec![command(call(1, &[step]))] });
        let stopped = machine.apply(Failing(state), &mut vm, index + 1, &entry).unwrap_err();
        assert_eq!(stopped, Fatal("the disk failed".into()));
    }
}

#[test]
fn lines_for_people_are_bounded_and_change_no_digest() {
    let mut quiet = Member::formed();
    let mut loud = Member::formed();
    let long = "x".repeat(limits::LOG_LINE_BYTES + 1);
    let lines = vec![Step::Log(long); limits::CALL_LOG_LINES as usize + 1];
    let silent = quiet.apply(0, (0..100).map(|_| call(1, &[])));
    let noisy = loud.apply(0, (0..100).map(|_| call(1, &lines)));
    assert_eq!((silent.chain, silent.state), (noisy.chain, noisy.state));
    assert_eq!(noisy.logs.len(), limits::LOG_RING_LINES);
    assert!(noisy.logs.iter().all(|line| line.text.len() == limits::LOG_LINE_BYTES));
    assert_eq!(loud.apply(0, [call(1, &lines)]).logs.len(), limits::CALL_LOG_LINES as usize);
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::sample::select(vec!["", "a", "b", "ab", "c"]);
    let value = prop::sample::select(vec!["", "1", "2"]);
    prop_oneof![
        4 => (key(), value).prop_map(|(key, value)| put(key, value)),
        2 => key().prop_map(delete),
        3 => key().prop_map(get),
        3 => (key(), key(), any::<bool>(), 1..4_u32).prop_map(|(from, to, backward, rows)| {
            range(from, to, if backward { Direction::Backward } else { Direction::Forward }, rows)
        }),
        1 => Just(Step::Token),
        1 => Just(Step::Seed),
        1 => Just(Step::Refuse(1)),
        1 => Just(Step::Fault(Fault::Panic)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let name = || prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        20 => (1..6_u32, prop::collection::vec(step(), 0..6)).prop_map(|(space, steps)| call(space, &steps)),
        2 => name().prop_map(create),
        1 => name().prop_map(|name| Action::DeleteSpace { name: space(name) }),
        1 => (name(), 1..4_u32).prop_map(|(name, to)| Action::UpgradeSpace { name: space(name), to }),
        1 => (prop::sample::select(vec![SCRIPT_1, SCRIPT_1_DOCS, SCRIPT_2, SCRIPT_3, OTHER_1]), any::<bool>())
            .prop_map(|(module, replace)| Action::InstallRecipe { module: module.into(), replace }),
        1 => (1..4_u32).prop_map(|version| Action::RemoveRecipe { recipe: script(version) }),
    ]
}

fn in_batches(actions: &[Action], of: usize, restarts: bool) -> ([u8; 32], Vec<(Outcome, u64)>, MemoryState) {
    let mut member = Member::formed();
    let mut outcomes = Vec::new();
    for batch in actions.chunks(of) {
        let applied = member.apply(1, batch.iter().cloned());
        assert_eq!(applied.state, member.machine.head().state_digest());
        outcomes.extend(applied.outcomes.into_iter().map(|outcome| (outcome.outcome, outcome.fuel)));
        if restarts {
            member.restart();
        }
    }
    (member.machine.head().state_digest(), outcomes, member.state)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn outcomes_and_state_do_not_depend_on_entries_nor_restarts(
        actions in prop::collection::vec(action(), 1..80),
    ) {
        let (digest, outcomes, state) = in_batches(&actions, 1, false);
        for (of, restarts) in [(32, false), (7, true)] {
            let (other_digest, other_outcomes, other_state) = in_batches(&actions, of, restarts);
            prop_assert_eq!(&other_outcomes, &outcomes);
            prop_assert_eq!(other_digest, digest);
            for table in [Table::State, Table::Recipes] {
                prop_assert!(other_state.rows(table).eq(state.rows(table)));
            }
        }
    }
}
