//! Paths of the real file system that are not what they should be.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::super::{FileOptions, FileStorage, Fsync, OpenError};
use super::{append, numbers};

fn open_in(path: &Path) -> Result<FileStorage, OpenError> {
    FileStorage::open(path, FileOptions::new().fsync(Fsync::Always))
}

/// A name relative to the current directory; what is created there goes with it.
struct Relative(PathBuf);

impl Drop for Relative {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_relative_path_is_created_with_its_parents() {
    let root = Relative(format!("queue-of-a-test-{}", std::process::id()).into());
    let path = root.0.join("inner/queue");
    let mut storage = open_in(&path).unwrap();
    append(&mut storage, 1, b"one").unwrap();
    drop(storage);

    assert_eq!(numbers(&mut open_in(&path.canonicalize().unwrap()).unwrap()), [1]);
}

#[test]
fn a_path_the_system_refuses_is_told_with_it() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("q".repeat(300));

    let refused = open_in(&path).unwrap_err();

    assert!(matches!(&refused, OpenError::Unusable { path: told, .. } if *told == path), "{refused}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_lock_that_is_no_file_of_ours_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let lock = root.path().join("lock");
    fs::create_dir(&lock).unwrap();
    let refused = open_in(root.path());
    assert!(matches!(&refused, Err(OpenError::Unusable { path, .. }) if path == root.path()), "{refused:?}");

    fs::remove_dir(&lock).unwrap();
    let target = root.path().join("target");
    symlink(&target, &lock).unwrap();
    assert!(matches!(open_in(root.path()), Err(OpenError::Unusable { .. })));
    assert!(!target.exists(), "the link was followed");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_under_the_name_of_a_segment_holds_up_nothing() {
    use std::os::unix::fs::FileTypeExt;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let root = tempfile::tempdir().unwrap();
    let pipe = root.path().join("0000000000000001-0000000000000001.log");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();

    let mut storage = open_in(root.path()).unwrap();
    append(&mut storage, 1, b"one").unwrap();
    drop(storage);

    assert!(fs::symlink_metadata(&pipe).is_ok_and(|data| data.file_type().is_fifo()), "it was replaced");
    assert_eq!(numbers(&mut open_in(root.path()).unwrap()), [1]);
}

/// A program that runs is a file that nobody can open for writing, not even root. This test is one.
#[cfg(target_os = "linux")]
#[test]
fn a_segment_that_cannot_be_opened_now_refuses_the_queue_and_is_left_as_it_is() {
    let program = std::env::current_exe().unwrap();
    let root = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    let segment = root.path().join("0000000000000001-0000000000000001.log");
    let linked = fs::hard_link(&program, &segment);
    if linked.is_err() || fs::File::options().write(true).open(&segment).is_ok() {
        println!("skipped: this system lets a running program be written to");
        return;
    }

    let refused = open_in(root.path()).unwrap_err();

    assert!(matches!(&refused, OpenError::Unusable { path, .. } if path == root.path()), "{refused}");
    let words = refused.to_string();
    assert!(words.contains(root.path().to_str().unwrap()), "{words}");
    assert!(segment.exists());
}
