//! Unit tests of `snapshot`.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// The cluster of the snapshots here.
const OURS: ClusterId = ClusterId([7; 16]);

/// A budget of a number of bytes.
struct Bytes(AtomicU64);

impl Budget for Bytes {
    fn reserve(&self, bytes: u64) -> Result<(), StorageError> {
        let left = self.0.load(Ordering::Relaxed).checked_sub(bytes);
        left.map(|left| self.0.store(left, Ordering::Relaxed))
            .ok_or_else(|| StorageError::Full { path: "here".into() })
    }

    fn release(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

struct Setting {
    folder: tempfile::TempDir,
    budget: Arc<Bytes>,
}

impl Setting {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        Self { folder, budget: Arc::new(Bytes(AtomicU64::new(1_000_000))) }
    }

    fn inbox(&self) -> Arc<Inbox> {
        let budget: Arc<dyn Budget> = Arc::<Bytes>::clone(&self.budget);
        Arc::new(Inbox::open(self.folder.path().join("received"), budget).expect("opened"))
    }

    fn received(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("received"));
        let mut names: Vec<_> = entries
            .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .into_iter()
            .flatten()
            .filter(|name| name != "INDEX")
            .map(|name| name[name.len().saturating_sub(5)..].to_owned())
            .collect();
        names.sort();
        names
    }

    /// A snapshot of entry `index` with these files.
    fn checkpoint(&self, index: u64, files: &[(&str, &[u8])]) -> Checkpoint {
        let folder = self.folder.path().join(format!("sent-{index}"));
        fs::create_dir(&folder).expect("created");
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).expect("written");
        }
        let mark = AppliedMark { index: Some(index), id: (*b"id").into(), membership: (*b"m").into() };
        let names = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        Checkpoint::of_folder(OwnedFolder::new(folder, None), Some(OURS), mark, "test", names)
            .expect("hashed")
    }
}

fn begin(inbox: &Arc<Inbox>, checkpoint: &Checkpoint) -> Result<Receiving, StorageError> {
    inbox.begin(checkpoint.manifest().clone(), "test", Some(OURS))
}

/// Sends what is wanted in pieces of three bytes, until `limit` bytes were sent; whether all were.
fn send(receiving: &mut Receiving, checkpoint: &Checkpoint, mut limit: usize) -> bool {
    for wanted in receiving.wanted() {
        let mut offset = wanted.from_byte;
        loop {
            let bytes = checkpoint.read(wanted.file, offset, 3).expect("read");
            if limit < bytes.len() {
                return false;
            }
            limit -= bytes.len();
            receiving.write(wanted.file, offset, &bytes).expect("written");
            offset += bytes.len() as u64;
            if offset == checkpoint.manifest().files[wanted.file].length_bytes {
                break;
            }
        }
    }
    true
}

const FILES: [(&str, &[u8]); 4] =
    [("CURRENT", b"MANIFEST-7"), ("a.sst", b"rows of a"), ("b.sst", b""), ("c.sst", b"rows of a")];

#[test]
fn what_arrived_is_not_sent_again_wherever_it_stopped_and_whoever_goes_on() {
    let all: usize = 10 + 9;
    for stop in 0..=all {
        let setting = Setting::new();
        let first = setting.checkpoint(1, &FILES);
        let mut receiving = begin(&setting.inbox(), &first).expect("begun");
        send(&mut receiving, &first, stop);
        drop(receiving);
        let later = setting.checkpoint(2, &[FILES[0], FILES[1], FILES[2], ("d.sst", b"more")]);
        let inbox = setting.inbox();
        let mut receiving = begin(&inbox, &later).expect("begun");
        let left: u64 = receiving
            .wanted()
            .iter()
            .map(|wanted| later.manifest().files[wanted.file].length_bytes - wanted.from_byte)
            .sum();
        assert!(left <= (all - stop + 4 + 2) as u64, "{left} bytes are wanted after {stop} of {all}");
        assert!(send(&mut receiving, &later, usize::MAX) && receiving.wanted().is_empty());
        let target = setting.folder.path().join("target");
        fs::create_dir(&target).expect("created");
        receiving.place(&target).expect("placed");
        for (place, file) in later.manifest().files.iter().enumerate() {
            let bytes = fs::read(target.join(&file.name)).expect("read");
            assert_eq!(bytes, later.read(place, 0, 99).expect("read"));
        }
        drop(receiving);
        assert_eq!(setting.budget.0.load(Ordering::Relaxed), 1_000_000, "everything was given back");
        inbox.outgrown(Some(1)).expect("looked");
        assert_eq!(setting.received().len(), 4, "a state at 1 still needs it");
        inbox.outgrown(Some(2)).expect("looked");
        assert_eq!(setting.received(), Vec::<String>::new());
    }
}

#[test]
fn what_no_snapshot_needs_goes_and_an_earlier_receiver_may_write_no_more() {
    let setting = Setting::new();
    let inbox = setting.inbox();
    let (first, second) = (setting.checkpoint(1, &FILES), setting.checkpoint(2, &[("e.sst", b"other")]));
    let mut earlier = begin(&inbox, &first).expect("begun");
    send(&mut earlier, &first, 14);
    assert_eq!(setting.received().len(), 2);
    let mut later = begin(&inbox, &second).expect("begun");
    assert_eq!(setting.received(), Vec::<String>::new());
    let refused = earlier.write(0, 0, b"x");
    assert!(matches!(refused, Err(StorageError::BadSnapshot(_))), "{refused:?}");
    assert!(matches!(earlier.place(setting.folder.path()), Err(StorageError::BadSnapshot(_))));
    assert!(send(&mut later, &second, usize::MAX));
}

