//! One program in several sizes: alone, with a network stack, with the client of Whisperr, with both.
//!
//! It is linked and never run. What is linked is what is reachable: each part is used the way firmware does.
#![no_std]
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "an entry point, and the critical section that a board has")]
mod board;
#[cfg(feature = "net")]
mod network;
#[cfg(feature = "least")]
mod sdk;

use core::hint::black_box;

// For its critical section, which the program does not name.
use portable_atomic as _;

fn program() -> u32 {
    board::poll(async {
        embassy_time::Timer::after_millis(black_box(1)).await;
        #[cfg(feature = "net")]
        network::run().await;
        #[cfg(all(feature = "least", not(feature = "http")))]
        sdk::run(sdk::Radio).await;
        black_box(0)
    })
}
