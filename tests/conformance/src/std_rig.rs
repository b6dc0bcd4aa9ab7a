//! `whisperr-std` against a real server over real HTTP, with a queue in memory or on file.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant as SystemInstant;

use tempfile::TempDir;
use whisperr_collector::{Collector, Fault, UtcMs};
use whisperr_std::{
    Builder, Clock, Flush, Fsync, Instant, Notice, SystemClock, UtcMillis, Waiting, Whisperr,
};

use crate::report::Reason;
use crate::rig::{Act, AutomaticSetup, Exchange, Rig, Setup, check_head};
use crate::scenario::{About, IdentifyScenario, TrackScenario};
use crate::tap::Tap;

/// The ingestion key of every case.
const KEY: &str = "wrk_conformance";

/// Longer than any case takes: only a flush sends.
const NEVER: Duration = Duration::from_secs(86_400);

/// For everything that happens at once unless something is broken.
const SOON: Duration = Duration::from_secs(30);

/// How long to wait for a notice that should be on its way.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct StdRig {
    setup: Setup,
    client: Whisperr,
    tap: Tap,
    collector: Collector,
    /// Where the queue is, if on file.
    directory: Option<TempDir>,
    teller: Sender<Notice>,
    told: Receiver<Notice>,
    notices: Vec<Notice>,
    /// How far the case has moved the clock, in milliseconds.
    moved: Arc<AtomicU64>,
}

impl StdRig {
    pub(crate) fn in_memory(setup: Setup) -> Result<Self, Reason> {
        Self::new(setup, None)
    }

    pub(crate) fn on_file(setup: Setup) -> Result<Self, Reason> {
        let directory = TempDir::new().map_err(|error| format!("queue directory: {error}"))?;
        Self::new(setup, Some(directory))
    }

    fn new(setup: Setup, directory: Option<TempDir>) -> Result<Self, Reason> {
        let mut collector = Collector::builder().api_key(KEY);
        if let Some(clock) = setup.clock {
            // Its window stands around the date of the case, and its replies say that date.
            collector = collector.clock(move || UtcMs(clock.get()));
        }
        let collector = collector.start().map_err(|error| format!("collector: {error}"))?;
        let tap = Tap::start(collector.addr()).map_err(|error| format!("tap: {error}"))?;
        let (teller, told) = channel();
        let moved = Arc::new(AtomicU64::new(0));
        let client = start(&setup, &moved, &tap, directory.as_ref(), teller.clone())?;
        Ok(Self { setup, client, tap, collector, directory, teller, told, notices: Vec::new(), moved })
    }

    /// Stops delivery, and waits until nothing is in flight.
    fn settle(&self) -> Result<(), Reason> {
        self.client.pause();
        let start = SystemInstant::now();
        loop {
            // A request whose batch is being formed is not in flight yet.
            thread::sleep(Duration::from_millis(2));
            match self.client.status().waiting {
                Waiting::InFlight | Waiting::Storage if start.elapsed() > SOON => {
                    return Err("a request is in flight for ever".into());
                }
                Waiting::InFlight | Waiting::Storage => {}
                _ => return Ok(()),
            }
        }
    }
}

fn start(
    setup: &Setup,
    moved: &Arc<AtomicU64>,
    tap: &Tap,
    directory: Option<&TempDir>,
    teller: Sender<Notice>,
) -> Result<Whisperr, Reason> {
    // The slash at the end is trimmed.
    let mut builder = Whisperr::builder(KEY)
        .base_url(format!("{}/", tap.url()))
        .flush_interval(NEVER)
        .max_queue_bytes(1 << 20)
        .retry_base_delay(Duration::from_millis(10))
        .on_error(move |notice| {
            // Nobody listens once the case is over.
            let _ = teller.send(*notice);
        });
    builder = match directory {
        Some(directory) => builder.queue_dir(directory.path()).fsync(Fsync::Never),
        None => builder.enable_persistence(false),
    };
    if let Some(max_retries) = setup.max_retries {
        builder = builder.max_retries(max_retries);
    }
    if let Some(clock) = setup.clock {
        builder = with_date(builder, clock);
    }
    builder = builder.automatic_events(setup.automatic.as_ref().is_some_and(|automatic| automatic.enabled));
    if let Some(AutomaticSetup { device, .. }) = &setup.automatic {
        builder = builder.clock(MovedClock(Arc::clone(moved)));
        if let Some(version) = &device.os_version {
            builder = builder.os_version(version);
        }
        if let Some(locale) = &device.locale {
            builder = builder.locale(locale);
        }
        if let Some(timezone) = &device.timezone {
            builder = builder.timezone(timezone);
        }
        if let Some(minutes) = device.timezone_offset_minutes {
            builder = builder.timezone_offset_minutes(minutes);
        }
    }
    let client = builder.build().map_err(|error| format!("build: {error}"))?;
    // Until the case flushes, nothing is sent: an identify would go out by itself.
    client.pause();
    Ok(client)
}

