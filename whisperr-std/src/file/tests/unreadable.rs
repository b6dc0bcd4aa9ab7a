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

/// Opens while calls fail, goes on, and opens again: nothing is missing in silence, and nothing took
/// the place of what could not be read.
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
        let counted = storage.take_damaged();
        let next = storage.next_seq().get();
        for seq in next..next + 3 {
            append(&mut storage, seq, b"new").unwrap();
        }
        storage.syncer().sync().unwrap();
        drop(storage);

        let mut storage = open(&disk.after_cut(Survivors::None), small());

        let found = walk(&mut storage);
        let new = found.iter().filter(|(_, bytes)| bytes == b"new").count();
        assert_eq!(new, 3, "call {call}");
        let old = found.iter().filter(|(seq, bytes)| *bytes == record(*seq, 90)).count();
        assert_eq!(old + new, found.len(), "call {call}");
        let missing = 6 - u32::try_from(old).unwrap();
        let counted = counted + storage.take_damaged();
        assert!(missing == 0 || counted > 0, "call {call}: {missing} records are missing");
        assert!(for_ever || missing == 0, "call {call}: pages are read twice");
        assert_eq!(load(&mut storage, Slot::Identity), b"someone", "call {call}");
    }
    assert!(refused > 0 && refused < calls, "{refused} of {calls}");
}

#[test]
fn records_that_cannot_be_read_once_are_read_again() {
    check(false);
}

#[test]
fn records_that_cannot_be_read_until_the_next_start_are_counted_or_come_back() {
    check(true);
}

#[test]
fn a_page_that_cannot_be_read_keeps_its_numbers() {
    let mut calls = 0;
    // The last pages that are read: those of the newest segment.
    let (mut storage, disk) = loop {
        let faulty = log();
        faulty.fail_after(calls, Failure::Medium, true);
        calls += 1;
        match FileStorage::open_on(faulty.clone(), small()) {
            Ok(storage) => break (storage, faulty),
            Err(OpenError::Unusable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    disk.heal();
    assert_eq!(walk(&mut storage).len(), 4);
    assert!(storage.next_seq().get() > 7, "the number of a record is given out again");
    assert!(storage.open_report().damaged_bytes >= 200);
    drop(storage);

    assert_eq!(walk(&mut open(&disk, small())).len(), 6, "nothing took the place of the others");
}
