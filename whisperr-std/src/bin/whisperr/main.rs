//! The `whisperr` command: says what happened, from scripts, cron jobs and pipes.
//!
//! Every command accepts first and delivers then. Once an operation is accepted it is in the queue
//! directory, and whichever command runs there next delivers it.
#![forbid(unsafe_code)]

mod args;
mod assignment;
mod channel;
mod client;
mod command;
mod commands;
mod deliver;
mod exit;
mod help;
mod input;
mod line;
mod members;
mod pipe;

use std::io::{self, Write};
use std::process::ExitCode;

use args::Asked;
use exit::Exit;

fn main() -> ExitCode {
    let asked = args::parse(std::env::args_os().skip(1), args::environment);
    let exit = asked.and_then(|asked| match asked {
        Asked::Help => Ok(print(help::TEXT)),
        Asked::Version => Ok(print(concat!("whisperr ", env!("CARGO_PKG_VERSION"), "\n"))),
        Asked::Run(settings, command) => commands::run(&settings, &command),
    });
    exit.unwrap_or_else(|failure| {
        exit::say(&failure);
        failure.exit()
    })
    .into()
}

fn print(text: &str) -> Exit {
    // Whoever asked has gone: there is nobody left to tell.
    let _gone = io::stdout().lock().write_all(text.as_bytes());
    Exit::Accepted
}
