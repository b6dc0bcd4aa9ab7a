//! Which fixtures are run: those of the specification where it is given, else our own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::report::Report;
use crate::rig::Driver;
use crate::{anonymous, automatic, behavior, push, wire};

/// The variable that names the specification's `wire.json`, in every Whisperr SDK.
pub const SPEC_PATH: &str = "WHISPERR_SPEC_PATH";

/// Runs the cases of one kind of file.
type Runner = fn(&str, &[Driver], &mut Report<'_>);

/// A kind of fixture file.
struct Kind {
    file: &'static str,
    runner: Runner,
    /// Our own cases.
    own: &'static str,
}

/// The files of the specification (contract, section 10). The first is the one the variable names.
const KINDS: [Kind; 5] = [
    Kind { file: "wire.json", runner: wire::run, own: include_str!("../vectors/wire.json") },
    Kind { file: "behavior.json", runner: behavior::run, own: include_str!("../vectors/behavior.json") },
    Kind { file: "push.json", runner: push::run, own: include_str!("../vectors/push.json") },
    Kind { file: "anonymous.json", runner: anonymous::run, own: include_str!("../vectors/anonymous.json") },
    Kind { file: "automatic.json", runner: automatic::run, own: include_str!("../vectors/automatic.json") },
];

/// Runs every case over every driver, and ends the report with the count.
///
/// `spec` is the value of [`SPEC_PATH`]: the path of a `wire.json`, beside which the other files are
/// taken where they exist. Without it, our own vectors are run. A relative path starts at the
/// current directory, or else at the root of the workspace.
pub fn run(spec: Option<&OsStr>, report: &mut Report<'_>) {
    match spec.filter(|path| !path.is_empty()) {
        Some(path) => run_files(&found(Path::new(path)), report),
        None => run_own(report),
    }
    report.end();
}

fn run_own(report: &mut Report<'_>) {
    report.line(&format!("our own vectors ({SPEC_PATH} is not set)"));
    for Kind { runner, own, .. } in KINDS {
        runner(own, &Driver::ALL, report);
    }
}

fn run_files(first: &Path, report: &mut Report<'_>) {
    for (at, Kind { file, runner, .. }) in KINDS.into_iter().enumerate() {
        let is_first = at == 0;
        let path = if is_first { first.to_owned() } else { first.with_file_name(file) };
        if !is_first && !path.exists() {
            report.line(&format!("there is no {file}"));
            continue;
        }
        match fs::read_to_string(&path) {
            Ok(text) => {
                report.line(&format!("{}", path.display()));
                runner(&text, &Driver::ALL, report);
            }
            Err(error) => report.case(&format!("{}", path.display()), Err(error.to_string())),
        }
    }
}

/// A test runs in its package's directory, whoever named the path most likely in the workspace's.
fn found(path: &Path) -> PathBuf {
    let from_root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if !path.exists() && from_root.exists() { from_root } else { path.to_owned() }
}
