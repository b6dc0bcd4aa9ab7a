//! Bytes that cannot be read, or are not those that were written, while the log is open.

use whisperr_core::{Fault, Seq, Storage, ready};

use super::super::segment::{HEADER, SegmentName};
use super::super::simulated::{SimulatedDisk, Survivors};
use super::super::walk::READS_MAX;
use super::super::{Disk, DiskFile};
use super::{FileError, FileOptions, FileStorage, Fsync, append, numbers, open, record, remove, small, wipe};

/// What a record of [`log`] takes on the medium.
const FRAME: u64 = 100;
/// Where the second record of a segment stands.
const SECOND: u64 = HEADER as u64 + FRAME;

/// The records 1 to `last`, durable, four in each segment.
fn log(last: u64) -> (SimulatedDisk, FileStorage<SimulatedDisk>) {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    for seq in 1..=last {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    storage.syncer().sync().unwrap();
    (disk, storage)
}

fn segments(disk: &SimulatedDisk) -> Vec<String> {
    disk.files().into_keys().filter(|name| SegmentName::parse(name).is_some()).collect()
}

/// Changes bytes of a file that may be open.
fn overwrite(disk: &SimulatedDisk, name: &str, offset: u64, bytes: &[u8]) {
    disk.open(name).unwrap().write_at(offset, bytes).unwrap();
}

#[test]
fn a_record_in_the_place_of_another_is_not_delivered_twice() {
    let (disk, mut storage) = log(4);
    let name = &segments(&disk)[0];
    let first = disk.files()[name][HEADER..][..FRAME as usize].to_vec();

    // A write that went to the wrong sector: all its checksums are right.
    overwrite(&disk, name, SECOND, &first);

    assert_eq!(numbers(&mut storage), [1, 3, 4]);
    assert_eq!(storage.take_damaged(), 1);
    assert_eq!(storage.take_damaged(), 0);
}

#[test]
fn records_of_a_segment_that_vanished_are_counted_and_the_walk_goes_on() {
    let (disk, mut storage) = log(9);
    disk.take(&segments(&disk)[0]);

    assert_eq!(numbers(&mut storage), [5, 6, 7, 8, 9]);
    assert_eq!(storage.take_damaged(), 4);
    append(&mut storage, 10, b"ten").unwrap();
    storage.syncer().sync().unwrap();

    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), [5, 6, 7, 8, 9, 10]);
    assert_eq!(again.take_damaged(), 0, "they were counted before");
}

#[test]
fn a_bad_sector_takes_only_its_record_and_leaves_no_copy_of_it() {
    let (disk, mut storage) = log(9);
    disk.spoil(&segments(&disk)[0], SECOND..SECOND + FRAME);

    for _ in 0..READS_MAX {
        let refused = ready(storage.read(Seq::new(2), &mut [0; 90])).unwrap();
        assert!(matches!(refused, Err(Fault::Medium(FileError::Io { .. }))), "{refused:?}");
    }

    assert_eq!(numbers(&mut storage), [1, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(storage.take_damaged(), 1);
    assert!(!disk.files().contains_key("damaged"), "there was nothing to copy");
}

#[test]
fn what_the_file_lost_with_a_failed_sync_is_delivered_from_ram() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    for seq in 1..=2 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    disk.fail_sync_after(0);
    storage.syncer().sync().unwrap_err();
    // The kernel dropped the pages: the file holds zeros.
    overwrite(&disk, &segments(&disk)[0], HEADER as u64, &[0; 200]);

    let mut buffer = [0; 90];
    let refused = ready(storage.read(Seq::FIRST, &mut buffer)).unwrap();
    assert_eq!(refused, Err(Fault::Medium(FileError::SyncFailed)), "the next read finds it");

    assert_eq!(super::walk(&mut storage), [(1, record(1, 90)), (2, record(2, 90))]);
    assert_eq!(storage.take_damaged(), 0);
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), [1, 2], "it was written again and is durable");
}

#[test]
fn a_damaged_record_does_not_keep_its_segment_from_going() {
    let (disk, mut storage) = log(4);
    let oldest = segments(&disk).remove(0);
    overwrite(&disk, &oldest, SECOND + 50, b"rot");

    // The log grows around the old records until they are moved.
    for seq in 5..=80 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
        remove(&mut storage, seq, seq).unwrap();
        storage.syncer().sync().unwrap();
    }
    storage.maintain().unwrap();

    assert!(!disk.files().contains_key(&oldest), "the damage holds up {oldest}");
    assert_eq!(super::walk(&mut storage), [1, 3, 4].map(|seq| (seq, record(seq, 90))));
    assert_eq!(storage.take_damaged(), 1);
    let copies = &disk.files()["damaged"];
    assert!(copies.windows(3).any(|window| window == b"rot"), "no copy was kept");
}

#[test]
fn a_wipe_counts_a_segment_that_vanished_as_wiped() {
    let (disk, mut storage) = log(9);
    disk.take(&segments(&disk)[0]);

    wipe(&mut storage).unwrap();

    assert_eq!(numbers(&mut storage), [0_u64; 0]);
    assert_eq!(disk.files().len(), 1);
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), [0_u64; 0]);
    assert_eq!(again.take_damaged(), 0);
    assert_eq!(again.next_seq(), Seq::new(10));
}

#[test]
fn copies_of_what_is_set_aside_end_at_one_mebibyte() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, FileOptions::new().fsync(Fsync::Always));
    for seq in 1..=20 {
        append(&mut storage, seq, &record(seq, 60_000)).unwrap();
    }

    for seq in 1..=19 {
        ready(storage.set_aside(Seq::new(seq))).unwrap().unwrap();
    }

    let copies = disk.files()["damaged"].len();
    assert!((17 * 60_000..=1 << 20).contains(&copies), "{copies} bytes of copies");
    // Those for which there was no room are gone all the same.
    assert_eq!(numbers(&mut storage), [20]);
    assert_eq!(storage.take_damaged(), 0);
}
