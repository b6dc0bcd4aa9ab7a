//! Prints each case with ok or FAILED, and fails when one does.

use std::io;
use std::process::ExitCode;

use whisperr_conformance::{Report, SPEC_PATH, run};

fn main() -> ExitCode {
    let mut out = io::stdout();
    let mut report = Report::new(&mut out);
    run(std::env::var_os(SPEC_PATH).as_deref(), &mut report);
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
