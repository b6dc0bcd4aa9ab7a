//! The client, used as firmware uses it.

use core::convert::Infallible;
use core::hint::black_box;
use core::time::Duration;

use embedded_io_async::{ErrorType as IoErrorType, Write};
use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use whisperr_embassy::{
    Body, Device, EmbassyClock, Entropy, FlashStorage, Handle, Identify, Options, RecordBuffers, Reply,
    Request, Resources, Runner, Transport, UtcMillis, open, props,
};

static CLOCK: EmbassyClock = EmbassyClock::new();

type Store = FlashStorage<Chip, 8>;

/// A flash whose driver costs nothing.
struct Chip;

#[derive(Debug)]
pub(crate) struct Broken;

impl NorFlashError for Broken {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for Chip {
    type Error = Broken;
}

impl ReadNorFlash for Chip {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Broken> {
        black_box((offset, bytes));
        black_box(Ok(()))
    }

    fn capacity(&self) -> usize {
        32 << 10
    }
}

impl NorFlash for Chip {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Broken> {
        black_box((from, to));
        black_box(Ok(()))
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Broken> {
        black_box((offset, bytes));
        black_box(Ok(()))
    }
}

struct Dice;

impl Entropy for Dice {
    fn fill(&mut self, buffer: &mut [u8]) {
        black_box(buffer);
    }
}

/// A transport that costs nothing.
#[cfg_attr(feature = "http", expect(dead_code, reason = "the network's own is used"))]
pub(crate) struct Radio;

impl IoErrorType for Radio {
    type Error = Infallible;
}

impl Write for Radio {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        Ok(black_box(bytes).len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Transport for Radio {
    type Error = Broken;

    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, Broken> {
        black_box(request.path);
        body.write_to(self).await.map_err(|_| Broken)?;
        Ok(Reply::new(black_box(202)).retry_after(black_box(b"2")))
    }
}

/// Opens a client and says what a kiosk says; `deliver` runs it.
async fn with(deliver: impl AsyncFnOnce(Runner<'_, Store>)) {
    let mut resources = Resources::new();
    let mut buffers = RecordBuffers::<512>::new();
    let Ok(storage) = Store::open(Chip, 0..black_box(32 << 10)).await else { return };
    let options = Options::new(Device::new("kiosk"));
    let Ok(opening) = open(&mut resources, &mut buffers, storage, &CLOCK, &options, &mut Dice) else {
        return;
    };
    let Ok((handle, runner)) = opening.finish().await else { return };
    speak(handle).await;
    deliver(runner).await;
}

async fn speak(handle: Handle<'_, Store>) {
    CLOCK.set_utc(UtcMillis::new(black_box(1_780_228_800_000)));
    black_box(handle.launch("1.0.0", "1").await.is_ok());
    let user = Identify::new("user_8842").traits(props! { "plan" => "pro" });
    black_box(handle.identify(user).await.is_ok());
    black_box(handle.track("door_opened", props! { "door" => black_box(3) }).await.is_ok());
    let _ = black_box(handle.flush(Duration::from_secs(1)).await);
    handle.pause().await;
    black_box(handle.next_run());
    handle.resume().await;
}

#[cfg(not(feature = "http"))]
pub(crate) async fn run(mut radio: Radio) {
    with(async |mut runner: Runner<'_, Store>| {
        runner
            .run(&mut radio, |notice| {
                black_box(notice);
            })
            .await;
    })
    .await;
}

#[cfg(all(feature = "http", not(feature = "tls")))]
pub(crate) async fn over(stack: embassy_net::Stack<'_>) {
    use whisperr_embassy::net::{HttpTransport, Server, TcpBuffers};
    let mut buffers = TcpBuffers::<1024, 512>::new();
    let server = Server::new("wrk_1").and_then(|server| server.base_url(black_box("http://host")));
    let Ok(Ok(mut transport)) = server.map(|server| HttpTransport::new(stack, &mut buffers, server)) else {
        return;
    };
    with(async |mut runner: Runner<'_, Store>| {
        runner
            .run(&mut transport, |notice| {
                black_box(notice);
            })
            .await;
    })
    .await;
}

#[cfg(feature = "tls")]
pub(crate) async fn over(stack: embassy_net::Stack<'_>) {
    use whisperr_embassy::net::{Server, Tls, TlsBuffers};
    let mut buffers = TlsBuffers::<4736, 2048>::new();
    let roots: [&[u8]; 1] = [black_box(&[0; 4])];
    let server = Server::new(black_box("wrk_1"));
    let Ok(Ok(mut tls)) = server.map(|server| Tls::new(stack, &mut buffers, server, &roots, Dice)) else {
        return;
    };
    with(async |mut runner: Runner<'_, Store>| {
        tls.run(&mut runner, |notice| {
            black_box(notice);
        })
        .await;
    })
    .await;
}
