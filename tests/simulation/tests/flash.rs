//! The flash log on the model of NOR flash: lives by chance, and every cut of short runs.
#![cfg(feature = "flash")]
#![expect(clippy::panic, reason = "a test may fail")]

use whisperr_core::Slot;
use whisperr_simulation::Choices;
use whisperr_simulation::nor::{FlashSummary, Script, Step, live_on_flash};

fn lives<const WRITE: usize, const ERASE: usize, const PAGES: usize>(
    units: usize,
    seeds: u64,
) -> FlashSummary {
    let mut summary = FlashSummary::default();
    for seed in 0..seeds {
        let choices = Choices::seeded(seed);
        if let Err(broken) = live_on_flash::<WRITE, ERASE, PAGES>(&choices, units, &mut summary) {
            panic!("write size {WRITE}, erase size {ERASE}, {PAGES} pages, seed {seed}: {broken}");
        }
    }
    summary
}

#[test]
fn no_life_breaks_a_promise_with_a_write_size_of_1() {
    lives::<1, 256, 4>(4, 400);
    lives::<1, 256, 2>(2, 100);
    lives::<1, 512, 3>(6, 60);
}

#[test]
fn no_life_breaks_a_promise_with_a_write_size_of_4() {
    lives::<4, 256, 4>(4, 400);
    lives::<4, 256, 2>(2, 100);
    lives::<4, 4096, 4>(4, 30);
}

#[test]
fn no_life_breaks_a_promise_with_a_write_size_of_8() {
    lives::<8, 256, 5>(5, 400);
    lives::<8, 2048, 2>(2, 40);
}

#[test]
fn no_life_breaks_a_promise_with_a_write_size_of_32() {
    lives::<32, 256, 6>(6, 400);
    lives::<32, 512, 2>(2, 60);
    lives::<32, 131_072, 2>(2, 2);
}

#[test]
fn every_cut_of_a_short_run_is_survived() {
    let script = Script {
        before: vec![Step::Append(40); 12],
        steps: vec![
            Step::Append(30),
            Step::Store(Slot::Identity, 9),
            Step::Remove(2),
            Step::Append(0),
            Step::Aside,
            Step::Append(60),
            Step::RemoveAt(1),
            Step::Append(40),
            Step::Store(Slot::Identity, 4),
            Step::Append(40),
            Step::Reopen,
            Step::Append(20),
        ],
    };
    for runs in [
        script.cut_everywhere::<1, 256, 4>(4, false),
        script.cut_everywhere::<4, 256, 4>(4, false),
        script.cut_everywhere::<8, 512, 2>(2, false),
        script.cut_everywhere::<32, 512, 3>(3, false),
    ] {
        match runs {
            Ok(runs) => assert!(runs > 100),
            Err(broken) => panic!("{broken}"),
        }
    }
}
