//! The collector over real sockets.

mod client;
mod control;
mod endpoints;
mod faults;
mod lifecycle;
mod program;
