//! `push.json`: push tokens, consent, and what of them is sent to `/v1/identify`.

use serde::Deserialize;

use crate::exact::Exact;
use crate::fixture::{PushFile, run_cases};
use crate::report::{Reason, Report};
use crate::rig::{Driver, Setup};
use crate::steps::Step;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "description")]
    _description: Option<String>,
    steps: Vec<Step>,
    expected_bodies: Vec<Exact>,
}

/// Runs the text of a `push.json` over some drivers.
pub fn run(text: &str, drivers: &[Driver], report: &mut Report<'_>) {
    let cases = PushFile::read(text).map(|file| file.named::<Case>());
    run_cases("push", cases, drivers, report, Case::runs_over, Case::check);
}

impl Case {
    fn runs_over(&self, driver: Driver) -> bool {
        driver.survives() || !self.steps.iter().any(Step::is_restart)
    }

    fn check(&self, driver: Driver) -> Result<(), Reason> {
        self.check_with(driver, true)?;
        if self.steps.iter().any(Step::is_opt_out) {
            // What was not delivered is deleted then: the case means what was.
            return Ok(());
        }
        self.check_with(driver, false).map_err(|reason| format!("with one flush at the end: {reason}"))
    }

    fn check_with(&self, driver: Driver, flush_each: bool) -> Result<(), Reason> {
        if self.steps.is_empty() {
            return Err("a case without steps proves nothing".into());
        }
        let mut rig = driver.open(Setup::default())?;
        for (at, step) in self.steps.iter().enumerate() {
            step.run(&mut *rig).map_err(|reason| format!("steps[{at}]: {reason}"))?;
            if flush_each {
                rig.flush()?;
            }
        }
        rig.flush()?;
        let exchanges = rig.exchanges()?.into_iter().filter(|exchange| exchange.path == "/v1/identify");
        let sent = Exact::Array(exchanges.map(|exchange| exchange.body).collect());
        let expected = Exact::Array(self.expected_bodies.clone());
        expected.difference(&sent).map_or(Ok(()), Err)
    }
}