/// The system's monotonic clock under a calendar that stands still.
struct FixedDate {
    monotonic: SystemClock,
    utc: UtcMillis,
}

impl Clock for FixedDate {
    fn now(&self) -> Instant {
        self.monotonic.now()
    }

    fn utc(&self) -> Option<UtcMillis> {
        Some(self.utc)
    }
}

/// A clock that stands still unless the case moves it, on a date of its own.
struct MovedClock(Arc<AtomicU64>);

impl Clock for MovedClock {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn utc(&self) -> Option<UtcMillis> {
        SystemClock::new().utc()
    }
}

fn with_date(builder: Builder, utc: UtcMillis) -> Builder {
    builder.clock(FixedDate { monotonic: SystemClock::new(), utc })
}

impl Rig for StdRig {
    fn track(&mut self, event: &TrackScenario, about: About) -> Result<String, Reason> {
        let id = self.client.track_event(&event.event(about)).map_err(|error| format!("track: {error}"))?;
        Ok(String::from_utf8_lossy(&id.to_text()).into_owned())
    }

    fn identify(&mut self, user: &IdentifyScenario) -> Result<(), Reason> {
        let channels = user.channels();
        self.client.identify(user.identify(&channels)).map_err(|error| format!("identify: {error}"))
    }

    fn flush(&mut self) -> Result<(), Reason> {
        self.client.resume();
        if self.client.flush(SOON) == Flush::TimedOut {
            return Err(format!("the flush did not end within {SOON:?}"));
        }
        self.settle()
    }

    fn act(&mut self, act: Act<'_>) -> Result<(), Reason> {
        let client = &self.client;
        let said = match act {
            Act::Track(event) => client.track_event(&event).map(|_| ()),
            Act::SetPushToken(token) => client.set_push_token(token),
            Act::Reset => client.reset_without_flush(),
            Act::OptOut => client.opt_out(),
            Act::OptIn => client.opt_in(),
            Act::Launch { version, build } => client.launch(version, build),
            Act::Foreground => client.foreground(),
            Act::Background => client.background(),
            Act::Screen(name) => client.screen(name),
            Act::PushOpened(data) => client.push_opened(data.iter().copied()),
            Act::Advance { ms } => {
                self.moved.fetch_add(ms, Ordering::Relaxed);
                Ok(())
            }
            Act::Restart => return self.hand_over(),
        };
        said.map_err(|error| error.to_string())
    }

    fn hand_over(&mut self) -> Result<(), Reason> {
        if self.directory.is_none() {
            return Ok(());
        }
        self.settle()?;
        // Paused, it sends nothing more: this only waits for the directory to be free.
        let _paused = self.client.shutdown(SOON);
        self.client =
            start(&self.setup, &self.moved, &self.tap, self.directory.as_ref(), self.teller.clone())?;
        Ok(())
    }

    fn answer(&mut self, status: u16) -> Result<(), Reason> {
        self.collector.clear_faults();
        match status {
            202 => {}
            200..600 => self.collector.fault(Fault::status(status)),
            _ => return Err(format!("no HTTP exchange ends with {status}")),
        }
        Ok(())
    }

    fn exchanges(&self) -> Result<Vec<Exchange>, Reason> {
        let (sent, seen) = (self.tap.requests()?, self.collector.requests());
        if sent.len() != seen.len() {
            return Err(format!("{} requests were sent, {} arrived", sent.len(), seen.len()));
        }
        let pairs = sent.into_iter().zip(seen);
        pairs
            .map(|(sent, seen)| {
                check_head(&sent.method, KEY, |name| sent.header(name))?;
                let body = serde_json::from_slice(&sent.body).map_err(|error| format!("body: {error}"))?;
                Ok(Exchange { path: sent.path, body, status: seen.status })
            })
            .collect()
    }

    fn notices(&mut self) -> Vec<Notice> {
        if self.notices.is_empty() {
            self.notices.extend(self.told.recv_timeout(NOTICE_TIMEOUT));
        }
        self.notices.extend(self.told.try_iter());
        self.notices.clone()
    }

    fn owed(&self) -> u32 {
        self.client.status().owed
    }
}
