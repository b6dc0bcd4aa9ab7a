//! Directories that hold anything.

use whisperr_core::{Seq, Slot, Storage, ready};

use super::super::segment::{HEADER, SegmentName};
use super::super::simulated::{Chance, SimulatedDisk, Survivors};
use super::{append, load, numbers, open, record, remove, small, store, walk};

/// Six records and two slots in a few segments, all durable.
fn log() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    for seq in 1..=6 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    store(&mut storage, Slot::Identity, b"someone").unwrap();
    append(&mut storage, 7, &record(7, 90)).unwrap();
    // What it says at its end makes the next opening go on in the same segment.
    storage.close();
    drop(storage);
    disk.after_cut(Survivors::All)
}

fn segments(disk: &SimulatedDisk) -> Vec<String> {
    disk.files().into_keys().filter(|name| SegmentName::parse(name).is_some()).collect()
}

/// The storage takes records, keeps them over a restart, and delivers them.
fn check_works(disk: &SimulatedDisk) {
    let mut storage = open(disk, small());
    let next = storage.next_seq().get();
    for seq in next..next + 9 {
        append(&mut storage, seq, &record(seq, 60)).unwrap();
    }
    storage.syncer().sync().unwrap();

    let mut storage = open(&disk.after_cut(Survivors::None), small());

    let found = numbers(&mut storage);
    assert_eq!(found[found.len() - 9..], Vec::from_iter(next..next + 9));
    let (first, last) = (found[0], found[found.len() - 1]);
    remove(&mut storage, first, last).unwrap();
    assert_eq!(numbers(&mut storage), [0_u64; 0]);
}

#[test]
fn every_flipped_byte_costs_at_most_the_record_it_stands_in() {
    let clean = log();
    let names = segments(&clean);
    assert!(names.len() > 1, "one segment has no middle");
    for name in &names {
        let content = clean.files()[name].clone();
        for at in 0..content.len() {
            for flip in [0x01, 0x80, 0xFF] {
                let disk = clean.after_cut(Survivors::None);
                let mut bytes = content.clone();
                bytes[at] ^= flip;
                disk.put(name, &bytes);

                let mut storage = open(&disk, small());

                let what = format!("{name} byte {at} ^ {flip:#x}");
                let found = walk(&mut storage);
                assert!(found.len() >= 6, "{what}: {found:?}");
                assert!(found.iter().all(|(seq, bytes)| *bytes == record(*seq, 90)), "{what}");
                let missing = 7 - found.len() as u32;
                let last = found.last().unwrap().0;
                // Behind the last frame, damage cannot be told from a write that was cut.
                let counted = if last == 7 { missing } else { 0 };
                assert_eq!(storage.take_damaged(), counted, "{what}");
                assert_eq!(storage.take_damaged(), 0, "{what}");
                let value = load(&mut storage, Slot::Identity);
                assert!(value == b"someone" || value.is_empty(), "{what}");
                let next = storage.next_seq().get();
                append(&mut storage, next, b"more").unwrap();
                assert_eq!(storage.log.next, next + 1, "{what}");
            }
        }
    }
}

#[test]
fn a_damaged_record_is_counted_once_and_kept_aside() {
    let disk = log();
    let name = &segments(&disk)[0];
    let mut bytes = disk.files()[name].clone();
    bytes[HEADER + 100 + 50] ^= 1;
    disk.put(name, &bytes);

    let mut storage = open(&disk, small());
    assert_eq!(numbers(&mut storage), [1, 3, 4, 5, 6, 7]);
    assert_eq!(storage.open_report().missing, 1);
    assert_eq!(storage.open_report().damaged_bytes, 100);
    assert_eq!(storage.take_damaged(), 1);
    append(&mut storage, 8, b"eight").unwrap();

    let mut storage = open(&disk, small());
    assert_eq!(storage.take_damaged(), 0);
    assert_eq!(numbers(&mut storage), [1, 3, 4, 5, 6, 7, 8]);
    let copies = &disk.files()["damaged"];
    assert!(copies.windows(50).any(|window| *window == bytes[HEADER + 106..HEADER + 156]));
    assert!(copies.len() < 300, "the copy was made twice: {} bytes", copies.len());
}

