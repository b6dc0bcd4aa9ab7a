//! `wire.json`: one call, and the request it becomes.

use serde::Deserialize;
use serde_json::value::RawValue;
use whisperr_collector::UtcMs;

use crate::exact::Exact;
use crate::fixture::File;
use crate::report::{Reason, Report};
use crate::rig::{Driver, Exchange, Setup};
use crate::scenario::{About, IdentifyScenario, TrackScenario};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    #[serde(rename = "name")]
    _name: String,
    op: Op,
    /// Its keys depend on `op`.
    scenario: Box<RawValue>,
    endpoint: String,
    expected_event: Option<Exact>,
    expected_occurred_at: Option<String>,
    expected_body: Option<Exact>,
    context_must_contain: Option<Vec<String>>,
    #[serde(rename = "occurredAtRfc3339Z")]
    occurred_at_rfc3339_z: Option<bool>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Op {
    Track,
    Identify,
}

/// What the case lets the application say.
#[derive(Debug)]
enum Said {
    Track(TrackScenario, About),
    Identify(IdentifyScenario),
}

/// Runs the text of a `wire.json` over some drivers.
pub fn run(text: &str, drivers: &[Driver], report: &mut Report<'_>) {
    let cases = match File::read::<Case>(text) {
        Ok(cases) => cases,
        Err(reason) => return report.case("wire", Err(reason)),
    };
    for named in &cases {
        let case = named.case.as_ref().map_err(Reason::clone);
        let runs = case.and_then(|case| case.runs().map(|runs| (case, runs)));
        let (case, runs) = match runs {
            Ok(runs) => runs,
            Err(reason) => {
                report.case(&format!("wire {}", named.name), Err(reason));
                continue;
            }
        };
        for driver in drivers {
            for said in &runs {
                let title = format!("wire {} over {driver}{}", named.name, said.how());
                report.case(&title, case.check(said, *driver));
            }
        }
    }
}

impl Case {
    /// The ways to say it: an event is said once with its user and once about the current one.
    fn runs(&self) -> Result<Vec<Said>, Reason> {
        if self.expected_event.is_none() && self.expected_body.is_none() {
            return Err("the case expects neither an event nor a body".into());
        }
        let scenario = self.scenario.get();
        let unreadable = |error| format!("scenario: {error}");
        Ok(match self.op {
            Op::Track => [About::Explicit, About::Current]
                .into_iter()
                .map(|about| Ok(Said::Track(serde_json::from_str(scenario).map_err(unreadable)?, about)))
                .collect::<Result<_, Reason>>()?,
            Op::Identify => vec![Said::Identify(serde_json::from_str(scenario).map_err(unreadable)?)],
        })
    }

    fn check(&self, said: &Said, driver: Driver) -> Result<(), Reason> {
        let (exchange, message_id) = said.send(driver)?;
        if !exchange.is_accepted() {
            return Err(format!("the server answered {:?} to {}", exchange.status, exchange.body));
        }
        if exchange.path != self.endpoint {
            return Err(format!("endpoint: expected {}, sent to {}", self.endpoint, exchange.path));
        }
        let mut wrong = Vec::new();
        if let Some(expected) = &self.expected_body {
            wrong.extend(expected.difference(&exchange.body));
        }
        if self.expects_event() {
            let event = only_event(&exchange.body)?;
            self.check_event(event, &mut wrong);
            let sent_id = event.get("context").and_then(|context| context.get("$message_id"));
            if message_id.is_some() && sent_id.and_then(Exact::as_text) != message_id.as_deref() {
                wrong.push("context.$message_id is not the one that track returned".into());
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    const fn expects_event(&self) -> bool {
        self.expected_event.is_some()
            || self.expected_occurred_at.is_some()
            || self.context_must_contain.is_some()
            || self.occurred_at_rfc3339_z.is_some()
    }

    fn check_event(&self, event: &Exact, wrong: &mut Vec<Reason>) {
        if let Some(expected) = &self.expected_event {
            wrong.extend(expected.difference(&comparable(event, expected)));
        }
        let context = event.get("context");
        for key in self.context_must_contain.iter().flatten() {
            if context.and_then(|context| context.get(key)).is_none() {
                wrong.push(format!("context has no {key:?}"));
            }
        }
        let occurred_at = event.get("occurred_at").and_then(Exact::as_text).unwrap_or_default();
        if self.occurred_at_rfc3339_z == Some(true) && UtcMs::parse(occurred_at).is_none() {
            wrong.push(format!("occurred_at {occurred_at:?} is not RFC 3339 with milliseconds and Z"));
        }
        if let Some(expected) = &self.expected_occurred_at
            && occurred_at != expected
        {
            wrong.push(format!("occurred_at: expected {expected}, sent {occurred_at}"));
        }
    }
}

impl Said {
    const fn how(&self) -> &'static str {
        match self {
            Self::Track(_, About::Explicit) => ", explicit user",
            Self::Track(_, About::Current) => ", current user",
            Self::Identify(_) => "",
        }
    }

    /// Says it to a client and flushes: the one request that came of it, and the event's promised id.
    fn send(&self, driver: Driver) -> Result<(Exchange, Option<String>), Reason> {
        let clock = match self {
            Self::Track(event, _) => event.clock()?,
            Self::Identify(user) => user.clock()?,
        };
        let mut rig = driver.open(Setup { clock, ..Setup::default() })?;
        let mut before = 0;
        let message_id = match self {
            Self::Track(event, about) => {
                if *about == About::Current {
                    rig.identify(&event.current_user())?;
                    rig.flush()?;
                    before = 1;
                }
                Some(rig.track(event, *about)?)
            }
            Self::Identify(user) => {
                rig.identify(user)?;
                None
            }
        };
        rig.hand_over()?;
        rig.flush()?;
        let mut exchanges = rig.exchanges()?;
        let count = exchanges.len().saturating_sub(before);
        match exchanges.pop() {
            Some(exchange) if count == 1 => Ok((exchange, message_id)),
            _ => Err(format!("{count} requests were sent for one call")),
        }
    }
}

/// The event of a batch of one.
fn only_event(body: &Exact) -> Result<&Exact, Reason> {
    match body {
        Exact::Object(members) if members.len() == 1 => match body.get("events") {
            Some(Exact::Array(events)) => match events.as_slice() {
                [event] => Ok(event),
                events => Err(format!("{} events in the batch for one call", events.len())),
            },
            _ => Err(format!("no batch of events: {body}")),
        },
        _ => Err(format!("no batch of events: {body}")),
    }
}

/// The event without what differs from run to run. An expected context is compared but for the message id.
fn comparable(event: &Exact, expected: &Exact) -> Exact {
    let mut event = event.clone();
    if let Exact::Object(members) = &mut event {
        members.remove("occurred_at");
        if expected.get("context").is_none() {
            members.remove("context");
        } else if let Some(Exact::Object(context)) = members.get_mut("context") {
            context.remove("$message_id");
        }
    }
    event
}
