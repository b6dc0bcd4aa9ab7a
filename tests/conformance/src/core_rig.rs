//! The core over memory storage, in simulated time.

use whisperr_core::{Config, Device, FlushProgress, Notice};
use whisperr_simulation::{Answer, Options, World, reply};

use crate::report::Reason;
use crate::rig::{Act, AutomaticSetup, Exchange, Rig, Setup};
use crate::scenario::{About, IdentifyScenario, TrackScenario};

/// Every run is the same run.
const SEED: u64 = 1;

pub(crate) struct CoreRig {
    world: World,
    setup: Setup,
}

impl CoreRig {
    pub(crate) fn new(setup: Setup) -> Self {
        let options = Options::default();
        let config = match setup.max_retries {
            Some(max_retries) => Config { max_retries, ..options.config },
            None => options.config,
        };
        let automatic_events = setup.automatic.as_ref().is_some_and(|automatic| automatic.enabled);
        let config = Config { automatic_events, ..config };
        let utc = setup.clock.map(|clock| clock.get()).or(options.utc);
        let world = World::new(SEED, Options { config, utc, ..options });
        // Only the case moves the clock.
        world.network().script(|_, _| Answer { after_ms: 0, ..reply(202) });
        Self { world, setup }
    }

    /// Requests take time, and the fixture's date is the one at which things are said.
    fn set_clock(&self) {
        if let Some(clock) = self.setup.clock {
            self.world.clock().set_utc(Some(clock.get()));
        }
    }
}

/// The device of a case.
fn device(setup: &Setup) -> Device<'_> {
    let mut device = Device::new(std::env::consts::OS);
    let Some(AutomaticSetup { device: known, .. }) = &setup.automatic else { return device };
    if let Some(version) = &known.os_version {
        device = device.os_version(version);
    }
    if let Some(locale) = &known.locale {
        device = device.locale(locale);
    }
    if let Some(timezone) = &known.timezone {
        device = device.timezone(timezone);
    }
    match known.timezone_offset_minutes {
        Some(minutes) => device.timezone_offset_minutes(minutes),
        None => device,
    }
}

impl Rig for CoreRig {
    fn act(&mut self, act: Act<'_>) -> Result<(), Reason> {
        let Self { world, setup } = self;
        let device = device(setup);
        let said = match act {
            Act::Track(event) => world.call(async |client, now| client.track(now, &event).await),
            Act::SetPushToken(token) => {
                world.call(async |client, now| client.set_push_token(now, token).await)
            }
            Act::OptOut => world.call(async |client, now| client.opt_out(now).await),
            Act::OptIn => world.call(async |client, now| client.opt_in(now).await),
            Act::Launch { version, build } => {
                world.call(async |client, now| client.launch(now, device, version, build).await)
            }
            Act::Foreground => world.call(async |client, now| client.foreground(now, device).await),
            Act::Background => world.call(async |client, now| client.background(now, device).await),
            Act::Screen(name) => world.call(async |client, now| client.screen(now, device, name).await),
            Act::PushOpened(data) => {
                let find =
                    |wanted: &str| data.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
                let message_id = find("whisperr_message_id").unwrap_or_default();
                let deep_link = find("deep_link");
                world.call(async |client, now| client.push_opened(now, device, message_id, deep_link).await)
            }
            Act::Reset => return world.reset().map_err(|error| format!("reset: {error}")),
            Act::Restart => {
                world.crash();
                return Ok(());
            }
            Act::Advance { ms } => {
                world.advance(ms);
                return Ok(());
            }
        };
        let accepted = said.map_err(|error| error.to_string())?;
        world.ring(accepted.wake);
        Ok(())
    }

    fn track(&mut self, event: &TrackScenario, about: About) -> Result<String, Reason> {
        self.set_clock();
        let id = self.world.track(&event.event(about)).map_err(|error| format!("track: {error}"))?;
        let id = id.ok_or("track: the event has no message id")?;
        Ok(String::from_utf8_lossy(&id.to_text()).into_owned())
    }

    fn identify(&mut self, user: &IdentifyScenario) -> Result<(), Reason> {
        self.set_clock();
        let channels = user.channels();
        self.world.identify(&user.identify(&channels)).map_err(|error| format!("identify: {error}"))
    }

    fn flush(&mut self) -> Result<(), Reason> {
        match self.world.flush() {
            FlushProgress::Pending => Err("the flush did not end within a simulated day".into()),
            _ => Ok(()),
        }
    }

    fn hand_over(&mut self) -> Result<(), Reason> {
        Ok(())
    }

    fn answer(&mut self, status: u16) -> Result<(), Reason> {
        self.world.network().script(move |_, _| reply(status));
        Ok(())
    }

    fn exchanges(&self) -> Result<Vec<Exchange>, Reason> {
        let exchanges = self.world.network().exchanges().into_iter();
        exchanges
            .map(|exchange| {
                let body =
                    serde_json::from_slice(&exchange.body).map_err(|error| format!("body: {error}"))?;
                Ok(Exchange { path: exchange.path.to_owned(), body, status: exchange.status })
            })
            .collect()
    }

    fn notices(&mut self) -> Vec<Notice> {
        self.world.notices()
    }

    fn owed(&self) -> u32 {
        self.world.status().owed
    }
}
