//! Searching, and looking at one life.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use whisperr_simulation::{Choices, Failure, MediumKind, Summary, check_seed, print_choices};

use crate::args::RunOptions;

/// Fewer lives need not meet every kind of fault.
const LIVES_FOR_COVERAGE: u64 = 5000;

/// Runs all seeds on all media and prints a section of the report. `true` when every promise held.
pub(crate) fn run(options: &RunOptions) -> bool {
    println!("## Simulation\n");
    println!(
        "The production core behind a simulated clock, storage, network and server: a phase of faults \
         with every invariant checked after every step, then health, in which everything owed must arrive.\n"
    );
    println!(
        "| medium | seeds | lives | steps | operations said | power cuts | broken promises | 95 % bound per life |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut fine = true;
    let mut sections = String::new();
    for medium in &options.media {
        let start = Instant::now();
        let (summary, failure) = search(*medium, options);
        let seeds = options.seeds.start..options.seeds.start.saturating_add(summary.lives);
        println!(
            "| {} | {}..{} | {} | {} | {} | {} | {} | {} |",
            medium.name(),
            seeds.start,
            seeds.end,
            summary.lives,
            summary.steps,
            summary.operations,
            summary.cuts,
            u8::from(failure.is_some()),
            if failure.is_some() { "-".to_owned() } else { bound(summary.lives) },
        );
        eprintln!("{}: {} lives in {:.1?}", medium.name(), summary.lives, start.elapsed());
        if let Some(failure) = failure {
            fine = false;
            keep(&failure);
            eprintln!("{failure}");
        }
        sections.push_str(&coverage(*medium, &summary, &mut fine));
    }
    println!("\nHow often each thing happened:\n{sections}");
    fine
}

/// With no failure in n lives, the chance of one is below 3/n, at 95 %.
fn bound(lives: u64) -> String {
    if lives == 0 { "-".to_owned() } else { format!("{:.1e}", 3.0 / lives as f64) }
}

fn coverage(medium: MediumKind, summary: &Summary, fine: &mut bool) -> String {
    let happened: Vec<String> = summary.seen.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if summary.lives >= LIVES_FOR_COVERAGE {
        for name in medium.required().iter().filter(|name| summary.seen.count(name) == 0) {
            eprintln!("{}: never happened: {name}", medium.name());
            *fine = false;
        }
    }
    format!("\n- {}: {}.", medium.name(), happened.join(", "))
}

fn search(medium: MediumKind, options: &RunOptions) -> (Summary, Option<Box<Failure>>) {
    let start = Instant::now();
    let next = AtomicU64::new(options.seeds.start);
    let over = AtomicBool::new(false);
    let result: Mutex<(Summary, Option<Box<Failure>>)> = Mutex::default();
    let threads = thread::available_parallelism().map_or(1, core::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut summary = Summary::default();
                let mut found = None;
                while !over.load(Ordering::Relaxed) && found.is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let more = options.time.is_some_and(|time| start.elapsed() < time);
                    if seed >= options.seeds.end && !more {
                        break;
                    }
                    found = check_seed(medium, seed, &mut summary).err();
                }
                if found.is_some() {
                    over.store(true, Ordering::Relaxed);
                }
                if let Ok(mut all) = result.lock() {
                    all.0.merge(&summary);
                    all.1 = all.1.take().or(found);
                }
            });
        }
    });
    result.into_inner().unwrap_or_default()
}

/// Writes the shrunk choices where the ordinary tests replay them.
fn keep(failure: &Failure) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let name = format!("{}-{}.txt", failure.medium.name(), failure.seed);
    let kept = fs::create_dir_all(&directory)
        .and_then(|()| fs::write(directory.join(&name), print_choices(failure)));
    match kept {
        Ok(()) => eprintln!("written: tests/simulation/regressions/{name}"),
        Err(error) => eprintln!("regressions/{name} cannot be written: {error}"),
    }
}

/// Lives one life and prints it.
pub(crate) fn replay(medium: MediumKind, choices: &Choices) -> bool {
    let life = medium.live(choices);
    for line in &life.trace {
        println!("{line}");
    }
    println!("{:?}", life.setup);
    match life.violation {
        None => {
            println!("every promise held in {} steps with {} power cuts", life.steps, life.cuts);
            true
        }
        Some(violation) => {
            println!("{violation}");
            false
        }
    }
}
