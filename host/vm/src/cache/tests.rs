//! Whatever is wrong with a file, the module is compiled again.
use synod_abi::ModuleHash;
use synod_machine::module_hash;
use wasmtime::{Engine, Module};

use super::*;
use crate::engine::{Edition, engine, fingerprint};
use crate::fixtures::{DONE, recipe};
use crate::instrument::instrument;

struct Fixture {
    directory: tempfile::TempDir,
    engine: Engine,
    hash: ModuleHash,
    code: Vec<u8>,
}

impl Fixture {
    fn new() -> Self {
        let bytes = recipe(DONE, "");
        let engine = engine(Edition::First, Kind::Apply).expect("the engine starts");
        let code = engine.precompile_module(&instrument(&bytes).expect("it is admitted"));
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            engine,
            hash: module_hash(&bytes),
            code: code.expect("it compiles"),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    fn open(&self) -> Cache {
        Cache::open(&self.path(), self.fingerprint()).expect("the cache opens")
    }

    fn fingerprint(&self) -> [u8; 32] {
        fingerprint(Edition::First, &self.engine)
    }

    fn tidy(&self, fingerprints: &[[u8; 32]]) {
        Cache::tidy(&self.path(), fingerprints).expect("the directory is ours");
    }

    fn stored(&self) -> (Cache, PathBuf) {
        let cache = self.open();
        cache.store(Kind::Apply, &self.engine, self.hash, &self.code);
        let file = cache.path(Kind::Apply, self.hash);
        assert!(file.exists());
        (cache, file)
    }

    fn load(&self, cache: &Cache) -> Option<Module> {
        cache.load(Kind::Apply, &self.engine, self.hash).map(|(module, _)| module)
    }
}

#[test]
fn what_is_stored_is_loaded_after_a_restart() {
    let fixture = Fixture::new();
    drop(fixture.stored());
    assert!(fixture.load(&fixture.open()).is_some());
}

#[test]
fn tampered_and_truncated_files_are_not_trusted_and_removed() {
    let fixture = Fixture::new();
    for damage in [
        |bytes: &mut Vec<u8>| bytes[TAG_BYTES + 100] ^= 1,
        |bytes: &mut Vec<u8>| bytes[0] ^= 1,
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2),
        |bytes: &mut Vec<u8>| bytes.truncate(TAG_BYTES - 1),
        |bytes: &mut Vec<u8>| bytes.clear(),
        |bytes: &mut Vec<u8>| bytes.push(0),
    ] {
        let (cache, file) = fixture.stored();
        let mut bytes = fs::read(&file).expect("the file is there");
        damage(&mut bytes);
        fs::write(&file, bytes).expect("the file is ours");
        assert!(fixture.load(&cache).is_none());
        assert!(!file.exists());
    }
}

#[test]
fn a_file_under_another_modules_name_is_not_trusted() {
    let fixture = Fixture::new();
    let (cache, file) = fixture.stored();
    let other = ModuleHash([9; 32]);
    fs::rename(file, cache.path(Kind::Apply, other)).expect("the file is ours");
    assert!(cache.load(Kind::Apply, &fixture.engine, other).is_none());
}

#[test]
fn code_for_apply_is_never_loaded_for_queries() {
    let fixture = Fixture::new();
    let (cache, file) = fixture.stored();
    fs::rename(file, cache.path(Kind::Query, fixture.hash)).expect("the file is ours");
    assert!(
        cache
            .load(Kind::Query, &engine(Edition::First, Kind::Query).expect("the engine starts"), fixture.hash)
            .is_none()
    );
}

#[test]
fn another_edition_finds_nothing_and_what_no_edition_needs_goes() {
    let fixture = Fixture::new();
    let (_, file) = fixture.stored();
    let other = Cache::open(&fixture.path(), [8; 32]).expect("the cache opens");
    assert!(fixture.load(&other).is_none());
    assert!(other.files().is_empty());
    fixture.tidy(&[[8; 32], fixture.fingerprint()]);
    assert!(file.exists());
    fixture.tidy(&[[8; 32]]);
    assert!(!file.exists());
}

#[test]
fn the_edition_is_authenticated_and_not_only_named() {
    let fixture = Fixture::new();
    let (cache, file) = fixture.stored();
    let bytes = fs::read(file).expect("the file is there");
    let other = Cache::open(&fixture.path(), [8; 32]).expect("the cache opens");
    fs::write(other.path(Kind::Apply, fixture.hash), bytes).expect("the directory is ours");
    assert!(fixture.load(&other).is_none());
    drop(cache);
}

#[test]
fn without_its_key_nothing_is_trusted() {
    let fixture = Fixture::new();
    let (_, file) = fixture.stored();
    fs::remove_file(fixture.path().join(KEY_FILE)).expect("the key is there");
    assert!(fixture.load(&fixture.open()).is_none());
    assert!(!file.exists());
}

#[test]
fn a_key_that_others_could_read_is_replaced() {
    let fixture = Fixture::new();
    let key = fixture.open().key;
    assert_eq!(fixture.open().key, key);
    fs::set_permissions(fixture.path().join(KEY_FILE), Permissions::from_mode(0o644))
        .expect("the key is ours");
    assert_ne!(fixture.open().key, key);
}

#[test]
fn directory_and_files_are_the_owners_alone() {
    let fixture = Fixture::new();
    let (_, file) = fixture.stored();
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(
        [mode(&fixture.path()), mode(&file), mode(&fixture.path().join(KEY_FILE))],
        [0o700, 0o600, 0o600]
    );
}

#[test]
fn unfinished_files_are_removed_at_the_next_start() {
    let fixture = Fixture::new();
    fixture.open();
    let left = fixture.path().join("x.tmp");
    fs::write(&left, b"half").expect("the directory is ours");
    fixture.tidy(&[fixture.fingerprint()]);
    assert!(!left.exists());
}

#[test]
fn forgotten_modules_leave_the_disk() {
    let fixture = Fixture::new();
    let (cache, file) = fixture.stored();
    cache.remove(fixture.hash);
    assert!(!file.exists());
}
