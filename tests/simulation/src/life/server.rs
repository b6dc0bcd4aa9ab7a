//! The model of the server and of the network before it: rules, capacity, weather, and a memory of
//! everything that arrived.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use whisperr_core::{Config, Reply, Request};

use super::Violation;
use super::model::FAREWELL;
use super::setup::Weather;
use crate::choices::Choices;
use crate::clock::SimClock;
use crate::coverage::Seen;
use crate::network::Answer;
use crate::world::UTC;

const DAY_MS: i64 = 86_400_000;

/// One request on its way, or answered.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// The numbers it carries, in order.
    pub(super) carried: Vec<u64>,
    pub(super) status: Option<u16>,
}

/// What of the last request bounds the next one from below.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// No request before that.
    not_before: u64,
    /// Not even after a flush.
    firm: bool,
}

pub(super) struct ModelServer {
    choices: Choices,
    clock: SimClock,
    pub(super) weather: Weather,
    pub(super) config: Config,
    pub(super) body_limit: Option<usize>,
    pub(super) lying_dates: bool,
    /// The user has opted out: nothing may arrive but the word that opts the push token out.
    pub(super) silent: bool,
    /// What arrived first, in order, and what it was.
    pub(super) arrived: Vec<u64>,
    pub(super) known: HashMap<u64, Value>,
    message_ids: HashMap<String, u64>,
    /// What a 2xx refused: too old, or of the future.
    pub(super) refused: HashSet<u64>,
    pub(super) duplicates: u64,
    /// Events that a 2xx refused.
    pub(super) rejected: u64,
    /// Requests by the index of their exchange, since the last start of the client.
    pub(super) sent: Vec<Sent>,
    pace: Option<Pace>,
    /// Seconds that the reply under way asks for.
    asked: Option<u64>,
    failures: u32,
    /// Something let the client send early.
    pub(super) excused: bool,
    window: (u64, u64),
    pub(super) seen: Seen,
    pub(super) violation: Option<Violation>,
}

impl ModelServer {
    pub(super) fn new(choices: Choices, clock: SimClock, weather: Weather, config: Config) -> Self {
        Self {
            choices,
            clock,
            weather,
            config,
            body_limit: None,
            lying_dates: false,
            silent: false,
            arrived: Vec::new(),
            known: HashMap::new(),
            message_ids: HashMap::new(),
            refused: HashSet::new(),
            duplicates: 0,
            rejected: 0,
            sent: Vec::new(),
            pace: None,
            asked: None,
            failures: 0,
            excused: false,
            window: (0, 0),
            seen: Seen::default(),
            violation: None,
        }
    }

    /// The client starts anew: nobody remembers a request.
    pub(super) fn restarted(&mut self) {
        self.sent.clear();
        self.pace = None;
        self.failures = 0;
        self.excused = false;
    }

    /// The client does not wait for the answer under way.
    pub(super) fn given_up(&mut self) {
        self.pace = None;
        self.failures = 0;
    }

    /// The true time.
    pub(super) fn utc(&self) -> i64 {
        UTC.saturating_add_unsigned(self.clock.elapsed())
    }

    fn fail(&mut self, invariant: &'static str, detail: String) {
        self.violation.get_or_insert(Violation { invariant, detail });
    }

