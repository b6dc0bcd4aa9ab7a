//! Calls at the edges of what they take, and ends of a process.

use whisperr_core::{Fault, Seq, Slot, Storage, Stored, ready};

use super::super::frame::{Binding, Frame};
use super::super::index::{Entry, Index};
use super::super::segment::{SegmentName, Span};
use super::super::simulated::{Failure, SimulatedDisk, Survivors, SyncFault};
use super::super::spans::Spans;
use super::{FileError, Fsync, append, load, numbers, open, record, remove, small, store};

#[test]
fn who_only_counts_is_answered_without_the_medium() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    for seq in 1..=9 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    disk.fail_after(0, Failure::Medium, true);
    let calls = disk.calls();

    let found = ready(storage.read(Seq::new(5), &mut [])).unwrap();

    assert_eq!(found, Ok(Some(Stored { seq: Seq::new(5), len: 90 })));
    assert_eq!(ready(storage.read(Seq::new(10), &mut [])).unwrap(), Ok(None));
    assert_eq!(disk.calls(), calls);
}

#[test]
fn a_slot_that_does_not_fit_the_buffer_is_not_cut() {
    let mut storage = open(&SimulatedDisk::new(), small());
    store(&mut storage, Slot::Push, b"token").unwrap();
    let mut buffer = [7; 4];

    assert_eq!(ready(storage.load(Slot::Push, &mut buffer)).unwrap(), Ok(0));

    assert_eq!(buffer, [7; 4]);
    assert_eq!(load(&mut storage, Slot::Push), b"token");
}

#[test]
fn a_number_that_is_not_held_is_set_aside_without_a_trace() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    for seq in 1..=3 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    remove(&mut storage, 2, 2).unwrap();
    let before = disk.files();

    for gone in [0, 2, 4, u64::MAX] {
        ready(storage.set_aside(Seq::new(gone))).unwrap().unwrap();
    }

    assert_eq!(disk.files(), before);
    assert_eq!(numbers(&mut storage), [1, 3]);
    assert_eq!(storage.next_seq(), Seq::new(4));
}

#[test]
fn a_close_writes_nothing_where_there_is_nothing_to_say() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    storage.close();
    assert!(disk.files().is_empty(), "a queue that was never used");

    append(&mut storage, 1, b"one").unwrap();
    let before = disk.files();
    storage.log.process = storage.log.process.wrapping_add(1);
    storage.close();
    assert_eq!(disk.files(), before, "a fork closed what is not its own");

    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small().fsync(Fsync::Never));
    append(&mut storage, 1, b"one").unwrap();
    let before = disk.files();
    storage.close();
    assert_eq!((disk.files(), disk.syncs()), (before, 0), "without syncs nobody knows what is durable");
}

#[test]
fn a_close_whose_sync_fails_promises_nothing_and_loses_nothing() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    append(&mut storage, 1, b"one").unwrap();
    let before = disk.files();
    disk.fail_sync_after(0);

    storage.close();

    assert_eq!(disk.files(), before, "the end was noted although the sync failed");
    assert!(storage.syncer().has_failed());
    storage.maintain().unwrap();
    assert!(!storage.syncer().has_failed());
    assert_eq!(numbers(&mut open(&disk.after_cut(Survivors::None), small())), [1]);
}

#[test]
fn numbers_end_where_no_segment_can_be_named() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    append(&mut storage, 1, &record(1, 90)).unwrap();
    let mut seq = 1 << 63;
    let refused = loop {
        if let Err(refused) = append(&mut storage, seq, &record(seq, 90)) {
            break refused;
        }
        seq += 1;
        assert!(seq < (1 << 63) + 9, "a segment was named behind the last name");
    };

    assert!(matches!(refused, Fault::Medium(FileError::Io { .. })), "{refused:?}");
    let held = numbers(&mut storage);
    assert_eq!(held, Vec::from_iter([1].into_iter().chain(1 << 63..seq)));
    storage.syncer().sync().unwrap();
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), held);
    assert_eq!(again.take_damaged(), 0, "what was skipped is not lost");
}

#[test]
fn names_that_others_took_are_passed_over() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    for seq in 1..=4 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    // As many as are tried at once.
    let taken = Vec::from_iter((2..=9).map(|id| SegmentName { id, first: 5 }.file()));
    for name in &taken {
        disk.put(name, b"theirs");
    }

    let refused = append(&mut storage, 5, &record(5, 90));
    assert!(matches!(refused, Err(Fault::Medium(FileError::Io { .. }))), "{refused:?}");
    append(&mut storage, 5, &record(5, 90)).unwrap();

    for name in &taken {
        assert_eq!(disk.files()[name], b"theirs");
    }
    storage.syncer().sync().unwrap();
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), [1, 2, 3, 4, 5]);
    assert_eq!(again.take_damaged(), 0);
}

