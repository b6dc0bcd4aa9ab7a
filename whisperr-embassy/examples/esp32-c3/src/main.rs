//! A kiosk on an ESP32-C3 and a battery. It sleeps deeply; a button on GPIO 4 (to 3.3 V) wakes it, which is an event and
//! costs no radio; every quarter of an hour it wakes by itself and delivers what is owed.
//!
//! **Compiled in CI for riscv32imc-unknown-none-elf, and never run on the hardware.** The guide,
//! `whisperr-embassy/GUIDE.md`, explains every step. Before the first run:
//!
//! 1. Replace `ca.der` by the authority that your server's certificates come from.
//! 2. `WHISPERR_KEY=wrk_… WIFI_NETWORK=… WIFI_PASSWORD=… cargo run --release`
#![no_std]
#![no_main]

mod calendar;
mod chance;

use core::cell::RefCell;
use core::ops::Range;
use core::time::Duration as CoreDuration;

use defmt::{Debug2Format, Display2Format, error, info, warn};
use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_executor::Spawner;
use embassy_net::{Config as NetConfig, DhcpConfig, Stack, StackResources};
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use embassy_time::{Duration, Instant, Timer, with_timeout};
use esp_bootloader_esp_idf::partitions::{PARTITION_TABLE_MAX_LEN, read_partition_table};
use esp_hal::clock::CpuClock;
use esp_hal::gpio::{Event, Input, InputConfig, Pull, WakeupConfig};
use esp_hal::peripherals::WIFI;
use esp_hal::rng::TrngSource;
use esp_hal::rtc_cntl::Rtc;
use esp_hal::rtc_cntl::sleep::{LowPower, RtcSleepConfig};
use esp_hal::timer::timg::TimerGroup;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethodConfig, Config as WifiConfig, ControllerConfig, Interface, Password, Ssid,
    WifiController, WifiError,
};
use static_cell::{ConstStaticCell, StaticCell};
use whisperr_embassy::net::{Server, Tls, TlsBuffers, sntp};
use whisperr_embassy::{
    Device, Entropy, FlashStorage, Flush, Handle, Identify, NextRun, Options, RecordBuffers, Resources,
    RtcClock, Runner, open, props,
};
use {esp_backtrace as _, esp_println as _};

use calendar::Calendar;
use chance::Chance;

/// The queue's partition in `partitions.csv`.
const PARTITION: &str = "whisperr";
/// Pages of 4 KiB: all of its 64 KiB.
const PAGES: usize = 16;

/// Who uses this kiosk.
const USER: &str = "user_8842";

/// DHCP, DNS, the connection to the server, and the time server.
const SOCKETS: usize = 4;
/// One that your network's operator, or you, may use.
const TIME_SERVER: &str = "pool.ntp.org";
/// Between two deliveries.
const SLEEP: Duration = Duration::from_secs(15 * 60);
/// This many operations are not left to wait for the end of the sleep.
const OWED_MAX: u32 = 50;
/// For the network to come up.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);
/// For what is owed to be delivered, before the device sleeps again.
const FLUSH_TIMEOUT: CoreDuration = CoreDuration::from_secs(40);
/// How late the runner may be: more than a handshake computes for.
const SLACK: Duration = Duration::from_secs(20);

type Flash = BlockingAsync<esp_storage::FlashStorage<'static>>;
type Store = FlashStorage<Flash, PAGES>;
type Clock = RtcClock<Calendar>;
type Kiosk = Handle<'static, Store, Clock>;
type Sender = Runner<'static, Store, Clock>;

/// Whom the device trusts, and nobody else. Give the next one along before the first one ends.
static ROOTS: [&[u8]; 1] = [include_bytes!("../ca.der")];

esp_bootloader_esp_idf::esp_app_desc!();