    /// A request has reached the network.
    pub(super) fn request(&mut self, request: &Request, body: &[u8]) -> Answer {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            self.fail("I2", format!("a body is not JSON: {}", String::from_utf8_lossy(body)));
            return Answer { processed: false, reply: None, after_ms: 1 };
        };
        let operations = match (request.path, value.get("events")) {
            ("/v1/identify", _) => vec![value],
            (_, Some(Value::Array(events))) => events.clone(),
            _ => Vec::new(),
        };
        let carried: Vec<u64> = operations.iter().filter_map(number).collect();
        if carried.len() != operations.len() || !(1..=500).contains(&operations.len()) {
            self.fail("I4", format!("{} operations in a request of {}", operations.len(), request.path));
        }
        if self.silent && carried.iter().any(|n| *n != FAREWELL) {
            self.fail("I13", format!("{carried:?} sent after an opt-out"));
        }
        if carried.len() > usize::from(self.config.max_batch_size) {
            self.fail("I4", format!("{} operations in one request", carried.len()));
        }
        if carried.len() > 1 && body.len() > self.config.max_request_bytes as usize {
            self.fail("I4", format!("{} bytes in a request of several", body.len()));
        }
        self.check_pace();
        let answer = self.answer(&operations, body.len());
        self.remember(&answer, carried);
        answer
    }

    fn remember(&mut self, answer: &Answer, carried: Vec<u64>) {
        let timeout = u64::try_from(self.config.request_timeout.as_millis()).unwrap_or(u64::MAX);
        let in_time = answer.after_ms < timeout;
        let status = answer.reply.map(|reply| reply.status()).filter(|_| in_time);
        if !in_time {
            self.seen.note("request timed out");
        }
        let now = self.clock_ms();
        let ended = now.saturating_add(answer.after_ms.min(timeout));
        let base = u64::try_from(self.config.retry_base_delay.as_millis()).unwrap_or(u64::MAX);
        let cap = u64::try_from(self.config.max_retry_delay.as_millis()).unwrap_or(u64::MAX);
        let wait = match status {
            Some(200..300) => {
                self.failures = 0;
                0
            }
            Some(401 | 403) => cap,
            None | Some(0..=399 | 429 | 500..) => {
                self.failures = self.failures.saturating_add(1);
                let doublings = self.failures.saturating_sub(1).min(40);
                base.saturating_mul(1 << doublings).min(cap) / 16
            }
            Some(_) => 0,
        };
        // The server's own word replaces the backoff, and a flush does not cut it short.
        let asked = self.asked.take().filter(|_| in_time);
        let wait = asked.map_or(wait, |seconds| seconds.min(60).saturating_mul(1000));
        self.pace = Some(Pace { not_before: ended.saturating_add(wait), firm: asked.is_some() });
        self.excused = false;
        // Whether the client got it, the network knows.
        self.sent.push(Sent { carried, status: answer.reply.map(|reply| reply.status()) });
    }

    fn clock_ms(&self) -> u64 {
        whisperr_core::Clock::now(&self.clock).as_millis()
    }

    /// A failure is never followed by a request without a wait.
    fn check_pace(&mut self) {
        let Some(pace) = self.pace else { return };
        if self.excused && !pace.firm {
            self.failures = 0;
            return;
        }
        let now = self.clock_ms();
        if now < pace.not_before {
            self.fail("I9", format!("a request {} ms too early", pace.not_before.saturating_sub(now)));
        }
    }

    fn answer(&mut self, operations: &[Value], body_bytes: usize) -> Answer {
        let choices = self.choices.clone();
        let latency = choices.one_of(&[20, 0, 300, 2000]);
        let status = match self.weather {
            Weather::Fair => None,
            Weather::Flaky => match choices.below(12) {
                0..=4 => None,
                5 => return self.broken(operations, latency),
                6 => Some(500),
                7 => Some(503),
                8 => Some(429),
                9 => Some(choices.one_of(&[302, 100, 599, 401, 404, 410])),
                10 => Some(choices.one_of(&[400, 413, 422])),
                _ => return self.late(operations),
            },
            Weather::Down if choices.below(2) == 0 => return self.broken(operations, latency),
            Weather::Down => return self.late(operations),
            Weather::Failing => Some(choices.one_of(&[503, 500, 502])),
            Weather::Limiting => self.over_capacity().then_some(429),
            Weather::Auth => Some(choices.one_of(&[401, 403])),
            Weather::Refusing => Some(choices.one_of(&[400, 413, 422])),
            Weather::Dropping => Some(choices.one_of(&[404, 405, 409, 451])),
        };
        let status = status.or_else(|| self.refuses(operations, body_bytes));
        let mut processed = 0;
        let reply = match status {
            None => {
                processed = self.process(operations);
                Reply::new(choices.one_of(&[202, 200, 204, 299]))
            }
            Some(status) => {
                // A server may fail after it has processed a request.
                if status >= 500 && choices.percent(30) {
                    self.seen.note("processed and then 5xx");
                    self.process(operations);
                }
                Reply::new(status)
            }
        };
        let body = match choices.below(4) {
            0 if status.is_none() => {
                let rejected = (operations.len() as u64).saturating_sub(processed);
                self.rejected = self.rejected.saturating_add(rejected);
                json!({ "accepted": processed, "rejected": rejected }).to_string()
            }
            1 => "<html>welcome</html>".to_owned(),
            _ => String::new(),
        };
        let reply = self.dress(reply.body(body.as_bytes()));
        Answer { processed: false, reply: Some(reply), after_ms: latency }
    }

    /// What the server's own rules say of these operations.
    fn refuses(&mut self, operations: &[Value], body_bytes: usize) -> Option<u16> {
        if self.body_limit.is_some_and(|limit| body_bytes > limit) {
            self.seen.note("413 by size");
            return Some(413);
        }
        let poisoned = operations.iter().any(|operation| operation["properties"]["poison"] == true);
        poisoned.then(|| {
            self.seen.note("poisoned batch");
            400
        })
    }

    fn over_capacity(&mut self) -> bool {
        let minute = self.clock.elapsed() / 60_000;
        let (of, count) = self.window;
        self.window = if of == minute { (minute, count.saturating_add(1)) } else { (minute, 1) };
        let over = self.window.1 > 2;
        if over {
            self.seen.note("over capacity");
        }
        over
    }

    /// The connection breaks, before or after the server took the request.
    fn broken(&mut self, operations: &[Value], after_ms: u64) -> Answer {
        if self.choices.below(2) == 1 {
            self.seen.note("response lost");
            self.process(operations);
        }
        Answer { processed: false, reply: None, after_ms }
    }

    /// The answer comes when nobody waits for it any more.
    fn late(&mut self, operations: &[Value]) -> Answer {
        if self.choices.below(2) == 1 {
            self.seen.note("processed, answered too late");
            self.process(operations);
        }
        Answer { processed: false, reply: Some(Reply::new(202)), after_ms: 1 << 40 }
    }

    /// Adds headers, true ones and others.
    fn dress(&mut self, reply: Reply) -> Reply {
        let choices = self.choices.clone();
        let mut dressed = reply;
        let utc = self.utc();
        let shown = if self.lying_dates && choices.percent(30) {
            self.seen.note("lying Date");
            utc.saturating_add(choices.one_of(&[DAY_MS, -DAY_MS, DAY_MS * 365, -DAY_MS * 3650]))
        } else {
            utc
        };
        let dated = choices.percent(70);
        if dated {
            dressed = dressed.date(http_date(shown).as_bytes());
        }
        let may_ask = matches!(reply.status(), 429 | 503);
        if !choices.percent(50) {
            return dressed;
        }
        let seconds = choices.one_of(&[0, 1, 30, 59, 60, 61, 3600, 1_000_000_000_000]);
        if may_ask {
            self.seen.note("Retry-After");
        }
        match choices.below(4) {
            0 => {
                dressed = dressed.retry_after(seconds.to_string().as_bytes());
                self.note_asked(may_ask, seconds);
            }
            1 if dated && seconds < 4000 => {
                // Whole seconds, so that the wait is exact.
                let date = shown.saturating_add_unsigned(seconds.saturating_mul(1000));
                dressed = dressed.retry_after(http_date(date).as_bytes());
                self.note_asked(may_ask, seconds);
            }
            2 => {
                // Long over: no wait at all.
                dressed = dressed.retry_after(b"Sun, 06 Nov 1994 08:49:37 GMT");
                self.note_asked(may_ask, 0);
            }
            _ => dressed = dressed.retry_after(b"soon"),
        }
        dressed
    }

    fn note_asked(&mut self, may_ask: bool, seconds: u64) {
        if may_ask {
            self.asked = Some(seconds);
        }
    }

    /// Takes what it knows not yet; returns how many it did not refuse.
    fn process(&mut self, operations: &[Value]) -> u64 {
        let mut accepted = 0_u64;
        for operation in operations {
            let Some(n) = number(operation) else { continue };
            if n == FAREWELL {
                self.seen.note("push token opted out");
                accepted = accepted.saturating_add(1);
                continue;
            }
            let date = operation["occurred_at"].as_str().and_then(super::content::parse_date);
            if date.is_some_and(|date| !self.takes(date)) && !self.known.contains_key(&n) {
                self.seen.note("refused as too old or of the future");
                self.refused.insert(n);
                continue;
            }
            accepted = accepted.saturating_add(1);
            if let Some(id) = operation["context"]["$message_id"].as_str() {
                match self.message_ids.get(id) {
                    Some(known) if *known != n => {
                        let detail = format!("{known} and {n} share the message id {id}");
                        return self.wrong("I2", detail);
                    }
                    Some(_) => {}
                    None => drop(self.message_ids.insert(id.to_owned(), n)),
                }
            }
            match self.known.get(&n) {
                Some(known) if undated(known) != undated(operation) => {
                    let detail = format!("{n} was {known} and came again as {operation}");
                    return self.wrong("I2", detail);
                }
                Some(_) => {
                    self.duplicates = self.duplicates.saturating_add(1);
                    self.seen.note("duplicate delivery");
                }
                None => {
                    self.known.insert(n, operation.clone());
                    self.arrived.push(n);
                }
            }
        }
        accepted
    }

    /// From 30 days ago to 5 minutes ahead (contract, section 2).
    fn takes(&self, date: i64) -> bool {
        let now = self.utc();
        (now.saturating_sub(30 * DAY_MS)..=now.saturating_add(300_000)).contains(&date)
    }

    fn wrong(&mut self, invariant: &'static str, detail: String) -> u64 {
        self.fail(invariant, detail);
        0
    }
}

