//! A million power cycles of the flash log for each write size:
//!
//! ```text
//! cargo run --release -p whisperr-simulation --features campaigns --example flash -- [cycles] [first seed] [write size]
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::process::ExitCode;

use whisperr_simulation::Choices;
use whisperr_simulation::nor::{FlashSummary, live_on_flash};

/// One life on a flash of a size that the seed chooses; small ones mostly, which turn often.
fn live<const WRITE: usize>(seed: u64, summary: &mut FlashSummary) -> Result<(), String> {
    let choices = Choices::seeded(seed);
    match seed % 1000 {
        999 => live_on_flash::<WRITE, 131_072, 2>(&choices, 2, summary),
        900..=909 => live_on_flash::<WRITE, 16_384, 3>(&choices, 4, summary),
        910..=949 => live_on_flash::<WRITE, 4096, 4>(&choices, 4, summary),
        950..=998 => live_on_flash::<WRITE, 2048, 2>(&choices, 2, summary),
        rest => match rest % 8 {
            0 => live_on_flash::<WRITE, 256, 2>(&choices, 2, summary),
            1 => live_on_flash::<WRITE, 256, 3>(&choices, 3, summary),
            2 => live_on_flash::<WRITE, 256, 4>(&choices, 9, summary),
            3 | 7 => live_on_flash::<WRITE, 512, 2>(&choices, 2, summary),
            4 => live_on_flash::<WRITE, 512, 5>(&choices, 5, summary),
            5 => live_on_flash::<WRITE, 1024, 4>(&choices, 4, summary),
            _ => live_on_flash::<WRITE, 256, 12>(&choices, 12, summary),
        },
    }
}

fn search<const WRITE: usize>(cycles: u64, first: u64) -> bool {
    let mut summary = FlashSummary::default();
    let mut seed = first;
    let mut broken = 0_u32;
    while summary.cycles < cycles {
        if let Err(words) = live::<WRITE>(seed, &mut summary) {
            eprintln!("write size {WRITE}, seed {seed}: {words}");
            broken = broken.saturating_add(1);
            if broken >= 5 {
                break;
            }
        }
        seed = seed.saturating_add(1);
    }
    println!("write size {WRITE}: {summary}; {broken} broke a promise");
    for (name, count) in summary.seen.iter() {
        println!("    {count:>10} {name}");
    }
    broken == 0
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().ok());
    let mut next = |or| arguments.next().flatten().unwrap_or(or);
    let (cycles, first, only) = (next(1_000_000), next(0), next(0));
    let mut whole = true;
    for write in [1, 4, 8, 32] {
        if only == 0 || only == write {
            whole &= match write {
                1 => search::<1>(cycles, first),
                4 => search::<4>(cycles, first),
                8 => search::<8>(cycles, first),
                _ => search::<32>(cycles, first),
            };
        }
    }
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
