//! Unit tests of `recipes`.
use std::path::PathBuf;

use synod_machine::{Draft, MemoryState};

use super::*;

type Host = Draft<MemoryState>;

/// Looks, while it loads, what a process that is killed now starts with.
struct Slow(PathBuf);

impl Vm<Host> for Slow {
    fn admit(&self, _module: &[u8]) -> Result<Admitted, AdmissionError> {
        panic!("nothing is admitted here")
    }

    fn load(&mut self, _hash: ModuleHash, module: &[u8]) -> Result<(), Fatal> {
        Tripwire::open(&self.0).map_err(|error| Fatal(error.to_string()))?;
        if module.is_empty() { Err(Fatal("it cannot be loaded".to_owned())) } else { Ok(()) }
    }

    fn is_loaded(&self, _hash: ModuleHash) -> bool {
        false
    }

    fn begin_entry(&mut self, _: Option<Environment>) -> Result<(), Fatal> {
        Ok(())
    }

    fn invoke(&mut self, _invocation: Invocation<'_>, _host: Host) -> Result<(Host, Completion), Fatal> {
        panic!("nothing is called here")
    }

    fn discard(&mut self, _space: SpaceId) {}

    fn fuel_used(&self) -> u64 {
        0
    }
}

#[test]
fn a_member_that_is_killed_or_fails_while_it_loads_a_module_did_not_crash_on_the_entry() {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let written = "the file can be written";
    let crashed = Tripwire::open(folder.path()).expect("a first start");
    crashed.arm(7).expect(written);
    let tripwire = Arc::new(Tripwire::open(folder.path()).expect("one crash"));
    tripwire.arm(7).expect(written);
    let mut recipes = Recipes::new(Slow(folder.path().into()), tripwire);
    recipes.load(ModuleHash([1; 32]), b"module").expect("it may be killed while it loads");
    Tripwire::open(folder.path()).expect_err("it crashes when the entry goes on: two crashes");

    std::fs::remove_file(folder.path().join("applying")).expect("the file is there");
    let tripwire = Arc::new(Tripwire::open(folder.path()).expect("the operator decided"));
    tripwire.arm(7).expect(written);
    let mut recipes = Recipes::new(Slow(folder.path().into()), tripwire);
    for _ in 0..3 {
        recipes.load(ModuleHash([1; 32]), b"").expect_err("it cannot be loaded, and the member ends");
        Tripwire::open(folder.path()).expect("that was no crash on the entry");
    }
}
