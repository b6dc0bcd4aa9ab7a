//! Proves that the search finds bugs: it must find each of those that are compiled in on purpose.

#[cfg(not(whisperr_planted))]
pub(crate) fn run(_seeds: u64) -> bool {
    eprintln!(
        "built without bugs: build with RUSTFLAGS=\"--cfg whisperr_planted\" and another target directory"
    );
    false
}

#[cfg(whisperr_planted)]
pub(crate) fn run(seeds: u64) -> bool {
    use whisperr_core::planted::{Bug, plant};

    println!("## Planted bugs\n");
    println!(
        "Bugs compiled in one at a time; the simulation must find each within {seeds} seeds a medium.\n"
    );
    println!("| bug | found as | medium | lives until then |");
    println!("|---|---|---|---|");
    plant(None);
    let mut fine = find(seeds.min(300)).is_none();
    if !fine {
        eprintln!("a promise is broken without any planted bug");
    }
    for bug in Bug::ALL {
        plant(Some(*bug));
        match find(seeds) {
            Some((invariant, medium, lives)) => println!("| {bug:?} | {invariant} | {medium} | {lives} |"),
            None => {
                println!("| {bug:?} | **not found** | - | {seeds} |");
                eprintln!("not found: {bug:?}");
                fine = false;
            }
        }
    }
    plant(None);
    fine
}

#[cfg(whisperr_planted)]
fn find(seeds: u64) -> Option<(&'static str, &'static str, u64)> {
    use whisperr_simulation::{Choices, MediumKind};

    (0..seeds).find_map(|seed| {
        MediumKind::ALL.iter().find_map(|medium| {
            let violation = medium.live(&Choices::seeded(seed)).violation?;
            Some((violation.invariant, medium.name(), seed.saturating_add(1)))
        })
    })
}
