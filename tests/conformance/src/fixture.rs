//! The envelope of every fixture file, and its cases one by one.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::report::{Reason, Report};
use crate::rig::Driver;

/// The only version there is.
const VERSION: u32 = 1;

/// A file of fixtures. A case that cannot be read does not hide the others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Which schema it keeps; nothing depends on it.
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    version: u32,
    /// For the reader of the file.
    #[serde(rename = "description")]
    _description: Option<String>,
    cases: Vec<Box<RawValue>>,
}

/// One case: its name, and what it says or why that cannot be understood.
#[derive(Debug)]
pub(crate) struct Named<T> {
    pub(crate) name: String,
    pub(crate) case: Result<T, Reason>,
}

impl File {
    /// Reads a file whose cases are of one kind.
    pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<Vec<Named<T>>, Reason> {
        let file: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        file.check()?;
        Ok(file.named())
    }

    fn check(&self) -> Result<(), Reason> {
        if self.version != VERSION {
            return Err(format!("version {} is not {VERSION}", self.version));
        }
        if self.cases.is_empty() {
            return Err("a file without cases proves nothing".into());
        }
        Ok(())
    }

    /// Its cases.
    pub(crate) fn named<T: DeserializeOwned>(&self) -> Vec<Named<T>> {
        self.cases.iter().enumerate().map(|(at, raw)| Named::read(at, raw)).collect()
    }
}

/// A `push.json`, which has its cases in two lists.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PushFile {
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    version: u32,
    #[serde(rename = "description")]
    _description: Option<String>,
    cases: Vec<Box<RawValue>>,
    #[serde(default)]
    kind_cases: Vec<Box<RawValue>>,
}

impl PushFile {
    /// Reads a file; both of its lists are files of their own from here on.
    pub(crate) fn read(text: &str) -> Result<File, Reason> {
        let Self { _schema, version, _description, mut cases, kind_cases } =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        cases.extend(kind_cases);
        let file = File { _schema, version, _description, cases };
        file.check()?;
        Ok(file)
    }
}

/// Runs every case over the drivers it can run over.
pub(crate) fn run_cases<T>(
    kind: &str,
    cases: Result<Vec<Named<T>>, Reason>,
    drivers: &[Driver],
    report: &mut Report<'_>,
    runs_over: impl Fn(&T, Driver) -> bool,
    check: impl Fn(&T, Driver) -> Result<(), Reason>,
) {
    let cases = match cases {
        Ok(cases) => cases,
        Err(reason) => return report.case(kind, Err(reason)),
    };
    for Named { name, case } in &cases {
        match case {
            Ok(case) => {
                for driver in drivers.iter().filter(|driver| runs_over(case, **driver)) {
                    report.case(&format!("{kind} {name} over {driver}"), check(case, *driver));
                }
            }
            Err(reason) => report.case(&format!("{kind} {name}"), Err(reason.clone())),
        }
    }
}

/// The name alone, for a case of which the rest may be wrong.
#[derive(Deserialize)]
struct Name {
    name: String,
}

impl<T: DeserializeOwned> Named<T> {
    fn read(at: usize, raw: &RawValue) -> Self {
        let name = match serde_json::from_str::<Name>(raw.get()) {
            Ok(Name { name }) if !name.trim().is_empty() => name,
            _ => {
                let name = format!("cases[{at}]");
                return Self { name, case: Err("the case has no name".into()) };
            }
        };
        Self { name, case: serde_json::from_str(raw.get()).map_err(|error| error.to_string()) }
    }
}
