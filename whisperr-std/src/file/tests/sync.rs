//! Failed syncs, and who waits for the good ones.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::sync::Mutex;
use std::thread;

use whisperr_core::{Fault, Slot, Storage};

use super::super::simulated::{Failure, SimulatedDisk, Survivors};
use super::super::{FileError, FileOptions, Fsync};
use super::{append, load, numbers, open, record, remove, small, store};

#[test]
fn after_a_failed_sync_the_record_is_written_again_and_survives() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    append(&mut storage, 1, b"durable").unwrap();
    storage.syncer().sync().unwrap();
    append(&mut storage, 2, b"not yet").unwrap();
    remove(&mut storage, 1, 1).unwrap();
    store(&mut storage, Slot::Push, b"token").unwrap();
    disk.fail_sync_after(0);
    let ticket = storage.ticket();

    assert_eq!(storage.syncer().wait_durable(ticket), Err(FileError::SyncFailed));
    let syncs = disk.syncs();
    assert_eq!(storage.syncer().sync(), Err(FileError::SyncFailed));
    assert_eq!(disk.syncs(), syncs, "a file that failed was synced again, and that would say Ok");
    assert!(numbers(&mut open(&disk.after_cut(Survivors::None), small())).contains(&1));

    storage.recover_from_failed_sync().unwrap();
    assert_eq!(storage.syncer().wait_durable(ticket), Ok(()));
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), [2]);
    assert_eq!(load(&mut again, Slot::Push), b"token");
    assert_eq!(again.take_damaged(), 0);
}

#[test]
fn an_append_recovers_first_and_fails_when_it_cannot() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    append(&mut storage, 1, b"one").unwrap();
    disk.fail_sync_after(0);
    storage.syncer().sync().unwrap_err();

    disk.fail_after(0, Failure::Medium, true);
    assert!(matches!(append(&mut storage, 2, b"two"), Err(Fault::Medium(_))));
    disk.heal();
    append(&mut storage, 2, b"two").unwrap();
    storage.syncer().sync().unwrap();

    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), [1, 2]);
}

#[test]
fn a_sync_that_fails_when_a_segment_is_full_loses_nothing() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    for seq in 1..=4 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    disk.fail_sync_after(0);

    append(&mut storage, 5, &record(5, 90)).unwrap();

    assert!(!disk.has_plan(), "no sync came");
    storage.syncer().sync().unwrap();
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), [1, 2, 3, 4, 5]);
}

#[test]
fn the_policy_never_syncs_nothing() {
    let disk = SimulatedDisk::new();
    let options = small().fsync(Fsync::Never);
    let mut storage = open(&disk, options);
    for seq in 1..=50 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
        let ticket = storage.ticket();
        storage.syncer().wait_durable(ticket).unwrap();
    }
    remove(&mut storage, 1, 40).unwrap();
    storage.syncer().sync().unwrap();
    super::wipe(&mut storage).unwrap();
    drop(storage);
    open(&disk, options);

    assert_eq!(disk.syncs(), 0);
    assert!(disk.files().len() < 3);
}

#[test]
fn one_sync_serves_all_who_wait() {
    let disk = SimulatedDisk::new();
    let options = FileOptions::new().fsync(Fsync::Always);
    let storage = Mutex::new(open(&disk, options));
    let next = || {
        let mut storage = storage.lock().unwrap();
        let seq = storage.next_seq().get();
        append(&mut *storage, seq, &record(seq, 50)).unwrap();
        (seq, storage.ticket(), storage.syncer())
    };
    let acknowledged = Mutex::new(Vec::new());

    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let (seq, ticket, syncer) = next();
                    syncer.wait_durable(ticket).unwrap();
                    acknowledged.lock().unwrap().push(seq);
                }
            });
        }
        for _ in 0..20 {
            let known = acknowledged.lock().unwrap().clone();
            let found = numbers(&mut open(&disk.after_cut(Survivors::None), options));
            assert!(known.iter().all(|seq| found.contains(seq)), "Ok came before the sync");
        }
    });

    assert_eq!(acknowledged.into_inner().unwrap().len(), 1600);
    assert!(disk.syncs() <= 1600 + 20);
}

#[test]
fn everything_the_ticket_covers_is_kept_in_ram_until_it_is_durable() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, FileOptions::new());
    for seq in 1..=1000 {
        append(&mut storage, seq, &record(seq, 200)).unwrap();
    }
    assert!(storage.stats().unsynced_bytes >= 210_000);

    storage.syncer().sync().unwrap();
    append(&mut storage, 1001, b"frees the others").unwrap();

    assert!(storage.stats().unsynced_bytes < 100, "{:?}", storage.stats());
}

#[test]
fn the_thread_syncs_in_time_mends_failures_and_stops() {
    let disk = SimulatedDisk::new();
    let options = FileOptions::new().fsync(Fsync::Interval(Duration::from_millis(5)));
    let storage = Mutex::new(open(&disk, options));
    let syncer = storage.lock().unwrap().syncer();
    let failures = AtomicU32::new(0);
    let durable = |seq: u64| {
        for _ in 0..2000 {
            let found = numbers(&mut open(&disk.after_cut(Survivors::None), options));
            if found.contains(&seq) {
                return true;
            }
            thread::sleep(Duration::from_millis(1));
        }
        false
    };

    thread::scope(|scope| {
        scope.spawn(|| {
            syncer.run(|synced| {
                failures.fetch_add(u32::from(synced.is_err()), Ordering::Relaxed);
                storage.lock().unwrap().maintain().unwrap();
            });
        });
        append(&mut *storage.lock().unwrap(), 1, b"one").unwrap();
        assert!(durable(1));
        disk.fail_sync_after(0);
        append(&mut *storage.lock().unwrap(), 2, b"two").unwrap();
        assert!(durable(2));
        append(&mut *storage.lock().unwrap(), 3, b"three").unwrap();
        syncer.stop();
    });

    assert_eq!(failures.load(Ordering::Relaxed), 1);
    assert_eq!(syncer.dirty_since(), None);
    assert!(durable(3), "the last sync was left out");
}