#[test]
fn damage_found_by_a_walk_is_counted_and_the_walk_goes_on() {
    let disk = log();
    let mut storage = open(&disk, small());
    let name = &segments(&disk)[0];
    let mut bytes = disk.files()[name].clone();
    bytes[HEADER + 100 + 50] ^= 1;
    disk.put(name, &bytes);

    assert_eq!(numbers(&mut storage), [1, 3, 4, 5, 6, 7]);
    assert_eq!(storage.take_damaged(), 1);
    assert_eq!(storage.take_damaged(), 0);
    assert_eq!(storage.stats().records, 6);
}

#[test]
fn a_record_set_aside_leaves_the_walk_for_good() {
    let disk = log();
    let mut storage = open(&disk, small());

    ready(storage.set_aside(Seq::new(3))).unwrap().unwrap();

    assert_eq!(numbers(&mut storage), [1, 2, 4, 5, 6, 7]);
    assert_eq!(storage.take_damaged(), 0);
    assert_eq!(numbers(&mut open(&disk, small())), [1, 2, 4, 5, 6, 7]);
    let copies = &disk.files()["damaged"];
    assert!(copies.windows(90).any(|window| *window == record(3, 90)));
}

#[test]
fn a_missing_segment_in_the_middle_is_a_counted_gap_and_an_older_one_is_consumed() {
    let names = segments(&log());
    assert!(names.len() >= 2);

    let disk = log();
    disk.take(&names[0]);
    let mut storage = open(&disk, small());
    assert_eq!(storage.take_damaged(), 0);
    check_works(&disk);

    let disk = SimulatedDisk::new();
    let mut storage = {
        drop(storage);
        open(&disk, small())
    };
    for seq in 1..=12 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    let names = segments(&disk);
    assert_eq!(names.len(), 3);
    disk.take(&names[1]);
    let mut storage = open(&disk, small());
    assert_eq!(numbers(&mut storage), [1, 2, 3, 4, 9, 10, 11, 12]);
    assert_eq!(storage.take_damaged(), 4);
}

#[test]
fn any_content_opens_and_works() {
    let id = |id, first| SegmentName { id, first }.file();
    let mut long = SegmentName { id: 1, first: 1 }.header().to_vec();
    long.extend([0xA1, 0xFF, 0xFF, 0, 0, 0]);
    let mut chance = Chance::new(7);
    let noise: Vec<u8> = (0..200_000).map(|_| chance.below(256) as u8).collect();
    let header = SegmentName { id: 1, first: 1 }.header();
    let with_noise = [header.as_slice(), &noise].concat();
    for (case, content) in [
        ("empty", &[][..]),
        ("one byte", &[0x77]),
        ("half a header", &header[..20]),
        ("only a header", &header),
        ("zeros", &[0; 100_000]),
        ("short zeros", &[0; 7]),
        ("noise", &noise),
        ("a header and noise", &with_noise),
        ("a long length", &long),
    ] {
        for names in [vec![id(1, 1)], vec![id(1, 1), id(2, 1), id(3, 1)], vec![id(1 << 60, 1)]] {
            let disk = SimulatedDisk::new();
            for name in &names {
                disk.put(name, content);
            }
            let mut storage = open(&disk, small());
            assert_eq!(numbers(&mut storage), [0_u64; 0], "{case}");
            assert_eq!(storage.take_damaged(), 0, "{case}");
            drop(storage);
            check_works(&disk);
        }
    }
}

