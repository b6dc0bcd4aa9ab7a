//! Operations from standard input, answers on standard output.

use core::time::Duration;
use std::io::{self, BufRead, Write};
use std::thread;
use std::time::Instant;

use serde::Serialize;
use whisperr_std::{Error, Flush, Waiting, Whisperr};

use crate::exit::say;
use crate::input::Input;
use crate::line::{LINE_BYTES_MAX, Line, Lines};

/// What a line came to.
#[derive(Serialize)]
struct Answer<'a> {
    /// Counts every line of the input from 1, blank ones too.
    line: u64,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Accepts line by line until the input ends, and answers each line. Returns whether anything was
/// refused.
///
/// When nobody reads the answers any more, reading ends, too: whoever asked would never learn what
/// became of the rest.
pub(crate) fn run(
    whisperr: &Whisperr,
    input: impl BufRead,
    mut output: impl Write,
    patience: Duration,
) -> bool {
    let mut lines = Lines::new(input, LINE_BYTES_MAX);
    let mut room = Room { whisperr, patience, stalled: None };
    let mut refused = false;
    let mut number = 0_u64;
    loop {
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => return refused,
            Err(error) => {
                say(&format_args!("standard input: {error}"));
                return true;
            }
        };
        number = number.saturating_add(1);
        let accepted = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => continue,
            Line::Whole(line) => accept(line, &mut room),
            Line::TooLong => Err(format!("the line exceeds the limit of {LINE_BYTES_MAX} bytes")),
        };
        refused |= accepted.is_err();
        if let Err(error) = answer(&mut output, number, &accepted) {
            say(&format_args!("standard output: {error}"));
            return true;
        }
    }
}

fn accept(line: &[u8], room: &mut Room<'_>) -> Result<Option<String>, String> {
    let input = Input::parse(line)?;
    loop {
        match input.say(room.whisperr) {
            Ok(accepted) => {
                room.stalled = None;
                return Ok(accepted.map(|message_id| message_id.to_string()));
            }
            // The client refuses rather than evict: there is room again as soon as something is delivered.
            Err(Error::QueueFull { .. } | Error::StorageFull) => room.wait()?,
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Writes one line, at once.
fn answer(output: &mut impl Write, line: u64, accepted: &Result<Option<String>, String>) -> io::Result<()> {
    let (message_id, error) = match accepted {
        Ok(message_id) => (message_id.as_deref(), None),
        Err(error) => (None, Some(error.as_str())),
    };
    let mut text = serde_json::to_vec(&Answer { line, ok: error.is_none(), message_id, error })?;
    text.push(b'\n');
    output.write_all(&text)?;
    output.flush()
}

/// How often a full queue is looked at.
const ROOM_POLL: Duration = Duration::from_millis(5);

/// How long after the start of a stall a refused key is tried again.
const AUTH_WAIT: Duration = Duration::from_secs(1);

/// Waits for room in the queue, so that a line never costs an event that was accepted before it.
struct Room<'a> {
    whisperr: &'a Whisperr,
    /// How long a stall may last before lines are refused.
    patience: Duration,
    stalled: Option<Stall>,
}

/// A time without room in the queue.
struct Stall {
    since: Instant,
    /// Whether the refused key was tried again in it.
    asked_again: bool,
}

impl Room<'_> {
    /// Waits a little. Patience is for the whole stall: the lines behind the first one that was
    /// refused are refused at once, until there is room again.
    fn wait(&mut self) -> Result<(), String> {
        let stall = self.stalled.get_or_insert_with(|| {
            start_delivery(self.whisperr);
            Stall { since: Instant::now(), asked_again: false }
        });
        if stall.since.elapsed() >= self.patience {
            return Err("the queue is full".into());
        }
        if !stall.asked_again && stall.since.elapsed() >= AUTH_WAIT {
            stall.asked_again = true;
            if self.whisperr.status().waiting == Waiting::AuthRefused {
                start_delivery(self.whisperr);
            }
        }
        thread::sleep(ROOM_POLL);
        Ok(())
    }
}

/// Starts a flush without waiting for it.
fn start_delivery(whisperr: &Whisperr) {
    let _not_waited_for: Flush = whisperr.flush(Duration::ZERO);
}
