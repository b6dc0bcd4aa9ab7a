//! Delivering before a command ends, and what it comes to.

use core::time::Duration;
use std::thread;
use std::time::Instant;

use whisperr_std::{Flush, Status, Whisperr};

use crate::exit::{Exit, say};

/// How long a server that refused the key is given to accept it again.
const AUTH_WAIT: Duration = Duration::from_secs(1);

/// Delivers for at most `timeout`; a key that is refused is tried a second time.
pub(crate) fn deliver(whisperr: &Whisperr, timeout: Duration) {
    let start = Instant::now();
    if whisperr.flush(timeout) != Flush::AuthRefused {
        return;
    }
    let left = timeout.saturating_sub(start.elapsed()).saturating_sub(AUTH_WAIT);
    if !left.is_zero() {
        thread::sleep(AUTH_WAIT);
        let _told_as_owed = whisperr.flush(left);
    }
}

/// Lets go of the queue without another attempt, says what is still owed, and judges the rest.
/// `refused` tells that the command itself refused something.
pub(crate) fn finish(whisperr: &Whisperr, refused: bool) -> (Exit, Status) {
    whisperr.pause();
    let _paused = whisperr.shutdown(Duration::ZERO);
    let status = whisperr.status();
    match status.owed {
        0 => {}
        1 => say(&"1 operation still owed"),
        owed => say(&format_args!("{owed} operations still owed")),
    }
    // What the server refused is neither delivered nor owed.
    let refused = refused || status.counters.dropped > 0 || status.counters.rejected > 0;
    (if refused { Exit::Refused } else { Exit::Accepted }, status)
}
