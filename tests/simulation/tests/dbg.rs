//! x
#![allow(missing_docs, clippy::all)]
use whisperr_simulation::Choices;
use whisperr_simulation::nor::{FlashSummary, live_on_flash};
#[test]
fn one() {
    let seed: u64 = std::env::var("SEED").unwrap().parse().unwrap();
    let mut s = FlashSummary::default();
    let c = Choices::seeded(seed);
    let r = match std::env::var("GEO").unwrap().as_str() {
        "1" => live_on_flash::<1, 256, 4>(&c, 4, &mut s),
        "12" => live_on_flash::<1, 256, 2>(&c, 2, &mut s),
        "4" => live_on_flash::<4, 256, 4>(&c, 4, &mut s),
        "42" => live_on_flash::<4, 256, 2>(&c, 2, &mut s),
        "8" => live_on_flash::<8, 256, 5>(&c, 5, &mut s),
        "82" => live_on_flash::<8, 2048, 2>(&c, 2, &mut s),
        "32" => live_on_flash::<32, 256, 6>(&c, 6, &mut s),
        "322" => live_on_flash::<32, 512, 2>(&c, 2, &mut s),
        _ => panic!(),
    };
    println!("{r:?}");
}
