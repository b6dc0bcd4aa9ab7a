//! Whisperr on embassy.
//!
//! A beginning: [`EmbassyClock`], the [`Clock`](whisperr_core::Clock) over `embassy-time`. The
//! flash storage, the transport over `embassy-net` and the handle with its runner task are not here
//! yet; until they are, a platform implements the three traits of `whisperr-core` itself.
#![no_std]
#![forbid(unsafe_code)]

mod clock;

pub use clock::EmbassyClock;
