//! A kiosk on a Raspberry Pi Pico W. A press of the button on GPIO 15 is an event; events wait in the flash, and every
//! quarter of an hour the radio is switched on for as long as it takes to deliver them.
//!
//! **Compiled in CI for thumbv6m-none-eabi, and never run on the hardware.** The guide, `whisperr-embassy/GUIDE.md`,
//! explains every step. Before the first run:
//!
//! 1. Put the Wi-Fi chip's files into `cyw43-firmware/`: `43439A0.bin`, `43439A0_clm.bin` and `nvram_rp2040.bin`, from the
//!    directory of that name in embassy's repository. Mind their licence.
//! 2. Replace `ca.der` by the authority that your server's certificates come from.
//! 3. `WHISPERR_KEY=wrk_… WIFI_NETWORK=… WIFI_PASSWORD=… cargo run --release`
#![no_std]
#![no_main]

mod chance;
mod watch;

use core::ops::Range;
use core::time::Duration as CoreDuration;

use cyw43::{Control, JoinOptions, aligned_bytes};
use cyw43_pio::{PioSpi, RM2_CLOCK_DIVIDER};
use defmt::{Debug2Format, Display2Format, error, info, warn};
use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_executor::{InterruptExecutor, Spawner};
use embassy_net::{Config as NetConfig, Stack, StackResources};
use embassy_rp::flash::{Blocking, Flash as ChipFlash};
use embassy_rp::gpio::{Input, Level, Output, Pull};
use embassy_rp::interrupt::{InterruptExt, Priority};
use embassy_rp::peripherals::{DMA_CH0, FLASH, PIO0};
use embassy_rp::pio::Pio;
use embassy_rp::watchdog::Watchdog;
use embassy_rp::{bind_interrupts, dma, interrupt, pio};
use embassy_time::{Duration, Timer, with_timeout};
use static_cell::{ConstStaticCell, StaticCell};
use whisperr_embassy::net::{Server, Tls, TlsBuffers, sntp};
use whisperr_embassy::{
    Clock, Config, Device, EmbassyClock, Entropy, FlashStorage, Handle, Identify, Options, RecordBuffers,
    Resources, Runner, open, props,
};
use {defmt_rtt as _, panic_probe as _, portable_atomic as _};

use chance::Rosc;

/// The whole flash of a Pico W.
const FLASH_BYTES: usize = 2 << 20;
/// The queue's part: its last 64 KiB, which memory.x keeps free.
const QUEUE: Range<u32> = 0x1F_0000..0x20_0000;
/// Pages of 4 KiB.
const PAGES: usize = 16;

/// DHCP, DNS, the connection to the server, and the time server.
const SOCKETS: usize = 4;
/// One that your network's operator, or you, may use.
const TIME_SERVER: &str = "pool.ntp.org";
/// Between two deliveries.
const RADIO_OFF: Duration = Duration::from_secs(15 * 60);
/// For the network to come up.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);
/// For what is owed to be delivered, before the radio goes off again.
const FLUSH_TIMEOUT: CoreDuration = CoreDuration::from_secs(60);
/// The handshake alone may take seconds on this processor.
const CLIENT: Config = Config { request_timeout: CoreDuration::from_secs(60), ..Config::DEFAULT };

type Flash = BlockingAsync<ChipFlash<'static, FLASH, Blocking, FLASH_BYTES>>;
type Store = FlashStorage<Flash, PAGES>;
type Kiosk = Handle<'static, Store>;

static CLOCK: EmbassyClock = EmbassyClock::new();
/// Whom the device trusts, and nobody else. Give the next one along before the first one ends.
static ROOTS: [&[u8]; 1] = [include_bytes!("../ca.der")];

bind_interrupts!(struct Irqs {
    PIO0_IRQ_0 => pio::InterruptHandler<PIO0>;
    DMA_IRQ_0 => dma::InterruptHandler<DMA_CH0>;
});

/// Runs the watchdog's task also while a handshake keeps the other executor busy.
static URGENT: InterruptExecutor = InterruptExecutor::new();

