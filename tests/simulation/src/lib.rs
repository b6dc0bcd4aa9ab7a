//! The third adapter: the production core, unchanged, behind a simulated clock, storage, network
//! and server. One seed decides everything, and the same seed twice gives the same run.
//!
//! ```
//! use whisperr_simulation::{World, Options};
//! use whisperr_core::{Track, props};
//!
//! let mut world = World::new(7, Options::default());
//! world.track(&Track::new("door_opened").user("u1").properties(props! { "door" => 3 })).unwrap();
//! world.flush();
//! assert_eq!(world.server().event_types(), ["door_opened"]);
//! ```

mod choices;
mod clock;
mod coverage;
mod faulty;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "flash")]
mod flash;
pub mod life;
mod medium;
mod network;
#[cfg(feature = "flash")]
pub mod nor;
mod search;
mod server;
mod shrink;
mod storage;
mod world;

pub use choices::{Choice, Choices, Enumeration};
pub use clock::SimClock;
pub use coverage::Seen;
pub use faulty::{Failed, Faults, Faulty, Rates};
#[cfg(feature = "file")]
pub use file::FileMedium;
#[cfg(feature = "flash")]
pub use flash::FlashMedium;
pub use medium::Medium;
pub use network::{Answer, Exchange, Network, SimTransport, lost_reply, no_reply, reply, retry_after};
pub use search::{Failure, MediumKind, Summary, check_seed, parse_choices, print_choices};
pub use server::Server;
pub use shrink::shrink;
pub use storage::{SimStorage, StorageFaults};
pub use world::{Options, SimClient, SimError, World};