/// One waking: from the start of the chip to its next sleep.
#[esp_rtos::main]
async fn main(spawner: Spawner) -> ! {
    let board = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    // For the radio's driver, nobody else. The first part is the boot loader's, which is done with it.
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: 64 * 1024);
    esp_alloc::heap_allocator!(size: 36 * 1024);
    esp_rtos::start(TimerGroup::new(board.TIMG0).timer0, board.FROM_CPU_INTR0);

    static RTC: StaticCell<CriticalSectionMutex<RefCell<Rtc<'static>>>> = StaticCell::new();
    let rtc = RTC.init(CriticalSectionMutex::new(RefCell::new(Rtc::new(board.RTC_TIMER))));
    let calendar = Calendar::new(rtc);
    calendar.start_watchdog();

    // The radio is off, and stays off for a mere press: noise for the seed comes from the converter.
    let noise = TrngSource::new(board.RNG, board.ADC1);
    let (whisperr, runner) = start(esp_storage::FlashStorage::new(board.FLASH), calendar).await;
    // The converter and the radio do not get along.
    drop(noise);
    spawner.spawn(watch(whisperr, calendar).expect("one watch"));

    if let Err(error) = whisperr.launch(env!("CARGO_PKG_VERSION"), "1").await {
        warn!("launch: {}", Display2Format(&error));
    }
    // Kept in the flash: to say it at every waking would cost an operation each time.
    if !whisperr.current_user(|user| user == Some(USER)).await
        && let Err(error) = whisperr.identify(Identify::new(USER)).await
    {
        warn!("identify: {}", Display2Format(&error));
    }
    let mut button = Input::new(board.GPIO4, InputConfig::default().with_pull(Pull::Down));
    let was_pressed = button.caused_wakeup();
    if was_pressed {
        match whisperr.track("button_pressed", props! { "pin" => 4 }).await {
            Ok(_) => info!("the press is in the flash"),
            // Nothing was stored: say it again later, or count what was lost.
            Err(error) => error!("press: {}", Display2Format(&error)),
        }
    }

    let mut next = NextRun::Resting { until: None };
    if !was_pressed || whisperr.status().await.owed >= OWED_MAX {
        match deliver(spawner, whisperr, runner, board.WIFI, calendar).await {
            // What is not delivered stays in the flash.
            Ok(flush) => info!("{}", flush),
            Err(error) => warn!("no Wi-Fi: {}", Debug2Format(&error)),
        }
        // Asked before `pause`, which leaves nothing to be due.
        next = whisperr.next_run();
        // Returns once no request is out.
        whisperr.pause().await;
    }

    // A button that is held would wake the device again at once.
    button.wait_for_low().await;
    calendar.stop_watchdog();
    let mut power = LowPower::new(board.LPWR);
    power.set_wakeup_deadline(esp_hal::time::Instant::now() + sleep(next));
    let wake = WakeupConfig::default().with_low_power_path(true);
    if let Err(error) = button.apply_wakeup_config(&wake) {
        error!("the button cannot wake the chip: {}", Debug2Format(&error));
    }
    button.listen(Event::HighLevel);
    // RAM is lost; the flash and the RTC are not. The wake begins at `main`.
    power.sleep_deep(RtcSleepConfig::deep())
}

/// How long: a server that asked for patience gets it, anything else waits for the next waking.
fn sleep(next: NextRun) -> esp_hal::time::Duration {
    let asked = match next {
        NextRun::Resting { until: Some(until) } => until.saturating_duration_since(Instant::now()),
        _ => SLEEP,
    };
    esp_hal::time::Duration::from_millis(asked.max(SLEEP).as_millis())
}

/// Opens the queue with what earlier wakings left in it.
async fn start(mut flash: esp_storage::FlashStorage<'static>, calendar: Calendar) -> (Kiosk, Sender) {
    static RESOURCES: ConstStaticCell<Resources<'static, Store, Clock>> =
        ConstStaticCell::new(Resources::new());
    static BUFFERS: ConstStaticCell<RecordBuffers> = ConstStaticCell::new(RecordBuffers::new());
    let Some(queue) = partition(&mut flash) else {
        defmt::panic!("no partition is called {}: flash with partitions.csv", PARTITION);
    };
    // Any content gives a working queue: an error is a wrong partition or a flash that cannot be read at all. The
    // panic ends in the watchdog's reset, and the next start tries again.
    let storage = match Store::open(BlockingAsync::new(flash), queue).await {
        Ok(storage) => storage,
        Err(error) => defmt::panic!("the queue does not open: {}", Display2Format(&error)),
    };
    let Ok(mut chance) = Chance::new() else { defmt::panic!("there is no source of noise") };
    let options = Options::new(Device::new("kiosk"));
    let opening =
        match open(RESOURCES.take(), BUFFERS.take(), storage, RtcClock::new(calendar), &options, &mut chance)
        {
            Ok(opening) => opening,
            Err(error) => defmt::panic!("a setting of the client: {}", Display2Format(&error)),
        };
    match opening.finish().await {
        Ok(opened) => opened,
        Err(error) => defmt::panic!("the client does not open: {}", Display2Format(&error)),
    }
}