#[interrupt]
unsafe fn SWI_IRQ_1() {
    // SAFETY: the handler of the interrupt that the executor was started with.
    unsafe { URGENT.on_interrupt() }
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let board = embassy_rp::init(embassy_rp::config::Config::default());
    let mut watchdog = Watchdog::new(board.WATCHDOG);
    watchdog.pause_on_debug(true);
    watchdog.start(watch::LIMIT);

    let mut flash = ChipFlash::<_, Blocking, FLASH_BYTES>::new_blocking(board.FLASH);
    let mut number = [0; 8];
    if let Err(error) = flash.blocking_unique_id(&mut number) {
        warn!("the flash does not tell its number: {}", Debug2Format(&error));
    }
    let mut rosc = Rosc::new(number);
    let (whisperr, runner) = start(flash, &mut rosc).await;
    interrupt::SWI_IRQ_1.set_priority(Priority::P2);
    URGENT.start(interrupt::SWI_IRQ_1).spawn(watch::watch(whisperr, watchdog).expect("one watch"));
    spawner.spawn(watch::beat().expect("one beat"));

    // What is said from here on survives everything, also a network that never comes up.
    if let Err(error) = whisperr.launch(env!("CARGO_PKG_VERSION"), "1").await {
        warn!("launch: {}", Display2Format(&error));
    }
    if let Err(error) = whisperr.identify(Identify::new("user_8842")).await {
        warn!("identify: {}", Display2Format(&error));
    }
    spawner.spawn(button(whisperr, Input::new(board.PIN_15, Pull::Up)).expect("one button"));

    let spi = {
        let mut pio = Pio::new(board.PIO0, Irqs);
        let select = Output::new(board.PIN_25, Level::High);
        let dma = dma::Channel::new(board.DMA_CH0, Irqs);
        PioSpi::new(
            &mut pio.common,
            pio.sm0,
            RM2_CLOCK_DIVIDER,
            pio.irq0,
            select,
            board.PIN_24,
            board.PIN_29,
            dma,
        )
    };
    static WIFI: StaticCell<cyw43::State> = StaticCell::new();
    let power = Output::new(board.PIN_23, Level::Low);
    let program = aligned_bytes!(concat!(env!("OUT_DIR"), "/43439A0.bin"));
    let nvram = aligned_bytes!(concat!(env!("OUT_DIR"), "/nvram_rp2040.bin"));
    let (card, mut control, wifi) =
        cyw43::new(WIFI.init(cyw43::State::new()), power, spi, program, nvram).await;
    spawner.spawn(run_wifi(wifi).expect("one Wi-Fi chip"));
    control.init(include_bytes!(concat!(env!("OUT_DIR"), "/43439A0_clm.bin"))).await;

    static SOCKET_PLACES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let mut seed = [0; 8];
    rosc.fill(&mut seed);
    let config = NetConfig::dhcpv4(embassy_net::DhcpConfig::default());
    let places = SOCKET_PLACES.init(StackResources::new());
    let (stack, network) = embassy_net::new(card, config, places, u64::from_le_bytes(seed));
    spawner.spawn(run_network(network).expect("one network"));

    static TLS: ConstStaticCell<TlsBuffers> = ConstStaticCell::new(TlsBuffers::new());
    let server = Server::new(env!("WHISPERR_KEY")).expect("WHISPERR_KEY is an ingestion key");
    let tls = Tls::new(stack, TLS.take(), server, &ROOTS, rosc.fork()).expect("the server speaks https");
    // Nothing is tried before `radio` says that there is a network.
    whisperr.pause().await;
    spawner.spawn(deliver(runner, tls).expect("one runner"));
    spawner.spawn(radio(whisperr, control, stack, rosc).expect("one radio"));
}

