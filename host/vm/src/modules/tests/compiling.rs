//! Who waits for a compilation, and for whom: with compilers that block, fail and die.
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex};

use super::line::{COMPILATIONS, WAITING_COMPILATIONS};
use super::*;
use crate::WantedBy;

const PATIENCE: Duration = Duration::from_secs(60);

/// Which modules it holds up, until they are let go or abandoned.
struct Gate {
    held: Mutex<BTreeSet<ModuleHash>>,
    changed: Condvar,
    started: Mutex<Sender<ModuleHash>>,
    calls: AtomicUsize,
    /// How often it dies before it answers.
    deaths: AtomicUsize,
}

impl Gate {
    fn let_go(&self, module: &[u8]) {
        self.held.lock().expect("nobody panicked").remove(&module_hash(module));
        self.changed.notify_all();
    }
}

struct Gated(Arc<Gate>);

impl Compile for Gated {
    fn compile(
        &self,
        fingerprint: &[u8; 32],
        module: &Arc<[u8]>,
        terms: &Terms,
    ) -> Result<Code, CompileError> {
        let gate = &self.0;
        gate.calls.fetch_add(1, Ordering::Relaxed);
        gate.started.lock().expect("nobody panicked").send(module_hash(module)).expect("the test waits");
        let mut held = gate.held.lock().expect("nobody panicked");
        while held.contains(&module_hash(module)) {
            if terms.is_abandoned() {
                return Err(CompileError::Abandoned);
            }
            held = gate.changed.wait_timeout(held, Duration::from_millis(1)).expect("nobody panicked").0;
        }
        drop(held);
        let dies = gate.deaths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if dies.is_ok() {
            return Err(CompileError::Died("on purpose".to_owned()));
        }
        InProcess.compile(fingerprint, module, terms)
    }
}

/// Modules whose compiler holds up `held`, and what tells which modules it began with.
fn gated(held: &[&[u8]], code_memory: u64) -> (Arc<Modules>, Arc<Gate>, Receiver<ModuleHash>) {
    let (started, begun) = channel();
    let gate = Arc::new(Gate {
        held: Mutex::new(held.iter().map(|module| module_hash(module)).collect()),
        changed: Condvar::new(),
        started: Mutex::new(started),
        calls: AtomicUsize::new(0),
        deaths: AtomicUsize::new(0),
    });
    let modules = Modules::new(Edition::NEWEST, None, Arc::new(Gated(gate.clone())), code_memory)
        .expect("the engines start");
    (modules, gate, begun)
}

type Preparing = std::thread::JoinHandle<Result<(), PrepareError>>;

