//! Unit tests of `sdk`.
use super::*;

fn cache(dir: &tempfile::TempDir) -> Environment {
    Environment::of([("XDG_CACHE_HOME".into(), dir.path().into())])
}

#[test]
fn all_that_a_recipe_needs_is_carried() {
    let files = files().unwrap();
    for path in [
        "Cargo.lock",
        "Cargo.toml",
        "guest-sdk/abi/src/lib.rs",
        "guest-sdk/build/build.rs",
        "guest-sdk/macros/src/lib.rs",
        "guest-sdk/sdk/Cargo.toml",
        "guest-sdk/test/Cargo.toml",
        "host/machine/src/lib.rs",
        "host/vm/Cargo.toml",
    ] {
        assert!(files.iter().any(|file| file.path == path), "{path}");
    }
    assert!(files.is_sorted_by_key(|file| file.path));
}

#[test]
fn unpacking_twice_leaves_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let sdk = unpack(&cache(&dir)).unwrap();
    let made = fs::metadata(&sdk).unwrap().modified().unwrap();
    assert_eq!(unpack(&cache(&dir)).unwrap(), sdk);
    assert_eq!(fs::metadata(&sdk).unwrap().modified().unwrap(), made);
}

#[test]
fn a_damaged_folder_is_put_right_and_nothing_else_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let sdk = unpack(&cache(&dir)).unwrap();
    let lib = sdk.join("guest-sdk/sdk/src/lib.rs");
    fs::write(&lib, "edited").unwrap();
    fs::create_dir_all(dir.path().join(format!("synod/sdk/.new-{NAME}/left/by/a/kill"))).unwrap();
    unpack(&cache(&dir)).unwrap();
    assert_ne!(fs::read(&lib).unwrap(), b"edited");
    let left: Vec<_> =
        fs::read_dir(dir.path().join("synod/sdk")).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the sources and the lock, not {left:?}");
}

#[test]
fn threads_that_unpack_at_once_all_get_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let environment = cache(&dir);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| unpack(&environment).unwrap())).collect();
        for thread in threads {
            assert!(is_whole(&thread.join().unwrap(), &files().unwrap()));
        }
    });
}
