//! What is asked for on the command line.

use core::ops::Range;
use core::time::Duration;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use lexopt::prelude::{Long, Short, Value, ValueExt};
use whisperr_simulation::{Choices, MediumKind, parse_choices};

pub(crate) const USAGE: &str = "\
usage: whisperr-simulation run [--medium memory|file|flash]... [--seeds FIRST..END] [--minutes N]
       whisperr-simulation replay --medium memory|file|flash (--seed N | --choices FILE)
       whisperr-simulation planted [--seeds N]

run      lives the lives of these seeds (default 0..20000) on both media and checks every promise
         after every step; with --minutes, goes on with further seeds until the time is over
replay   lives one life again and prints what happened in it
planted  with bugs compiled in (RUSTFLAGS=\"--cfg whisperr_planted\"): every one must be found within
         so many seeds (default 1200)

The first broken promise ends a run: it is shrunk, printed with the command that replays it, and
written to tests/simulation/regressions. Exit code 0 when every promise held, 1 when not, 2 for
arguments that are not understood.";

pub(crate) struct RunOptions {
    pub(crate) media: Vec<MediumKind>,
    pub(crate) seeds: Range<u64>,
    pub(crate) time: Option<Duration>,
}

pub(crate) enum Command {
    Help,
    Run(RunOptions),
    Replay { medium: MediumKind, choices: Choices },
    Planted { seeds: u64 },
}

pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut command: Option<OsString> = None;
    let mut media = Vec::new();
    let (mut range, mut minutes, mut seed, mut choices) = (None, None, None, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Value(name) if command.is_none() => command = Some(name),
            Long("medium") => media.push(medium(&parser.value()?.string()?)?),
            Long("seeds") => range = Some(parser.value()?.string()?),
            Long("minutes") => minutes = Some(parser.value()?.parse::<u64>()?),
            Long("seed") => seed = Some(parser.value()?.parse::<u64>()?),
            Long("choices") => choices = Some(read_choices(&parser.value()?)?),
            other => return Err(other.unexpected()),
        }
    }
    match command.as_ref().and_then(|name| name.to_str()) {
        None | Some("run") => {
            if media.is_empty() {
                media.extend(MediumKind::ALL);
            }
            let seeds = match range {
                Some(range) => seeds(&range)?,
                None => 0..20_000,
            };
            let time = minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60)));
            Ok(Command::Run(RunOptions { media, seeds, time }))
        }
        Some("replay") => {
            let medium = media.pop().ok_or("replay needs --medium")?;
            let choices = match (seed, choices) {
                (Some(seed), None) => Choices::seeded(seed),
                (None, Some(values)) => Choices::recorded(&values),
                _ => return Err("replay needs either --seed or --choices".into()),
            };
            Ok(Command::Replay { medium, choices })
        }
        Some("planted") => {
            let seeds = match range {
                Some(text) => text.parse().map_err(|_| "--seeds: planted takes one number")?,
                None => 1200,
            };
            Ok(Command::Planted { seeds })
        }
        Some(other) => Err(format!("there is no command {other:?}").into()),
    }
}

fn medium(name: &str) -> Result<MediumKind, lexopt::Error> {
    MediumKind::parse(name).ok_or_else(|| {
        let names: Vec<_> = MediumKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("there is no medium {name:?}, but {}", names.join(" and ")).into()
    })
}

fn seeds(text: &str) -> Result<Range<u64>, lexopt::Error> {
    let parsed = text.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    parsed.filter(|range: &Range<u64>| range.start < range.end).ok_or_else(|| {
        lexopt::Error::from(format!("--seeds {text:?} is not FIRST..END with FIRST below END"))
    })
}

fn read_choices(path: &OsString) -> Result<Vec<u64>, lexopt::Error> {
    let path = Path::new(path);
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse_choices(&text).ok_or_else(|| format!("{}: not a list of numbers", path.display()).into())
}
