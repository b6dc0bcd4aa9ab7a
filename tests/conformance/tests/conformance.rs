//! Every case over every driver holds.

use whisperr_conformance::{Report, SPEC_PATH, run};

#[test]
fn every_case_holds() {
    // Straight to the terminal: the test harness shows nothing that is printed by a test that passes.
    let mut out = std::io::stdout();
    let mut report = Report::new(&mut out);

    run(std::env::var_os(SPEC_PATH).as_deref(), &mut report);

    assert!(report.is_ok(), "{} FAILED:\n{}", report.failures().len(), report.failures().join("\n"));
}
