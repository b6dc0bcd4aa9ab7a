//! The log stays small, whatever is kept and whatever goes.

use whisperr_core::{Fault, Slot, Storage};

use super::super::simulated::{SimulatedDisk, Survivors};
use super::{FileOptions, Fsync, append, load, numbers, open, record, remove, small, store};

#[test]
fn an_old_record_does_not_hold_up_a_hundred_thousand_evictions() {
    let options = FileOptions::new().segment_bytes(4096).max_bytes(1 << 20).fsync(Fsync::Never);
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, options);
    store(&mut storage, Slot::Anonymous, b"someone").unwrap();
    append(&mut storage, 1, b"identify").unwrap();
    let mut most = 0;

    for seq in 2..=100_000 {
        append(&mut storage, seq, &record(seq, 30)).unwrap();
        remove(&mut storage, seq, seq).unwrap();
        let stats = storage.stats();
        most = most.max(stats.bytes);
        assert!(stats.bytes <= 2 * stats.live_bytes + 4 * 4096, "{seq}: {stats:?}");
    }

    assert!(most > 2 * 4096, "{most}");
    assert_eq!(numbers(&mut storage), [1]);
    assert!(disk.files().len() <= 4);
    let mut again = open(&disk, options);
    assert_eq!(numbers(&mut again), [1]);
    assert_eq!(again.next_seq().get(), 100_001);
    assert_eq!(load(&mut again, Slot::Anonymous), b"someone");
    assert_eq!(again.take_damaged(), 0);
}

#[test]
fn moved_records_keep_their_order_and_survive_any_cut() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    let mut kept = Vec::new();
    let mut moved = false;
    for seq in 1..=300 {
        append(&mut storage, seq, &record(seq, 40)).unwrap();
        // Every fourth stays, so that no segment is ever consumed.
        if seq % 4 == 0 && seq < 80 {
            kept.push(seq);
        } else {
            remove(&mut storage, seq, seq).unwrap();
        }
        moved |= storage.log.moved_position > 0;
        for survivors in [Survivors::None, Survivors::Some(seq), Survivors::Some(seq + 1000)] {
            let mut again = open(&disk.after_cut(survivors), small());
            let found = numbers(&mut again);
            assert!(found.is_sorted());
            let durable = kept.iter().filter(|kept| **kept + 20 < seq);
            assert!(durable.clone().all(|seq| found.contains(seq)), "{seq}: {found:?}");
        }
        if seq % 7 == 0 {
            storage.syncer().sync().unwrap();
        }
    }

    assert!(moved);
    assert_eq!(numbers(&mut storage), kept);
    storage.syncer().sync().unwrap();
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(numbers(&mut again), kept);
    assert_eq!(again.take_damaged(), 0);
}

#[test]
fn records_end_at_the_bound_and_evictions_make_room_at_once() {
    let options = small().segment_bytes(2048).max_bytes(32 << 10);
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, options);
    let mut next = 1;
    while append(&mut storage, next, &record(next, 90)).is_ok() {
        next += 1;
    }
    assert!((240..=250).contains(&next), "{next} records of 100 bytes in 24576");

    let mut oldest = 1;
    for seq in next..next + 2000 {
        let mut evicted = 0;
        while append(&mut storage, seq, &record(seq, 90)) == Err(Fault::Full) {
            remove(&mut storage, oldest, oldest).unwrap();
            oldest += 1;
            evicted += 1;
            assert!(evicted <= 2, "{evicted} records went for one");
        }
        let stats = storage.stats();
        assert!(stats.bytes <= (32 << 10) + 2048, "{stats:?}");
    }
    assert_eq!(numbers(&mut storage), Vec::from_iter(oldest..next + 2000));
}

#[test]
fn a_drained_queue_gives_its_segments_back_after_the_next_sync() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    for seq in 1..=100 {
        append(&mut storage, seq, &record(seq, 100)).unwrap();
    }
    assert!(disk.files().len() > 20);

    remove(&mut storage, 1, 100).unwrap();
    assert!(disk.files().len() > 20, "the removal is not durable, and the records may be needed");
    storage.syncer().sync().unwrap();
    storage.maintain().unwrap();

    assert_eq!(disk.files().len(), 1);
    assert_eq!(storage.stats().segments, 1);
}

#[test]
fn a_record_longer_than_a_segment_is_stored() {
    let disk = SimulatedDisk::new();
    let options = small().max_bytes(1 << 20);
    let mut storage = open(&disk, options);

    append(&mut storage, 1, b"before").unwrap();
    append(&mut storage, 2, &record(2, 65_535)).unwrap();
    append(&mut storage, 3, b"behind").unwrap();
    append(&mut storage, 1 << 40, &record(9, 65_535)).unwrap();

    assert!(append(&mut storage, (1 << 40) + 1, &[0; 65_536]).is_err());
    assert_eq!(numbers(&mut storage), [1, 2, 3, 1 << 40]);
    let mut again = open(&disk, options);
    assert_eq!(numbers(&mut again), [1, 2, 3, 1 << 40]);
    assert_eq!(again.take_damaged(), 0, "numbers that were skipped are not lost");
}

#[test]
fn a_wipe_leaves_no_byte_of_any_record() {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, small());
    store(&mut storage, Slot::Consent, b"out").unwrap();
    for seq in 1..=30 {
        append(&mut storage, seq, &[0x5A; 60]).unwrap();
    }
    whisperr_core::ready(storage.set_aside(whisperr_core::Seq::new(4))).unwrap().unwrap();
    assert!(disk.files().contains_key("damaged"));

    super::wipe(&mut storage).unwrap();

    for (name, content) in disk.after_cut(Survivors::None).files() {
        assert!(!content.windows(8).any(|window| *window == [0x5A; 8]), "{name}");
    }
    assert_eq!(disk.files().len(), 1);
    assert_eq!(numbers(&mut storage), [0_u64; 0]);
    let mut again = open(&disk.after_cut(Survivors::None), small());
    assert_eq!(load(&mut again, Slot::Consent), b"out");
    assert_eq!(again.next_seq().get(), 31);
    assert_eq!(again.take_damaged(), 0);
}
