//! Kills the kiosk in QEMU, again and again, and holds what arrived against what was acknowledged.
//!
//! The firmware says in its flash image, word by word, which calls it makes and which returned `Ok`. The host kills
//! the machine at random, or lets the power fail in exactly this change of the flash, lets the next life deliver what
//! is owed, and asks the collector: everything that was acknowledged is there, once and in order.
#![forbid(unsafe_code)]

mod arguments;
mod campaign;
mod chance;
mod check;
mod front;
mod image;
#[path = "../../layout.rs"]
#[expect(dead_code, reason = "the firmware's part")]
mod layout;
mod machine;
mod report;

use core::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Arguments;
use machine::Firmware;

/// What a function of the harness returns.
type Result<T> = core::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tell(&format!("whisperr-firmware-harness: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let Some(arguments) = Arguments::read()? else { return Ok(true) };
    let missing = machine::missing(arguments.firmware.is_none());
    if !missing.is_empty() {
        let text =
            format!("## Firmware\n\nSKIPPED the kiosk in QEMU: not installed: {}\n", missing.join(" "));
        io::stdout().write_all(text.as_bytes())?;
        return Ok(true);
    }
    let firmware = match &arguments.firmware {
        Some(path) => Firmware::at(path.clone()),
        None => Firmware::build(arguments.tls)?,
    };
    let report = campaign::run(&firmware, &arguments)?;
    io::stdout().write_all(report.to_string().as_bytes())?;
    Ok(report.is_kept())
}

/// Progress; nobody needs to listen.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
