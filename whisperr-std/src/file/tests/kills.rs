//! The process dies, the kernel goes on; the power is cut later.

use whisperr_core::{Slot, Storage};

use super::super::simulated::{SimulatedDisk, Survivors};
use super::{FileStorage, append, load, numbers, open, record, small, store, wipe};

/// A disk on which the process died at the last call before the directory is synced.
fn killed_before_the_directory_sync(
    before: impl Fn(&mut FileStorage<SimulatedDisk>),
    last: impl Fn(&mut FileStorage<SimulatedDisk>),
) -> SimulatedDisk {
    for steps in 0.. {
        let disk = SimulatedDisk::new();
        let mut storage = open(&disk, small());
        before(&mut storage);
        let syncs = disk.syncs();
        disk.cut_after(steps);
        last(&mut storage);
        // The file of the new segment is synced; the sync of the directory is the call that fails.
        if disk.syncs() == syncs + 2 {
            return disk.after_kill();
        }
    }
    unreachable!("no directory sync came");
}

#[test]
fn a_segment_whose_name_is_not_durable_is_not_written_on() {
    let disk = killed_before_the_directory_sync(
        |_| {},
        |storage| {
            let _ = append(storage, 1, b"one");
        },
    );
    let mut storage = open(&disk, small());
    append(&mut storage, 1, &record(1, 9)).unwrap();
    storage.syncer().sync().unwrap();

    let mut again = open(&disk.after_cut(Survivors::None), small());

    assert_eq!(numbers(&mut again), [1]);
}

#[test]
fn a_wipe_that_a_kill_and_a_cut_interrupt_keeps_the_slots() {
    let before = |storage: &mut FileStorage<SimulatedDisk>| {
        store(storage, Slot::Consent, b"out").unwrap();
        append(storage, 1, b"one").unwrap();
        storage.syncer().sync().unwrap();
    };
    let disk = killed_before_the_directory_sync(before, |storage| {
        let _ = wipe(storage);
    });
    open(&disk, small());

    // Of the names that are not durable, the creation is lost and the removal survives.
    let mut names = 0;
    let after = disk.after_cut_by(&mut |_| {
        names += 1;
        u64::from(names == 1)
    });
    let mut again = open(&after, small());

    assert_eq!(load(&mut again, Slot::Consent), b"out");
    assert_eq!(again.next_seq().get(), 2);
}

#[test]
fn what_is_found_after_a_kill_in_a_wipe_is_durable_from_then_on() {
    for steps in 0..200 {
        let disk = SimulatedDisk::new();
        let mut storage = open(&disk, small());
        store(&mut storage, Slot::Consent, b"out").unwrap();
        append(&mut storage, 1, b"one").unwrap();
        storage.syncer().sync().unwrap();
        append(&mut storage, 2, b"two").unwrap();
        disk.cut_after(steps);
        let _ = wipe(&mut storage);

        let disk = disk.after_kill();
        let found = numbers(&mut open(&disk, small()));
        let again = numbers(&mut open(&disk.after_cut(Survivors::None), small()));

        assert_eq!(again, found, "killed after {steps} steps of the wipe");
    }
}
