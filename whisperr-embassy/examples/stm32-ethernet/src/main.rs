//! A kiosk on an ST Nucleo-H563ZI with its Ethernet. A press of the blue button is an event; events wait in the flash and
//! are delivered every quarter of a minute, and as soon as a cable that was pulled is back.
//!
//! **Compiled in CI for thumbv8m.main-none-eabihf, and never run on the hardware.** The guide,
//! `whisperr-embassy/GUIDE.md`, explains every step. Before the first run:
//!
//! 1. Replace `ca.der` by the authority that your server's certificates come from.
//! 2. `WHISPERR_KEY=wrk_… cargo run --release`
//!
//! For another STM32 with Ethernet change the feature of embassy-stm32, the target, `memory.x`, the clocks, the pins and
//! `flash.rs`. The queue's pages must have at most 128 KiB each: on an F7 with pages of 256 KiB, give it the small ones
//! or another chip.
#![no_std]
#![no_main]

mod chance;
mod flash;

use core::cell::RefCell;
use core::ops::Range;

use defmt::{Display2Format, error, info, warn};
use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_executor::Spawner;
use embassy_net::{Config as NetConfig, DhcpConfig, Stack, StackResources};
use embassy_stm32::eth::{self, Ethernet, GenericPhy, PacketQueue, Sma};
use embassy_stm32::exti::{self, ExtiInput};
use embassy_stm32::flash::Flash as ChipFlash;
use embassy_stm32::gpio::Pull;
use embassy_stm32::mode::Async;
use embassy_stm32::peripherals::{ETH, ETH_SMA, IWDG, RNG};
use embassy_stm32::rcc::{
    AHBPrescaler, APBPrescaler, Hse, HseMode, Pll, PllDiv, PllMul, PllPreDiv, PllSource, Sysclk, VoltageScale,
};
use embassy_stm32::rng::{self, Rng};
use embassy_stm32::time::Hertz;
use embassy_stm32::wdg::IndependentWatchdog;
use embassy_stm32::{bind_interrupts, interrupt};
use embassy_time::{Duration, Instant, Timer};
use static_cell::{ConstStaticCell, StaticCell};
use whisperr_embassy::net::{Server, Tls, TlsBuffers, sntp};
use whisperr_embassy::{
    Device, EmbassyClock, Entropy, FlashStorage, Handle, Identify, Options, RecordBuffers, Resources, Runner,
    TryError, open, props,
};
use {defmt_rtt as _, panic_probe as _};

use chance::{Chance, Generator};
use flash::Flash;

/// The queue's part of the flash: its last 64 KiB, which memory.x keeps free. In the second bank: the program, which
/// lies in the first, runs on while a page is erased.
const QUEUE: Range<u32> = 0x1F_0000..0x20_0000;
/// Pages of 8 KiB.
const PAGES: usize = 8;

/// DHCP, DNS, the connection to the server, and the time server.
const SOCKETS: usize = 4;
/// One that your network's operator, or you, may use.
const TIME_SERVER: &str = "pool.ntp.org";
/// The longest that the independent watchdog can be told to wait is 32 s.
const WATCHDOG_US: u32 = 30_000_000;
/// How late the runner may be: more than a handshake computes for.
const SLACK: Duration = Duration::from_secs(10);

type Store = FlashStorage<Flash, PAGES>;
type Kiosk = Handle<'static, Store>;
type Card = Ethernet<'static, ETH, GenericPhy<Sma<'static, ETH_SMA>>>;

static CLOCK: EmbassyClock = EmbassyClock::new();
/// Whom the device trusts, and nobody else. Give the next one along before the first one ends.
static ROOTS: [&[u8]; 1] = [include_bytes!("../ca.der")];

