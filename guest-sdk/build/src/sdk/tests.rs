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
fn every_crate_of_ours_that_a_carried_one_depends_on_is_carried() {
    let files = files().unwrap();
    let text = |path: &str| {
        files.iter().find(|file| file.path == path).map(|file| std::str::from_utf8(file.contents).unwrap())
    };
    let ours: Vec<(&str, &str)> = text("Cargo.toml")
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_suffix("\" }")?.split_once(" = { path = \""))
        .collect();
    let mut edges = 0;
    for manifest in files.iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        // Cargo reads no dev-dependencies of a crate that another workspace depends on.
        for line in text(manifest.path).unwrap().lines().take_while(|line| *line != "[dev-dependencies]") {
            let Some((_, folder)) =
                ours.iter().find(|(name, _)| line.split(['.', ' ']).next() == Some(*name))
            else {
                continue;
            };
            edges += 1;
            assert!(text(&format!("{folder}/Cargo.toml")).is_some(), "{} needs {folder}", manifest.path);
        }
    }
    assert!(edges > 5, "{edges} of {ours:?}");
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
