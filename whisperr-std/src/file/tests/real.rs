//! The real file system.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use whisperr_core::Slot;

use super::super::{Directory, FileOptions, FileStorage, Fsync, OpenError};
use super::{append, load, numbers, record, remove, store, wipe};

fn open_in(path: &Path) -> Result<FileStorage, OpenError> {
    FileStorage::open(path, FileOptions::new().fsync(Fsync::Always))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn records_and_slots_survive_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/queue");
    let mut storage = open_in(&path).unwrap();
    for seq in 1..=5000 {
        append(&mut storage, seq, &record(seq, 300)).unwrap();
    }
    store(&mut storage, Slot::Identity, b"someone").unwrap();
    remove(&mut storage, 1, 4000).unwrap();
    let ticket = storage.ticket();
    storage.syncer().wait_durable(ticket).unwrap();
    storage.maintain().unwrap();
    drop(storage);

    let mut storage = open_in(&path).unwrap();

    assert_eq!(numbers(&mut storage), Vec::from_iter(4001..=5000));
    assert_eq!(load(&mut storage, Slot::Identity), b"someone");
    assert!(storage.stats().segments <= 2, "{:?}", storage.stats());
    wipe(&mut storage).unwrap();
    assert_eq!(numbers(&mut storage), [0_u64; 0]);
    assert_eq!(load(&mut storage, Slot::Identity), b"someone");
}

#[test]
fn nobody_else_can_read_what_is_created() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("made/queue");
    let mut storage = open_in(&path).unwrap();
    append(&mut storage, 1, b"contact data").unwrap();
    whisperr_core::ready(whisperr_core::Storage::set_aside(&mut storage, whisperr_core::Seq::FIRST))
        .unwrap()
        .unwrap();

    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["0000000000000001-0000000000000001.log", "damaged", "lock"]);
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let first = open_in(root.path());

    let second = open_in(root.path());

    assert!(matches!(&second, Err(OpenError::Locked { path }) if path == root.path()));
    let text = second.unwrap_err().to_string();
    assert!(text.ends_with("is locked by another process"), "{text}");
    drop(first);
    open_in(root.path()).unwrap();
    assert!(root.path().join("lock").exists());
}

#[test]
fn what_is_no_private_directory_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, b"text").unwrap();
    assert!(matches!(open_in(&file), Err(OpenError::NotADirectory { .. })));
    assert!(matches!(open_in(&file.join("queue")), Err(OpenError::NotADirectory { .. })));
    assert_eq!(fs::read(&file).unwrap(), b"text");

    let shared = root.path().join("shared");
    fs::create_dir(&shared).unwrap();
    for bits in [0o770, 0o707, 0o1777] {
        fs::set_permissions(&shared, fs::Permissions::from_mode(bits)).unwrap();
        let error = open_in(&shared).unwrap_err();
        assert!(matches!(error, OpenError::Writable { mode, .. } if mode == bits), "{error}");
        assert!(!shared.join("lock").exists());
    }

    if rustix::process::geteuid().is_root() {
        println!("skipped: a directory without permission, which binds everybody but root");
    } else {
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o500)).unwrap();
        assert!(matches!(open_in(&shared), Err(OpenError::Unusable { .. })));
    }
}

#[test]
fn links_and_directories_under_our_names_are_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("target");
    fs::write(&target, b"precious").unwrap();
    let path = root.path().join("queue");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(&target, path.join("0000000000000001-0000000000000001.log")).unwrap();
    symlink(&target, path.join("damaged")).unwrap();
    fs::create_dir(path.join("0000000000000002-0000000000000001.log")).unwrap();

    let mut storage = open_in(&path).unwrap();
    append(&mut storage, 1, b"one").unwrap();
    append(&mut storage, 2, b"two").unwrap();
    drop(storage);

    assert_eq!(numbers(&mut open_in(&path).unwrap()), [1, 2]);
    assert_eq!(fs::read(&target).unwrap(), b"precious");
}

#[test]
fn paths_that_are_not_text_are_fine() {
    use std::os::unix::ffi::OsStrExt;

    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(std::ffi::OsStr::from_bytes(b"qu\xFFeue"));
    let mut storage = open_in(&path).unwrap();
    append(&mut storage, 1, b"one").unwrap();
    drop(storage);
    fs::write(path.join(std::ffi::OsStr::from_bytes(b"\xFE.log")), b"foreign").unwrap();

    let mut storage = open_in(&path).unwrap();

    assert_eq!(numbers(&mut storage), [1]);
    assert_eq!(storage.open_report().foreign_files, 1);
}

#[test]
fn options_outside_their_range_are_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let open = |options| FileStorage::<Directory>::open(root.path(), options).unwrap_err().to_string();

    assert!(open(FileOptions::new().max_bytes(1 << 20)).starts_with("max_bytes is not between 4194304"));
    assert!(open(FileOptions::new().segment_bytes(511)).starts_with("segment_bytes is not between 512"));
    let interval = Fsync::Interval(core::time::Duration::from_millis(1001));
    assert!(open(FileOptions::new().fsync(interval)).contains("between 1000 and 1000000"));
}

#[test]
fn a_fork_is_told_that_it_does_not_own_the_storage() {
    let root = tempfile::tempdir().unwrap();
    let mut storage = open_in(root.path()).unwrap();
    storage.log.process = storage.log.process.wrapping_add(1);

    let error = append(&mut storage, 1, b"one").unwrap_err();
    assert!(format!("{error}").contains("Forked"), "{error}");
    assert!(store(&mut storage, Slot::Push, b"token").is_err());
    assert!(wipe(&mut storage).is_err());
    assert_eq!(numbers(&mut storage), [0_u64; 0]);
}
