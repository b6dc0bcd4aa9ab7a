//! Kills, full disks, power cuts and lying syncs against the client on a real Linux.
//!
//! A *victim* is a small program that uses a queue directory and says in a journal what returned
//! `Ok`. The *harness* kills it, starves it or cuts its disk off, and compares what is left with
//! the journal. `cargo run --release -p whisperr-crash -- --help`.
#![forbid(unsafe_code)]

pub mod arguments;
#[cfg(target_os = "linux")]
mod campaign;
#[cfg(target_os = "linux")]
mod chance;
pub mod check;
pub mod journal;
pub mod options;
pub mod report;
mod serve;
#[cfg(target_os = "linux")]
mod tool;
mod victim;
mod walk;
mod workload;

use core::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Asked;

/// What a step of the harness, or of a victim, comes to.
pub(crate) type Result<T> = core::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Does what the command line asks.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Asked::parse(std::env::args_os().skip(1)) {
        Err(error) => {
            tell(&format!("whisperr-crash: {error}"));
            tell("Try --help.");
            return ExitCode::from(2);
        }
        Ok(Asked::Help) => say(&arguments::help()).map(|()| ExitCode::SUCCESS).map_err(Into::into),
        Ok(Asked::List) => list().map(|()| ExitCode::SUCCESS).map_err(Into::into),
        Ok(Asked::Victim(victim)) => victim::run(&victim),
        Ok(Asked::Serve(addr)) => serve::run(addr).map(|()| ExitCode::SUCCESS),
        Ok(Asked::Run(options)) => run(&options),
    };
    done.unwrap_or_else(|error| {
        tell(&format!("whisperr-crash: {error}"));
        ExitCode::FAILURE
    })
}

fn list() -> io::Result<()> {
    for (name, what) in arguments::CAMPAIGNS {
        say(&format!("{name:14} {what}\n"))?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn run(options: &arguments::Options) -> Result<ExitCode> {
    let report = campaign::run(options)?;
    let under = format!("Seed {}, scale {}.", options.seed, options.scale);
    say(&report.markdown(&under))?;
    Ok(if report.is_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(not(target_os = "linux"))]
fn run(_options: &arguments::Options) -> Result<ExitCode> {
    say("## Real crashes\n\n- SKIPPED everything: only Linux offers what the campaigns need\n")?;
    Ok(ExitCode::SUCCESS)
}

/// The report is what standard output is for.
fn say(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}

/// Progress; nobody needs to listen.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