/// Opens the queue with what earlier lives left in it.
async fn start(
    flash: ChipFlash<'static, FLASH, Blocking, FLASH_BYTES>,
    rosc: &mut Rosc,
) -> (Kiosk, Runner<'static, Store>) {
    static RESOURCES: ConstStaticCell<Resources<'static, Store>> = ConstStaticCell::new(Resources::new());
    static BUFFERS: ConstStaticCell<RecordBuffers> = ConstStaticCell::new(RecordBuffers::new());
    // Any content gives a working queue: an error is a wrong QUEUE or a flash that cannot be read at all. The panic
    // ends in the watchdog's reset, and the next start tries again.
    let storage = match Store::open(BlockingAsync::new(flash), QUEUE).await {
        Ok(storage) => storage,
        Err(error) => defmt::panic!("the queue does not open: {}", Display2Format(&error)),
    };
    let options = Options::new(Device::new("kiosk")).config(CLIENT);
    let opening = match open(RESOURCES.take(), BUFFERS.take(), storage, &CLOCK, &options, rosc) {
        Ok(opening) => opening,
        Err(error) => defmt::panic!("a setting of the client: {}", Display2Format(&error)),
    };
    match opening.finish().await {
        Ok(opened) => opened,
        Err(error) => defmt::panic!("the client does not open: {}", Display2Format(&error)),
    }
}

/// Delivers for ever, whenever the radio is on.
#[embassy_executor::task]
async fn deliver(mut runner: Runner<'static, Store>, mut tls: Tls<'static, Rosc>) {
    tls.run(&mut runner, |notice| warn!("notice: {}", Display2Format(&notice))).await;
}

/// A press is an event.
#[embassy_executor::task]
async fn button(whisperr: Kiosk, mut button: Input<'static>) {
    let mut presses: u32 = 0;
    loop {
        button.wait_for_falling_edge().await;
        presses = presses.wrapping_add(1);
        match whisperr.track("button_pressed", props! { "presses" => presses }).await {
            Ok(_) => info!("press {} is in the flash", presses),
            // Nothing was stored: say it again later, or count what was lost.
            Err(error) => error!("press {}: {}", presses, Display2Format(&error)),
        }
        // A contact bounces.
        Timer::after_millis(50).await;
    }
}

/// Switches the radio on to deliver, and off to save power.
#[embassy_executor::task]
async fn radio(whisperr: Kiosk, mut control: Control<'static>, stack: Stack<'static>, mut rosc: Rosc) {
    loop {
        match with_timeout(JOIN_TIMEOUT, join(&mut control, stack)).await {
            Ok(()) => {
                whisperr.resume().await;
                learn_date(stack, &mut rosc).await;
                // What is not delivered by then stays in the flash; the backoff goes on by itself.
                info!("{}", whisperr.flush(FLUSH_TIMEOUT).await);
            }
            Err(_) => warn!("no network"),
        }
        // Returns once no request is out. Presses are recorded all the same.
        whisperr.pause().await;
        control.leave().await;
        // The executor sleeps in WFE. The RP2040's own deep sleep ("dormant") stops the clock of embassy-time, and
        // there is no driver for it: a kiosk on a battery is better off with another chip.
        Timer::after(RADIO_OFF).await;
    }
}

async fn join(control: &mut Control<'static>, stack: Stack<'static>) {
    while let Err(error) =
        control.join(env!("WIFI_NETWORK"), JoinOptions::new(env!("WIFI_PASSWORD").as_bytes())).await
    {
        warn!("the network refuses: {}", Debug2Format(&error));
        Timer::after_secs(2).await;
    }
    stack.wait_config_up().await;
}

/// Once is enough until the next start: the crystal runs on while the executor sleeps. Without a date, certificates
/// are checked but for their validity, and events wait until it is known.
async fn learn_date(stack: Stack<'static>, rosc: &mut Rosc) {
    if CLOCK.utc().is_some() {
        return;
    }
    match sntp::query(stack, TIME_SERVER, rosc).await {
        Ok(utc) => CLOCK.set_utc(utc),
        Err(error) => warn!("no date: {}", Display2Format(&error)),
    }
}

#[embassy_executor::task]
async fn run_wifi(
    runner: cyw43::Runner<'static, cyw43::SpiBus<Output<'static>, PioSpi<'static, PIO0, 0>>>,
) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn run_network(mut runner: embassy_net::Runner<'static, cyw43::NetDriver<'static>>) -> ! {
    runner.run().await
}
