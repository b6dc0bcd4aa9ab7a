//! One cut, at every place.

use super::scripts::{SINGLE, Script};
use super::{Cut, Failed, check, check_and_go_on, expect_cases, is_full, prepare, run, tell};

/// How many mixtures of what survives are tried at each place.
const MIXED: u64 = 40;

fn cut_everywhere(script: &Script) -> u64 {
    let (before, known) = prepare(script);
    let places = expect_cases(script, &before, &known);
    assert!(places > 300, "{}: {places} places are no script", script.name);
    let (stride, mixed) = if is_full() { (1, MIXED) } else { (11, 3) };
    let mut cuts = 0;
    for place in (0..=places).step_by(stride) {
        let disk = before.after_kill();
        disk.cut_after(place);
        let stopped = run(&disk, &known, script.steps, false);
        let mut with = |cut: Cut, go_on: bool| {
            let failed =
                Failed(|| println!("{} cut at {place} in step {}: {cut:?}", script.name, stopped.step));
            let after = cut.of(&disk);
            if go_on {
                check_and_go_on(&after, &stopped.model);
            } else {
                check(&after, &stopped.model);
            }
            failed.defuse();
            cuts += 1;
        };
        with(Cut::Kill, false);
        with(Cut::Kill, true);
        for cut in [Cut::Mildest, Cut::Harshest, Cut::Mixed(place)] {
            with(cut, true);
        }
        for seed in 0..mixed {
            with(Cut::Mixed(place * MIXED + seed), false);
        }
    }
    cuts
}

#[test]
fn one_cut_at_every_place() {
    for script in SINGLE {
        tell(&format!("single, {}", script.name), cut_everywhere(script));
    }
}
