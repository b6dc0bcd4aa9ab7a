//! The command line and the environment.

use core::time::Duration;
use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use crate::command::Command;
use crate::exit::Failure;

/// What was asked for.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one, once")]
pub(crate) enum Asked {
    Help,
    Version,
    Run(Settings, Command),
}

/// What every command takes.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) key: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) queue: Option<PathBuf>,
    pub(crate) max_queue: Option<u32>,
}

impl core::fmt::Debug for Settings {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Settings").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// A variable of the process, where it is set to something.
pub(crate) fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Reads arguments, without the program's name, and `environment` for what they leave out.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Asked, Failure> {
    let mut parser = Parser::from_args(args);
    let mut settings = Settings::default();
    let mut command = None;
    let mut timeout = None;
    while let Some(arg) = parser.next().map_err(Failure::usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Asked::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Asked::Version),
            Arg::Short(name) => return Err(Failure::usage(format_args!("-{name} is not an option"))),
            Arg::Value(value) => match &mut command {
                None => command = Some(Command::parse(&value)?),
                Some(command) => command.argument(value)?,
            },
            Arg::Long(name) => {
                let name = name.to_owned();
                let own = command.as_ref().is_some_and(|command: &Command| command.takes(&name));
                if !own && !GLOBAL.contains(&name.as_str()) {
                    let of = command.as_ref().map_or("whisperr", Command::name);
                    return Err(Failure::usage(format_args!("--{name} is not an option of {of}")));
                }
                let missing = |_| Failure::usage(format_args!("--{name} has no value"));
                let value = parser.value().map_err(missing)?;
                match (name.as_str(), &mut command) {
                    ("key", _) => once(&mut settings.key, &name, setting("--key", value)?)?,
                    ("base-url", _) => once(&mut settings.base_url, &name, setting("--base-url", value)?)?,
                    ("queue", _) if value.is_empty() => return Err(Failure::usage("--queue is empty")),
                    ("queue", _) => once(&mut settings.queue, &name, value.into())?,
                    ("max-queue", _) => once(&mut settings.max_queue, &name, count(&name, value)?)?,
                    ("timeout", _) => once(&mut timeout, &name, seconds(&name, value)?)?,
                    (_, Some(command)) => command.option(&name, value)?,
                    (_, None) => {}
                }
            }
        }
    }
    let mut command = command.ok_or_else(|| Failure::usage("no command"))?;
    command.finish(timeout)?;
    let text = |name: &str| environment(name).map(|value| setting(name, value)).transpose();
    settings.key = or_else(settings.key, || text("WHISPERR_API_KEY"))?;
    settings.base_url = or_else(settings.base_url, || text("WHISPERR_BASE_URL"))?;
    settings.queue = settings.queue.or_else(|| environment("WHISPERR_QUEUE_DIR").map(PathBuf::from));
    Ok(Asked::Run(settings, command))
}

/// Options that may stand anywhere.
const GLOBAL: [&str; 5] = ["key", "base-url", "queue", "max-queue", "timeout"];

/// Longest `--timeout`: a day.
const TIMEOUT_MAX: Duration = Duration::from_secs(86_400);

fn or_else<T>(
    value: Option<T>,
    other: impl FnOnce() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    value.map_or_else(other, |value| Ok(Some(value)))
}

/// Sets an option that may be given once.
pub(crate) fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), Failure> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format_args!("--{name} is given twice"))),
    }
}

/// A setting as text. It may be the key: no error shows any of it.
fn setting(name: &str, value: OsString) -> Result<String, Failure> {
    let text = value.into_string().map_err(|_| Failure::usage(format_args!("{name} is not UTF-8")))?;
    if text.trim().is_empty() {
        return Err(Failure::usage(format_args!("{name} is empty")));
    }
    Ok(text)
}

fn count(name: &str, value: OsString) -> Result<u32, Failure> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Failure::usage(format_args!("--{name} is not a number")))
}

