//! A kiosk in QEMU: the client on a Cortex-M4, with a NOR flash that outlives the machine and a network card.
//!
//! The host says through the flash image what this life is to be, kills the machine when it likes, and holds what
//! arrived at its collector against what was acknowledged here. See `layout.rs` for what they say to each other.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "the machine: registers, interrupts, memory that outlives it")]
mod board;
mod chance;
mod client;
mod flash;
mod kiosk;
#[path = "../../layout.rs"]
#[expect(dead_code, reason = "the host's part")]
mod layout;
mod network;
mod oracle;

use core::panic::PanicInfo;
use core::pin::pin;

use embassy_executor::Spawner;
use embassy_time::{Duration, Ticker};
use whisperr_embassy::{EmbassyClock, apart};

use board::{executor, power, psram, serial, stack};
use client::Kiosk;
use layout::{BOOTS, MODE, OPENED, SEED, end, mode};

static CLOCK: EmbassyClock = EmbassyClock::new();

#[cortex_m_rt::entry]
#[allow(unsafe_code, reason = "the macro's own")]
fn main() -> ! {
    stack::paint();
    board::start();
    oracle::count(BOOTS);
    executor::run(|spawner| {
        spawner.spawn(heartbeat().expect("one heart"));
        spawner.spawn(live(spawner).expect("one life"));
    })
}

/// QEMU looks at the sockets of its user network only when something wakes it, such as a timer of the guest.
#[embassy_executor::task]
async fn heartbeat() {
    let mut ticker = Ticker::every(Duration::from_millis(2));
    loop {
        ticker.next().await;
    }
}

#[embassy_executor::task]
async fn live(spawner: Spawner) {
    let (mode, seed) = (psram::load(MODE), psram::load(SEED));
    let stack = network::start(spawner, seed.into());
    let (kiosk, runner) = { apart(pin!(client::start(&CLOCK, seed, mode == mode::SCRIPT))).await };
    oracle::count(OPENED);
    spawner.spawn(client::deliver(runner, network::transport(stack, seed)).expect("one runner"));
    spawner.spawn(day(spawner, kiosk).expect("one day"));
}

/// A task of its own: what opening a client needs of the stack is not needed for ever.
#[embassy_executor::task]
async fn day(spawner: Spawner, kiosk: Kiosk) {
    let mode = psram::load(MODE);
    if mode == mode::ONE_FLUSH {
        kiosk::set_time(&CLOCK);
    }
    kiosk::open_doors(kiosk).await;
    match mode {
        mode::ONE_FLUSH => kiosk::one_flush(kiosk).await,
        mode::SCRIPT => kiosk::script(kiosk, &CLOCK).await,
        mode::DRAIN => kiosk::close(kiosk, &CLOCK).await,
        _ => kiosk::start(spawner, kiosk, &CLOCK, psram::load(SEED)),
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    serial::say(format_args!("{info}"));
    power::off(end::PANIC)
}
