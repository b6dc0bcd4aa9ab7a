//! `whisperr-embassy` over two network stacks in virtual time.

use core::time::Duration;

use whisperr_embassy::net::TcpBuffers;
use whisperr_embassy::{Config, Device, Flush, Notice, Waiting};
use whisperr_embassy_tests::{Answer, Client, Faults, Flash, KEY, Lab, leak};
use whisperr_virtual_time::now_us;

use crate::report::Reason;
use crate::rig::{Act, AutomaticSetup, Exchange, Rig, Setup, check_head};
use crate::scenario::{About, IdentifyScenario, TrackScenario};

/// Every run is the same run.
const SEED: u64 = 1;

/// Longer than any flush of a case takes, and no time at all outside of it.
const SOON: Duration = Duration::from_secs(86_400);

pub(crate) struct EmbassyRig {
    lab: Lab,
    flash: Flash,
    setup: Setup,
    client: Client,
    notices: Vec<Notice>,
    /// When the case began, in microseconds, and how far it has moved the clock.
    start_us: u64,
    moved_us: u64,
}

impl EmbassyRig {
    pub(crate) fn new(setup: Setup) -> Self {
        let lab = Lab::new(SEED);
        // Only the case moves the clock: what happens meanwhile takes some microseconds.
        lab.wire().set(Faults { delay_us: 0, ..Faults::NONE });
        let flash = lab.flash();
        let client = start(&lab, &flash, &setup);
        // Whole milliseconds, so that what a case takes beside its own moves is rounded away.
        let start_us = now_us().next_multiple_of(1000);
        let mut rig = Self { lab, flash, setup, client, notices: Vec::new(), start_us, moved_us: 0 };
        rig.go_on();
        rig
    }

    /// Lets time pass until the moment to which the case has moved the clock.
    fn go_on(&mut self) {
        let until_us = self.start_us.saturating_add(self.moved_us);
        let us = until_us.saturating_sub(now_us());
        if us > 0 {
            self.lab.pass(Duration::from_micros(us));
        }
    }

    /// The fixture's date is the one at which things are said.
    fn set_clock(&self) {
        if let Some(clock) = self.setup.clock {
            self.client.clock.set_utc(clock);
        }
    }
}

fn start(lab: &Lab, flash: &Flash, setup: &Setup) -> Client {
    let defaults = Config::DEFAULT;
    let config = Config {
        automatic_events: setup.automatic.as_ref().is_some_and(|automatic| automatic.enabled),
        max_retries: setup.max_retries.unwrap_or(defaults.max_retries),
        ..defaults
    };
    // The slash at the end is trimmed.
    // With room for any request, none waits for the server's acknowledgement of its first part.
    let transport =
        lab.transport_with(format!("{}/", Lab::base_url()), leak(TcpBuffers::<65_536, 512>::new()));
    let client = lab.client_as(flash.clone(), config, device(setup), transport);
    // Until the case flushes, nothing is sent: an identify would go out by itself.
    lab.run(client.handle.pause());
    client
}

/// The device of a case, for as long as the process lives.
fn device(setup: &Setup) -> Device<'static> {
    let mut device = Device::new(std::env::consts::OS);
    let Some(AutomaticSetup { device: known, .. }) = setup.automatic.clone() else { return device };
    if let Some(version) = known.os_version {
        device = device.os_version(version.leak());
    }
    if let Some(locale) = known.locale {
        device = device.locale(locale.leak());
    }
    if let Some(timezone) = known.timezone {
        device = device.timezone(timezone.leak());
    }
    match known.timezone_offset_minutes {
        Some(minutes) => device.timezone_offset_minutes(minutes),
        None => device,
    }
}

impl Rig for EmbassyRig {
    fn track(&mut self, event: &TrackScenario, about: About) -> Result<String, Reason> {
        self.set_clock();
        let tracked = self.lab.run(self.client.handle.track_event(&event.event(about)));
        let id = tracked.map_err(|error| format!("track: {error}"))?;
        Ok(String::from_utf8_lossy(&id.to_text()).into_owned())
    }

    fn act(&mut self, act: Act<'_>) -> Result<(), Reason> {
        let Self { lab, client, .. } = self;
        let handle = &client.handle;
        let said = match act {
            Act::Track(event) => lab.run(handle.track_event(&event)).map(|_| ()),
            Act::SetPushToken(token) => lab.run(handle.set_push_token(token)),
            Act::OptOut => lab.run(handle.opt_out()),
            Act::OptIn => lab.run(handle.opt_in()),
            Act::Launch { version, build } => lab.run(handle.launch(version, build)),
            Act::Foreground => lab.run(handle.foreground()),
            Act::Background => lab.run(handle.background()),
            Act::Screen(name) => lab.run(handle.screen(name)),
            Act::PushOpened(data) => lab.run(handle.push_opened(data.iter().copied())),
            Act::Reset => {
                return lab.run(handle.reset_without_flush()).map_err(|error| format!("reset: {error}"));
            }
            Act::Advance { ms } => {
                self.moved_us = self.moved_us.saturating_add(ms.saturating_mul(1000));
                self.go_on();
                return Ok(());
            }
            Act::Restart => return self.hand_over(),
        };
        said.map_err(|error| error.to_string())
    }

    fn identify(&mut self, user: &IdentifyScenario) -> Result<(), Reason> {
        self.set_clock();
        let channels = user.channels();
        let identified = self.lab.run(self.client.handle.identify(user.identify(&channels)));
        identified.map_err(|error| format!("identify: {error}"))
    }

    fn flush(&mut self) -> Result<(), Reason> {
        let Self { lab, client, .. } = self;
        lab.run(client.handle.resume());
        if lab.run(client.handle.flush(SOON)) == Flush::TimedOut {
            return Err("the flush did not end within a simulated day".into());
        }
        lab.run(client.handle.pause());
        match lab.run(client.handle.status()).waiting {
            Waiting::InFlight => Err("a request is out although delivery is paused".into()),
            _ => Ok(()),
        }
    }

    fn hand_over(&mut self) -> Result<(), Reason> {
        self.notices.extend(self.client.notices());
        self.client.kill();
        // Its socket is free once it is gone.
        self.lab.pass(Duration::from_micros(1));
        self.client = start(&self.lab, &self.flash, &self.setup);
        Ok(())
    }

    fn answer(&mut self, status: u16) -> Result<(), Reason> {
        self.lab.server().script(move |_| Answer::status(status));
        Ok(())
    }

    fn exchanges(&self) -> Result<Vec<Exchange>, Reason> {
        let received = self.lab.server().received().into_iter();
        received
            .map(|request| {
                check_head(&request.method, KEY, |name| request.header(name))?;
                let body = serde_json::from_slice(&request.body).map_err(|error| format!("body: {error}"))?;
                Ok(Exchange { path: request.path, body, status: request.status })
            })
            .collect()
    }

    fn notices(&mut self) -> Vec<Notice> {
        let mut notices = self.notices.clone();
        notices.extend(self.client.notices());
        notices
    }

    fn owed(&self) -> u32 {
        self.lab.run(self.client.handle.status()).owed
    }
}