bind_interrupts!(struct Irqs {
    ETH => eth::InterruptHandler;
    RNG => rng::InterruptHandler<RNG>;
    EXTI13 => exti::InterruptHandler<interrupt::typelevel::EXTI13>;
});

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let board = embassy_stm32::init(clocks());
    let mut watchdog = IndependentWatchdog::new(board.IWDG, WATCHDOG_US);
    watchdog.unleash();

    static GENERATOR: StaticCell<Generator> = StaticCell::new();
    let generator = Generator::new(RefCell::new(Rng::new(board.RNG, Irqs)));
    let mut chance = Chance(GENERATOR.init(generator));
    let flash = BlockingAsync::new(ChipFlash::new_blocking(board.FLASH));
    let (whisperr, runner) = start(flash, &mut chance).await;
    spawner.spawn(watch(whisperr, watchdog).expect("one watch"));

    // What is said from here on survives everything, also a network that never comes up.
    if let Err(error) = whisperr.launch(env!("CARGO_PKG_VERSION"), "1").await {
        warn!("launch: {}", Display2Format(&error));
    }
    if let Err(error) = whisperr.identify(Identify::new("user_8842")).await {
        warn!("identify: {}", Display2Format(&error));
    }
    let input = ExtiInput::new(board.PC13, board.EXTI13, Pull::Down, Irqs);
    spawner.spawn(button(whisperr, input).expect("one button"));

    static PACKETS: StaticCell<PacketQueue<4, 4>> = StaticCell::new();
    let card = Ethernet::new(
        PACKETS.init_with(PacketQueue::new),
        board.ETH,
        Irqs,
        board.PA1,
        board.PA7,
        board.PC4,
        board.PC5,
        board.PG13,
        board.PB15,
        board.PG11,
        address(),
        board.ETH_SMA,
        board.PA2,
        board.PC1,
    );
    static SOCKET_PLACES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let mut seed = [0; 8];
    chance.fill(&mut seed);
    let config = NetConfig::dhcpv4(DhcpConfig::default());
    let places = SOCKET_PLACES.init(StackResources::new());
    let (stack, network) = embassy_net::new(card, config, places, u64::from_le_bytes(seed));
    spawner.spawn(run_network(network).expect("one network"));
    spawner.spawn(keep_date(stack, chance).expect("one time server"));

    static TLS: ConstStaticCell<TlsBuffers> = ConstStaticCell::new(TlsBuffers::new());
    let server = Server::new(env!("WHISPERR_KEY")).expect("WHISPERR_KEY is an ingestion key");
    let tls = Tls::new(stack, TLS.take(), server, &ROOTS, chance).expect("the server speaks https");
    // Nothing is tried before `cable` says that there is a network.
    whisperr.pause().await;
    spawner.spawn(deliver(runner, tls).expect("one runner"));
    spawner.spawn(cable(whisperr, stack).expect("one cable"));
}

/// 250 MHz from the 8 MHz of the board's ST-LINK, and 48 MHz for the generator of random numbers.
fn clocks() -> embassy_stm32::Config {
    let mut config = embassy_stm32::Config::default();
    config.rcc.hsi = None;
    config.rcc.hsi48 = Some(embassy_stm32::rcc::Hsi48Config::new());
    config.rcc.hse = Some(Hse { freq: Hertz(8_000_000), mode: HseMode::BypassDigital });
    config.rcc.pll1 = Some(Pll {
        source: PllSource::HSE,
        prediv: PllPreDiv::DIV2,
        mul: PllMul::MUL125,
        divp: Some(PllDiv::DIV2),
        divq: Some(PllDiv::DIV2),
        divr: None,
    });
    config.rcc.ahb_pre = AHBPrescaler::DIV1;
    config.rcc.apb1_pre = APBPrescaler::DIV1;
    config.rcc.apb2_pre = APBPrescaler::DIV1;
    config.rcc.apb3_pre = APBPrescaler::DIV1;
    config.rcc.sys = Sysclk::PLL1_P;
    config.rcc.voltage_scale = VoltageScale::Scale0;
    config
}

