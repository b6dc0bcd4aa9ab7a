//! One server of limited capacity.

use whisperr_core::Reply;

use crate::chance::Chance;
use crate::wheel::BUCKET_MS;

/// What a server that stands answers to what it cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "rows choose among them")]
pub enum Overload {
    /// 429 or 503 with a `Retry-After` of 60 to 120 s.
    RetryAfter,
    /// 429 or 503 without a word about when.
    Refuse,
    /// It refuses nothing: requests wait in line, and are processed although their client gave up.
    Queue,
}

/// What a request meets while the server is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "rows choose among them")]
pub enum Outage {
    /// No reply: a time-out.
    Silent,
    /// 503 at once, from whatever stands in front of the server.
    Unavailable,
}

/// An index of [`Replies`]; small, because every device may hold one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    Refused(u8),
    Nothing,
}

const RETRY_AFTER_MIN: u64 = 60;
const RETRY_AFTER_MAX: u64 = 120;

/// Every reply there is, made once: reading `Retry-After` for each request would be most of the work.
#[derive(Debug)]
pub(crate) struct Replies {
    accepted: Reply,
    /// The last two are without `Retry-After`.
    refused: Vec<Reply>,
}

impl Replies {
    pub(crate) fn new() -> Self {
        let mut refused = Vec::new();
        for seconds in RETRY_AFTER_MIN..=RETRY_AFTER_MAX {
            for status in [429, 503] {
                refused.push(Reply::new(status).retry_after(seconds.to_string().as_bytes()));
            }
        }
        refused.extend([Reply::new(429), Reply::new(503)]);
        Self { accepted: Reply::new(202), refused }
    }

    pub(crate) fn get(&self, answer: Answer) -> Option<Reply> {
        match answer {
            Answer::Accepted => Some(self.accepted),
            Answer::Refused(index) => self.refused.get(usize::from(index)).copied(),
            Answer::Nothing => None,
        }
    }
}

/// A request's fate, and when its client learns of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fate {
    pub(crate) at_ms: u64,
    pub(crate) answer: Answer,
}

#[derive(Debug)]
pub(crate) struct Server {
    overload: Overload,
    /// Before the row begins: every request is served.
    unlimited: bool,
    /// While the server is away.
    outage: Option<Outage>,
    timeout_ms: u64,
    /// Work, in millionths of a request, that is done in a millisecond.
    rate: u64,
    /// Work that may be done at once: the token bucket.
    tokens: u64,
    filled_at: u64,
    /// When the last request in line is done, in microseconds.
    free_at_us: u64,
    chance: Chance,
}

/// A request in units of work.
const REQUEST: u64 = 1_000_000;

impl Server {
    /// A server that does `capacity` requests a second.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, far below 2^53")]
    pub(crate) fn new(capacity: f64, overload: Overload, timeout_ms: u64, seed: u64) -> Self {
        let rate = (capacity * (REQUEST / 1000) as f64).max(1.0) as u64;
        let chance = Chance::new(seed);
        Self {
            overload,
            unlimited: false,
            outage: None,
            timeout_ms,
            rate,
            tokens: 0,
            filled_at: 0,
            free_at_us: 0,
            chance,
        }
    }

    pub(crate) const fn set_unlimited(&mut self, unlimited: bool) {
        self.unlimited = unlimited;
    }

    pub(crate) const fn set_outage(&mut self, outage: Option<Outage>) {
        self.outage = outage;
    }

    /// A request arrives.
    pub(crate) fn handle(&mut self, now_ms: u64) -> Fate {
        // A round trip is one bucket.
        let soon = now_ms + BUCKET_MS;
        if self.unlimited {
            return Fate { at_ms: soon, answer: Answer::Accepted };
        }
        match (self.outage, self.overload) {
            (Some(Outage::Silent), _) => Fate { at_ms: now_ms + self.timeout_ms, answer: Answer::Nothing },
            (Some(Outage::Unavailable), _) => Fate { at_ms: soon, answer: self.refuse(false) },
            (None, Overload::Queue) => self.line_up(now_ms),
            (None, overload) => {
                let answer = if self.take(now_ms) {
                    Answer::Accepted
                } else {
                    self.refuse(overload == Overload::RetryAfter)
                };
                Fate { at_ms: soon, answer }
            }
        }
    }

    /// Takes a token, if there is one; the bucket holds one second of the capacity.
    fn take(&mut self, now_ms: u64) -> bool {
        let full = self.rate * 1000;
        self.tokens = (self.tokens + (now_ms - self.filled_at) * self.rate).min(full.max(REQUEST));
        self.filled_at = now_ms;
        match self.tokens.checked_sub(REQUEST) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }

    fn line_up(&mut self, now_ms: u64) -> Fate {
        self.free_at_us = self.free_at_us.max(now_ms * 1000) + REQUEST * 1000 / self.rate;
        let done_ms = self.free_at_us / 1000 + BUCKET_MS;
        if done_ms < now_ms + self.timeout_ms {
            Fate { at_ms: done_ms, answer: Answer::Accepted }
        } else {
            Fate { at_ms: now_ms + self.timeout_ms, answer: Answer::Nothing }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the number of replies fits a byte")]
    fn refuse(&mut self, retry_after: bool) -> Answer {
        let words = 2 * (RETRY_AFTER_MAX - RETRY_AFTER_MIN + 1);
        let index = if retry_after { self.chance.below(words) } else { words + self.chance.below(2) };
        Answer::Refused(index as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(server: &mut Server, now_ms: u64, requests: usize) -> usize {
        (0..requests).filter(|_| server.handle(now_ms).answer == Answer::Accepted).count()
    }

    #[test]
    fn the_token_bucket_holds_one_second() {
        let mut server = Server::new(50.0, Overload::RetryAfter, 30_000, 1);

        assert_eq!(accepted(&mut server, 60_000, 200), 50);
        assert_eq!(accepted(&mut server, 60_100, 200), 5);
        assert_eq!(accepted(&mut server, 60_500, 200), 20);
    }

    #[test]
    fn a_line_grows_to_the_time_out_and_no_further() {
        let mut server = Server::new(10.0, Overload::Queue, 30_000, 1);

        assert_eq!(accepted(&mut server, 0, 500), 298);
        let late = server.handle(0);
        assert_eq!((late.answer, late.at_ms), (Answer::Nothing, 30_000));
        // The work of those who gave up is still done first.
        assert_eq!(accepted(&mut server, 20_000, 1), 0);
        assert_eq!(accepted(&mut server, 21_000, 1), 1);
    }

    #[test]
    fn every_refusal_has_a_reply_and_the_words_of_its_row() {
        let replies = Replies::new();
        for (overload, bare) in [(Overload::RetryAfter, false), (Overload::Refuse, true)] {
            let mut server = Server::new(0.001, overload, 30_000, 1);
            for _ in 0..500 {
                let answer = server.handle(0).answer;
                let reply = replies.get(answer).unwrap();
                assert!(matches!(reply.status(), 429 | 503));
                assert_eq!(reply == Reply::new(reply.status()), bare);
            }
        }
    }
}
