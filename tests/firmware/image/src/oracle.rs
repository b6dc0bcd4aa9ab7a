//! What the firmware tells the host, in a place that no kill takes back.

use whisperr_embassy::Ledger;

use crate::board::psram;
use crate::layout::{JOURNAL, JOURNAL_LENGTH, JOURNAL_WORDS, LEDGER, entry};

/// Adds one to a counter.
pub(crate) fn count(counter: u32) {
    psram::store(counter, psram::load(counter).wrapping_add(1));
}

/// Somebody who makes calls and says what came of them.
pub(crate) struct Speaker {
    number: u32,
    /// Of the next call.
    next: u32,
}

impl Speaker {
    /// Goes on behind what this speaker said in earlier lives.
    pub(crate) fn new(number: u32) -> Self {
        let words = (0..psram::load(JOURNAL_LENGTH)).map(|at| entry::unpack(psram::load(JOURNAL + 4 * at)));
        let own = words.filter(|(_, speaker, _)| *speaker == number);
        Self { number, next: own.map(|(_, _, call)| call + 1).max().unwrap_or(0) }
    }

    /// The number of the speaker.
    pub(crate) const fn number(&self) -> u32 {
        self.number
    }

    /// Makes a call, which is given its number; returns whether it was accepted.
    pub(crate) async fn call<T, E>(&mut self, make: impl AsyncFnOnce(u32) -> Result<T, E>) -> bool {
        let call = self.next;
        self.next += 1;
        self.say(entry::TRY, call);
        let is_ok = make(call).await.is_ok();
        self.say(if is_ok { entry::OK } else { entry::REFUSED }, call);
        is_ok
    }

    fn say(&self, outcome: u32, call: u32) {
        let length = psram::load(JOURNAL_LENGTH);
        assert!(length < JOURNAL_WORDS, "the journal is full");
        // The word first: one that is not counted was never said.
        psram::store(JOURNAL + 4 * length, entry::pack(outcome, self.number, call));
        psram::store(JOURNAL_LENGTH, length + 1);
    }
}

/// Writes the ledger.
pub(crate) fn tell_ledger(ledger: &Ledger) {
    let counters = [
        ledger.accepted,
        ledger.acknowledged,
        ledger.dropped,
        ledger.evicted,
        ledger.expired,
        ledger.deleted,
        ledger.damaged,
        ledger.owed,
    ];
    for (at, counter) in (LEDGER..).step_by(4).zip(counters) {
        psram::store(at, u32::try_from(counter).unwrap_or(u32::MAX));
    }
}
