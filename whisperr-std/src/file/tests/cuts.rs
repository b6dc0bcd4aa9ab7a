//! The power is cut at every byte.

use super::super::simulated::{SimulatedDisk, Survivors};
use super::{FileOptions, FileStorage, Fsync, Model, Op, Slot, numbers, open, small};

/// Appends, removals, slots and syncs over several segments, the first ones of which go.
const SCRIPT: &[Op] = &[
    Op::Append(30),
    Op::Store(Slot::Identity, 1, 20),
    Op::Sync,
    Op::Append(60),
    Op::Append(0),
    Op::Sync,
    Op::Store(Slot::Identity, 2, 5),
    Op::Append(120),
    Op::Remove(2, 3),
    Op::Append(90),
    Op::Append(100),
    Op::Sync,
    Op::Append(150),
    Op::Remove(1, 5),
    Op::Store(Slot::Ledger, 3, 40),
    Op::Append(200),
    Op::Sync,
    Op::Append(30),
    Op::Remove(6, 6),
    Op::Append(10),
];

const ALL: [Survivors; 5] =
    [Survivors::All, Survivors::None, Survivors::Some(1), Survivors::Some(2), Survivors::Some(3)];

/// Runs the script until the power is cut, and returns what the model knows then.
fn run_until_cut(disk: &SimulatedDisk, script: &[Op], options: FileOptions) -> Model {
    let mut model = Model::new();
    let Ok(mut storage) = FileStorage::open_on(disk.clone(), options) else {
        return model;
    };
    for op in script {
        if model.run(&mut storage, *op).is_err() {
            break;
        }
    }
    model
}

fn steps(script: &[Op], options: FileOptions) -> u64 {
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, options);
    let mut model = Model::new();
    for op in script {
        model.run(&mut storage, *op).unwrap();
    }
    model.check_running(&mut storage);
    disk.steps()
}

/// The script works again on whatever was left.
fn check_and_go_on(disk: &SimulatedDisk, model: &Model, options: FileOptions) {
    let mut model = model.clone();
    let mut storage = open(disk, options);
    model.check(&mut storage);
    let lost = u64::from(whisperr_core::Storage::take_damaged(&mut storage));
    assert_eq!(lost, storage.open_report().missing);

    model.adopt(&mut storage);
    for op in [Op::Append(40), Op::Store(Slot::Push, 9, 9), Op::Sync] {
        model.run(&mut storage, op).unwrap();
    }
    model.check_running(&mut storage);
    let segments = storage.log.next_id;

    let mut again = open(&disk.after_cut(Survivors::None), options);
    model.check(&mut again);
    assert_eq!(again.open_report().missing, 0, "a loss is counted twice");

    // Everything that was there before the restart is consumed and deleted, in this run...
    for op in [Op::Remove(1, u64::MAX), Op::Sync] {
        model.run(&mut storage, op).unwrap();
    }
    storage.maintain().unwrap();
    model.run(&mut storage, Op::Sync).unwrap();
    storage.maintain().unwrap();
    // A deletion is durable when the file system pleases.
    for survivors in [Survivors::None, Survivors::All] {
        model.check(&mut open(&disk.after_cut(survivors), options));
    }
    // ...and behind further segments.
    while storage.log.next_id < segments + 2 {
        for op in [Op::Append(100), Op::Remove(1, u64::MAX), Op::Sync] {
            model.run(&mut storage, op).unwrap();
        }
        storage.maintain().unwrap();
    }
    assert!(storage.stats().segments <= 2);
    model.check_running(&mut storage);
    model.check(&mut open(&disk.after_cut(Survivors::All), options));
}

#[test]
fn a_cut_at_any_byte_keeps_what_was_durable() {
    let total = steps(SCRIPT, small());
    assert!(total > 1000, "{total} steps are no script");
    for cut in 0..=total {
        let disk = SimulatedDisk::new();
        disk.cut_after(cut);
        let model = run_until_cut(&disk, SCRIPT, small());

        for survivors in ALL {
            check_and_go_on(&disk.after_cut(survivors), &model, small());
        }
    }
}

#[test]
fn a_process_that_dies_at_any_byte_loses_nothing_that_was_stored() {
    for fsync in [Fsync::Always, Fsync::Never] {
        let options = small().fsync(fsync);
        for cut in 0..=steps(SCRIPT, options) {
            let disk = SimulatedDisk::new();
            disk.cut_after(cut);
            let model = run_until_cut(&disk, SCRIPT, options);

            let mut storage = open(&disk.after_cut(Survivors::All), options);
            let found = numbers(&mut storage);

            let owed: Vec<u64> = found.iter().copied().filter(|seq| model.owed.contains(seq)).collect();
            assert_eq!(owed.len(), model.owed.len(), "cut {cut}: {found:?} for {:?}", model.owed);
            assert_eq!(storage.open_report().missing, 0, "cut {cut}");
        }
    }
}

#[test]
fn a_cut_at_any_step_of_the_recovery_changes_nothing() {
    for cut in (0..=steps(SCRIPT, small())).step_by(3) {
        let disk = SimulatedDisk::new();
        disk.cut_after(cut);
        let model = run_until_cut(&disk, SCRIPT, small());
        let left = disk.after_cut(Survivors::Some(cut));

        for second in 0.. {
            let disk = left.after_cut(Survivors::All);
            disk.cut_after(second);
            let done = FileStorage::open_on(disk.clone(), small()).is_ok();
            let done = done && disk.steps() < second;

            let disk = disk.after_cut(Survivors::Some(second));
            model.check(&mut open(&disk, small()));

            if done {
                break;
            }
        }
    }
}

#[test]
fn opening_twice_is_opening_once() {
    for cut in 0..=steps(SCRIPT, small()) {
        let disk = SimulatedDisk::new();
        disk.cut_after(cut);
        run_until_cut(&disk, SCRIPT, small());
        let disk = disk.after_cut(Survivors::Some(cut));

        let mut first = open(&disk, small());
        let found = (numbers(&mut first), first.open_report().records);
        let files = disk.files().len();
        let mut second = open(&disk, small());

        assert_eq!((numbers(&mut second), second.open_report().records), found, "cut {cut}");
        // Each start writes a segment of its own, and takes away the one of the start before.
        for _ in 0..4 {
            assert_eq!(numbers(&mut open(&disk, small())), found.0);
        }
        assert!(disk.files().len() <= files + 2, "cut {cut}: segments pile up");
    }
}

#[test]
fn a_cut_during_a_wipe_leaves_slots_and_never_reuses_a_number() {
    let script: Vec<Op> = SCRIPT.iter().copied().chain([Op::Wipe, Op::Append(20)]).collect();
    let total = steps(&script, small());
    for cut in steps(SCRIPT, small()) - 10..=total {
        let disk = SimulatedDisk::new();
        disk.cut_after(cut);
        let model = run_until_cut(&disk, &script, small());

        for survivors in ALL {
            check_and_go_on(&disk.after_cut(survivors), &model, small());
        }
    }
}
