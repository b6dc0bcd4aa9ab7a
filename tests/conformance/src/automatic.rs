//! `automatic.json`: the events that the client names itself.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::exact::Exact;
use crate::fixture::{File, run_cases};
use crate::report::{Reason, Report};
use crate::rig::{Act, AutomaticSetup, DeviceSetup, Driver, Rig, Setup};
use crate::scenario::IdentifyScenario;
use crate::steps::True;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    storage: Storage,
    #[serde(default)]
    config: CaseConfig,
    device: DeviceSetup,
    steps: Vec<Step>,
    expected_events: Vec<Expected>,
}

/// What the first client of a case finds.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Storage {
    #[default]
    Empty,
    /// The state of a client that knew no versions.
    LegacySdkState,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CaseConfig {
    automatic_events: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Step {
    Launch(Launch),
    Background(After),
    Foreground(After),
    Terminate(True),
    Screen(String),
    PushOpened(BTreeMap<String, Exact>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Launch {
    app_version: String,
    app_build: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct After {
    after_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    event_type: String,
    properties: Exact,
}

/// Runs the text of an `automatic.json` over some drivers.
pub fn run(text: &str, drivers: &[Driver], report: &mut Report<'_>) {
    let cases = File::read::<Case>(text);
    run_cases("automatic", cases, drivers, report, Case::runs_over, Case::check);
}

impl Case {
    fn runs_over(&self, driver: Driver) -> bool {
        let launches = self.steps.iter().filter(|step| matches!(step, Step::Launch(_))).count();
        driver.survives() || (launches < 2 && self.storage == Storage::Empty)
    }

    fn check(&self, driver: Driver) -> Result<(), Reason> {
        if self.steps.is_empty() {
            return Err("a case without steps proves nothing".into());
        }
        let enabled = self.config.automatic_events.unwrap_or(true);
        let automatic = AutomaticSetup { enabled, device: self.device.clone() };
        let mut rig = driver.open(Setup { automatic: Some(automatic), ..Setup::default() })?;
        if self.storage == Storage::LegacySdkState {
            rig.identify(&IdentifyScenario::of("user_1"))?;
            rig.flush()?;
            rig.act(Act::Restart)?;
        }
        let mut launched = false;
        for (at, step) in self.steps.iter().enumerate() {
            let done = step.run(&mut *rig, &mut launched).and_then(|()| rig.flush());
            done.map_err(|reason| format!("steps[{at}]: {reason}"))?;
        }
        let exchanges = rig.exchanges()?;
        let events = exchanges.iter().filter_map(|exchange| match exchange.body.get("events") {
            Some(Exact::Array(events)) => Some(events.as_slice()),
            _ => None,
        });
        let sent = events.flatten().map(|event| {
            let member = |name: &str| event.get(name).cloned().unwrap_or(Exact::Null);
            of(member("event_type"), member("properties"))
        });
        let expected = self
            .expected_events
            .iter()
            .map(|expected| of(Exact::Text(expected.event_type.clone()), own_values(&expected.properties)));
        let (expected, sent) = (Exact::Array(expected.collect()), Exact::Array(sent.collect()));
        expected.difference(&sent).map_or(Ok(()), Err)
    }
}

fn of(event_type: Exact, properties: Exact) -> Exact {
    Exact::Object(BTreeMap::from([
        ("event_type".to_owned(), event_type),
        ("properties".to_owned(), properties),
    ]))
}

/// The names that stand for what every client says of itself.
fn own_values(expected: &Exact) -> Exact {
    match expected {
        Exact::Text(name) => Exact::Text(match name.as_str() {
            "$platform" => std::env::consts::OS.to_owned(),
            "$sdk_name" => "whisperr-rust".to_owned(),
            "$sdk_version" => env!("CARGO_PKG_VERSION").to_owned(),
            other => other.to_owned(),
        }),
        Exact::Object(members) => {
            Exact::Object(members.iter().map(|(name, value)| (name.clone(), own_values(value))).collect())
        }
        other => other.clone(),
    }
}

impl Step {
    fn run(&self, rig: &mut dyn Rig, launched: &mut bool) -> Result<(), Reason> {
        match self {
            Self::Launch(Launch { app_version, app_build }) => {
                if core::mem::replace(launched, true) {
                    rig.act(Act::Restart)?;
                }
                rig.act(Act::Launch { version: app_version, build: app_build })?;
                rig.identify(&IdentifyScenario::of("user_1"))?;
                rig.act(Act::Foreground)
            }
            Self::Background(After { after_ms }) => {
                rig.act(Act::Advance { ms: *after_ms })?;
                rig.act(Act::Background)
            }
            Self::Foreground(After { after_ms }) => {
                rig.act(Act::Advance { ms: *after_ms })?;
                rig.act(Act::Foreground)
            }
            // The process ends without a word; the next step is a launch.
            Self::Terminate(True) => Ok(()),
            Self::Screen(name) => rig.act(Act::Screen(name)),
            Self::PushOpened(data) => {
                let data: Vec<(&str, &str)> =
                    data.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_text()?))).collect();
                rig.act(Act::PushOpened(&data))
            }
        }
    }
}