/// An address of this device's own, marked as not given by a manufacturer.
fn address() -> [u8; 6] {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = embassy_stm32::uid::uid();
    [0x02, a ^ f, b ^ g, c ^ h ^ k, d ^ i ^ l, e ^ j]
}

/// Opens the queue with what earlier lives left in it.
async fn start(flash: Flash, chance: &mut Chance) -> (Kiosk, Runner<'static, Store>) {
    static RESOURCES: ConstStaticCell<Resources<'static, Store>> = ConstStaticCell::new(Resources::new());
    static BUFFERS: ConstStaticCell<RecordBuffers> = ConstStaticCell::new(RecordBuffers::new());
    // Any content gives a working queue: an error is a wrong QUEUE or a flash that cannot be read at all. The panic
    // ends in the watchdog's reset, and the next start tries again.
    let storage = match Store::open(flash, QUEUE).await {
        Ok(storage) => storage,
        Err(error) => defmt::panic!("the queue does not open: {}", Display2Format(&error)),
    };
    let options = Options::new(Device::new("kiosk"));
    let opening = match open(RESOURCES.take(), BUFFERS.take(), storage, &CLOCK, &options, chance) {
        Ok(opening) => opening,
        Err(error) => defmt::panic!("a setting of the client: {}", Display2Format(&error)),
    };
    match opening.finish().await {
        Ok(opened) => opened,
        Err(error) => defmt::panic!("the client does not open: {}", Display2Format(&error)),
    }
}

/// Delivers for ever.
#[embassy_executor::task]
async fn deliver(mut runner: Runner<'static, Store>, mut tls: Tls<'static, Chance>) {
    tls.run(&mut runner, |notice| warn!("notice: {}", Display2Format(&notice))).await;
}

/// A press is an event.
#[embassy_executor::task]
async fn button(whisperr: Kiosk, mut button: ExtiInput<'static, Async>) {
    let mut presses: u32 = 0;
    loop {
        button.wait_for_rising_edge().await;
        presses = presses.wrapping_add(1);
        let properties = props! { "presses" => presses };
        // `try_track` is for places that cannot wait, such as an interrupt; a task can, and waits when it must.
        let said = match whisperr.try_track("button_pressed", properties) {
            Err(TryError::Busy | TryError::WouldWait) => whisperr
                .track("button_pressed", props! { "presses" => presses })
                .await
                .map_err(TryError::Refused),
            said => said,
        };
        match said {
            Ok(_) => info!("press {} is in the flash", presses),
            // Nothing was stored: say it again later, or count what was lost.
            Err(error) => error!("press {}: {}", presses, Display2Format(&error)),
        }
        // A contact bounces.
        Timer::after_millis(50).await;
    }
}

/// Asks nothing of a network that is not there, and delivers as soon as it is back.
#[embassy_executor::task]
async fn cable(whisperr: Kiosk, stack: Stack<'static>) {
    loop {
        stack.wait_config_up().await;
        info!("the network is up");
        whisperr.resume().await;
        stack.wait_config_down().await;
        warn!("the network is down");
        whisperr.pause().await;
    }
}

/// The date, and again twice a day. Until it is known, certificates are checked but for their validity, and events wait.
#[embassy_executor::task]
async fn keep_date(stack: Stack<'static>, mut chance: Chance) {
    stack.wait_config_up().await;
    sntp::keep_date(stack, TIME_SERVER, &CLOCK, &mut chance).await
}

/// Feeds the watchdog for as long as the executor goes round and the runner does what it said it would do.
#[embassy_executor::task]
async fn watch(whisperr: Kiosk, mut watchdog: IndependentWatchdog<'static, IWDG>) {
    loop {
        if !whisperr.next_run().is_overdue(Instant::now().saturating_sub(SLACK)) {
            watchdog.pet();
        }
        Timer::after_secs(5).await;
    }
}

#[embassy_executor::task]
async fn run_network(mut runner: embassy_net::Runner<'static, Card>) -> ! {
    runner.run().await
}