#[test]
fn signals_change_nothing() {
    let mut disk = SimulatedDisk::new();
    for round in 0..3 {
        disk.interrupt_every(2);
        let mut storage = open(&disk, small());
        let next = storage.next_seq().get();
        assert_eq!(next, 1 + round * 20);
        for seq in next..next + 20 {
            append(&mut storage, seq, &record(seq, 90)).unwrap();
        }
        remove(&mut storage, 1, next + 9).unwrap();
        store(&mut storage, Slot::Ledger, &[round as u8; 9]).unwrap();
        storage.syncer().sync().unwrap();

        assert_eq!(numbers(&mut storage), Vec::from_iter(next + 10..next + 20));
        assert_eq!(load(&mut storage, Slot::Ledger), [round as u8; 9]);
        assert_eq!(storage.take_damaged(), 0);
        assert!(disk.faults().interrupted > 20);
        disk = disk.after_cut(Survivors::None);
    }
}

#[test]
fn removals_that_overlap_while_nothing_can_be_written_are_one() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    for seq in 1..=8 {
        append(&mut storage, seq, &record(seq, 30)).unwrap();
    }
    disk.fail_after(0, Failure::Medium, true);
    remove(&mut storage, 2, 4).unwrap();
    remove(&mut storage, 3, 6).unwrap();
    disk.heal();

    append(&mut storage, 9, b"nine").unwrap();
    storage.syncer().sync().unwrap();

    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), [1, 7, 8, 9]);
    assert_eq!(again.take_damaged(), 0);
}

#[test]
fn without_syncs_removals_free_a_full_disk_as_well() {
    let disk = SimulatedDisk::new();
    let options = small().fsync(Fsync::Never);
    let mut storage = open(&disk, options);
    for seq in 1..60 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    disk.limit(Some(0));
    let full = disk.files().len();

    for gone in 1..=40 {
        remove(&mut storage, gone, gone).unwrap();
    }

    assert!(disk.files().len() < full - 5, "{} of {full} segments stay", disk.files().len());
    assert_eq!(disk.syncs(), 0);
    disk.limit(None);
    append(&mut storage, 60, b"sixty").unwrap();
    let mut again = open(&disk.after_cut(Survivors::All), options);
    assert_eq!(numbers(&mut again), Vec::from_iter(41..=60));
    assert_eq!(again.take_damaged(), 0);
}

#[test]
fn a_full_disk_keeps_the_segment_of_a_record_whose_copy_is_not_durable() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    append(&mut storage, 1, &record(1, 90)).unwrap();
    let mut seq = 2;
    while storage.log.moved_position == 0 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
        remove(&mut storage, 2, seq).unwrap();
        seq += 1;
        assert!(seq < 100, "the record is never moved");
    }
    assert!(storage.log.shared.durable() < storage.log.moved_position);
    // Neither room for another segment nor a sync.
    disk.limit(Some(0));
    disk.fault_sync_after(0, SyncFault::Dropped, true);

    while append(&mut storage, seq, &record(seq, 90)).is_ok() {
        seq += 1;
    }

    assert!(storage.syncer().has_failed(), "no sync came");
    let cut = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(cut.stats().records, 1, "the record is gone with the older segment");
    let held = numbers(&mut storage);
    assert_eq!(held[0], 1);
    disk.heal();
    storage.maintain().unwrap();
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), held);
    assert_eq!(again.take_damaged(), 0);
}

#[test]
fn nothing_behind_the_last_number_is_a_gap() {
    let held: Spans = [Span { first: 3, last: 4 }, Span { first: 9, last: 9 }].into_iter().collect();

    assert_eq!(held.gaps(1, 4).iter().copied().collect::<Vec<_>>(), [Span { first: 1, last: 2 }]);
    assert!(held.gaps(3, 4).is_empty());
}

#[test]
fn a_record_that_is_gone_gets_no_new_place() {
    let entry = |seq| Entry { seq, key: 0, offset: 32, len: 5, placed: false };
    let mut index = Index::from_sorted(vec![entry(1), entry(3)]);

    index.replace(Entry { placed: true, ..entry(2) });
    index.replace(Entry { placed: true, ..entry(4) });

    assert_eq!(index.iter().copied().collect::<Vec<_>>(), [entry(1), entry(3)]);
    assert_eq!(index.bytes(), 30);
}

/// Only crafted bytes hold one: it would give up the segment that is written on.
#[test]
fn a_floor_above_its_own_segment_is_not_believed() {
    let name = SegmentName { id: 1, first: 1 };
    let binding = Binding::new(name.id, name.first);
    let mut bytes = name.header().to_vec();
    binding.encode(Frame::Record { seq: 1, record: b"one" }, &mut bytes);
    binding.encode(Frame::Floor { id: 1000 }, &mut bytes);
    for fsync in [Fsync::Always, Fsync::Never] {
        let options = small().fsync(fsync);
        let disk = SimulatedDisk::new();
        disk.put(&name.file(), &bytes);
        let mut storage = open(&disk, options);
        let next = storage.next_seq().get();
        append(&mut storage, next, b"promised").unwrap();
        storage.syncer().sync().unwrap();

        assert!(numbers(&mut open(&disk.after_cut(Survivors::All), options)).contains(&next));
    }
}