/// The number under which the harness knows an operation.
fn number(operation: &Value) -> Option<u64> {
    let said = operation.get("properties").or_else(|| operation.get("traits"));
    said.and_then(|said| said["n"].as_u64()).or_else(|| match tokens(operation) {
        (Some(new), _) => Some(new),
        (None, Some(_)) => Some(FAREWELL),
        (None, None) => None,
    })
}

/// The push tokens that an identify opts in and out, by their numbers.
pub(super) fn tokens(operation: &Value) -> (Option<u64>, Option<u64>) {
    let channels = operation["channels"].as_array().map(Vec::as_slice).unwrap_or_default();
    let token = |opted_in: bool| {
        let mut tokens = channels.iter().filter(|channel| channel["opted_in"] == opted_in);
        tokens.find_map(|channel| channel["address"].as_str()?.strip_prefix("tok_")?.parse().ok())
    };
    (token(true), token(false))
}

/// An event from before the clock was known may be dated again after a power cut took the date away.
fn undated(operation: &Value) -> Value {
    let mut operation = operation.clone();
    if operation["properties"]["undated"] == true {
        if let Some(members) = operation.as_object_mut() {
            members.remove("occurred_at");
        }
        if let Some(context) = operation.get_mut("context").and_then(Value::as_object_mut) {
            context.remove("$time_estimated");
        }
    }
    operation
}

fn http_date(utc: i64) -> String {
    let seconds = u64::try_from(utc / 1000).unwrap_or(0);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + core::time::Duration::from_secs(seconds))
}
