//! Unit tests of `identity`.
use super::*;

const OURS: ClusterId = ClusterId([1; 16]);

fn open(root: &Path) -> IdentityFile {
    open_as(root, "a").expect("the folder can be used")
}

fn open_as(root: &Path, name: &str) -> Result<IdentityFile, StorageError> {
    IdentityFile::open(root, name, || Ok(MemberId(77)))
}

fn refusal(root: &Path) -> String {
    match open_as(root, "a") {
        Err(StorageError::Unusable(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// A folder with databases, as far as an identity looks at them.
fn created(root: &Path) -> IdentityFile {
    let file = open(root);
    std::fs::create_dir_all(root.join("log")).expect("created");
    std::fs::write(root.join("log/CURRENT"), "MANIFEST").expect("written");
    file.opened().expect("written");
    file
}

fn formed() -> Joined {
    Joined::Formed(vec!["a=h:1".into(), "b=h:2".into()])
}

#[test]
fn an_empty_folder_gets_an_identity_once() {
    let folder = tempfile::tempdir().expect("folder");
    let first = open(folder.path()).present();
    assert_eq!((first.member, first.databases, first.cluster), (MemberId(77), Databases::Creating, None));
    let again = IdentityFile::open(folder.path(), "a", || panic!("an id is drawn once")).expect("opened");
    assert_eq!(again.present().member, MemberId(77));
}

#[test]
fn the_text_is_what_it_was() {
    let folder = tempfile::tempdir().expect("folder");
    let file = created(folder.path());
    file.join(OURS, formed()).expect("joined");
    let text = std::fs::read_to_string(folder.path().join(FILE)).expect("read");
    assert_eq!(
        text,
        "synod identity 1\nmember 77\nname a\nincarnation 1\ndatabases created\ncluster \
         01010101010101010101010101010101 formed a=h:1,b=h:2\ncrc32 d12831a0\n"
    );
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().expect("folder");
    let file = created(folder.path());
    file.join(OURS, Joined::Replacing(MemberId(5))).expect("joined");
    let before = file.present();
    drop(file);
    let file = open(folder.path());
    assert_eq!(file.present(), before);
    assert_eq!((before.incarnation, file.opened().expect("written")), (1, 2));
}

#[test]
fn a_text_that_would_be_written_otherwise_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    drop(open(folder.path()));
    let text = std::fs::read_to_string(folder.path().join(FILE)).expect("read");
    let (lines, _) = text.split_once("crc32").expect("it ends with its checksum");
    for lines in [
        lines.to_owned(),
        format!("{lines}learner true\n"),
        lines.replace("incarnation 0", "incarnation +0"),
        lines.replace("name a\n", "name a\r\n"),
        lines.replace("member 77", "member 077"),
    ] {
        let is_ours = text.starts_with(&lines);
        std::fs::write(folder.path().join(FILE), text::with_checksum(&lines)).expect("written");
        assert_eq!(open_as(folder.path(), "a").is_ok(), is_ours, "{lines}");
    }
}

#[test]
fn a_promise_is_kept() {
    let folder = tempfile::tempdir().expect("folder");
    let file = open(folder.path());
    file.join(OURS, formed()).expect("joined");
    file.join(OURS, formed()).expect("the same promise");
    let other = Joined::Formed(vec!["a=h:1".into(), "c=h:3".into()]);
    for (cluster, joined) in
        [(OURS, other), (OURS, Joined::Replacing(MemberId(5))), (ClusterId([2; 16]), formed())]
    {
        let refused = file.join(cluster, joined).expect_err("it is promised");
        assert!(
            matches!(&refused, StorageError::Unusable(text) if text.contains("a=h:1,b=h:2")),
            "{refused}"
        );
    }
    assert_eq!(file.present().cluster, Some((OURS, formed())));
}

#[test]
fn creating_may_be_done_again_and_created_databases_must_be_there() {
    let folder = tempfile::tempdir().expect("folder");
    drop(open(folder.path()));
    drop(open(folder.path()));
    drop(created(folder.path()));
    std::fs::remove_dir_all(folder.path().join("log")).expect("removed");
    assert!(refusal(folder.path()).contains("its databases are gone"));
}

#[test]
fn databases_without_an_identity_are_lost_data_or_of_an_old_version() {
    let folder = tempfile::tempdir().expect("folder");
    drop(created(folder.path()));
    std::fs::remove_file(folder.path().join(FILE)).expect("removed");
    assert!(refusal(folder.path()).contains("its file identity is gone"));
    std::fs::write(folder.path().join(FORMAT), "synod data format 1\n").expect("written");
    let message = refusal(folder.path());
    assert!(message.contains("synod data format 1") && message.contains("new cluster"), "{message}");
    assert!(!folder.path().join(FILE).exists());
}

#[test]
fn a_text_that_is_cut_or_changed_anywhere_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("folder");
    drop(created(folder.path()));
    let path = folder.path().join(FILE);
    let good = std::fs::read(&path).expect("read");
    for length in 0..good.len() {
        std::fs::write(&path, &good[..length]).expect("written");
        assert!(refusal(folder.path()).contains("cut or was changed"), "{length}");
        assert_eq!(std::fs::read(&path).expect("read"), good[..length]);
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).expect("written");
        assert!(refusal(folder.path()).contains("identity"), "{at}");
    }
}

#[test]
fn a_folder_that_vanishes_fails_the_change_and_is_not_made_anew() {
    let folder = tempfile::tempdir().expect("folder");
    let root = folder.path().join("data");
    let file = created(&root);
    let before = file.present();
    std::fs::remove_dir_all(&root).expect("removed");
    assert!(matches!(file.opened(), Err(StorageError::Fatal(_))));
    assert!(matches!(file.join(OURS, formed()), Err(StorageError::Fatal(_))));
    assert!(file.present() == before && !root.exists());
}

#[test]
fn newer_foreign_and_unreadable_files_are_told_apart() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join(FILE);
    std::fs::write(&path, "synod identity 9\nwhatever\n").expect("written");
    assert!(refusal(folder.path()).contains("version 9"));
    std::fs::write(&path, "-----BEGIN KEY-----\n").expect("written");
    assert!(refusal(folder.path()).contains("not one of synod's"));
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("created");
    assert!(refusal(folder.path()).contains("cannot be read"));
}

#[test]
fn another_members_folder_one_in_use_and_another_programs_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let file = created(folder.path());
    assert!(refusal(folder.path()).contains("in use by another process"));
    drop(file);
    let refused = open_as(folder.path(), "b").expect_err("it is a's");
    assert!(refused.to_string().contains("member `a`, not to `b`"), "{refused}");
    let other = tempfile::tempdir().expect("folder");
    std::fs::create_dir(other.path().join(LOST_AND_FOUND)).expect("created");
    std::fs::write(other.path().join("thesis.txt"), "precious").expect("written");
    assert!(refusal(other.path()).contains("thesis.txt"));
    std::fs::remove_file(other.path().join("thesis.txt")).expect("removed");
    drop(open(other.path()));
}
