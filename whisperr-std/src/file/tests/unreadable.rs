//! A medium that cannot be read while the log is opened, and can later.

use whisperr_core::{Slot, Storage};

use super::super::OpenError;
use super::super::simulated::{Failure, SimulatedDisk, Survivors};
use super::{FileStorage, append, load, open, record, small, store, walk};

/// Six records in two segments, and a slot.
fn log() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    store(&mut storage, Slot::Identity, b"someone").unwrap();
    for seq in 1..=6 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    storage.syncer().sync().unwrap();
    drop(storage);
    disk.after_cut(Survivors::None)
}

/// Opens while calls fail, goes on, and opens again: a queue that opened has lost nothing, and one that did not
/// opens later with all it held.
fn check(for_ever: bool) {
    let calls = {
        let disk = log();
        open(&disk, small());
        disk.calls()
    };
    let mut refused = 0;
    for call in 0..calls {
        let disk = log();
        disk.fail_after(call, Failure::Medium, for_ever);
        let opened = FileStorage::open_on(disk.clone(), small());
        disk.heal();
        let Ok(mut storage) = opened else {
            refused += 1;
            assert_eq!(walk(&mut open(&disk, small())).len(), 6, "call {call}");
            continue;
        };
        assert_eq!(storage.take_damaged(), 0, "call {call}");
        let next = storage.next_seq().get();
        for seq in next..next + 3 {
            append(&mut storage, seq, b"new").unwrap();
        }
        storage.syncer().sync().unwrap();
        drop(storage);

        let mut storage = open(&disk.after_cut(Survivors::None), small());

        let found = walk(&mut storage);
        assert_eq!(found.iter().filter(|(_, bytes)| bytes == b"new").count(), 3, "call {call}");
        assert_eq!(found.iter().filter(|(seq, bytes)| *bytes == record(*seq, 90)).count(), 6, "call {call}");
        assert_eq!(storage.take_damaged(), 0, "call {call}");
        assert_eq!(load(&mut storage, Slot::Identity), b"someone", "call {call}");
    }
    assert!(refused > 0 && refused < calls, "{refused} of {calls}");
}

#[test]
fn records_that_cannot_be_read_once_are_read_again() {
    check(false);
}

#[test]
fn records_that_cannot_be_read_until_the_next_start_are_not_given_up() {
    check(true);
}

#[test]
fn a_page_that_cannot_be_read_keeps_its_numbers() {
    let disk = log();
    let newest = disk.files().keys().filter(|name| name.ends_with(".log")).max().unwrap().clone();
    disk.spoil(&newest, 0..1);

    let mut storage = open(&disk, small());
    disk.heal();

    assert_eq!(walk(&mut storage).len(), 4);
    assert!(storage.next_seq().get() > 7, "the number of a record is given out again");
    assert!(storage.open_report().damaged_bytes >= 200);
    assert!(storage.take_damaged() > 0);
}

#[test]
fn a_queue_of_which_nothing_can_be_read_is_not_opened() {
    let disk = log();
    for name in disk.files().into_keys() {
        disk.spoil(&name, 0..u64::MAX);
    }

    let refused = FileStorage::open_on(disk.clone(), small());

    assert!(matches!(refused, Err(OpenError::Unusable { .. })));
    disk.heal();
    assert_eq!(walk(&mut open(&disk, small())).len(), 6);
}
