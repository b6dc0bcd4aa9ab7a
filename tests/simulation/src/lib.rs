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

mod clock;
mod network;
mod server;
mod storage;
mod world;

pub use clock::SimClock;
pub use network::{Answer, Exchange, Network, SimTransport, lost_reply, no_reply, reply, retry_after};
pub use server::Server;
pub use storage::{SimStorage, StorageFaults};
pub use world::{Options, World};
