//! What a person reads when something goes wrong: the exact words, with the rule and the numbers.

use core::error::Error;
use std::io;
use std::path::PathBuf;

use whisperr_core::{Fault, Seq, Slot, Storage, ready};

use super::super::error::fault;
use super::super::simulated::{Failure, SimulatedDisk};
use super::super::{FileError, OpenError, Step};
use super::{FileOptions, FileStorage, append, open, record, small, store};

fn words(outcome: Result<(), Fault<FileError>>) -> String {
    match outcome {
        Err(Fault::Medium(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_that_break_a_rule_name_it_with_its_numbers() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    append(&mut storage, 7, b"seven").unwrap();

    assert_eq!(
        words(append(&mut storage, 8, &[0; 65_536])),
        "record of 65536 bytes exceeds the limit of 65535"
    );
    assert_eq!(
        words(store(&mut storage, Slot::Push, &[0; 545])),
        "slot of 545 bytes exceeds the limit of 544"
    );
    assert_eq!(words(append(&mut storage, 7, b"")), "sequence number 7 is below the next free one, 8");
    // The number behind it could not be given out.
    assert!(words(append(&mut storage, u64::MAX, b"")).starts_with("sequence number 18446744073709551615"));
    // None of the refused calls left anything.
    assert_eq!(super::walk(&mut storage), [(7, b"seven".to_vec())]);
    assert_eq!(super::load(&mut storage, Slot::Push), b"");
    assert_eq!(storage.next_seq(), Seq::new(8));
}

#[test]
fn a_disk_that_refuses_is_told_by_what_was_tried() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    let refuse = |calls, failure| disk.fail_after(calls, failure, true);

    refuse(0, Failure::Medium);
    assert_eq!(words(append(&mut storage, 1, b"one")), "creating a segment failed: other error");
    // Behind the creation and the blocks.
    refuse(2, Failure::Medium);
    assert_eq!(words(append(&mut storage, 1, b"one")), "writing failed: other error");
    refuse(3, Failure::Medium);
    assert_eq!(words(append(&mut storage, 1, b"one")), "syncing failed: other error");
    disk.heal();
    append(&mut storage, 1, b"one").unwrap();
    refuse(0, Failure::Medium);
    let read = ready(storage.read(Seq::FIRST, &mut [0; 9])).unwrap().map(drop);
    assert_eq!(words(read), "reading failed: other error");
    disk.heal();
    for seq in 2..=6 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    // The file that is held open is now another one than that of the first record.
    ready(storage.read(Seq::new(6), &mut [0; 90])).unwrap().unwrap();
    refuse(0, Failure::Medium);
    let read = ready(storage.read(Seq::FIRST, &mut [0; 9])).unwrap().map(drop);
    assert_eq!(words(read), "opening a segment failed: other error");
    disk.heal();
    disk.fail_sync_after(0);
    assert_eq!(
        storage.syncer().sync().unwrap_err().to_string(),
        "a sync failed, what it covered is not durable"
    );
    storage.maintain().unwrap();
    disk.limit(Some(0));
    let full = (7..20).find_map(|seq| append(&mut storage, seq, &record(seq, 90)).err());
    assert_eq!(words(Err(full.unwrap())), "the disk is full");
}

#[test]
fn a_refusal_of_the_system_is_told_with_its_number() {
    let error = io::Error::from_raw_os_error(13);
    let refused: Fault<FileError> = fault(Step::Remove, &error);

    // The kind and not the system's sentence: it reads the same on every system.
    let kind = error.kind();
    assert_eq!(words(Err(refused)), format!("deleting a segment failed: {kind} (os error 13)"));
    #[cfg(unix)]
    assert_eq!(kind.to_string(), "permission denied");
}

#[test]
fn every_way_of_having_no_room_is_a_full_disk() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge] {
        assert_eq!(fault(Step::Write, &kind.into()), Fault::Full, "{kind}");
    }
    assert_ne!(fault(Step::Write, &io::ErrorKind::PermissionDenied.into()), Fault::Full);
}

#[test]
fn a_fork_is_told_whose_storage_it_is() {
    let mut storage = open(&SimulatedDisk::new(), small());
    append(&mut storage, 1, b"one").unwrap();
    storage.log.process = 4711;

    let words = words(ready(storage.set_aside(Seq::FIRST)).unwrap());

    assert_eq!(words, "the storage belongs to process 4711, a fork cannot use it");
}

#[test]
fn a_directory_that_will_not_do_is_told_by_its_path_and_its_fault() {
    let path = || PathBuf::from("/var/queue");
    for (error, words) in [
        (OpenError::NotADirectory { path: path() }, "/var/queue is not a directory"),
        (
            OpenError::NotOwned { path: path(), owner: 33 },
            "/var/queue belongs to user 33, not to this process",
        ),
        (
            OpenError::Writable { path: path(), mode: 0o777 },
            "/var/queue has mode 0777, only its owner may be able to write to it",
        ),
        (OpenError::Locked { path: path() }, "/var/queue is locked by another process"),
        (
            OpenError::Unusable { path: path(), error: io::Error::other("no such device") },
            "/var/queue cannot be used: no such device",
        ),
        (OpenError::OutOfRange { field: "max_bytes", min: 5, max: 9 }, "max_bytes is not between 5 and 9"),
    ] {
        assert_eq!(error.to_string(), words);
        let source = error.source().map(ToString::to_string);
        assert_eq!(source.is_some(), matches!(error, OpenError::Unusable { .. }), "{words}");
        assert!(source.is_none_or(|source| source == "no such device"));
    }
}

#[test]
fn a_disk_that_cannot_be_listed_or_an_option_out_of_range_is_not_opened() {
    let disk = SimulatedDisk::new();
    disk.fail_after(0, Failure::Medium, false);
    let refused = FileStorage::open_on(disk.clone(), small()).unwrap_err();
    assert_eq!(refused.to_string(), ". cannot be used: simulated fault");

    let refused = FileStorage::open_on(disk, FileOptions::new().segment_bytes(511)).unwrap_err();
    assert_eq!(refused.to_string(), "segment_bytes is not between 512 and 16777216");
}
