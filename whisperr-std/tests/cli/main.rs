//! The `whisperr` command as a script sees it: arguments, pipes, exit codes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

#[path = "../shared/chance.rs"]
mod chance;
mod delivery;
mod kill;
mod pipe;
mod queue;
mod support;
mod usage;
mod words;
