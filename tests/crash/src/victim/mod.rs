//! The programs that are killed, starved and cut off.

mod client;
mod storage;

use std::io::{self, Read};
use std::process::ExitCode;

use crate::Result;
use crate::journal::Journal;
use crate::options::{Kind, Victim};

/// The exit code of a victim that could not open its queue and said so.
pub(crate) const NOT_OPENED: u8 = 3;

/// Runs a victim until its end or what comes before.
///
/// # Errors
/// Those of the journal; everything else is said in it.
pub(crate) fn run(victim: &Victim) -> Result<ExitCode> {
    let journal = Journal::open(&victim.journal)?;
    match victim.kind {
        Kind::Storage => storage::run(victim, &journal),
        Kind::Client => client::run(victim, journal),
    }
}

/// Waits until the harness lets go, if it wants that.
fn hold(victim: &Victim) {
    if victim.hold {
        let _closed = io::stdin().read_to_end(&mut Vec::new());
    }
}
