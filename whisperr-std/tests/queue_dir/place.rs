//! Where a queue can be, and whose it is.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use whisperr_std::{Flush, OpenError};

use crate::support::{SOON, Server, builder, deliver, mode, numbers, open, owe, refusal};

#[test]
fn a_file_is_no_queue_directory_and_stays_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "precious").unwrap();

    for path in [file.clone(), file.join("queue"), file.join("a/b/queue")] {
        let error = refusal(&path);
        assert!(matches!(&error, OpenError::NotADirectory { path: named } if *named == path), "{error}");
        assert_eq!(error.to_string(), format!("{} is not a directory", path.display()));
    }

    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

#[test]
fn a_directory_that_cannot_be_created_is_refused_by_name() {
    let error = refusal(Path::new("/dev/null/queue"));
    assert_eq!(error.to_string(), "/dev/null/queue is not a directory");

    // Nobody creates directories there, not even root.
    if cfg!(target_os = "linux") {
        let error = refusal(Path::new("/proc/whisperr/queue"));
        assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
        assert!(error.to_string().starts_with("/proc/whisperr/queue cannot be used: "), "{error}");
    }
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_not_written_to() {
    let root = tempfile::tempdir().unwrap();
    let theirs = root.path().join("queue");
    fs::create_dir(&theirs).unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o700)).unwrap();
    let user = fs::metadata(root.path()).unwrap().uid();
    let theirs = match chown(&theirs, Some(4711), None) {
        Ok(()) => theirs,
        // Who may not give a directory away has one of somebody else's at hand.
        Err(_) if fs::metadata("/").unwrap().uid() != user => "/".into(),
        Err(error) => return eprintln!("SKIPPED: a directory of somebody else: {error}"),
    };

    let error = refusal(&theirs);

    assert!(matches!(error, OpenError::NotOwned { .. }), "{error}");
    assert!(error.to_string().ends_with(", not to this process"), "{error}");
    assert!(!theirs.join("lock").exists());
}

#[test]
fn a_directory_that_others_can_write_to_is_refused_and_not_written_to() {
    let root = tempfile::tempdir().unwrap();
    for bits in [0o720, 0o702, 0o770, 0o777, 0o1777] {
        fs::set_permissions(root.path(), fs::Permissions::from_mode(bits)).unwrap();

        let error = refusal(root.path());

        assert!(matches!(error, OpenError::Writable { mode, .. } if mode == bits), "{error}");
        assert!(error.to_string().contains(&format!(" has mode {bits:04o}, ")), "{error}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    owe(root.path(), [1]);
}

#[test]
fn a_directory_has_one_client_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::default();
    let first = open(builder(root.path()), &server);
    first.track("door_opened", serde_json::json!({ "n": 1 })).unwrap();

    let error = refusal(root.path());

    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    first.track("door_opened", serde_json::json!({ "n": 2 })).unwrap();
    assert_eq!(first.flush(SOON), Flush::Delivered);
    assert_eq!(numbers(&server.operations()), [1, 2]);
}

#[test]
fn the_lock_is_free_again_after_drop_and_after_shutdown() {
    let root = tempfile::tempdir().unwrap();
    owe(root.path(), [1]);
    owe(root.path(), [2]);
    let ended = open(builder(root.path()), &Server::default());
    ended.pause();
    assert_eq!(ended.shutdown(SOON), Flush::Paused);

    // The handle still lives, and the directory is the next one's.
    assert_eq!(numbers(&deliver(root.path())), [1, 2]);

    assert!(ended.track("door_opened", ()).is_err());
    assert!(root.path().join("lock").exists(), "a deleted lock could be held twice");
}

#[test]
fn parents_are_created_and_everything_is_for_the_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let queue = root.path().join("a/b/queue");

    owe(&queue, [1]);

    for directory in ["a", "a/b", "a/b/queue"] {
        assert_eq!(mode(&root.path().join(directory)), 0o700, "{directory}");
    }
    let names: Vec<_> = fs::read_dir(&queue).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    for name in &names {
        assert_eq!(mode(&queue.join(name)), 0o600, "{name:?}");
    }
    assert_eq!(numbers(&deliver(&queue)), [1]);
}

#[test]
fn a_name_that_is_not_utf8_is_as_good_as_any() {
    let root = tempfile::tempdir().unwrap();
    let queue = root.path().join(OsStr::from_bytes(b"qu\xFFe\xC3ue"));
    if let Err(error) = fs::create_dir(&queue).and_then(|()| fs::remove_dir(&queue)) {
        // Some file systems take text only.
        return eprintln!("SKIPPED: a name that is not UTF-8: {error}");
    }

    owe(&queue, [1, 2]);

    assert_eq!(numbers(&deliver(&queue)), [1, 2]);
    assert!(refusal(&queue.join("lock")).to_string().ends_with("lock is not a directory"));
}
