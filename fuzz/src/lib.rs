//! The logic of the fuzz targets: each takes any bytes and panics when a promise is broken, by the core,
//! the queue file, or what `whisperr-embassy` reads from a server.
//!
//! The fuzzer calls them under instrumentation, `cargo test` replays `corpus/` through them on
//! stable, and `cargo run --bin client -- FILE` runs one input under a debugger.

mod certificate;
mod client;
mod event_type;
mod http_reply;
mod json;
mod life;
mod log;
mod record;
mod reply;
mod retry_after;

pub use certificate::certificate;
pub use client::client;
pub use event_type::event_type;
pub use http_reply::http_reply;
pub use json::json;
pub use life::life;
pub use log::log;
pub use record::record;
pub use reply::reply;
pub use retry_after::retry_after;

use whisperr_core::FlushProgress;
use whisperr_simulation::World;

/// Runs a target on the content of each file named on the command line.
///
/// # Errors
/// When a file cannot be read.
pub fn run_files(target: fn(&[u8])) -> std::io::Result<()> {
    std::env::args_os().skip(1).try_for_each(|path| std::fs::read(path).map(|data| target(&data)))
}

/// Delivers everything over a network that works, and checks that nothing is owed and the counters
/// add up.
fn deliver_all(world: &mut World) {
    let progress = world.flush();
    let status = world.status();
    assert_eq!(progress, FlushProgress::Delivered, "{status:?}");
    assert_eq!(status.owed, 0, "{status:?}");
    assert_eq!(status.bytes, 0, "{status:?}");
    assert_eq!(status.counters.owed(), 0, "{status:?}");
}
