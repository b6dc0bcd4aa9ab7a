//! The thread that syncs: when it does, what it tells, and how it ends.

use core::time::Duration;
use std::time::Instant;

use super::super::simulated::{SimulatedDisk, Survivors};
use super::super::{FileError, FileOptions, Fsync, SYNC_INTERVAL_MAX};
use super::{append, numbers, open, record, small};

#[test]
fn a_failure_that_nobody_mends_is_told_at_every_interval() {
    let disk = SimulatedDisk::new();
    let options = small().fsync(Fsync::Interval(Duration::from_millis(1)));
    let mut storage = open(&disk, options);
    append(&mut storage, 1, b"one").unwrap();
    let syncer = storage.syncer();
    disk.fail_sync_after(0);
    let mut told = Vec::new();

    syncer.run(|synced| {
        told.push(synced);
        assert_eq!(syncer.has_failed(), synced.is_err());
        if told.len() == 3 {
            storage.maintain().unwrap();
            syncer.stop();
        }
    });

    let failed = Err(FileError::SyncFailed);
    assert_eq!(told, [failed, failed, failed, Ok(())]);
    assert_eq!(numbers(&mut open(&disk.after_cut(Survivors::None), options)), [1]);
}

#[test]
fn a_thread_that_is_stopped_before_it_begins_still_syncs_once() {
    for (fsync, durable) in [
        (Fsync::Interval(SYNC_INTERVAL_MAX), true),
        (Fsync::Always, true),
        // It never makes anything durable, and does not say that it failed.
        (Fsync::Never, false),
    ] {
        let disk = SimulatedDisk::new();
        let options = small().fsync(fsync);
        let mut storage = open(&disk, options);
        append(&mut storage, 1, b"one").unwrap();
        let syncer = storage.syncer();
        syncer.stop();
        let mut told = Vec::new();

        storage.syncer().run(|synced| told.push(synced));

        assert_eq!(told, [Ok(())], "{fsync:?}");
        let found = numbers(&mut open(&disk.after_cut(Survivors::None), options));
        assert_eq!(found.len(), usize::from(durable), "{fsync:?}");
    }
}

#[test]
fn more_than_a_mebibyte_does_not_wait_for_the_interval() {
    // A machine may stand still for a second, but hardly three times.
    let in_time = (0..3).any(|_| {
        let disk = SimulatedDisk::new();
        let mut storage = open(&disk, FileOptions::new().segment_bytes(4 << 20));
        let began = Instant::now();
        for seq in 1..=20 {
            append(&mut storage, seq, &record(seq, 60_000)).unwrap();
        }
        assert!(storage.syncer().dirty_since().is_some());
        let syncer = storage.syncer();
        let mut took = None;

        syncer.run(|synced| {
            synced.unwrap();
            took.get_or_insert_with(|| began.elapsed());
            syncer.stop();
        });

        assert_eq!(storage.syncer().dirty_since(), None);
        assert_eq!(open(&disk.after_cut(Survivors::None), FileOptions::new()).stats().records, 20);
        took < Some(SYNC_INTERVAL_MAX)
    });
    assert!(in_time, "it waited for the interval each time");
}

#[test]
fn without_syncs_no_ticket_is_waited_for() {
    let longer = {
        let mut storage = open(&SimulatedDisk::new(), small());
        append(&mut storage, 1, &record(1, 90)).unwrap();
        storage.ticket()
    };
    let disk = SimulatedDisk::new();
    let storage = open(&disk, small().fsync(Fsync::Never));

    // A ticket from before a restart stands for more than was written since.
    assert_eq!(storage.syncer().wait_durable(longer), Ok(()));
    assert_eq!(disk.syncs(), 0);
}

#[test]
fn a_syncer_in_a_log_line_tells_how_far_it_is_and_no_record() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    append(&mut storage, 1, &record(1, 90)).unwrap();
    let syncer = storage.syncer();

    let before = "Syncer { shared: Shared { written: 100, durable: 0, failed: false, .. } }";
    assert_eq!(format!("{syncer:?}"), before);
    syncer.sync().unwrap();
    let after = "Syncer { shared: Shared { written: 100, durable: 100, failed: false, .. } }";
    assert_eq!(format!("{syncer:?}"), after);
}
