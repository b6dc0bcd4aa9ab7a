//! The handle's automatic events: launches, foreground and background, screens, opened notifications.

use whisperr_core::{Session, ready};

use crate::error::Error;
use crate::handle::Whisperr;

impl Whisperr {
    /// The application was launched, in this version and build. Reports an installation (`app_installed`) or an
    /// update (`app_updated`), once each. Call it right after the client is built, before anything else
    /// is said: what an earlier client left behind is no installation.
    ///
    /// # Errors
    /// [`Error`]: it is then reported at the next launch.
    pub fn launch(&self, app_version: &str, app_build: &str) -> Result<(), Error> {
        self.say_in_session("launch", |client, now, device| {
            client.continue_session(now, Session::default());
            ready(client.launch(now, device, app_version, app_build))
        })
    }

    /// The application came to the foreground: `app_opened`. Does nothing when it is there already.
    ///
    /// # Errors
    /// [`Error`].
    pub fn foreground(&self) -> Result<(), Error> {
        self.say_in_session("foreground", |client, now, device| ready(client.foreground(now, device)))
    }

    /// The application went to the background: `app_backgrounded`. What is owed starts on its way.
    ///
    /// # Errors
    /// [`Error`].
    pub fn background(&self) -> Result<(), Error> {
        self.say_in_session("background", |client, now, device| ready(client.background(now, device)))
    }

    /// A screen is shown: `screen_viewed`, with automatic events switched off, too.
    ///
    /// # Errors
    /// [`Error`].
    pub fn screen(&self, name: &str) -> Result<(), Error> {
        self.say("screen", |client, now, device| ready(client.screen(now, device, name)))
    }

    /// A notification was opened, with this data: `push_opened` when it has a `whisperr_message_id`, with automatic
    /// events switched off, too. Data of somebody else's notification is ignored.
    ///
    /// # Errors
    /// [`Error`].
    pub fn push_opened<'a>(&self, data: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), Error> {
        let (mut message_id, mut deep_link) = ("", None);
        for (key, value) in data {
            match key {
                "whisperr_message_id" => message_id = value,
                "deep_link" => deep_link = Some(value),
                _ => {}
            }
        }
        self.say("push_opened", |client, now, device| {
            ready(client.push_opened(now, device, message_id, deep_link))
        })
    }
}
