//! The `whisperr` command as a script sees it: arguments, pipes, exit codes.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod delivery;
mod kill;
mod pipe;
mod queue;
mod support;
mod usage;
mod words;
