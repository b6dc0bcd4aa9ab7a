//! The handle's automatic events. For firmware a launch is a boot, an update is a firmware update, and the background
//! is sleep.

use core::pin::pin;

use embassy_sync::blocking_mutex::raw::RawMutex;
use whisperr_core::{Clock, EnqueueError, Storage};

use crate::handle::Handle;

impl<S: Storage, C: Clock, M: RawMutex> Handle<'_, S, C, M> {
    /// The firmware started, in this version and build. Reports an installation (`app_installed`) or an update
    /// (`app_updated`), once each. Call it right after [`open`](crate::open), before anything else is said.
    ///
    /// # Errors
    /// [`EnqueueError`]: it is then reported at the next start.
    pub async fn launch(&self, app_version: &str, app_build: &str) -> Result<(), EnqueueError<S::Error>> {
        let mut turn = self.shared().turn().await;
        let accepted = { pin!(turn.client.launch(turn.now, turn.device, app_version, app_build)).await };
        turn.end(accepted).map(drop)
    }

    /// The device is in use: `app_opened`. Does nothing when it is already.
    ///
    /// # Errors
    /// [`EnqueueError`].
    pub async fn foreground(&self) -> Result<(), EnqueueError<S::Error>> {
        let mut turn = self.shared().turn().await;
        let accepted = { pin!(turn.client.foreground(turn.now, turn.device)).await };
        turn.end(accepted).map(drop)
    }

    /// The device goes to sleep: `app_backgrounded`. What is owed starts on its way.
    ///
    /// # Errors
    /// [`EnqueueError`].
    pub async fn background(&self) -> Result<(), EnqueueError<S::Error>> {
        let mut turn = self.shared().turn().await;
        let accepted = { pin!(turn.client.background(turn.now, turn.device)).await };
        turn.end(accepted).map(drop)
    }

    /// A screen is shown: `screen_viewed`, with automatic events switched off, too.
    ///
    /// # Errors
    /// [`EnqueueError`].
    pub async fn screen(&self, name: &str) -> Result<(), EnqueueError<S::Error>> {
        let mut turn = self.shared().turn().await;
        let accepted = { pin!(turn.client.screen(turn.now, turn.device, name)).await };
        turn.end(accepted).map(drop)
    }

    /// A notification was opened, with this data: `push_opened` when it has a `whisperr_message_id`. Data of
    /// somebody else's notification is ignored.
    ///
    /// # Errors
    /// [`EnqueueError`].
    pub async fn push_opened<'a>(
        &self,
        data: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), EnqueueError<S::Error>> {
        let (mut message_id, mut deep_link) = ("", None);
        for (key, value) in data {
            match key {
                "whisperr_message_id" => message_id = value,
                "deep_link" => deep_link = Some(value),
                _ => {}
            }
        }
        let mut turn = self.shared().turn().await;
        let accepted = { pin!(turn.client.push_opened(turn.now, turn.device, message_id, deep_link)).await };
        turn.end(accepted).map(drop)
    }
}
