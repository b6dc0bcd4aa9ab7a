//! Opening what a crash, a bad sector or somebody's hand left, and going on behind it.

use whisperr_core::{Slot, Storage};

use super::super::frame::{Binding, Frame};
use super::super::segment::{HEADER, SegmentName};
use super::super::simulated::{Failure, SimulatedDisk, Survivors};
use super::{FileOptions, FileStorage, Fsync, append, load, numbers, open, record, remove, small, store};

/// The records 1 to `last`, all durable.
fn log(last: u64, options: FileOptions) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, options);
    store(&mut storage, Slot::Identity, b"someone").unwrap();
    for seq in 1..=last {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    drop(storage);
    disk.after_cut(Survivors::All)
}

fn segments(disk: &SimulatedDisk) -> Vec<String> {
    disk.files().into_keys().filter(|name| SegmentName::parse(name).is_some()).collect()
}

/// Flips bits of the last record but one of a segment.
fn rot(disk: &SimulatedDisk, name: &str) -> Vec<u8> {
    let mut bytes = disk.files()[name].clone();
    let at = bytes.len() - 150;
    bytes[at] ^= 0x18;
    disk.put(name, &bytes);
    bytes
}

fn never() -> FileOptions {
    small().fsync(Fsync::Never)
}

#[test]
fn a_damaged_segment_is_kept_as_it_is_and_another_one_begun() {
    let disk = log(6, never());
    let newest = segments(&disk).pop().unwrap();
    let damaged = rot(&disk, &newest);

    let mut storage = open(&disk, never());
    append(&mut storage, 7, b"seven").unwrap();

    assert_eq!(numbers(&mut storage), [1, 2, 3, 4, 6, 7]);
    assert_eq!(storage.take_damaged(), 1);
    assert_eq!(disk.files()[&newest], damaged);
    let mut again = open(&disk.after_cut(Survivors::All), never());
    assert_eq!(numbers(&mut again), [1, 2, 3, 4, 6, 7]);
}

#[test]
fn removals_count_although_there_is_no_segment_to_write_them_to() {
    let disk = log(22, never());
    rot(&disk, &segments(&disk).pop().unwrap());
    let mut storage = open(&disk, never());
    assert_eq!(storage.take_damaged(), 1);
    let last = numbers(&mut storage).pop().unwrap();
    // The newest segment is damaged, and no other can be started.
    disk.limit(Some(0));

    remove(&mut storage, 2, last - 1).unwrap();

    assert_eq!(numbers(&mut storage), [1, last]);
    disk.heal();
    append(&mut storage, last + 1, b"more").unwrap();
    let mut again = open(&disk.after_cut(Survivors::All), never());
    assert_eq!(numbers(&mut again), [1, last, last + 1]);
    assert_eq!(again.take_damaged(), 0);
    assert_eq!(load(&mut again, Slot::Identity), b"someone");
}

/// A cut may leave the header of a segment without the slots behind it.
#[test]
fn a_segment_without_its_slots_gets_them_whatever_call_fails() {
    for failure in [Failure::Medium, Failure::Full] {
        for call in 0.. {
            let disk = log(6, never());
            let names = segments(&disk);
            let newest = names.last().unwrap();
            disk.put(newest, &disk.files()[newest][..HEADER]);
            let calls = disk.calls();
            disk.fail_after(call, failure, false);
            let mut storage = FileStorage::open_on(disk.clone(), never()).unwrap_or_else(|_| {
                disk.heal();
                open(&disk, never())
            });
            let opened = disk.calls() - calls;
            disk.heal();
            let next = storage.next_seq().get();

            // What held the slot until now goes.
            append(&mut storage, next, b"next").unwrap();
            remove(&mut storage, 1, next - 1).unwrap();
            storage.maintain().unwrap();

            assert!(!disk.files().contains_key(&names[0]), "call {call}: the old segment stays");
            let mut again = open(&disk.after_cut(Survivors::All), never());
            assert_eq!(load(&mut again, Slot::Identity), b"someone", "call {call}");
            assert_eq!(numbers(&mut again), [next], "call {call}");
            if call >= opened {
                assert!(call > 8, "opening makes {call} calls");
                break;
            }
        }
    }
}

