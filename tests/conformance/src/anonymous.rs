//! `anonymous.json`: whom events are about before anybody is identified.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::exact::Exact;
use crate::fixture::{File, run_cases};
use crate::report::{Reason, Report};
use crate::rig::{Driver, Exchange, Setup};
use crate::steps::Step;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "description")]
    _description: Option<String>,
    steps: Vec<Step>,
    expected_requests: Vec<Expected>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    endpoint: String,
    events: Option<Vec<Exact>>,
    body: Option<Exact>,
}

/// Runs the text of an `anonymous.json` over some drivers.
pub fn run(text: &str, drivers: &[Driver], report: &mut Report<'_>) {
    let cases = File::read::<Case>(text);
    run_cases("anonymous", cases, drivers, report, Case::runs_over, Case::check);
}

impl Case {
    fn runs_over(&self, driver: Driver) -> bool {
        driver.survives() || !self.steps.iter().any(Step::is_restart)
    }

    fn check(&self, driver: Driver) -> Result<(), Reason> {
        if self.steps.is_empty() {
            return Err("a case without steps proves nothing".into());
        }
        let mut rig = driver.open(Setup::default())?;
        for (at, step) in self.steps.iter().enumerate() {
            step.run(&mut *rig).map_err(|reason| format!("steps[{at}]: {reason}"))?;
            rig.flush()?;
        }
        let sent = rig.exchanges()?;
        if sent.len() != self.expected_requests.len() {
            let paths: Vec<_> = sent.iter().map(|exchange| exchange.path.as_str()).collect();
            return Err(format!("expected {} requests, sent {paths:?}", self.expected_requests.len()));
        }
        let mut bound = Bound::default();
        for (at, (expected, sent)) in self.expected_requests.iter().zip(&sent).enumerate() {
            let place = |reason| format!("expectedRequests[{at}]: {reason}");
            if expected.endpoint != sent.path {
                return Err(place(format!("expected {}, sent to {}", expected.endpoint, sent.path)));
            }
            let expected = bound.take_in(&expected.value()?, &shown(sent))?;
            if let Some(difference) = expected.difference(&shown(sent)) {
                return Err(place(difference));
            }
        }
        Ok(())
    }
}

impl Expected {
    fn value(&self) -> Result<Exact, Reason> {
        match (&self.events, &self.body) {
            (Some(events), None) => Ok(Exact::Array(events.clone())),
            (None, Some(body)) => Ok(body.clone()),
            _ => Err("a request has either events or a body".into()),
        }
    }
}

/// What is compared: the events without date and context, or the whole body.
fn shown(sent: &Exchange) -> Exact {
    let Some(Exact::Array(events)) = sent.body.get("events") else { return sent.body.clone() };
    let events = events.iter().map(|event| match event {
        Exact::Object(members) => {
            let mut members = members.clone();
            members.retain(|name, _| name != "occurred_at" && name != "context");
            Exact::Object(members)
        }
        other => other.clone(),
    });
    Exact::Array(events.collect())
}

/// What the names that begin with `$anon_` stand for: each for one value, and no two for the same.
#[derive(Debug, Default)]
struct Bound(BTreeMap<String, String>);

impl Bound {
    /// The expected value with each name replaced by what it stands for, learnt from what was sent where it
    /// stands for nothing yet.
    fn take_in(&mut self, expected: &Exact, sent: &Exact) -> Result<Exact, Reason> {
        Ok(match (expected, sent) {
            (Exact::Text(name), Exact::Text(value)) if name.starts_with("$anon_") => {
                if let Some(known) = self.0.get(name) {
                    return Ok(Exact::Text(known.clone()));
                }
                if let Some((other, _)) = self.0.iter().find(|(_, known)| *known == value) {
                    return Err(format!("{name} and {other} are one visitor, {value}"));
                }
                if value.is_empty() || value.len() > 128 {
                    return Err(format!("{name}: {value:?} is no anonymous id"));
                }
                self.0.insert(name.clone(), value.clone());
                Exact::Text(value.clone())
            }
            (Exact::Object(expected), Exact::Object(sent)) => {
                let mut taken = BTreeMap::new();
                for (name, value) in expected {
                    let value = match sent.get(name) {
                        Some(sent) => self.take_in(value, sent)?,
                        None => value.clone(),
                    };
                    taken.insert(name.clone(), value);
                }
                Exact::Object(taken)
            }
            (Exact::Array(expected), Exact::Array(sent)) if expected.len() == sent.len() => {
                let pairs = expected.iter().zip(sent);
                Exact::Array(
                    pairs.map(|(expected, sent)| self.take_in(expected, sent)).collect::<Result<_, _>>()?,
                )
            }
            _ => expected.clone(),
        })
    }
}
