//! The core over memory storage, in simulated time.

use whisperr_core::{Config, FlushProgress, Notice};
use whisperr_simulation::{Options, World, reply};

use crate::report::Reason;
use crate::rig::{Exchange, Rig, Setup};
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
        let utc = setup.clock.map(|clock| clock.get()).or(options.utc);
        Self { world: World::new(SEED, Options { config, utc, ..options }), setup }
    }

    /// Requests take time, and the fixture's date is the one at which things are said.
    fn set_clock(&self) {
        if let Some(clock) = self.setup.clock {
            self.world.clock().set_utc(Some(clock.get()));
        }
    }
}

impl Rig for CoreRig {
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
