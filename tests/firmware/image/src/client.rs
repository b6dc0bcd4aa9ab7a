//! How the client is put together on this device.

use core::time::Duration;

use static_cell::ConstStaticCell;
use whisperr_embassy::{
    Config, Device, EmbassyClock, FlashStorage, Handle, Options, Overflow, RecordBuffers, Resources, Runner,
    open,
};

use crate::board::{power, serial};
use crate::chance::Chance;
use crate::flash::Nor;
use crate::layout::{FLASH_BYTES, PAGES, end};
use crate::network::Way;

/// The queue of this device.
pub(crate) type Store = FlashStorage<Nor, { PAGES as usize }>;

/// What the tasks hold.
pub(crate) type Kiosk = Handle<'static, Store>;

/// Impatient, so that much happens in a short life. A full queue refuses: what was accepted is never evicted, so a
/// host that misses an event knows that it was lost.
const DAY: Config = Config {
    flush_interval: Duration::from_secs(1),
    flush_at: 5,
    overflow: Overflow::Refuse,
    retry_base_delay: Duration::from_millis(10),
    max_retry_delay: Duration::from_millis(200),
    request_timeout: if cfg!(feature = "tls") { Duration::from_secs(3) } else { Duration::from_millis(600) },
    max_retries: 1000,
    ..Config::DEFAULT
};

/// Sends when it is told to, and only then.
const SCRIPT: Config =
    Config { flush_interval: Duration::from_secs(86_400), flush_at: 10_000, automatic_events: true, ..DAY };

/// Opens the client over what earlier lives left.
pub(crate) async fn start(
    clock: &'static EmbassyClock,
    seed: u32,
    is_script: bool,
) -> (Kiosk, Runner<'static, Store>) {
    static RESOURCES: ConstStaticCell<Resources<'static, Store>> = ConstStaticCell::new(Resources::new());
    static BUFFERS: ConstStaticCell<RecordBuffers<512>> = ConstStaticCell::new(RecordBuffers::new());
    let flash = Nor::new(Chance::new(seed, 200));
    let storage = match Store::open(flash, 0..FLASH_BYTES).await {
        Ok(storage) => storage,
        Err(error) => closed(&error),
    };
    let options = Options::new(Device::new("kiosk")).config(if is_script { SCRIPT } else { DAY });
    let mut entropy = Chance::new(seed, 201);
    let opening = match open(RESOURCES.take(), BUFFERS.take(), storage, clock, &options, &mut entropy) {
        Ok(opening) => opening,
        Err(error) => closed(&error),
    };
    match opening.finish().await {
        Ok(opened) => opened,
        Err(error) => closed(&error),
    }
}

fn closed(error: &dyn core::fmt::Debug) -> ! {
    serial::say(format_args!("the queue does not open: {error:?}"));
    power::off(end::CLOSED)
}

/// Delivers for ever.
#[embassy_executor::task]
pub(crate) async fn deliver(mut runner: Runner<'static, Store>, mut transport: Way) {
    let notify = |notice| serial::say(format_args!("notice: {notice:?}"));
    #[cfg(not(feature = "tls"))]
    runner.run(&mut transport, notify).await;
    #[cfg(feature = "tls")]
    transport.run(&mut runner, notify).await;
}
