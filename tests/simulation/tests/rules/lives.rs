//! Lives of the client on every medium, from a few seeds: the command of this crate goes on with more.

use whisperr_simulation::{Choices, Enumeration, MediumKind, Summary, check_seed};

const SEEDS: u64 = 600;

/// A flash is read and programmed word by word: fewer lives, as long.
const FLASH_SEEDS: u64 = 120;

#[test]
fn every_promise_holds_in_every_life() {
    for medium in MediumKind::ALL {
        let mut summary = Summary::default();
        let seeds = if medium.name() == "flash" { FLASH_SEEDS } else { SEEDS };
        for seed in 0..seeds {
            if let Err(failure) = check_seed(*medium, seed, &mut summary) {
                panic!("{failure}");
            }
        }
        // A search that meets no fault proves nothing.
        for name in ["power cut", "killed", "duplicate delivery", "evicted"] {
            assert!(summary.seen.count(name) > 0, "{}: no {name}", medium.name());
        }
    }
}

#[test]
fn the_same_choices_give_the_same_life_from_every_engine() {
    for medium in MediumKind::ALL {
        let seeded = Choices::seeded(77);
        let life = medium.live(&seeded);
        let again = medium.live(&Choices::recorded(&seeded.values()));

        assert_eq!(life.hash, again.hash);
        let bytes: Vec<u8> = (0..2000).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let fuzzed = medium.live(&Choices::bytes(&bytes));
        assert_eq!(fuzzed.hash, medium.live(&Choices::bytes(&bytes)).hash);
        assert_eq!(fuzzed.violation, None);
    }
}

#[test]
fn an_enumeration_starts_with_the_mildest_life() {
    let mut enumeration = Enumeration::new();
    let first = enumeration.next_run().unwrap();
    let life = MediumKind::Memory.live(&first);
    assert_eq!(life.violation, None);
    enumeration.ran(&first);
    assert!(enumeration.next_run().is_some());
}
