//! The whole core in a static library without std and without an allocator: a client over a fixed
//! array, its loop, and the smallest clock, lock and transport that let it deliver.
#![no_std]

#[cfg(feature = "use_alloc")]
extern crate alloc;
#[cfg(feature = "use_std")]
extern crate std;

use core::cell::{Cell, RefCell, RefMut};
use core::convert::Infallible;
use core::hint::black_box;

use embedded_io_async::{ErrorType, Write};
use whisperr_core::{
    Body, Channel, ChannelKind, Client, Clock, Config, FlushProgress, FlushTicket, Identify, Instant, Json,
    MemoryStorage, Notice, Now, Reply, Request, Shared, Track, Transport, UtcMillis, props, ready, run,
};

/// Bytes of the queue, and of one record.
const QUEUE_BYTES: usize = 4096;
const RECORD_BYTES: usize = 512;

/// 2026-05-31T12:00:00Z.
const UTC_START: u64 = 1_780_228_800_000;

type Firmware = Client<MemoryStorage<[u8; QUEUE_BYTES]>, [u8; RECORD_BYTES]>;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// A clock that moves when somebody waits.
struct Ticks(Cell<u64>);

impl Clock for Ticks {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.get())
    }

    fn utc(&self) -> Option<UtcMillis> {
        i64::try_from(UTC_START.saturating_add(self.0.get())).ok().map(UtcMillis::new)
    }
}

/// One thread needs no lock.
struct Cooperative<'a> {
    client: RefCell<Firmware>,
    clock: &'a Ticks,
}

impl Shared for Cooperative<'_> {
    type Storage = MemoryStorage<[u8; QUEUE_BYTES]>;
    type Buffer = [u8; RECORD_BYTES];
    type Guard<'g>
        = RefMut<'g, Firmware>
    where
        Self: 'g;

    async fn lock(&self) -> RefMut<'_, Firmware> {
        self.client.borrow_mut()
    }

    async fn wait(&self, until: Option<Instant>) {
        match until {
            Some(until) => self.clock.0.set(until.as_millis().max(self.clock.0.get())),
            // Everything has left the queue.
            None => self.client.borrow_mut().stop(),
        }
    }
}

/// Counts what would go to a socket.
struct Counted(u32);

impl ErrorType for Counted {
    type Error = Infallible;
}

impl Write for Counted {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let bytes = black_box(bytes).len();
        self.0 = self.0.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        Ok(bytes)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The connection broke.
#[derive(Debug)]
struct Broken;

/// Fails once, is busy once, then takes everything.
struct Radio {
    requests: u32,
    sent: Counted,
}

impl Transport for Radio {
    type Error = Broken;

    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, Broken> {
        black_box(request.path);
        self.requests = self.requests.saturating_add(1);
        body.write_to(&mut self.sent).await.map_err(|_| Broken)?;
        match black_box(self.requests) {
            1 => Err(Broken),
            2 => Ok(Reply::new(503).retry_after(black_box(b"2")).date(b"Sun, 31 May 2026 12:00:00 GMT")),
            _ => Ok(Reply::new(202).body(black_box(br#"{"accepted":2,"rejected":0}"#))),
        }
    }
}

/// Tracks, identifies and delivers; returns how many operations were acknowledged: 3.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
pub extern "C" fn whisperr_no_std(seed: u64) -> u32 {
    let clock = Ticks(Cell::new(0));
    let storage = MemoryStorage::new([0; QUEUE_BYTES]);
    let opened =
        Client::open(storage, [0; RECORD_BYTES], &Config::DEFAULT, u128::from(seed), Now::read(&clock));
    let Some(Ok(mut client)) = ready(opened) else { return 0 };
    let Some(ticket) = speak(&mut client, &clock) else { return 0 };

    let shared = Cooperative { client: RefCell::new(client), clock: &clock };
    let mut radio = Radio { requests: 0, sent: Counted(0) };
    let mut record = [0; RECORD_BYTES];
    let notify = |notice: Notice| {
        black_box((notice.kind().as_str(), notice.status()));
    };
    if ready(run(&shared, &clock, &mut radio, &mut record, notify)).is_none() {
        return 0;
    }

    let client = shared.client.borrow();
    if client.flush_progress(ticket) != FlushProgress::Delivered {
        return 0;
    }
    #[cfg(feature = "use_alloc")]
    black_box(alloc::vec![black_box(0_u8); 8]);
    u32::try_from(client.status().counters.acknowledged).unwrap_or(0)
}

fn speak(client: &mut Firmware, clock: &Ticks) -> Option<FlushTicket> {
    let event = Track::new("payment_failed")
        .user("user_8842")
        .properties(props! { "amount_cents" => 4900, "ratio" => 0.1, "reason" => "card_declined" })
        .context(Json(r#"{"firmware":"1.4.2"}"#));
    black_box(ready(client.track(Now::read(clock), &event))?.ok()?.message_id);
    let channels = [Channel::sms("+15551234567").opted_out()];
    let user = Identify::new("user_8842")
        .traits(props! { "plan" => "pro" })
        .email("ada@example.com")
        .preferred_channel(ChannelKind::Email)
        .channels(&channels);
    black_box(ready(client.identify(Now::read(clock), &user))?.ok()?.seq);
    black_box(ready(client.track(Now::read(clock), &Track::new("door_opened")))?.ok()?.message_id);
    black_box(ready(client.oldest())?.ok()?);
    ready(client.reset())?.ok()?;
    Some(client.flush())
}
