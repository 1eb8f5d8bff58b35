//! Unit tests of `build`.
use super::*;

#[test]
fn a_file_with_the_same_bytes_stays_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("module.wasm");
    write_if_changed(&path, b"one").unwrap();
    let first = fs::metadata(&path).unwrap().modified().unwrap();
    write_if_changed(&path, b"one").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), first);
    write_if_changed(&path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_folder_without_manifest_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = recipe(dir.path(), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("no Cargo.toml") && error.contains("synod recipe new"), "{error}");
}

#[test]
fn a_dependency_by_path_is_mapped_with_its_whole_workspace() {
    let dir = tempfile::tempdir().unwrap();
    let crate_dir = dir.path().join("sdk/inner");
    fs::create_dir_all(&crate_dir).unwrap();
    for folder in [&crate_dir, dir.path()] {
        fs::write(folder.join("Cargo.toml"), "").unwrap();
    }
    assert_eq!(workspace_of(&crate_dir), dir.path());
    assert_eq!(workspace_of(Path::new("/nonexistent/x")), Path::new("/nonexistent/x"));
}