#[test]
fn several_torn_frames_behind_each_other_are_cut_off() {
    let disk = log();
    let name = segments(&disk).pop().unwrap();
    let clean = disk.files()[&name].clone();
    let frame = clean[clean.len() - 100..].to_vec();
    let torn = [&clean, &frame[..70], &frame[..99], &[0; 30], &frame[..6], &frame[..3]].concat();
    disk.put(&name, &torn);

    let mut storage = open(&disk, small());

    assert_eq!(numbers(&mut storage), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(storage.open_report().torn_bytes, 70 + 99 + 30 + 6 + 3);
    // Nothing is ever written behind it.
    assert!(disk.files().get(&name).is_none_or(|content| *content == torn));
    check_works(&disk);
}

#[test]
fn foreign_files_stay_and_unfinished_ones_go() {
    let disk = log();
    let stale = format!("{}.tmp", segments(&disk)[0]);
    disk.put("notes.txt", b"mine");
    disk.put("7.log", b"mine");
    disk.put("other.tmp", b"mine");
    disk.put(&stale, b"half");
    disk.put("lock", b"");

    let storage = open(&disk, small());

    assert_eq!(storage.open_report().foreign_files, 3);
    for kept in ["notes.txt", "7.log", "other.tmp"] {
        assert_eq!(disk.files()[kept], b"mine");
    }
    assert!(!disk.files().contains_key(&stale));
}

#[test]
fn segments_of_a_later_version_are_left_alone() {
    let disk = log();
    let before = disk.files();
    let name = SegmentName { id: 50, first: 8 };
    let mut newer = name.header();
    newer[8] = 2;
    newer[30] ^= 0x55;
    let newer = [newer.as_slice(), &[9; 40]].concat();
    disk.put(&name.file(), &newer);

    for _ in 0..3 {
        let mut storage = open(&disk, small());
        let report = storage.open_report();
        assert_eq!((report.newer_segments, report.newer_version), (1, 2));
        assert_eq!(storage.take_damaged(), 0);
        let next = storage.next_seq().get();
        assert!(next > 8 + 40, "a number of the later version could be used again");
        for seq in next..next + 20 {
            append(&mut storage, seq, &record(seq, 90)).unwrap();
        }
        remove(&mut storage, 1, u64::MAX).unwrap();
        storage.syncer().sync().unwrap();
        storage.maintain().unwrap();
    }

    let after = disk.files();
    assert_eq!(after[&name.file()], newer);
    assert!(before.keys().all(|old| !after.contains_key(old)), "consumed segments stay");
}

#[test]
fn a_sector_that_cannot_be_read_does_not_hold_up_the_walk_for_ever() {
    let disk = log();
    let mut storage = open(&disk, small());
    let mut refused = 0;
    // The file is open, and what was read of it begins behind the first record.
    ready(storage.read(Seq::new(2), &mut [0; 100])).unwrap().unwrap();

    for _ in 0..super::super::walk::READS_MAX {
        // The block around it, and then the record itself.
        disk.fail_calls(2);
        refused += u32::from(ready(storage.read(Seq::FIRST, &mut [0; 100])).unwrap().is_err());
        disk.heal();
    }

    assert_eq!(refused, u32::from(super::super::walk::READS_MAX));
    assert_eq!(storage.take_damaged(), 1);
    assert_eq!(numbers(&mut storage), [2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_medium_that_gives_out_nothing_for_a_while_has_lost_nothing() {
    let disk = log();
    let mut storage = open(&disk, small());

    disk.fail_after(0, super::super::simulated::Failure::Medium, true);
    for _ in 0..10 * u32::from(super::super::walk::READS_MAX) {
        assert!(ready(storage.read(Seq::FIRST, &mut [0; 100])).unwrap().is_err());
    }
    disk.heal();

    assert_eq!(numbers(&mut storage), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(storage.take_damaged(), 0);
}

#[test]
fn names_at_the_end_of_all_numbers_do_not_make_the_log_forget() {
    let id = |id, first| SegmentName { id, first }.file();
    let end = 1 << 62;
    for name in [id(end - 1, 1), id(1, end - 1), id(end - 1, end - 1), id(end, end), id(2 * end - 1, 1)] {
        for content in [&b""[..], b"garbage", &[0; 600]] {
            let disk = log();
            disk.put(&name, content);
            check_works(&disk);
        }
    }
}
