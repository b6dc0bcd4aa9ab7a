//! Every call on the disk fails once, and from then on.

use crate::file::FileError;
use whisperr_core::{Fault, Slot, Storage, ready};

use super::super::simulated::{Failure, SimulatedDisk, Survivors, SyncFault};
use super::{
    FileOptions, FileStorage, Fsync, Model, Op, append, load, numbers, open, record, remove, small, store,
};

const SCRIPT: &[Op] = &[
    Op::Append(30),
    Op::Store(Slot::Identity, 1, 20),
    Op::Sync,
    Op::Append(200),
    Op::Append(0),
    Op::Remove(1, 1),
    Op::Store(Slot::Identity, 2, 5),
    Op::Append(220),
    Op::Sync,
    Op::Remove(2, 3),
    Op::Append(190),
    Op::Append(200),
    Op::Remove(4, 5),
    Op::Sync,
    Op::Append(150),
    Op::Wipe,
    Op::Append(100),
    Op::Sync,
];

/// Runs the whole script, whatever fails, and checks at every turn.
fn run(disk: &SimulatedDisk, options: FileOptions, heal_at: usize) {
    let mut model = Model::new();
    let mut storage = FileStorage::open_on(disk.clone(), options)
        .or_else(|_| {
            disk.heal();
            FileStorage::open_on(disk.clone(), options)
        })
        .unwrap();
    for (at, op) in SCRIPT.iter().enumerate() {
        if at == heal_at {
            disk.heal();
        }
        // What failed may be tried again, and what was promised is not touched by it.
        let _ = model.run(&mut storage, *op);
        let cut = disk.after_cut(Survivors::None);
        model.check(&mut open(&cut, options));
        let cut = disk.after_cut(Survivors::Some(at as u64));
        model.check(&mut open(&cut, options));
    }
    disk.heal();
    storage.maintain().unwrap();
    assert_eq!(numbers(&mut storage), model.owed);
    for op in [Op::Append(20), Op::Store(Slot::Platform, 7, 7), Op::Sync] {
        model.run(&mut storage, op).unwrap();
    }
    model.check_running(&mut storage);
    model.check(&mut open(&disk.after_cut(Survivors::None), options));
}

fn fail_every_call(failure: Failure, for_ever: bool, heal_at: usize) {
    for fsync in [Fsync::Always, Fsync::Never] {
        let options = small().fsync(fsync);
        for call in 0.. {
            let disk = SimulatedDisk::new();
            disk.fail_after(call, failure, for_ever);

            if options.syncs() {
                run(&disk, options, heal_at);
            } else {
                run_unsynced(&disk, options);
            }

            if disk.calls() <= call {
                assert!(call > 40, "the script makes {call} calls");
                break;
            }
        }
    }
}

/// Without syncs only the running storage can be held to anything.
fn run_unsynced(disk: &SimulatedDisk, options: FileOptions) {
    let mut model = Model::new();
    let Ok(mut storage) = FileStorage::open_on(disk.clone(), options) else {
        return;
    };
    for op in SCRIPT {
        let _ = model.run(&mut storage, *op);
    }
    disk.heal();
    assert_eq!(numbers(&mut storage), model.owed);
    let mut again = open(&disk.after_cut(Survivors::All), options);
    let found = numbers(&mut again);
    assert!(model.owed.iter().all(|seq| found.contains(seq) || model.unsure.contains(seq)), "{found:?}");
}

#[test]
fn any_call_may_fail_once() {
    for failure in [Failure::Medium, Failure::Full, Failure::Short] {
        fail_every_call(failure, false, usize::MAX);
    }
}

#[test]
fn any_call_may_fail_from_then_on_until_the_medium_heals() {
    for failure in [Failure::Medium, Failure::Full, Failure::Short] {
        for heal_at in [4, 9, 14, usize::MAX] {
            fail_every_call(failure, true, heal_at);
        }
    }
}

#[test]
fn a_full_disk_refuses_records_and_takes_them_again_when_there_is_room() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    append(&mut storage, 1, &record(1, 90)).unwrap();
    disk.limit(Some(disk.used()));
    let mut seq = 2;
    while append(&mut storage, seq, &record(seq, 90)).is_ok() {
        seq += 1;
    }

    assert_eq!(append(&mut storage, seq, &record(seq, 90)), Err(Fault::Medium(FileError::DiskFull)));
    assert_eq!(storage.next_seq().get(), seq);
    assert_eq!(numbers(&mut storage), Vec::from_iter(1..seq));
    disk.limit(Some(disk.used() + 600));
    append(&mut storage, seq, &record(seq, 90)).unwrap();

    storage.syncer().sync().unwrap();
    let mut storage = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut storage), Vec::from_iter(1..=seq));
    assert_eq!(storage.take_damaged(), 0);
}

