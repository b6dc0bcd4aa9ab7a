//! A client on the device, delivering to the server.

use core::cell::RefCell;
use core::fmt;
use core::time::Duration;
use std::rc::Rc;

use embassy_futures::select::select;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use whisperr_embassy::net::{HttpTransport, Server as Destination, TcpBuffers};
use whisperr_embassy::{
    Config, Device, EmbassyClock, Flush, Handle, Notice, Options, RecordBuffers, Resources, Transport,
    UtcMillis, open, props,
};

use crate::flash::Flash;
use crate::lab::{Lab, PORT, leak};

/// 2026-05-31T12:00:00Z.
pub const UTC: UtcMillis = UtcMillis::new(1_780_228_800_000);

/// The ingestion key of every client.
pub const KEY: &str = "wrk_lab";

/// A client and what it told.
pub struct Client {
    /// What the application holds.
    pub handle: Handle<'static, Flash>,
    /// Its clock, which knows the date.
    pub clock: &'static EmbassyClock,
    notices: Rc<RefCell<Vec<Notice>>>,
    kill: Rc<Signal<NoopRawMutex, ()>>,
}

impl Lab {
    /// Where the server is, for a plain client.
    #[must_use]
    pub fn base_url() -> String {
        format!("http://10.0.0.1:{PORT}")
    }

    /// A plain transport to the server at this base URL.
    ///
    /// # Panics
    /// When the URL is not one it speaks.
    #[must_use]
    pub fn transport(&self, base_url: String) -> HttpTransport<'static> {
        self.transport_with(base_url, leak(TcpBuffers::<1024, 512>::new()))
    }

    /// The same with buffers of its own.
    ///
    /// # Panics
    /// When the URL is not one it speaks.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "a test that says nonsense must end")]
    pub fn transport_with<const TX: usize, const RX: usize>(
        &self,
        base_url: String,
        buffers: &'static mut TcpBuffers<TX, RX>,
    ) -> HttpTransport<'static> {
        let server = Destination::new(KEY).unwrap().base_url(base_url.leak()).unwrap();
        HttpTransport::new(self.device(), buffers, server).unwrap()
    }

    /// A medium with room for a few thousand events.
    #[must_use]
    pub fn flash(&self) -> Flash {
        Flash::new(256 << 10, self.chance())
    }

    /// A client with these settings over a new medium, delivering to the server.
    pub fn client(&self, config: Config) -> Client {
        self.client_over(self.flash(), config, self.transport(Self::base_url()))
    }

    /// A client over this medium and this transport.
    pub fn client_over<T: Transport + 'static>(&self, flash: Flash, config: Config, transport: T) -> Client {
        self.client_as(flash, config, Device::new("lab"), transport)
    }

    /// The same on a device of its own.
    ///
    /// # Panics
    /// When it does not open.
    #[expect(clippy::unwrap_used, reason = "a test whose client does not open must end")]
    pub fn client_as<T: Transport + 'static>(
        &self,
        flash: Flash,
        config: Config,
        device: Device<'static>,
        mut transport: T,
    ) -> Client {
        let clock = leak(EmbassyClock::new());
        clock.set_utc(UTC);
        let clock: &'static EmbassyClock = clock;
        let options = Options::new(device).config(config);
        let mut entropy = self.chance();
        let opening = open(
            leak(Resources::new()),
            leak(RecordBuffers::<1024>::new()),
            flash,
            clock,
            &options,
            &mut entropy,
        );
        let (handle, mut runner) = self.run(opening.unwrap().finish()).unwrap();
        let notices: Rc<RefCell<Vec<Notice>>> = Rc::default();
        let kill = Rc::new(Signal::new());
        let (told, killed) = (Rc::clone(&notices), Rc::clone(&kill));
        self.tasks().spawn(async move {
            let run = runner.run(&mut transport, |notice| told.borrow_mut().push(notice));
            let _whichever = select(run, killed.wait()).await;
        });
        Client { handle, clock, notices, kill }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("notices", &self.notices).finish_non_exhaustive()
    }
}

impl Client {
    /// What the application was told so far.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        self.notices.borrow().clone()
    }

    /// The runner and its transport end where they stand, as at a reset of the device. The medium stays.
    pub fn kill(&self) {
        self.kill.signal(());
    }

    /// Tracks an event with a number.
    ///
    /// # Panics
    /// When it is refused.
    #[expect(clippy::unwrap_used, reason = "a test whose event is refused must end")]
    pub async fn track(&self, event_type: &str, number: u64) {
        let _id = self.handle.track(event_type, props! { "number" => number }).await.unwrap();
    }

    /// Flushes for at most a minute.
    pub async fn flush(&self) -> Flush {
        self.handle.flush(Duration::from_secs(60)).await
    }
}
