//! What the kiosk does all day, as tasks.

use core::time::Duration;

use embassy_executor::Spawner;
use embassy_time::Timer;
use whisperr_embassy::{EmbassyClock, Flush, Identify, NextRun, UtcMillis, props};

use crate::board::{ethernet, power, psram};
use crate::chance::Chance;
use crate::client::Kiosk;
use crate::layout::{MODE, UTC, VERSION, end, entry, mode};
use crate::oracle::{Speaker, tell_ledger};

/// Tasks that have something to say.
const DOORS: u32 = 3;
/// Events of each door on a short day.
const SHORT_DAY_EVENTS: u32 = 40;

/// How long a flush may take: a handshake takes its time.
const FLUSH: Duration = Duration::from_millis(if cfg!(feature = "tls") { 5000 } else { 2500 });

/// How much longer everything outside the kiosk takes, so that a handshake fits between two nights.
const PACE: u32 = if cfg!(feature = "tls") { 10 } else { 1 };

/// Says what is said at every start: which firmware this is, and who uses the kiosk.
pub(crate) async fn open_doors(kiosk: Kiosk) {
    let version = if psram::load(VERSION) % 2 == 0 { "1.0.0" } else { "1.1.0" };
    // Reported at the next start when it fails.
    let _ = kiosk.launch(version, "1").await;
    identify(kiosk).await;
}

async fn identify(kiosk: Kiosk) {
    let mut speaker = Speaker::new(entry::IDENTIFY);
    speaker
        .call(async |call| kiosk.identify(Identify::new("user_kiosk").traits(props! { "n" => call })).await)
        .await;
}

/// Lets the day begin.
pub(crate) fn start(spawner: Spawner, kiosk: Kiosk, clock: &'static EmbassyClock, seed: u32) {
    for number in 0..DOORS {
        spawner.spawn(door(kiosk, clock, number, Chance::new(seed, number)).expect("as many tasks as doors"));
    }
    spawner.spawn(weather(Chance::new(seed, 100)).expect("one weather"));
    spawner.spawn(night(kiosk, Chance::new(seed, 101)).expect("one night"));
    spawner.spawn(learn_time(clock, Chance::new(seed, 102)).expect("one time server"));
}

/// A door is opened and closed.
#[embassy_executor::task(pool_size = DOORS as usize)]
async fn door(kiosk: Kiosk, clock: &'static EmbassyClock, number: u32, mut chance: Chance) {
    let mut speaker = Speaker::new(number);
    let is_short = psram::load(MODE) == mode::SHORT_DAY;
    let mut said = 0;
    while !is_short || said < SHORT_DAY_EVENTS {
        said += 1;
        let is_accepted = say(kiosk, &mut speaker, chance.between(0, 160) as usize).await;
        // Refused when the queue is full: somebody has to wait for the network.
        let pause = if is_accepted { chance.between(0, 24) } else { 25 };
        Timer::after_millis(pause.into()).await;
    }
    if number == 0 {
        close(kiosk, clock).await;
    }
}

async fn say(kiosk: Kiosk, speaker: &mut Speaker, note_bytes: usize) -> bool {
    const NOTE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
                        0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let number = speaker.number();
    speaker
        .call(async |call| {
            let note = NOTE.get(..note_bytes).unwrap_or(NOTE);
            kiosk.track("door_opened", props! { "door" => number, "n" => call, "note" => note }).await
        })
        .await
}

/// The network comes and goes.
#[embassy_executor::task]
async fn weather(mut chance: Chance) {
    loop {
        Timer::after_millis((PACE * chance.between(20, 300)).into()).await;
        ethernet::plug(false);
        Timer::after_millis(chance.between(5, 120).into()).await;
        ethernet::plug(true);
    }
}

/// The kiosk sleeps, and wakes up.
#[embassy_executor::task]
async fn night(kiosk: Kiosk, mut chance: Chance) {
    loop {
        Timer::after_millis((PACE * chance.between(30, 200)).into()).await;
        // Refused when the queue is full: the night comes all the same.
        let _ = kiosk.background().await;
        kiosk.pause().await;
        assert!(!matches!(kiosk.next_run(), NextRun::Sending { .. }), "a request is out behind `pause`");
        Timer::after_millis(chance.between(1, 40).into()).await;
        kiosk.resume().await;
        let _ = kiosk.foreground().await;
    }
}

/// The date becomes known some time after the start; in one life of four it never does.
#[embassy_executor::task]
async fn learn_time(clock: &'static EmbassyClock, mut chance: Chance) {
    Timer::after_millis(chance.between(0, 60).into()).await;
    if chance.between(0, 4) > 0 {
        set_time(clock);
    }
}

pub(crate) fn set_time(clock: &EmbassyClock) {
    let (low, high) = (u64::from(psram::load(UTC)), u64::from(psram::load(UTC + 4)));
    clock.set_utc(UtcMillis::new((high << 32 | low).cast_signed()));
}

/// The same steps in the same order: what is written to the flash is the same in every run, as far as the network
/// lets it.
pub(crate) async fn script(kiosk: Kiosk, clock: &'static EmbassyClock) -> ! {
    const EVENTS: u32 = 48;
    let mut door = Speaker::new(0);
    for step in 0..EVENTS {
        match step {
            6 => set_time(clock),
            12 => identify(kiosk).await,
            // A refusal shows in the journal.
            8 | 20 | 32 | 44 => drop(kiosk.flush(2 * FLUSH).await),
            28 => {
                let _ = kiosk.background().await;
                kiosk.pause().await;
                kiosk.resume().await;
                let _ = kiosk.foreground().await;
            }
            _ => {}
        }
        say(kiosk, &mut door, (step as usize * 37) % 160).await;
    }
    finish()
}

/// Says something and tries to have it delivered, once.
pub(crate) async fn one_flush(kiosk: Kiosk) -> ! {
    const EVENTS: u32 = 10;
    let mut door = Speaker::new(0);
    for step in 0..EVENTS {
        say(kiosk, &mut door, step as usize).await;
    }
    // The host asks the server what it heard.
    let _ = kiosk.flush(FLUSH).await;
    finish()
}

/// Delivers everything that is owed, and tells the ledger. The date is known: what was recorded without one waits for
/// it, and all behind it.
pub(crate) async fn close(kiosk: Kiosk, clock: &'static EmbassyClock) -> ! {
    /// More than a collector in a bad mood takes.
    const TRIES: u32 = 24;
    set_time(clock);
    for _ in 0..TRIES {
        // A night or a storm may have begun meanwhile.
        ethernet::plug(true);
        kiosk.resume().await;
        let flush = kiosk.flush(FLUSH).await;
        if flush == Flush::Delivered && kiosk.status().await.owed == 0 {
            tell_ledger(&kiosk.ledger().await);
            finish();
        }
    }
    tell_ledger(&kiosk.ledger().await);
    power::off(end::LATE)
}

fn finish() -> ! {
    power::off(end::DONE)
}
