//! Operations from standard input, answers on standard output.

use core::time::Duration;
use std::io::{self, BufRead, Write};
use std::thread;
use std::time::Instant;

use serde::Serialize;
use whisperr_std::{Flush, Waiting, Whisperr};

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
    room.wait()?;
    let accepted = input.say(room.whisperr).map_err(|error| error.to_string())?;
    Ok(accepted.map(|message_id| message_id.to_string()))
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
    /// Since when there has been no room.
    stalled: Option<Instant>,
}

impl Room<'_> {
    fn wait(&mut self) -> Result<(), String> {
        if self.has_room() {
            return Ok(());
        }
        let since = *self.stalled.get_or_insert_with(|| {
            start_delivery(self.whisperr);
            Instant::now()
        });
        let mut asked_again = false;
        // Patience is for the whole stall: the lines behind the first one that was refused are
        // refused at once, until there is room again.
        while since.elapsed() < self.patience {
            thread::sleep(ROOM_POLL);
            if self.has_room() {
                return Ok(());
            }
            if !asked_again && since.elapsed() >= AUTH_WAIT {
                asked_again = true;
                if self.whisperr.status().waiting == Waiting::AuthRefused {
                    start_delivery(self.whisperr);
                }
            }
        }
        Err("the queue is full".into())
    }

    fn has_room(&mut self) -> bool {
        let has_room = self.whisperr.has_room();
        if has_room {
            self.stalled = None;
        }
        has_room
    }
}

/// Starts a flush without waiting for it.
fn start_delivery(whisperr: &Whisperr) {
    let _not_waited_for: Flush = whisperr.flush(Duration::ZERO);
}