/// Where the queue's partition lies.
fn partition(flash: &mut esp_storage::FlashStorage<'static>) -> Option<Range<u32>> {
    static TABLE: ConstStaticCell<[u8; PARTITION_TABLE_MAX_LEN]> =
        ConstStaticCell::new([0; PARTITION_TABLE_MAX_LEN]);
    let table = read_partition_table(flash, TABLE.take()).ok()?;
    let entry = table.iter().find(|entry| entry.label_as_str() == PARTITION)?;
    Some(entry.offset()..entry.offset().checked_add(entry.len())?)
}

/// Switches the radio on, delivers what is owed, and says what came of it.
async fn deliver(
    spawner: Spawner,
    whisperr: Kiosk,
    runner: Sender,
    wifi: WIFI<'static>,
    calendar: Calendar,
) -> Result<Flush, WifiError> {
    let mut control = WifiController::new(wifi, ControllerConfig::default())?;
    let password = AuthenticationMethodConfig::Wpa2Personal(Password::try_from(env!("WIFI_PASSWORD"))?);
    let network = Ssid::try_from(env!("WIFI_NETWORK"))?;
    let station = StationConfig::default().with_ssid(network).with_authentication(password);
    control.set_config(&WifiConfig::Station(station))?;
    // The radio is on: its noise feeds the generator from here to the sleep.
    let Ok(mut chance) = Chance::new() else { defmt::panic!("there is no source of noise") };

    static SOCKET_PLACES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let mut seed = [0; 8];
    chance.fill(&mut seed);
    let config = NetConfig::dhcpv4(DhcpConfig::default());
    let places = SOCKET_PLACES.init(StackResources::new());
    let (stack, network) = embassy_net::new(Interface::station(), config, places, u64::from_le_bytes(seed));
    spawner.spawn(run_network(network).expect("one network"));

    static TLS: ConstStaticCell<TlsBuffers> = ConstStaticCell::new(TlsBuffers::new());
    let server = Server::new(env!("WHISPERR_KEY")).expect("WHISPERR_KEY is an ingestion key");
    let tls = Tls::new(stack, TLS.take(), server, &ROOTS, chance.clone()).expect("the server speaks https");

    let flush = match with_timeout(JOIN_TIMEOUT, join(&mut control, stack)).await {
        Ok(()) => {
            match sntp::query(stack, TIME_SERVER, &mut chance).await {
                Ok(utc) => calendar.set(utc),
                // The RTC may know it from an earlier waking. Without a date, certificates are checked but for
                // their validity, and events wait until it is known.
                Err(error) => warn!("no date: {}", Display2Format(&error)),
            }
            spawner.spawn(run_client(runner, tls).expect("one runner"));
            whisperr.flush(FLUSH_TIMEOUT).await
        }
        Err(_) => Flush::TimedOut,
    };
    // Not dropped: whoever still holds a `Chance` would hold numbers that are none. The sleep ends it all.
    core::mem::forget(control);
    Ok(flush)
}

async fn join(control: &mut WifiController<'static>, stack: Stack<'static>) {
    while let Err(error) = control.connect_async().await {
        warn!("the network refuses: {}", Debug2Format(&error));
        Timer::after_secs(2).await;
    }
    stack.wait_config_up().await;
}

/// Delivers until the device sleeps.
#[embassy_executor::task]
async fn run_client(mut runner: Sender, mut tls: Tls<'static, Chance>) {
    tls.run(&mut runner, |notice| warn!("notice: {}", Display2Format(&notice))).await;
}

#[embassy_executor::task]
async fn run_network(mut runner: embassy_net::Runner<'static, Interface>) -> ! {
    runner.run().await
}

/// Feeds the watchdog for as long as the executor goes round and the runner does what it said it would do.
#[embassy_executor::task]
async fn watch(whisperr: Kiosk, calendar: Calendar) {
    loop {
        if !whisperr.next_run().is_overdue(Instant::now().saturating_sub(SLACK)) {
            calendar.feed_watchdog();
        }
        Timer::after_secs(5).await;
    }
}
