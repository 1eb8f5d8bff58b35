//! One member with a recipe that counts, on rows in memory: what the benches of the machine and of
//! the engine apply entries to.
//!
//! They differ in what runs the recipe; the machine, the entries and the keys are the same, so that
//! their results compare.
use synod_abi::{ClusterId, OperationId, RecipeName, SpaceId, SpaceName, Time, encode};
use synod_machine::{
    Action, Applied, Call, Caller, Command, Draft, Entry, Environment, Machine, MemoryState, Origin, Vm,
};

/// Different entries that are applied in turn.
const ENTRIES: u32 = 97;
/// Calls an entry while the counters are made.
const SETUP_CALLS: u32 = 1_024;

pub(crate) struct Member<V> {
    machine: Machine,
    state: MemoryState,
    vm: V,
    index: u64,
}

impl<V: Vm<Draft<MemoryState>>> Member<V> {
    /// With `module` installed, whose operation `add` takes a name and a number, and with
    /// `counters` counters.
    pub(crate) fn new(vm: V, engine: [u8; 32], module: &[u8], counters: u32) -> Self {
        let environment = Environment { semantics: Environment::SEMANTICS, engine };
        let state = MemoryState::default();
        let machine = Machine::load(&state, &[environment]).expect("an empty state loads");
        let mut member = Self { machine, state, vm, index: 0 };
        let recipe = RecipeName::new("counter").expect("it is a name");
        let name = SpaceName::new("counter").expect("it is a name");
        for action in [
            Action::FormCluster { cluster: ClusterId([1; 16]) },
            Action::SetEnvironment { environment },
            Action::InstallRecipe { module: module.into(), replace: false },
            Action::CreateSpace { name, recipe, version: None },
        ] {
            member.apply(&entry([action]));
        }
        for first in (0..counters).step_by(SETUP_CALLS as usize) {
            member.apply(&entry((first..counters.min(first + SETUP_CALLS)).map(add).map(Action::Call)));
        }
        member
    }

    /// Applies an entry and commits it.
    pub(crate) fn apply(&mut self, entry: &[u8]) -> Applied {
        self.index += 1;
        let applied = self
            .machine
            .apply(self.state.clone(), &mut self.vm, self.index, entry)
            .expect("the entry is well formed");
        let failed = applied.outcomes.iter().find(|outcome| outcome.outcome.result.is_err());
        assert!(failed.is_none(), "{failed:?}");
        self.state.commit(&applied.writes);
        applied
    }
}

/// Entries of `calls` calls each, which add to counters all over.
pub(crate) fn entries(counters: u32, calls: u32) -> Vec<Vec<u8>> {
    (0..ENTRIES)
        .map(|n| entry((0..calls).map(|call| Action::Call(add((n * 7_919 + call * 104_729) % counters)))))
        .collect()
}

/// An entry of `actions`, outside of any session.
pub(crate) fn entry(actions: impl IntoIterator<Item = Action>) -> Vec<u8> {
    let command = |action| Command { origin: Origin::default(), caller: Caller::default(), action };
    encoded(actions.into_iter().map(command).collect())
}

/// An entry of `commands`.
pub(crate) fn encoded(commands: Vec<Command>) -> Vec<u8> {
    encode(&Entry { stamp: Time(1), commands })
}

/// A call that adds one to a counter.
pub(crate) fn add(counter: u32) -> Call {
    Call {
        space: SpaceId(1),
        operation: OperationId::of("add"),
        args: encode(&(format!("counter-{counter:06}"), 1_i64)).into(),
    }
}
