//! That nothing of a call is left for the next one, however it was written, and that nobody sees
//! which calls share an instance.
use synod_abi::testing::MapHost;
use synod_abi::{CONTEXT_BYTES, Direction, Fault, RangeRequest, SpaceId, costs, limits};
use synod_machine::Completion;

use crate::fixtures::{Bench, DONE, INPUT, operation, recipe};
use crate::pristine::{GUEST_BYTES, PAGES};

/// Does the n-th of several things, by the operation's number, at `$place`, which is its argument.
struct Variants {
    bench: Bench,
    texts: Vec<String>,
}

impl Variants {
    fn of(texts: Vec<String>, rest: &str) -> Self {
        let cases = texts.iter().enumerate();
        let cases: String = cases
            .map(|(n, text)| format!("(if (i32.eq (local.get $id) (i32.const {n})) (then {text}))"))
            .collect();
        let args = INPUT as usize + CONTEXT_BYTES;
        let entry = format!(
            "(local $place i32) (local $end i32)
            (local.set $place (i32.load (i32.const {args}))) {cases} {DONE}"
        );
        Self { bench: Bench::of(&recipe(&entry, rest)), texts }
    }

    /// How one of them ended, and its fuel.
    fn run(&mut self, space: u32, variant: usize, place: u32) -> (Completion, u64) {
        let host =
            MapHost { rows: [(b"key".to_vec(), vec![9; 5_000])].into(), chunk_rows: 9, ..MapHost::default() };
        let args = [&place.to_le_bytes()[..], &[5; 3_000]].concat();
        let ended = self.bench.call_with(space, operation(variant as u32), &args, host);
        (ended.expect("this host runs it").1, self.bench.vm.fuel_used)
    }

    /// All of the memory of the instance of `space`, after it was put back.
    fn memory(&mut self, space: u32) -> Vec<u8> {
        let vm = &mut self.bench.vm;
        let slot = vm.slots.get_mut(&SpaceId(space)).expect("the space has an instance");
        slot.live.forget(&vm.linked[&self.bench.module].pristine);
        slot.live.memory().to_vec()
    }

    /// Checks that each of them, at each of `places`, leaves nothing behind.
    fn leave_nothing(mut self, places: &[u32]) {
        let nothing = self.texts.len();
        self.run(1, nothing, 0);
        let fresh = self.memory(1);
        for variant in 0..nothing {
            for place in places {
                let text = format!("{} at {place}", self.texts[variant]);
                let alone = self.run(1, variant, *place);
                assert_eq!(alone.0, Completion::Done(vec![]), "{text}");
                assert!(self.memory(1) == fresh, "{text}: memory remembers");
                assert_eq!(self.run(1, variant, *place), alone, "{text}: fuel tells what ran before");
                self.bench.vm.slots.clear();
                assert_eq!(self.run(1, variant, *place), alone, "{text}: fuel tells what ran before");
            }
        }
    }

    /// Checks that each of them, at each of `places`, ends with `fault`.
    fn fail(mut self, places: &[u32], fault: Fault) {
        for variant in 0..self.texts.len() {
            for place in places {
                let text = format!("{} at {place}", self.texts[variant]);
                assert_eq!(self.run(1, variant, *place).0, Completion::Faulted(fault), "{text}");
            }
        }
    }
}

const STORES: [(&str, u32); 9] = [
    ("i32.store8", 1),
    ("i32.store16", 2),
    ("i32.store", 4),
    ("i64.store8", 1),
    ("i64.store16", 2),
    ("i64.store32", 4),
    ("i64.store", 8),
    ("f32.store", 4),
    ("f64.store", 8),
];

/// A store of every kind.
fn stores(offset: u32) -> Vec<String> {
    let store = |(store, _): (&str, u32)| {
        let value = if store.starts_with('i') { "-1" } else { "-nan" };
        let address = format!("(i32.sub (local.get $place) (i32.const {offset}))");
        format!("({store} offset={offset} {address} ({}.const {value}))", &store[..3])
    };
    STORES.map(store).to_vec()
}

#[test]
fn stores_of_every_width_wherever_they_reach() {
    for offset in [0, 1, 2_047, 100_000] {
        let all = [offset, 2_040, 2_041, 2_044, 2_046, 2_047, 2_048, 4_093, 100_000, 8_388_600];
        let places: Vec<u32> = all.into_iter().filter(|place| *place >= offset).collect();
        Variants::of(stores(offset), "").leave_nothing(&places);
    }
}

