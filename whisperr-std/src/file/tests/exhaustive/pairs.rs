//! Two cuts, each at every place.

use std::collections::HashSet;

use super::super::super::simulated::SimulatedDisk;
use super::scripts::{PAIRS, Script};
use super::{
    Cut, Failed, Model, check, expect_cases, first_cuts, image, knowledge, places, prepare, run, tell,
};

/// Cuts what a first cut left at every place of the opening and of the steps that were left.
fn cut_again(script: &Script, rest: usize, left: &SimulatedDisk, known: &Model, stride: usize) -> u64 {
    let steps = script.steps.get(rest..).unwrap_or_default();
    let places = places(&left.after_kill(), known, steps, true);
    let mut cuts = 0;
    for place in (0..=places).step_by(stride) {
        let disk = left.after_kill();
        disk.cut_after(place);
        let stopped = run(&disk, known, steps, true);
        for cut in [Cut::Mildest, Cut::Harshest, Cut::Mixed(place), Cut::Mixed(place ^ 0x55)] {
            let failed = Failed(|| println!("second cut at {place} in step {}: {cut:?}", stopped.step));
            check(&cut.of(&disk), &stopped.model);
            failed.defuse();
            cuts += 1;
        }
    }
    cuts
}

fn cut_twice(script: &Script) -> u64 {
    let (before, known) = prepare(script);
    let places = expect_cases(script, &before, &known);
    let (first, second) = first_cuts().map_or((17, 13), |first| (first, 1));
    // Many cuts leave the same: what follows is the same, too.
    let mut seen = HashSet::new();
    let mut cuts = 0;
    for place in (0..=places).step_by(first) {
        let disk = before.after_kill();
        disk.cut_after(place);
        let stopped = run(&disk, &known, script.steps, false);
        for cut in [Cut::Kill, Cut::Mildest, Cut::Harshest, Cut::Mixed(place)] {
            let left = cut.of(&disk);
            let durable = image(&left.after_cut(super::Survivors::None));
            let state = (stopped.step, image(&left), durable, knowledge(&stopped.model));
            if seen.insert(state) {
                let failed = Failed(|| {
                    println!("{} cut at {place} in step {}: {cut:?}", script.name, stopped.step);
                });
                cuts += cut_again(script, stopped.step, &left, &stopped.model, second);
                failed.defuse();
            }
        }
    }
    cuts
}

/// Each script is a test of its own, so that they run beside each other.
macro_rules! two_cuts_at_every_pair_of_places {
    ($($test:ident = $name:literal)*) => {
        $(
            #[test]
            fn $test() {
                let script = PAIRS.iter().find(|script| script.name == $name).unwrap();
                tell(&format!("pairs, {}", script.name), cut_twice(script));
            }
        )*

        #[test]
        fn every_script_is_cut_twice() {
            let tested = [$($name),*];
            assert!(PAIRS.iter().all(|script| tested.contains(&script.name)));
        }
    };
}

two_cuts_at_every_pair_of_places! {
    rotation = "rotation"
    consumed_segment = "consumed segment"
    wipe = "wipe"
    failed_sync = "failed sync"
    removals_inside = "removals inside"
    full_disk = "full disk"
    moved_records = "moved records"
}