fn preparing(modules: &Arc<Modules>, module: &[u8]) -> (Preparing, WantedBy) {
    let (wanted, wanted_by) = Wanted::new();
    let (modules, module) = (modules.clone(), module.to_vec());
    let thread = std::thread::spawn(move || modules.prepare(module_hash(&module), &module, &wanted));
    (thread, wanted_by)
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_committed_module_waits_for_none_that_is_not() {
    let bombs: Vec<_> = (0..=COMPILATIONS).map(numbered).collect();
    let held: Vec<&[u8]> = bombs.iter().map(Vec::as_slice).collect();
    let (modules, gate, begun) = gated(&held, CODE_MEMORY_BYTES);
    let compiling: Vec<_> = bombs.iter().map(|bomb| preparing(&modules, bomb)).collect();
    for _ in 0..COMPILATIONS {
        begun.recv_timeout(PATIENCE).expect("it begins");
    }
    until("the last one waits in the line", || modules.line.waiting() == 1);

    let needed = numbered(90);
    assert_eq!(modules.prepare_committed(module_hash(&needed), &needed), Ok(()));
    // The one that waits in the line has been committed meanwhile.
    let last = &bombs[COMPILATIONS];
    gate.let_go(last);
    assert_eq!(modules.prepare_committed(module_hash(last), last), Ok(()));
    bombs.iter().for_each(|bomb| gate.let_go(bomb));
    for (thread, _wanted_by) in compiling {
        assert_eq!(thread.join().expect("it does not panic"), Ok(()));
    }
}

#[test]
fn a_compilation_that_nobody_wants_gives_its_place_to_the_next() {
    let bombs: Vec<_> = (0..COMPILATIONS).map(numbered).collect();
    let held: Vec<&[u8]> = bombs.iter().map(Vec::as_slice).collect();
    let (modules, _gate, begun) = gated(&held, CODE_MEMORY_BYTES);
    let compiling: Vec<_> = bombs.iter().map(|bomb| preparing(&modules, bomb)).collect();
    for _ in 0..COMPILATIONS {
        begun.recv_timeout(PATIENCE).expect("it begins");
    }
    let (honest, _wanted_by) = preparing(&modules, &numbered(90));
    let (waits, leaves) = preparing(&modules, &numbered(91));
    until("both wait in the line", || modules.line.waiting() == 2);
    drop(leaves);
    assert_eq!(waits.join().expect("it does not panic"), Err(PrepareError::Abandoned));
    for (thread, wanted_by) in compiling {
        drop(wanted_by);
        assert_eq!(thread.join().expect("it does not panic"), Err(PrepareError::Abandoned));
    }
    assert_eq!(honest.join().expect("it does not panic"), Ok(()));
    assert!(bombs.iter().all(|bomb| !modules.is_prepared(module_hash(bomb))));
}

#[test]
fn a_line_that_is_full_refuses() {
    let bombs: Vec<_> = (0..COMPILATIONS + WAITING_COMPILATIONS).map(numbered).collect();
    let held: Vec<&[u8]> = bombs.iter().map(Vec::as_slice).collect();
    let (modules, gate, _begun) = gated(&held, CODE_MEMORY_BYTES);
    let compiling: Vec<_> = bombs.iter().map(|bomb| preparing(&modules, bomb)).collect();
    until("the line is full", || {
        modules.line.waiting() == WAITING_COMPILATIONS && gate.calls.load(Ordering::Relaxed) == COMPILATIONS
    });
    assert_eq!(prepare(&modules, &numbered(90)), Err(PrepareError::Busy));
    for (thread, wanted_by) in compiling {
        drop(wanted_by);
        assert_eq!(thread.join().expect("it does not panic"), Err(PrepareError::Abandoned));
    }
}

#[test]
fn the_compiler_of_a_committed_module_is_started_again_until_it_answers() {
    let (modules, gate, _begun) = gated(&[], CODE_MEMORY_BYTES);
    gate.deaths.store(2, Ordering::Relaxed);
    let module = numbered(1);
    assert_eq!(modules.prepare_committed(module_hash(&module), &module), Ok(()));
    assert_eq!(gate.calls.load(Ordering::Relaxed), 3);

    gate.deaths.store(1, Ordering::Relaxed);
    let died = prepare(&modules, &numbered(2));
    assert!(matches!(died, Err(PrepareError::CompilerDied { .. })), "{died:?}");
}

#[test]
fn a_second_caller_shares_the_first_ones_compilation() {
    let module = numbered(1);
    let (modules, gate, begun) = gated(&[&module], CODE_MEMORY_BYTES);
    let (first, _wanted_by) = preparing(&modules, &module);
    begun.recv_timeout(PATIENCE).expect("it begins");
    let committed = modules.clone();
    let bytes = module.clone();
    let second = std::thread::spawn(move || committed.prepare_committed(module_hash(&bytes), &bytes));
    gate.let_go(&module);
    assert_eq!(first.join().expect("it does not panic"), Ok(()));
    assert_eq!(second.join().expect("it does not panic"), Ok(()));
    assert_eq!(gate.calls.load(Ordering::Relaxed), 1);
}

#[test]
fn code_that_was_not_used_for_longest_leaves_memory_and_comes_back_from_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let [one, two, three] = [numbered(1), numbered(2), numbered(3)];
    let bytes = {
        let fingerprint = modules().engine_fingerprint();
        let code = crate::compile::compile(&fingerprint, &one).expect("it compiles");
        (code.apply.len() + code.query.len()) as u64
    };
    let memory = 2 * bytes + bytes / 2;
    let modules = Modules::new(Edition::NEWEST, Some(directory.path()), Arc::new(InProcess), memory)
        .expect("the engines start");
    let mut vm = WasmVm::<MapHost>::new(modules.clone()).expect("the host calls link");
    let load = |vm: &mut WasmVm<MapHost>, module: &[u8]| {
        vm.load(module_hash(module), module).expect("it is admitted");
    };
    load(&mut vm, &one);
    load(&mut vm, &two);
    works(&modules, &one);
    let held = Arc::downgrade(&modules.get(module_hash(&two)).expect("it is in memory"));
    works(&modules, &one);
    load(&mut vm, &three);
    assert!(modules.is_prepared(module_hash(&one)) && modules.is_prepared(module_hash(&three)));
    assert!(!modules.is_prepared(module_hash(&two)) && !vm.is_loaded(module_hash(&two)));
    assert_eq!((held.strong_count(), files(directory.path())), (0, 6));

    let written = |directory: &Path| fs::metadata(directory).and_then(|it| it.modified()).expect("a time");
    let before = written(directory.path());
    works(&modules, &two);
    assert_eq!((files(directory.path()), written(directory.path())), (6, before), "nothing was compiled");
    vm.begin_entry(None).expect("the engine is there");
    assert!(!vm.is_loaded(module_hash(&one)), "now this one was not used for longest");
}
