//! Small fleets, to see that the figures are the same twice and mean what they say.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use whisperr_fleet::{Figures, Line, Options, SCENARIOS, Scenario, run};

fn row(name: &str) -> &'static Scenario {
    SCENARIOS.iter().find(|row| row.name == name).unwrap()
}

fn figures(scenario: &Scenario, options: &Options) -> Figures {
    Figures::new(scenario, &run(scenario, options))
}

fn small(devices: u32, seed: u64) -> Options {
    Options { devices, seed, whole_outage: false }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let row = row("6h-cap300-503");

    assert_eq!(run(row, &small(500, 5)), run(row, &small(500, 5)));
    assert_ne!(run(row, &small(500, 5)), run(row, &small(500, 6)));
}

#[test]
fn a_small_fleet_meets_the_lines_of_a_large_one() {
    let row = row("6h-cap300");
    let figures = figures(row, &small(2000, 1));

    for line in [Line::Rejected, Line::Peak, Line::Drained, Line::Waves, Line::Recovered] {
        assert!(figures.meets(line), "{}: {figures:?}", line.text());
    }
    // Everyone at most once, and nobody before the server was back.
    assert!(figures.drained_last.unwrap() <= 700.0, "{figures:?}");
    assert!(figures.age > 6.0 * 3600.0, "{figures:?}");
}

#[test]
fn a_fleet_that_boots_together_does_not_send_together() {
    for name in ["boot", "boot-backlog"] {
        let figures = figures(row(name), &small(2000, 1));
        assert!(figures.meets(Line::Peak) && figures.meets(Line::Rejected), "{name}: {figures:?}");
    }
}

#[test]
fn a_dip_at_a_server_that_refuses_nothing_is_over_soon() {
    // To send what arrived during a slow request at once made this one last for ever.
    let figures = figures(row("dip-queue"), &small(2000, 1));

    assert!(figures.meets(Line::Rejected) && figures.meets(Line::Recovered), "{figures:?}");
}

#[test]
fn the_skipped_part_of_an_outage_makes_no_difference() {
    let scenario = Scenario { queue: 30_000, ..*row("72h-cap900") };
    let short = figures(&scenario, &small(300, 1));
    let whole = figures(&scenario, &Options { whole_outage: true, ..small(300, 1) });

    assert!(whole.steps > 3 * short.steps, "{} {}", whole.steps, short.steps);
    let close = |a: f64, b: f64| (a - b).abs() <= 0.1 * a.max(b);
    assert!(close(short.drained.unwrap(), whole.drained.unwrap()), "{short:?} {whole:?}");
    assert!(close(short.used, whole.used), "{short:?} {whole:?}");
    assert!(close(short.age, whole.age), "{short:?} {whole:?}");
}

#[test]
fn every_row_is_legal_and_has_a_name_of_its_own() {
    for (index, row) in SCENARIOS.iter().enumerate() {
        assert!(row.config().validate().is_ok(), "{}", row.name);
        assert_eq!(SCENARIOS.iter().position(|other| other.name == row.name), Some(index));
        assert!(row.misses.iter().all(|(line, _)| row.is_judged_by(*line)), "{}", row.name);
    }
}
