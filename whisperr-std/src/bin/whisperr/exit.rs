//! How the command ends, and what it says on standard error.

use core::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// The exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: everything was accepted, and is delivered or owed.
    Accepted,
    /// 1: something was refused, by the command or by the server.
    Refused,
    /// 2: the command was not understood, and nothing was done.
    Usage,
    /// 3: a flush ended with operations still owed.
    Owed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Accepted => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Owed => 3,
        })
    }
}

/// Why the command ends early, for a person. Never holds the key or what a property says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    Usage(String),
    Refused(String),
}

impl Failure {
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self::Usage(text.to_string())
    }

    pub(crate) fn refused(text: impl fmt::Display) -> Self {
        Self::Refused(text.to_string())
    }

    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Refused(_) => Exit::Refused,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => write!(f, "{text} (try whisperr --help)"),
            Self::Refused(text) => f.write_str(text),
        }
    }
}

/// Says something on standard error.
pub(crate) fn say(text: &dyn fmt::Display) {
    // Nobody may be listening, and there is nobody else to tell.
    let _unheard = writeln!(io::stderr().lock(), "whisperr: {text}");
}
