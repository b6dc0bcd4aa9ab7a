//! The simulated disk does what a real one may do, and nothing else.

use super::super::simulated::{Chance, Failure, Faults, SimulatedDisk, SimulatedFile, Survivors, SyncFault};
use super::super::{Disk, DiskFile};

/// A durable file of 600 bytes under a durable name.
fn file(disk: &SimulatedDisk, name: &str) -> SimulatedFile {
    let file = disk.create(name).unwrap();
    file.write_at(0, &[1; 600]).unwrap();
    file.sync_all().unwrap();
    disk.sync_directory().unwrap();
    file
}

fn content(disk: &SimulatedDisk, name: &str) -> Vec<u8> {
    disk.files()[name].clone()
}

/// Takes the choices of a list, and 0 behind its end.
fn list(choices: &[u64]) -> impl FnMut(u64) -> u64 + '_ {
    let mut choices = choices.iter().copied();
    move |end| choices.next().unwrap_or(0).min(end - 1)
}

#[test]
fn the_mildest_cut_leaves_everything() {
    let disk = SimulatedDisk::new();
    let a = file(&disk, "a");
    a.write_at(600, &[2; 5000]).unwrap();
    a.truncate(5000).unwrap();
    a.write_at(5000, b"end").unwrap();
    disk.create("b").unwrap().write_at(0, b"b").unwrap();
    file(&disk, "c");
    disk.remove("c").unwrap();

    let after = disk.after_cut_by(&mut |_| 0);

    assert_eq!(after.files(), disk.files());
    assert_eq!(after.faults(), Faults { cuts: 1, ..Faults::default() });
}

#[test]
fn the_harshest_cut_leaves_what_is_durable() {
    let disk = SimulatedDisk::new();
    let a = file(&disk, "a");
    let before = disk.files();
    a.truncate(100).unwrap();
    a.write_at(100, &[2; 5000]).unwrap();
    disk.create("b").unwrap().sync_all().unwrap();
    disk.remove("a").unwrap();

    assert_eq!(disk.after_cut(Survivors::None).files(), before);
}

#[test]
fn every_kind_of_remains_can_be_chosen() {
    let disk = SimulatedDisk::new();
    let old = file(&disk, "old");
    old.truncate(0).unwrap();
    old.write_at(0, &[9; 900]).unwrap();
    old.sync_all().unwrap();
    disk.remove("old").unwrap();
    disk.sync_directory().unwrap();
    let a = file(&disk, "a");
    a.write_at(600, &[2; 100]).unwrap();
    a.write_at(700, &[3; 100]).unwrap();
    let left = |choices: &[u64]| content(&disk.after_cut_by(&mut list(choices)), "a");
    let joined =
        |parts: &[(u8, usize)]| parts.iter().flat_map(|&(byte, len)| vec![byte; len]).collect::<Vec<u8>>();

    assert_eq!(left(&[1, 1]), joined(&[(1, 600)]), "both lost");
    assert_eq!(left(&[0, 1]), joined(&[(1, 600), (2, 100)]), "only the first");
    assert_eq!(left(&[1, 0]), joined(&[(1, 600), (0, 100), (3, 100)]), "only the second, behind zeros");
    assert_eq!(left(&[1, 0, 1]), joined(&[(1, 600), (9, 100), (3, 100)]), "behind stale bytes");
    assert_eq!(left(&[1, 2, 9, 0]), joined(&[(1, 600), (0, 100), (3, 10)]), "torn at a byte");
    assert_eq!(left(&[1, 2, 9, 1]), joined(&[(1, 600), (0, 100), (3, 10), (0, 90)]), "and zeros");
    assert_eq!(left(&[3, 1]), joined(&[(1, 600), (0, 100)]), "longer without data");
    assert_eq!(left(&[3, 1, 1, 1, 5]), joined(&[(1, 600), (9, 100)]), "longer with stale data");

    a.write_at(800, &[4; 9000]).unwrap();
    // Sectors of the third write: the first one up to 1024, then whole ones.
    let torn = left(&[0, 0, 4, 1, 0, 1]);
    assert_eq!(torn[800..2048], joined(&[(0, 224), (4, 512), (0, 512)]));
    assert_eq!(torn.len(), 9800);
    let torn = left(&[0, 0, 5, 0, 1]);
    assert_eq!(torn[800..8192], joined(&[(4, 4096 - 800), (0, 4096)]), "pages");
}

#[test]
fn what_is_written_back_survives_and_nothing_overtakes_what_it_overwrites() {
    let disk = SimulatedDisk::new();
    let a = file(&disk, "a");
    a.write_at(600, b"first").unwrap();
    a.write_at(605, b"second").unwrap();
    a.write_at(600, b"FIRST").unwrap();
    disk.create("b").unwrap();
    disk.remove("a").unwrap();

    // The third write is not asked for: it has to wait for the first.
    disk.writeback(&mut list(&[0, 1, 1, 0]));
    let after = disk.after_cut(Survivors::None);

    assert_eq!(content(&after, "a")[600..], *b"\0\0\0\0\0second");
    assert_eq!(after.files().len(), 2, "the creation is durable, the removal is not");
    assert_eq!(disk.faults().written_back, 2);
    a.sync_all().unwrap();
    assert_eq!(content(&disk.after_cut(Survivors::None), "a")[600..], *b"FIRSTsecond");
}