fn seconds(name: &str, value: OsString) -> Result<Duration, Failure> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    let seconds = number.and_then(|number| Duration::try_from_secs_f64(number).ok());
    seconds.filter(|seconds| *seconds <= TIMEOUT_MAX).ok_or_else(|| {
        let max = TIMEOUT_MAX.as_secs();
        Failure::usage(format_args!("--{name} is not a number of seconds from 0 to {max}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Asked, Failure> {
        parse(args.iter().map(OsString::from), |_| None)
    }

    #[test]
    fn settings_stand_before_or_after_the_command_and_beat_the_environment() {
        let environment = |name: &str| Some(OsString::from(format!("of {name}")));
        for args in [
            &["--key", "wrk_a", "--queue=q", "flush"][..],
            &["flush", "--queue", "q", "--key=wrk_a"],
            &["--queue", "q", "flush", "--key", "wrk_a"],
        ] {
            let asked = parse(args.iter().map(OsString::from), environment);
            let Ok(Asked::Run(settings, _)) = asked else { panic!("{args:?}: {asked:?}") };

            assert_eq!(settings.key.as_deref(), Some("wrk_a"), "{args:?}");
            assert_eq!(settings.queue, Some("q".into()), "{args:?}");
            assert_eq!(settings.base_url.as_deref(), Some("of WHISPERR_BASE_URL"), "{args:?}");
        }
    }

    #[test]
    fn wrong_usage_is_named() {
        for (args, expected) in [
            (&[][..], "no command"),
            (
                &["trak"],
                "the command is none of track, identify, reset, push-token, opt-out, opt-in, launch, foreground, \
                 background, screen, flush, status, pipe",
            ),
            (&["opt-out", "now"], "opt-out takes no arguments"),
            (&["launch", "1.0"], "launch needs a BUILD"),
            (&["launch", "1.0", "7", "x"], "launch takes VERSION and BUILD"),
            (&["push-token"], "push-token needs a TOKEN"),
            (&["push-token", "t", "--kind", "sms"], "--kind is none of those of a push token"),
            (&["opt-in", "--kind", "fcm"], "--kind is not an option of opt-in"),
            (&["-x"], "-x is not an option"),
            (&["--kye", "wrk_a"], "--kye is not an option of whisperr"),
            (&["--user", "u", "track", "a"], "--user is not an option of whisperr"),
            (&["reset", "--user", "u"], "--user is not an option of reset"),
            (&["track"], "track needs an EVENT"),
            (&["identify"], "identify needs a USER"),
            (&["reset", "now"], "reset takes no arguments"),
            (&["status", "--timeout", "1"], "status takes no --timeout"),
            (&["track", "a", "b"], "an argument of track is neither NAME=TEXT nor NAME:=JSON"),
            (&["track", "a", "=b"], "an argument of track has an empty NAME"),
            (&["track", "a", ":=1"], "an argument of track has an empty NAME"),
            (&["track", "a", "--user", "u", "--user", "u"], "--user is given twice"),
            (&["track", "a", "--user"], "--user has no value"),
            (&["identify", "u", "v"], "identify takes one USER"),
            (&["identify", "u", "--trait", "a"], "--trait is neither NAME=TEXT nor NAME:=JSON"),
            (&["identify", "u", "--channel", "sms"], "--channel is not CHANNEL:ADDRESS"),
            (&["identify", "u", "--channel", "fax:1"], "--channel is none of email, sms, push"),
            (
                &["identify", "u", "--channel", "sms:1,x"],
                "--channel has a flag that is neither opted-out nor verified",
            ),
            (
                &["identify", "u", "--preferred-channel", "fax"],
                "--preferred-channel is none of email, sms, push",
            ),
            (&["flush", "--timeout", "soon"], "--timeout is not a number of seconds from 0 to 86400"),
            (&["flush", "--timeout", "-1"], "--timeout is not a number of seconds from 0 to 86400"),
            (&["flush", "--timeout", "NaN"], "--timeout is not a number of seconds from 0 to 86400"),
            (&["flush", "--timeout", "86401"], "--timeout is not a number of seconds from 0 to 86400"),
            (&["flush", "--max-queue", "1.5"], "--max-queue is not a number"),
            (&["flush", "--key", " "], "--key is empty"),
            (&["flush", "--base-url="], "--base-url is empty"),
            (&["flush", "--queue="], "--queue is empty"),
        ] {
            let failure = parsed(args).unwrap_err();
            assert_eq!(failure, Failure::Usage(expected.to_owned()), "{args:?}");
        }
    }

    #[test]
    fn help_and_version_are_asked_for_anywhere() {
        for args in [&["-h"][..], &["--help"], &["track", "--help"], &["flush", "-h"]] {
            assert!(matches!(parsed(args), Ok(Asked::Help)), "{args:?}");
        }
        for args in [&["-V"][..], &["--version"], &["pipe", "-V"]] {
            assert!(matches!(parsed(args), Ok(Asked::Version)), "{args:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_not_utf_8_is_kept_for_the_queue_and_refused_elsewhere() {
        use std::os::unix::ffi::OsStringExt;
        let odd = || OsString::from_vec(vec![b'q', 0xff]);

        let asked = parse(["flush".into(), "--queue".into(), odd()], |_| None);
        let Ok(Asked::Run(settings, _)) = asked else { panic!("{asked:?}") };
        assert_eq!(settings.queue, Some(odd().into()));

        for (args, expected) in [
            (vec!["flush".into(), "--key".into(), odd()], Failure::usage("--key is not UTF-8")),
            (vec!["track".into(), odd()], Failure::refused("event_type is not UTF-8")),
            (vec!["identify".into(), odd()], Failure::refused("external_user_id is not UTF-8")),
            (
                vec!["track".into(), "a".into(), "--user".into(), odd()],
                Failure::refused("external_user_id is not UTF-8"),
            ),
        ] {
            assert_eq!(parse(args.clone(), |_| None).unwrap_err(), expected, "{args:?}");
        }
    }
}
