//! What the core promises, on a simulated platform: rule by rule, and in whole lives.
//!
//! One program: the client is compiled once for each medium, not once for each file.

mod automatic;
mod boundaries;
mod consent;
mod damage;
mod dating;
mod delivery;
mod launches;
mod ledger;
mod lives;
mod push;
mod regressions;
mod room;
mod values;
mod visitors;
