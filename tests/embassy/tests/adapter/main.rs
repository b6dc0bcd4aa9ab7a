//! The adapter over two network stacks in one process, in virtual time.
//!
//! One program: the client and its transports are compiled once, not once for each file.

mod chaos;
mod handle;
mod http;
mod names;
mod pretender;
mod sntp;
mod tls;