#[test]
fn memory_that_is_filled_and_copied() {
    let lengths = [0, 1, 2, 2_047, 2_048, 2_049, 6_000, 300_000];
    let fills =
        lengths.map(|len| format!("(memory.fill (local.get $place) (i32.const 7) (i32.const {len}))"));
    let copies = lengths.map(|len| {
        format!(
            "(i32.store (i32.const 600) (i32.const -1))
            (memory.copy (local.get $place) (i32.const 500) (i32.const {len}))"
        )
    });
    Variants::of([fills, copies].concat(), "").leave_nothing(&[1_025, 2_047, 2_048, 5_000_001, 8_088_608]);
}

#[test]
fn what_the_host_wrote_for_a_recipe() {
    let request =
        RangeRequest { from: b"a".into(), to: b"z".into(), direction: Direction::Forward, rows: 10 };
    let request = request.to_bytes();
    let bytes: String = request.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let (len, chunk) = (request.len(), limits::RANGE_CHUNK_BYTES);
    let get = |key: u32, room: u32| {
        format!("(drop (call $get (i32.const {key}) (i32.const 3) (local.get $place) (i32.const {room})))")
    };
    let range = format!(
        "(drop (call $range (i32.const 3010) (i32.const {len}) (local.get $place) (i32.const {chunk})))"
    );
    Variants::of(
        vec![get(3_000, 5_000), get(3_000, 100_000), get(3_000, 4_999), get(3_001, 200_000), range],
        &format!(r#"(data (i32.const 3000) "key") (data (i32.const 3010) "{bytes}")"#),
    )
    .leave_nothing(&[4_000, 4_095, 700_001]);
}

#[test]
fn the_arguments_of_the_call_before() {
    let last = INPUT as usize + CONTEXT_BYTES + 3_003;
    let spy = format!("(if (i32.load8_u (i32.const {last})) (then unreachable)) {DONE}");
    let mut bench = Bench::of(&recipe(&spy, ""));
    let mut call = |args: &[u8]| {
        bench.call_with(1, operation(0), args, MapHost::default()).expect("this host runs it").1
    };
    assert_eq!(call(&[0; 3_004]), Completion::Done(vec![]));
    assert_eq!(call(&[5; 3_004]), Completion::Faulted(Fault::Trap));
    let leave =
        format!("(if (i32.and (i32.load8_u (i32.const {last})) (local.get $id)) (then unreachable)) {DONE}");
    let mut bench = Bench::of(&recipe(&leave, ""));
    for (id, args) in [(0, &[5; 3_004][..]), (1, &[])] {
        let ended = bench.call_with(1, operation(id), args, MapHost::default());
        assert_eq!(ended.expect("this host runs it").1, Completion::Done(vec![]), "{id}");
    }
}

#[test]
fn globals_of_every_type_are_what_they_were() {
    let globals = "(global $a (mut i32) (i32.add (i32.const 3) (i32.const 4))) (global $b (mut i64) \
        (i64.const 5)) (global $c (mut f32) (f32.const 1.5)) (global $d (mut f64) (f64.const 2.5)) (global \
        $e i32 (i32.const 8))";
    let differs = "(i32.or (i32.or (i32.ne (global.get $a) (i32.const 7)) (i64.ne (global.get $b) (i64.const \
        5))) (i32.or (f32.ne (global.get $c) (f32.const 1.5)) (f64.ne (global.get $d) (f64.const 2.5))))";
    let change = "(global.set $a (i32.const 0)) (global.set $b (i64.const 0)) (global.set $c (f32.const 0)) \
        (global.set $d (f64.const 0))";
    let text = format!("(if {differs} (then unreachable)) {change}");
    Variants::of(vec![text], globals).leave_nothing(&[0]);
}

#[test]
fn a_recipe_cannot_write_behind_its_memory() {
    let end = GUEST_BYTES as u32;
    let places = [end, end + 1, end + 50_000, PAGES as u32 * 65_536 - 4, PAGES as u32 * 65_536, u32::MAX];
    for offset in [0, 1, 65_536, u32::MAX] {
        Variants::of(stores(offset), "").fail(&places, Fault::Trap);
    }
    let wide = |(store, _): &(String, u32)| store.clone();
    let stores = stores(0).into_iter().zip(STORES.map(|(_, bytes)| bytes));
    let across: Vec<String> = stores.filter(|(_, bytes)| *bytes > 1).map(|store| wide(&store)).collect();
    Variants::of(across, "").fail(&[end - 1], Fault::Trap);
    let bulk = vec![
        "(memory.fill (local.get $place) (i32.const 0) (i32.const 4))".to_string(),
        "(memory.copy (local.get $place) (i32.const 0) (i32.const 4))".to_string(),
        "(memory.copy (i32.const 0) (local.get $place) (i32.const 4))".to_string(),
    ];
    Variants::of(bulk, "").fail(&[&places[..], &[end - 3]].concat(), Fault::Trap);
}

#[test]
fn the_host_neither_reads_nor_writes_behind_the_memory_of_a_recipe() {
    let end = GUEST_BYTES as u32;
    let places = [end - 3, end, end + 1, end + 50_000, PAGES as u32 * 65_536 - 4, u32::MAX];
    let host_calls = vec![
        "(call $put (local.get $place) (i32.const 4) (i32.const 0) (i32.const 0))".to_string(),
        "(drop (call $get (i32.const 0) (i32.const 1) (local.get $place) (i32.const 4)))".to_string(),
    ];
    Variants::of(host_calls, "").fail(&places, Fault::BadHostCall);
    let reply =
        "(return (i64.or (i64.shl (i64.extend_i32_u (local.get $place)) (i64.const 32)) (i64.const 4)))";
    Variants::of(vec![reply.to_string()], "").fail(&places, Fault::BadReply);
}

#[test]
fn memory_has_its_size_and_does_not_grow() {
    let pages = limits::MEMORY_PAGES;
    let is = |what: &str, value: &str| format!("(if (i32.ne {what} (i32.const {value})) (then unreachable))");
    let size = is("(memory.size)", &pages.to_string());
    let by_nothing = is("(memory.grow (i32.const 0))", &pages.to_string());
    let by_one = is("(memory.grow (i32.const 1))", "-1");
    let entry = format!("{size} {by_nothing} {by_one} {size} {DONE}");
    assert_eq!(super::outcome(&entry, ""), Completion::Done(vec![]));
}

#[test]
fn an_instance_that_wrote_to_much_of_memory_is_not_kept_and_nobody_sees() {
    let touch = "(loop (i32.store (local.get $end) (i32.const -1)) (local.set $end (i32.add (local.get $end) \
        (i32.const 2048))) (br_if 0 (i32.lt_u (local.get $end) (local.get $place))))";
    let mut variants = Variants::of(vec![touch.to_string()], "");
    let mut call = |place| {
        let (completion, fuel) = variants.run(1, 0, place);
        assert_eq!(completion, Completion::Done(vec![]));
        (fuel, variants.bench.vm.live_instances())
    };
    let [few, many, all] = [100_000, 2_000_000, GUEST_BYTES as u32].map(&mut call);
    assert_eq!([few.1, many.1, all.1], [1, 0, 0]);
    assert_eq!([100_000, 2_000_000, GUEST_BYTES as u32].map(&mut call), [few, many, all]);
    assert!(all.0 > 4_096 * costs::RESTORED_LINE, "what is put back is paid for: {}", all.0);
}

#[test]
fn a_call_that_cannot_pay_for_what_it_wrote_is_out_of_fuel() {
    let mut bench = Bench::of(&recipe(
        &format!("(memory.fill (i32.const 4096) (i32.const 1) (i32.const 400000)) {DONE}"),
        "",
    ));
    let mut call = |fuel| {
        let host = MapHost::default();
        let ended = bench.call_fuelled(1, operation(0), &[], host, fuel);
        (ended.expect("this host runs it").1, bench.vm.fuel_used)
    };
    let (completion, used) = call(limits::CALL_FUEL);
    assert_eq!(completion, Completion::Done(vec![]));
    assert_eq!(call(used), (Completion::Done(vec![]), used));
    assert_eq!(call(used - 1), (Completion::Faulted(Fault::OutOfFuel), used - 1));
    assert_eq!(call(used), (Completion::Done(vec![]), used));
}
