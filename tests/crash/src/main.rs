//! Kills, full disks, power cuts and lying syncs against the client on a real Linux.

use std::process::ExitCode;

fn main() -> ExitCode {
    whisperr_crash::main()
}
