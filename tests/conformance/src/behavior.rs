//! `behavior.json`: what becomes of an event when the server misbehaves, and when it recovers.

use core::fmt;

use serde::Deserialize;
use whisperr_core::{Config, Notice, NoticeKind, Outcome};

use crate::exact::Exact;
use crate::fixture::{File, run_cases};
use crate::report::{Reason, Report};
use crate::rig::{Driver, Exchange, Setup};
use crate::scenario::{About, TrackScenario};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "op")]
    _op: Op,
    scenario: TrackScenario,
    #[serde(default)]
    client_options: ClientOptions,
    /// Answers every request of the first flush.
    first_response: Response,
    /// Answers every request after it.
    recovery_response: Response,
    expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Op {
    Track,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClientOptions {
    max_retries: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    classification: Class,
    status: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Class {
    Ok,
    Auth,
    Retry,
    Drop,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expect {
    error_type: ErrorType,
    retained_after_first_flush: bool,
    delivered_after_recovery: bool,
    retries_after_recovery: bool,
    stable_message_id_on_retry: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ErrorType {
    Auth,
    RetryExhausted,
    Dropped,
}

/// Runs the text of a `behavior.json` over some drivers.
pub fn run(text: &str, drivers: &[Driver], report: &mut Report<'_>) {
    let cases = File::read::<Case>(text);
    run_cases("behavior", cases, drivers, report, |_, _| true, Case::check);
}

impl Case {
    fn check(&self, driver: Driver) -> Result<(), Reason> {
        let clock = self.scenario.clock()?;
        let mut rig =
            driver.open(Setup { clock, max_retries: self.client_options.max_retries, ..Setup::default() })?;

        rig.answer(self.first_response.status)?;
        rig.track(&self.scenario, About::Explicit)?;
        rig.flush()?;
        rig.hand_over()?;
        let (notices, retained) = (rig.notices(), rig.owed() > 0);
        let first = rig.exchanges()?.len();
        rig.answer(self.recovery_response.status)?;
        rig.flush()?;

        let exchanges = rig.exchanges()?;
        let after = exchanges.get(first..).unwrap_or_default();
        let expect = &self.expect;
        let mut wrong = Wrong::default();
        wrong.compare(
            "firstResponse.classification",
            self.first_response.classification,
            class(self.first_response.status),
        );
        wrong.compare(
            "recoveryResponse.classification",
            self.recovery_response.classification,
            class(self.recovery_response.status),
        );
        self.check_notices(&notices, &mut wrong);
        wrong.compare("requests in the first flush", true, first > 0);
        wrong.compare("retainedAfterFirstFlush", expect.retained_after_first_flush, retained);
        wrong.compare("retriesAfterRecovery", expect.retries_after_recovery, !after.is_empty());
        let delivered = after.iter().any(Exchange::is_accepted);
        wrong.compare("deliveredAfterRecovery", expect.delivered_after_recovery, delivered);
        if let Some(expected) = expect.stable_message_id_on_retry {
            wrong.compare("stableMessageIdOnRetry", expected, has_stable_id(&exchanges));
        }
        // Stronger than the id: what was fixed when the event was made never changes.
        let same = exchanges.windows(2).all(|pair| match pair {
            [one, other] => one.body == other.body && one.path == other.path,
            _ => true,
        });
        wrong.compare("every attempt sends the same", true, same);
        wrong.into_result()
    }

    fn check_notices(&self, notices: &[Notice], wrong: &mut Wrong) {
        wrong.compare("the application is told", true, !notices.is_empty());
        let max_retries = self.client_options.max_retries.unwrap_or(Config::DEFAULT.max_retries);
        for notice in notices {
            wrong.compare("errorType", Some(self.expect.error_type), ErrorType::of(notice));
            wrong.compare("the status told", Some(self.first_response.status), notice.status());
            if let Notice::RetryExhausted { attempts, .. } = notice {
                wrong.compare("attempts", max_retries.saturating_add(1), *attempts);
            }
        }
    }
}

impl ErrorType {
    fn of(notice: &Notice) -> Option<Self> {
        match notice.kind() {
            NoticeKind::Auth => Some(Self::Auth),
            NoticeKind::RetryExhausted => Some(Self::RetryExhausted),
            NoticeKind::Dropped => Some(Self::Dropped),
            _ => None,
        }
    }
}

/// The class the client gives a status.
const fn class(status: u16) -> Class {
    match Outcome::of(status) {
        Outcome::Ok => Class::Ok,
        Outcome::Auth => Class::Auth,
        Outcome::Retry => Class::Retry,
        // One event alone is dropped by either.
        Outcome::Refused | Outcome::Drop => Class::Drop,
    }
}

/// Whether there was a retry, and every attempt carried one message id.
fn has_stable_id(exchanges: &[Exchange]) -> bool {
    let id = |exchange: &Exchange| match exchange.body.get("events") {
        Some(Exact::Array(events)) => {
            let context = events.first().and_then(|event| event.get("context"));
            context.and_then(|context| context.get("$message_id")).and_then(Exact::as_text).map(str::to_owned)
        }
        _ => None,
    };
    let mut ids = exchanges.iter().map(id);
    match (ids.next(), exchanges.len()) {
        (Some(Some(first)), 2..) => ids.all(|id| id.as_ref() == Some(&first)),
        _ => false,
    }
}

/// Every expectation that was not met.
#[derive(Debug, Default)]
struct Wrong(Vec<Reason>);

impl Wrong {
    fn compare<T: PartialEq + fmt::Debug>(&mut self, what: &str, expected: T, found: T) {
        if expected != found {
            self.0.push(format!("{what}: expected {expected:?}, found {found:?}"));
        }
    }

    fn into_result(self) -> Result<(), Reason> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0.join("\n")) }
    }
}
