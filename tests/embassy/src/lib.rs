//! A laboratory for `whisperr-embassy`: two real `embassy-net` stacks in one process, a wire between them that loses,
//! doubles and reorders frames, a server that does what a script says, and virtual time.
//!
//! No privilege, no port, no sleep: a test of a simulated day takes as long as what happens in it, and the same
//! seed is the same run, frame by frame.

mod chance;
mod client;
mod flash;
mod lab;
mod line;
mod message;
mod names;
mod server;
mod wire;

pub use chance::Chance;
pub use client::{Client, KEY, UTC};
pub use flash::{Flash, FlashFaults};
pub use lab::{Lab, PORT, Reach, SERVER, SERVER_V6, TLS_PORT, leak};
pub use message::{Act, Answer, Received, head};
pub use names::Names;
pub use server::Server;
pub use wire::{Faults, Wire};
