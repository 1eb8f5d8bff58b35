//! A compiled recipe that tries to remember earlier calls finds nothing, alone in an entry or among
//! others: the replays at the end of the test compare outcomes and fuel.
use std::path::Path;

use synod_test::TestHost;

#[path = "../../../tests/recipes/forgetful/src/lib.rs"]
#[allow(
    unreachable_pub,
    unsafe_code,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a recipe, and a bad one"
)]
mod forgetful;

use forgetful::Forgetful;

#[test]
fn a_call_finds_nothing_of_the_calls_before_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/recipes/forgetful");
    let built = synod_build::build::recipe(&folder, &synod_build::Options::default());
    let host = TestHost::wasm::<Forgetful>(&built.expect("the recipe builds").wasm);
    let client = host.client();
    let ok = "the recipe answers";
    for (round, name) in ["ann", "bob", "ann", "eve"].into_iter().enumerate() {
        let value = round as u64 + 1;
        assert_eq!(client.count().expect(ok), 0, "{name}");
        assert_eq!(client.first(name.to_owned()).expect(ok), name.repeat(2));
        assert_eq!(client.seen(name.to_owned()).expect(ok), 0, "{name}");
        assert_eq!(client.names(name.to_owned()).expect(ok), ["nobody", name]);
        assert_eq!(client.print(name.to_owned()).expect(ok), 3);
        assert_eq!(client.allocate(value).expect(ok), (0, 0), "{name}");
        assert_eq!(client.take(value).expect(ok), [0; 4], "{name}");
        assert_eq!(client.leave(name.to_owned()).expect(ok), 0, "{name}");
    }
    drop(host);
}
