//! What the flash log costs a client: bytes, erases, memory.
//!
//! ```text
//! cargo run --release -p whisperr-simulation --features campaigns --example flash_figures
//! ```
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a program that measures"
)]

use core::mem::size_of;

use whisperr_core::{Config, Seq, Storage, Track, props, ready};
use whisperr_embassy::FlashStorage;
use whisperr_simulation::nor::SimNor;
use whisperr_simulation::{Choices, FlashMedium, Options, World, no_reply};

const EVENTS: u32 = 4000;

/// How the events leave.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In batches of 20, soon after they were said.
    Delivered,
    /// Nothing gets through for long: the oldest makes room.
    Evicted,
}

fn measure<const WRITE: usize, const ERASE: usize, const PAGES: usize>(way: Way) {
    let medium = FlashMedium::<WRITE, ERASE, PAGES>::new(PAGES, Choices::recorded(&[]));
    let config = Config { max_queue_size: 1000, automatic_events: false, ..Config::DEFAULT };
    let mut world =
        World::on(medium, Choices::recorded(&[]), 7, Options { config, ..Options::default() }).unwrap();
    if way == Way::Evicted {
        world.network().script(|_, _| no_reply());
    }
    let (mut record_bytes, before) = (0_u64, world.medium().counts());
    for n in 0..EVENTS {
        let event = Track::new("payment_failed").user("user_8842").properties(props! {
            "amount_cents" => 1000 + i64::from(n),
            "currency" => "USD",
            "reason" => "card_declined",
            "attempt" => 3
        });
        world.track(&event).unwrap();
        let stored = world.with_storage(|_, storage| {
            let last = storage.next_seq().get().saturating_sub(1);
            ready(storage.read(Seq::new(last), &mut [])).unwrap().unwrap().unwrap()
        });
        record_bytes += stored.len as u64;
        if n % 20 == 19 {
            world.advance(15_000);
        }
    }
    world.advance(3_600_000);
    let counts = world.medium().counts();
    let programmed = counts.programmed - before.programmed;
    let erases = counts.erases - before.erases;
    let events = u64::from(EVENTS);
    let owed = world.status().owed;
    let json = world.server().operations().last().map_or(0, |event| event.to_string().len());
    println!(
        "write size {WRITE:>2}, pages of {} KiB, {}: {owed} owed at the end, record {} bytes, JSON {json}, \
         flash {:.1} bytes an event{}; {:.3} bytes written per byte of record; {:.1} erases per 1000 events",
        ERASE / 1024,
        if way == Way::Delivered { "delivered in batches of 20" } else { "evicted one by one" },
        record_bytes / events,
        programmed as f64 / events as f64,
        // Where nothing was delivered, nobody has seen the JSON.
        if json == 0 {
            String::new()
        } else {
            format!(", {:.3} of its JSON", programmed as f64 / (events * json as u64) as f64)
        },
        programmed as f64 / record_bytes as f64,
        erases as f64 * 1000.0 / events as f64,
    );
}

/// How many records of 100 bytes, an event with two or three properties, fit before the oldest has to go.
fn fill<const WRITE: usize, const ERASE: usize, const PAGES: usize>() {
    let nor = SimNor::<WRITE, ERASE>::new(PAGES, Choices::recorded(&[]));
    let range = 0..u32::try_from(PAGES * ERASE).unwrap();
    let mut log = ready(FlashStorage::<_, PAGES>::format(nor, range)).unwrap().unwrap();
    let mut count = 0;
    loop {
        let seq = log.next_seq();
        if ready(log.append(seq, &[7; 100])).unwrap().is_err() {
            break;
        }
        count += 1;
    }
    println!(
        "  {PAGES:>2} pages of {ERASE:>6}, write size {WRITE:>2}: {count} records, {} bytes of capacity",
        log.capacity()
    );
}

fn main() {
    println!("what fits:");
    fill::<1, 4096, 4>();
    fill::<1, 4096, 8>();
    fill::<1, 4096, 16>();
    fill::<1, 4096, 32>();
    fill::<4, 4096, 16>();
    fill::<16, 8192, 4>();
    fill::<16, 8192, 8>();
    fill::<32, 131_072, 3>();
    for way in [Way::Delivered, Way::Evicted] {
        measure::<1, 4096, 32>(way);
        measure::<4, 4096, 32>(way);
        measure::<8, 4096, 32>(way);
        measure::<32, 4096, 32>(way);
        measure::<32, 131_072, 4>(way);
    }
    println!("memory, without the driver, on a host of 64 bits:");
    let driver = size_of::<SimNor<1, 256>>();
    println!("  8 pages {}", size_of::<FlashStorage<SimNor<1, 256>, 8>>() - driver);
    println!("  16 pages {}", size_of::<FlashStorage<SimNor<1, 256>, 16>>() - driver);
    println!("  32 pages {}", size_of::<FlashStorage<SimNor<1, 256>, 32>>() - driver);
}
