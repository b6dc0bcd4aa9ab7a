//! The fixtures every Whisperr SDK must pass, run through the public API of every adapter.
//!
//! `cargo run -p whisperr-conformance` prints each case with the driver it ran over, and fails when
//! one does; `cargo test -p whisperr-conformance` does the same and proves that the checker finds
//! what is wrong. With `WHISPERR_SPEC_PATH=/path/to/wire.json` the specification's own fixtures
//! are run, else the vectors of this package, in the same format.
//!
//! | driver | what it is |
//! |---|---|
//! | `core` | `whisperr-core` over memory storage, in simulated time |
//! | `std in memory` | `whisperr-std` without persistence, over HTTP to the collector |
//! | `std on file` | the same over a queue file; one client is told, the next one delivers |
//! | `embassy` | `whisperr-embassy` over embassy-net, two stacks in one process and virtual time |
//!
//! Nothing is skipped in silence: a key, an operation or a step that is not known, a version other
//! than 1 and a case that expects nothing are failures. Numbers are compared digit by digit, over
//! HTTP as they were on the wire.
//!
//! # Adding a kind of file
//!
//! A module with its `Case`, every struct with `deny_unknown_fields`, and a `run` over a rig of each
//! driver; then its line in the table of the suite.
#![forbid(unsafe_code)]

mod anonymous;
mod automatic;
mod behavior;
mod core_rig;
mod date;
mod embassy_rig;
mod exact;
mod fixture;
mod push;
mod report;
mod rig;
mod scenario;
mod std_rig;
mod steps;
mod suite;
mod tap;
mod wire;

pub use anonymous::run as run_anonymous;
pub use automatic::run as run_automatic;
pub use behavior::run as run_behavior;
pub use exact::Exact;
pub use push::run as run_push;
pub use report::Report;
pub use rig::Driver;
pub use suite::{SPEC_PATH, run};
pub use wire::run as run_wire;