#[test]
fn a_removal_on_a_full_disk_frees_the_disk() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    disk.limit(Some(512 * 3));
    let mut seq = 1;
    while append(&mut storage, seq, &record(seq, 90)).is_ok() {
        seq += 1;
    }
    assert!(seq > 8);

    // As many as the oldest segment holds.
    for oldest in 1..=4 {
        assert_eq!(append(&mut storage, seq, &record(seq, 90)), Err(Fault::Medium(FileError::DiskFull)));
        remove(&mut storage, oldest, oldest).unwrap();
    }

    append(&mut storage, seq, &record(seq, 90)).unwrap();
    storage.syncer().sync().unwrap();
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), Vec::from_iter(5..=seq));
}

#[test]
fn a_removal_that_cannot_be_written_counts_and_is_written_later() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    for seq in 1..=4 {
        append(&mut storage, seq, &record(seq, 40)).unwrap();
    }
    disk.fail_after(0, Failure::Medium, true);

    remove(&mut storage, 2, 2).unwrap();
    remove(&mut storage, 4, 4).unwrap();

    disk.heal();
    assert_eq!(numbers(&mut storage), [1, 3]);
    let cut = disk.after_cut(Survivors::All);
    assert_eq!(numbers(&mut open(&cut, small())), [1, 2, 3, 4], "not on the medium, so sent again");
    append(&mut storage, 5, b"five").unwrap();
    storage.syncer().sync().unwrap();
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), [1, 3, 5]);
    assert_eq!(again.take_damaged(), 0);
}

#[test]
fn a_slot_that_cannot_be_stored_keeps_its_value() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    store(&mut storage, Slot::Consent, b"in").unwrap();
    disk.fail_after(0, Failure::Full, true);

    assert_eq!(store(&mut storage, Slot::Consent, b"out"), Err(Fault::Full));

    disk.heal();
    assert_eq!(load(&mut storage, Slot::Consent), b"in");
    store(&mut storage, Slot::Consent, b"").unwrap();
    let mut again = open(&disk.after_cut(Survivors::All), small());
    assert_eq!(load(&mut again, Slot::Consent), b"");
}

#[test]
fn removals_free_a_disk_on_which_not_one_of_them_has_room() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    let mut seq = 1;
    while seq < 60 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
        seq += 1;
    }
    // Not one byte more, and what was set aside is used up.
    disk.limit(Some(0));
    let full = disk.files().len();

    for gone in (2..=40).step_by(2).chain((1..=39).step_by(2)) {
        remove(&mut storage, gone, gone).unwrap();
    }

    assert!(disk.files().len() < full - 5, "{} of {full} segments stay", disk.files().len());
    assert_eq!(numbers(&mut storage), Vec::from_iter(41..60));
    disk.limit(None);
    append(&mut storage, 60, b"sixty").unwrap();
    storage.syncer().sync().unwrap();
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), Vec::from_iter(41..=60));
    assert_eq!(again.take_damaged(), 0);
}

#[test]
fn a_number_that_was_skipped_in_vain_can_still_be_used() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    append(&mut storage, 1, b"one").unwrap();
    disk.fail_after(0, Failure::Full, true);
    assert_eq!(append(&mut storage, 9, b"nine"), Err(Fault::Medium(FileError::DiskFull)));
    disk.heal();

    append(&mut storage, 2, b"two").unwrap();
    append(&mut storage, 7, b"seven").unwrap();

    let mut again = open(&disk, small());
    assert_eq!(numbers(&mut again), [1, 2, 7]);
    assert_eq!(again.take_damaged(), 0);
}

/// Found on a real disk: no segment can be started, and the one there is cannot be made durable.
#[test]
fn a_wipe_that_finds_no_room_keeps_the_slots() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    store(&mut storage, Slot::Identity, b"someone").unwrap();
    append(&mut storage, 1, &record(1, 90)).unwrap();
    drop(storage);
    disk.limit(Some(disk.used()));
    disk.fault_sync_after(0, SyncFault::Dropped, true);
    let mut storage = open(&disk, small());

    assert_eq!(ready(storage.wipe()), Some(Err(Fault::Full)));

    disk.heal();
    let mut storage = open(&disk, small());
    assert_eq!(load(&mut storage, Slot::Identity), b"someone");
    assert_eq!(ready(storage.wipe()), Some(Ok(())));
    assert!(numbers(&mut storage).is_empty());
    assert_eq!(load(&mut storage, Slot::Identity), b"someone");
}
