//! Many devices, one server, an outage: what comes back to the server when it comes back.
//!
//! Every device holds the core's own [`Delivery`](whisperr_core::Delivery), so what is judged is the
//! policy that ships. One thread, one seed, a timing wheel with buckets of 100 ms; no clock. A device
//! has no storage: how many events it owes follows from the time.
//!
//! A long outage is played for its first hours only, and the rest is skipped: by then every device
//! is at the cap and no trace of the beginning is left, but its queue grows on. Playing all of it
//! gives the same figures (there is a test) and costs minutes.
//!
//! ```
//! use whisperr_fleet::{Figures, Line, Options, SCENARIOS, run};
//!
//! let row = SCENARIOS.iter().find(|row| row.name == "boot").unwrap();
//! let trace = run(row, &Options { devices: 2000, ..Options::default() });
//! assert!(Figures::new(row, &trace).meets(Line::Peak));
//! ```
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "counts of a simulation are far from their limits, and a wrong one may end it"
)]

mod chance;
mod device;
mod figures;
mod fleet;
mod report;
mod scenario;
mod server;
mod trace;
mod wheel;

pub use figures::Figures;
pub use fleet::{DEVICE_BYTES, Options, run};
pub use report::{Row, section};
pub use scenario::{
    EVENT_PERIOD_MS, Event, FLUSH_INTERVAL, Line, PLAYED_MAX_S, QUEUE_MAX, SCENARIOS, Scenario,
};
pub use server::{Outage, Overload};
pub use trace::Trace;
pub use wheel::{BUCKET_MS, Wheel};
