//! The queue directory, whatever it is and whatever it holds.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

#[path = "../shared/chance.rs"]
mod chance;
mod damage;
mod full;
mod guests;
mod kill;
mod place;
mod support;