#[test]
fn a_segment_in_the_middle_that_cannot_be_read_is_counted_exactly() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    for seq in 1..=12 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    drop(storage);
    let disk = disk.after_cut(Survivors::All);
    disk.spoil(&segments(&disk)[1], 0..1);

    let mut storage = open(&disk, small());
    disk.heal();

    assert_eq!(numbers(&mut storage), [1, 2, 3, 4, 9, 10, 11, 12]);
    assert_eq!(storage.open_report().missing, 4);
    assert_eq!(storage.take_damaged(), 4);
    assert_eq!(storage.next_seq().get(), 13, "numbers behind it are not in doubt");
}

#[test]
fn a_page_in_the_middle_that_cannot_be_read_takes_only_its_records() {
    let options = small().segment_bytes(16 << 10);
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, options);
    for seq in 1..=100 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    drop(storage);
    let disk = disk.after_cut(Survivors::All);
    disk.spoil(&segments(&disk)[0], 5000..5001);

    let mut storage = open(&disk, options);
    disk.heal();

    // Frames of 100 bytes from byte 32 on: these touch bytes 4096 to 8191.
    let lost = 41..=82;
    let kept = Vec::from_iter((1..=100).filter(|seq| !lost.contains(seq)));
    assert_eq!(numbers(&mut storage), kept);
    assert_eq!(storage.take_damaged(), 42);
    append(&mut storage, 101, b"more").unwrap();
    storage.syncer().sync().unwrap();
    let mut again = open(&disk.after_cut(Survivors::None), options);
    assert_eq!(numbers(&mut again)[58..], [101]);
    assert_eq!(again.take_damaged(), 0);
}

#[test]
fn the_highest_version_of_a_slot_counts_and_unknown_slots_do_no_harm() {
    let name = SegmentName { id: 1, first: 1 };
    let binding = Binding::new(name.id, name.first);
    let number = Slot::Identity.number();
    let mut bytes = name.header().to_vec();
    for frame in [
        Frame::Slot { number, version: 2, value: b"new" },
        Frame::Slot { number: 200, version: 3, value: b"of a later version" },
        Frame::Record { seq: 1, record: b"one" },
        Frame::Slot { number, version: 1, value: b"old" },
    ] {
        binding.encode(frame, &mut bytes);
    }
    let disk = SimulatedDisk::new();
    disk.put(&name.file(), &bytes);

    for round in 0..3 {
        let mut storage = open(&disk, small());
        assert_eq!(load(&mut storage, Slot::Identity), b"new", "start {round}");
        assert_eq!(numbers(&mut storage), [1], "start {round}");
        assert_eq!(storage.take_damaged(), 0, "start {round}");
    }
    let mut storage = open(&disk, small());
    store(&mut storage, Slot::Identity, b"newer").unwrap();
    assert_eq!(load(&mut open(&disk, small()), Slot::Identity), b"newer");
}

/// Every six bytes claim to be the head of the longest record.
#[test]
fn crafted_bytes_end_the_search_and_cost_nothing_before_them() {
    let name = SegmentName { id: 1, first: 1 };
    let binding = Binding::new(name.id, name.first);
    let mut longest = Vec::new();
    binding.encode(Frame::Record { seq: 3, record: &[0; 65_535] }, &mut longest);
    let mut bytes = name.header().to_vec();
    for seq in 1..=2 {
        binding.encode(Frame::Record { seq, record: &record(seq, 90) }, &mut bytes);
    }
    let crafted = bytes.len();
    for _ in 0..30_000 {
        bytes.extend_from_slice(&longest[..6]);
    }
    // To find this one, two gigabytes would have to be summed up.
    binding.encode(Frame::Record { seq: 3, record: b"behind" }, &mut bytes);
    let disk = SimulatedDisk::new();
    disk.put(&name.file(), &bytes);

    let mut storage = open(&disk, small());

    assert_eq!(super::walk(&mut storage), [1, 2].map(|seq| (seq, record(seq, 90))));
    assert_eq!(storage.open_report().torn_bytes, (bytes.len() - crafted) as u64);
    let next = storage.next_seq().get();
    append(&mut storage, next, b"next").unwrap();
    storage.syncer().sync().unwrap();
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), [1, 2, next]);
}
