//! Plays the rows and prints one Markdown section; fails when a line is missed that should be met.

use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use lexopt::prelude::{Long, Short, ValueExt};
use whisperr_fleet::{Figures, Options, Row, SCENARIOS, Scenario, run, section};

fn main() -> ExitCode {
    match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Asked::Play(arguments)) => play(&arguments),
        Ok(Asked::Help) => say(&mut io::stdout(), &help(), ExitCode::SUCCESS),
        Err(error) => {
            let text = format!("whisperr-fleet: {error}\nTry --help.\n");
            say(&mut io::stderr(), &text, ExitCode::from(2))
        }
    }
}

fn play(arguments: &Arguments) -> ExitCode {
    let options = &arguments.options;
    let played = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((index, scenario)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            arguments.rows.get(index).map(|scenario| (index, *scenario))
        } {
            let row = play_row(scenario, options);
            played.lock().unwrap_or_else(PoisonError::into_inner).push((index, row));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(work);
        }
    });
    let mut played = played.into_inner().unwrap_or_else(PoisonError::into_inner);
    played.sort_by_key(|(index, _)| *index);
    let rows: Vec<_> = played.into_iter().map(|(_, row)| row).collect();
    let is_surprised = rows.iter().any(|row| !row.surprises().is_empty());
    let code = if is_surprised { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    say(&mut io::stdout(), &section(options, &rows), code)
}

fn play_row(scenario: &'static Scenario, options: &Options) -> Row<'static> {
    let start = Instant::now();
    let figures = Figures::new(scenario, &run(scenario, options));
    let row = Row { scenario, figures, took: start.elapsed() };
    let text = format!("{}: {:.1} s, missed: {:?}\n", scenario.name, row.took.as_secs_f32(), {
        row.figures.missed(scenario)
    });
    say(&mut io::stderr(), &text, ExitCode::SUCCESS);
    row
}

fn help() -> String {
    let mut text = "\
What a fleet of devices does to a server that comes back

Usage: whisperr-fleet [options]

Prints one Markdown section; progress goes to the standard error. Fails with 1 when a line is missed
that is expected to be met, with 2 when the arguments are wrong.

  --devices N     how many devices (default 100000)
  --seed N        the same seed gives the same figures (default 1)
  --row NAME      only this row; may be given again
  --ci            only the rows marked *
  --whole-outage  play long outages to their end, which takes minutes
  -h, --help      print this

Rows:
"
    .to_owned();
    for row in SCENARIOS {
        text.push_str(&format!("  {:16} {} {}\n", row.name, if row.ci { '*' } else { ' ' }, row.title));
    }
    text
}

enum Asked {
    Help,
    Play(Arguments),
}

#[derive(Debug)]
struct Arguments {
    options: Options,
    rows: Vec<&'static Scenario>,
}

impl Arguments {
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Asked, lexopt::Error> {
        let mut options = Options::default();
        let mut rows = Vec::new();
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("devices") => {
                    options.devices = parser.value()?.parse()?;
                    if options.devices == 0 {
                        return Err("--devices is 0".into());
                    }
                }
                Long("seed") => options.seed = parser.value()?.parse()?,
                Long("row") => {
                    let name = parser.value()?.string()?;
                    let row = SCENARIOS.iter().find(|row| row.name == name);
                    rows.push(row.ok_or_else(|| format!("there is no row {name:?}"))?);
                }
                Long("ci") => rows.extend(SCENARIOS.iter().filter(|row| row.ci)),
                Long("whole-outage") => options.whole_outage = true,
                Long("help") | Short('h') => return Ok(Asked::Help),
                other => return Err(other.unexpected()),
            }
        }
        if rows.is_empty() {
            rows.extend(SCENARIOS);
        }
        Ok(Asked::Play(Self { options, rows }))
    }
}

fn say(to: &mut impl Write, text: &str, code: ExitCode) -> ExitCode {
    // Nobody may be listening, and there is nobody else to tell.
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Asked, lexopt::Error> {
        Arguments::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn every_option_is_read() {
        let args = ["--devices", "9", "--seed=7", "--row", "dip", "--row", "boot", "--whole-outage"];
        let Ok(Asked::Play(arguments)) = parse(&args) else { panic!("not taken") };

        assert_eq!(arguments.options, Options { devices: 9, seed: 7, whole_outage: true });
        let names: Vec<_> = arguments.rows.iter().map(|row| row.name).collect();
        assert_eq!(names, ["dip", "boot"]);
    }

    #[test]
    fn without_a_row_all_are_played() {
        let Ok(Asked::Play(arguments)) = parse(&[]) else { panic!("not taken") };
        assert_eq!(arguments.rows.len(), SCENARIOS.len());

        let Ok(Asked::Play(arguments)) = parse(&["--ci"]) else { panic!("not taken") };
        assert!(arguments.rows.len() < SCENARIOS.len());
    }

    #[test]
    fn wrong_usage_is_told() {
        for args in [
            &["--devices", "0"] as &[&str],
            &["--devices", "many"],
            &["--devices"],
            &["--devices", "4294967296"],
            &["--seed", "-1"],
            &["--row", "no-such-row"],
            &["--ci=1"],
            &["extra"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }
}
