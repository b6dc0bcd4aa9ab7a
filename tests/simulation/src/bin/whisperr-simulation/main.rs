//! Searches for a life of the client that breaks a promise, for as long as one likes.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod args;
mod planted;
mod run;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    // A panic of a life is caught and told with everything that led to it.
    std::panic::set_hook(Box::new(|_| {}));
    let command = match args::parse(lexopt::Parser::from_env()) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("error: {error}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    let fine = match command {
        Command::Help => {
            println!("{}", args::USAGE);
            true
        }
        Command::Run(options) => run::run(&options),
        Command::Replay { medium, choices } => run::replay(medium, &choices),
        Command::Planted { seeds } => planted::run(seeds),
    };
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