#[test]
fn syncs_go_wrong_in_three_ways() {
    for (fault, says_ok, survives) in
        [(SyncFault::Dropped, false, false), (SyncFault::Durable, false, true), (SyncFault::Lie, true, false)]
    {
        let disk = SimulatedDisk::new();
        let a = file(&disk, "a");
        a.write_at(600, b"more").unwrap();
        disk.fault_sync_after(0, fault, false);

        assert_eq!(a.sync_data().is_ok(), says_ok, "{fault:?}");
        let after = disk.after_cut(Survivors::None);
        assert_eq!(content(&after, "a").len() > 600, survives, "{fault:?}");
        assert_eq!(content(&disk, "a").len(), 604, "{fault:?}: a read still finds it");

        a.sync_data().unwrap();
        let later = content(&disk.after_cut(Survivors::None), "a").len() > 600;
        assert_eq!(later, survives || says_ok, "{fault:?}: a failed write is never tried again");
        let faults = disk.faults();
        assert_eq!(faults.failed_syncs + faults.durable_failures + faults.lying_syncs, 1, "{fault:?}");
    }
}

#[test]
fn a_killed_process_leaves_to_the_kernel_what_it_wrote() {
    let disk = SimulatedDisk::new();
    let a = file(&disk, "a");
    a.write_at(600, b"more").unwrap();
    disk.create("b").unwrap();

    let after = disk.after_kill();

    assert_eq!(after.files(), disk.files());
    assert_eq!(content(&after.after_cut(Survivors::None), "a").len(), 600);
    after.open("a").unwrap().sync_all().unwrap();
    after.sync_directory().unwrap();
    assert_eq!(after.after_cut(Survivors::None).files(), disk.files());
    assert_eq!(disk.after_cut(Survivors::None).files().len(), 1, "the disk before goes on by itself");
}

#[test]
fn bits_rot_and_removed_files_come_back() {
    let disk = SimulatedDisk::new();
    file(&disk, "a");
    assert_eq!(disk.rot(&mut list(&[1, 17, 18])), Some("a".into()));
    assert_eq!(content(&disk, "a")[..3], [1, 1, 1 ^ 0b110]);
    assert_eq!(disk.resurrect(&mut |_| 0), None);

    disk.remove("a").unwrap();
    assert_eq!(disk.resurrect(&mut |_| 0), None, "the removal is not durable");
    disk.sync_directory().unwrap();

    assert_eq!(disk.resurrect(&mut |_| 0), Some("a".into()));
    assert_eq!(content(&disk.after_cut(Survivors::None), "a").len(), 600);
    assert_eq!((disk.faults().flipped_bits, disk.faults().resurrected), (2, 1));
    assert_eq!(SimulatedDisk::new().rot(&mut |_| 0), None);
}

#[test]
fn signals_interrupt_and_never_twice_in_a_row() {
    let disk = SimulatedDisk::new();
    disk.interrupt_every(1);
    let a = disk.create("a").unwrap();
    let mut buffer = [0; 4];

    for _ in 0..10 {
        let results = [a.write_at(0, b"abcd").is_ok(), a.write_at(0, b"abcd").is_ok()];
        assert_eq!(results, [true, false]);
        assert_eq!(a.read_at(0, &mut buffer).unwrap(), 4);
        assert_eq!(a.read_at(0, &mut buffer).unwrap_err().kind(), std::io::ErrorKind::Interrupted);
    }
    assert_eq!(disk.faults().interrupted, 20);
}

#[test]
fn a_removed_file_is_held_as_long_as_it_is_open() {
    let disk = SimulatedDisk::new();
    let a = file(&disk, "a");
    disk.remove("a").unwrap();
    disk.sync_directory().unwrap();

    let mut buffer = [0; 4];
    assert_eq!(a.read_at(0, &mut buffer).unwrap(), 4);
    assert_eq!(buffer, [1; 4]);
    drop(a);
    for _ in 0..100 {
        file(&disk, "b");
        disk.remove("b").unwrap();
        disk.sync_directory().unwrap();
    }
    assert_eq!(disk.used(), 0);
}

#[test]
fn the_same_choices_leave_the_same_and_each_kind_of_accident_comes() {
    let mut chance = Chance::new(11);
    let mut disk = SimulatedDisk::new();
    for round in 0..400_u64 {
        disk.limit(Some(4000));
        disk.interrupt_every(7);
        let name = ["a", "b", "c"][chance.below(3) as usize];
        if let Ok(file) = disk.open(name).or_else(|_| disk.create(name)) {
            let len = chance.below(900) as usize;
            let _ = file.write_at(file.size().unwrap_or(0), &vec![round as u8; len]);
            match chance.below(9) {
                0 => disk.fault_sync_after(0, SyncFault::Durable, false),
                1 => disk.fault_sync_after(0, SyncFault::Dropped, false),
                2 => disk.fault_sync_after(0, SyncFault::Lie, false),
                3 => disk.fail_after(0, Failure::Short, false),
                4 => disk.fail_after(0, Failure::Medium, false),
                _ => {}
            }
            let _ = file.write_at(0, b"head");
            let _ = file.sync_data();
        }
        match chance.below(6) {
            0 => drop(disk.remove(name)),
            1 => drop(disk.sync_directory()),
            2 => disk.writeback(&mut |end| chance.below(end)),
            3 => drop(disk.rot(&mut |end| chance.below(end))),
            4 => drop(disk.resurrect(&mut |end| chance.below(end))),
            _ => {}
        }
        if chance.below(4) == 0 {
            let mut taken = Vec::new();
            let after = disk.after_cut_by(&mut |end| {
                assert!(end > 1, "a choice of one");
                taken.push(chance.below(end));
                taken[taken.len() - 1]
            });
            assert_eq!(after.files(), disk.after_cut_by(&mut list(&taken)).files());
            disk = if chance.below(4) == 0 { after.after_kill() } else { after };
        }
    }
    let mut faults = disk.faults();
    faults += faults;
    for (name, count) in faults.each() {
        assert!(count > 1, "no {name}");
    }
}