#[test]
fn bytes_that_do_not_belong_there_are_refused_and_the_file_is_received_again() {
    let setting = Setting::new();
    let checkpoint = setting.checkpoint(1, &FILES);
    let mut receiving = begin(&setting.inbox(), &checkpoint).expect("begun");
    for (file, offset, data) in
        [(4, 0, &b"x"[..]), (0, 1, b"x"), (0, 0, b"MANIFEST-7 and more"), (usize::MAX, 0, b"")]
    {
        let refused = receiving.write(file, offset, data);
        assert!(matches!(refused, Err(StorageError::BadSnapshot(_))), "{file} {offset}: {refused:?}");
    }
    receiving.write(0, 0, b"MANIFEST").expect("written");
    let refused = receiving.write(0, 8, b"-8").expect_err("another hash").to_string();
    assert!(refused.contains("CURRENT has the hash"), "{refused}");
    assert_eq!(receiving.wanted()[0], Wanted { file: 0, from_byte: 0 });
    let target = setting.folder.path().join("target");
    fs::create_dir(&target).expect("created");
    assert!(matches!(receiving.place(&target), Err(StorageError::BadSnapshot(_))), "files are missing");
    assert!(send(&mut receiving, &checkpoint, usize::MAX));
    receiving.place(&target).expect("placed");
}

#[test]
fn a_snapshot_that_does_not_fit_or_that_nobody_here_can_read_is_refused_before_it_comes() {
    let setting = Setting::new();
    let checkpoint = setting.checkpoint(1, &FILES);
    setting.budget.0.store(18, Ordering::Relaxed);
    assert!(matches!(begin(&setting.inbox(), &checkpoint), Err(StorageError::Full { .. })));
    setting.budget.0.store(19, Ordering::Relaxed);
    drop(begin(&setting.inbox(), &checkpoint).expect("the same bytes are received once"));
    let refused = setting.inbox().begin(checkpoint.manifest().clone(), "other", Some(OURS)).err();
    assert!(matches!(refused, Some(StorageError::BadSnapshot(_))), "{refused:?}");
}

#[test]
fn a_snapshot_of_another_cluster_or_of_none_is_refused_before_it_comes_and_changes_nothing() {
    let setting = Setting::new();
    let inbox = setting.inbox();
    let first = setting.checkpoint(1, &FILES);
    let mut receiving = begin(&inbox, &first).expect("begun");
    send(&mut receiving, &first, 14);
    let (had, wanted) = (setting.received(), receiving.wanted());
    let other = ClusterId([8; 16]);
    let foreign = setting.checkpoint(2, &[("e.sst", b"other")]).manifest().clone();
    for (cluster, named) in [(Some(other), other.to_string()), (None, "no cluster".to_owned())] {
        let manifest = Manifest { cluster, ..foreign.clone() };
        let manifest = Manifest::decode(&manifest.encode()).expect("decoded");
        let refused = inbox.begin(manifest, "test", Some(OURS)).err();
        let refused = refused.expect("it is refused").to_string();
        assert!(refused.contains(&named) && refused.contains(&OURS.to_string()), "{refused}");
    }
    assert_eq!((setting.received(), receiving.wanted()), (had, wanted), "nothing was changed");
    assert!(send(&mut receiving, &first, usize::MAX), "what was being received still is");
    drop(inbox.begin(foreign, "test", None).expect("a store of no cluster takes any"));
}

#[test]
fn a_manifest_survives_encoding_and_every_damage_is_an_error_or_another_manifest() {
    let setting = Setting::new();
    let manifest = setting.checkpoint(9, &FILES).manifest().clone();
    let bytes = manifest.encode();
    assert_eq!(Manifest::decode(&bytes).expect("decoded"), manifest);
    assert_eq!(manifest.length_bytes(), 28);
    for at in 0..bytes.len() {
        assert!(Manifest::decode(&bytes[..at]).is_err(), "cut at {at}");
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        if let Ok(other) = Manifest::decode(&flipped) {
            assert_ne!(other, manifest, "flipped at {at}");
        }
    }
    assert!(Manifest::decode(&[bytes.as_slice(), b"x"].concat()).is_err());
}

#[test]
fn a_manifest_with_names_that_leave_the_folder_or_come_twice_is_refused() {
    let setting = Setting::new();
    let good = setting.checkpoint(9, &FILES).manifest().clone();
    let with = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        Manifest::decode(&manifest.encode())
    };
    assert!(with(&|_| ()).is_ok());
    for name in ["", ".", "..", "../x", "/x", "a/b", ".hidden", "a\0", "é", &"x".repeat(65)] {
        let refused = with(&|manifest| manifest.files[0].name = name.to_owned());
        assert!(matches!(refused, Err(StorageError::BadSnapshot(_))), "{name:?}");
    }
    let empty = AppliedMark { index: None, ..good.mark.clone() };
    for refused in [
        with(&|manifest| manifest.files[0].name = manifest.files[1].name.clone()),
        with(&|manifest| manifest.files.clear()),
        with(&|manifest| manifest.mark = empty.clone()),
        with(&|manifest| manifest.files.iter_mut().for_each(|file| file.length_bytes = u64::MAX)),
        with(&|manifest| manifest.layout = "x".repeat(65)),
    ] {
        assert!(matches!(refused, Err(StorageError::BadSnapshot(_))), "{refused:?}");
    }
}
