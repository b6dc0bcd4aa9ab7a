//! Launches, foreground and background, screens and opened notifications (contract, section 9).

use core::pin::pin;
use core::time::Duration;

use super::say::Encoded;
use super::{Accepted, Client, EnqueueError, Now, Refusal};
use crate::application::{Seen, Version};
use crate::automatic::{Automatic, AutomaticProperties};
use crate::clock::{Instant, millis};
use crate::device::Device;
use crate::kept::Trouble;
#[cfg(whisperr_planted)]
use crate::planted::{self, Bug};
use crate::storage::{Fault, Storage};

/// When the application came to the foreground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Foreground {
    since: Instant,
    /// How long it was there before this client was opened.
    before: Duration,
}

impl Foreground {
    fn lasted(&self, now: Now) -> Duration {
        now.instant.since(self.since).saturating_add(self.before)
    }
}

/// How far the application's session is. Whoever speaks for it from several processes in turn, as scripts do, hands
/// it on from one to the next; after a boot it starts anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "who keeps it between processes builds it")]
pub struct Session {
    /// Whether [`Client::launch`] named a version.
    pub launched: bool,
    /// Whether it was in the foreground: what comes next is no cold start.
    pub opened: bool,
    /// How long it has been in the foreground, if it is there.
    pub foreground: Option<Duration>,
}

impl<S: Storage, B: AsMut<[u8]>> Client<S, B> {
    /// How far the application's session is.
    #[must_use]
    pub fn session(&self, now: Now) -> Session {
        let foreground = self.foreground.map(|foreground| foreground.lasted(now));
        Session { launched: self.launched, opened: self.was_opened, foreground }
    }

    /// Goes on with a session that another client has begun.
    pub fn continue_session(&mut self, now: Now, session: Session) {
        self.launched = session.launched;
        self.was_opened = session.opened;
        self.foreground = session.foreground.map(|before| Foreground { since: now.instant, before });
    }

    /// The application was launched, in this version and build; on a device: it has booted this firmware. Reports an
    /// installation or an update, and goes before the launch's [`foreground`](Self::foreground).
    ///
    /// An installation is a first launch on a storage that holds nothing of an earlier client: call this
    /// before anything else is said. What was seen is written down before the event, with the event's number: after
    /// a crash at any point the event is there once, as far as the medium keeps what it promised.
    ///
    /// # Errors
    /// See [`EnqueueError`]: the event is then reported at the next launch.
    pub async fn launch(
        &mut self,
        now: Now,
        device: Device<'_>,
        version: &str,
        build: &str,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        let accepted = self.report_launch(now, &device, version, build).await;
        self.answer(accepted)
    }

    async fn report_launch(
        &mut self,
        now: Now,
        device: &Device<'_>,
        version: &str,
        build: &str,
    ) -> Result<Accepted, Refusal> {
        self.learn_time(now);
        let version = Version::parse(version, build)?;
        self.settle_launch().await?;
        let Some(encoded) = self.encode_launch(now, device, version).await? else {
            return Ok(Accepted::default());
        };
        let reported = self.finish_track(now, encoded, false).await;
        if reported.is_err() {
            // Its number is another operation's: what was seen before counts again.
            let _as_before = self.settle_launch().await;
        } else {
            self.unsettled = false;
            // Before the event can be sent: a power cut that took both back would report it once more. Where this
            // fails, or cannot be, it may.
            let _durable = self.storage.persist().await;
        }
        reported
    }

    /// Writes the version down, and encodes the event of a launch; nothing when there is none. An event that is
    /// refused is the inner error: by then the version stands. A function of its own, so that the versions are gone
    /// before the event is appended.
    async fn encode_launch(
        &mut self,
        now: Now,
        device: &Device<'_>,
        version: Version<'_>,
    ) -> Result<Option<Result<Option<Encoded>, Refusal>>, Refusal> {
        let mut stored = Seen::NOTHING;
        stored.load(&mut self.storage).await?;
        let seq = self.storage.next_seq();
        let last = stored.last(seq);
        if last == Some(version) {
            self.launched = true;
            return Ok(None);
        }
        let own = match last {
            Some(before) => Some(Automatic::Updated { before }),
            // What an older client left without a version is no installation.
            None => self.is_fresh.then_some(Automatic::Installed),
        };
        let own = own.filter(|_| self.delivery.config().automatic_events && !self.is_opted_out());
        let seen = Seen::new(version, own.is_some().then_some(seq), last);
        #[cfg(whisperr_planted)]
        let seen = if planted::is(Bug::VersionWithoutEvent) { Seen::new(version, None, last) } else { seen };
        self.unsettled = true;
        seen.store(&mut self.storage).await?;
        self.launched = true;
        let Some(own) = own else { return Ok(None) };
        let properties = AutomaticProperties { own, device, application: Some(version) };
        let begun = self.prepare_track(now, own.event_type(), None, false).await;
        Ok(Some(self.encode_track(begun, properties.body())))
    }

    /// Takes back what a launch wrote down whose event was not recorded, before another operation takes its number.
    ///
    /// # Errors
    /// [`Fault::Medium`]: then nothing may take that number. A medium without room is no reason to refuse anything.
    pub(super) async fn settle_launch(&mut self) -> Result<(), Trouble> {
        if !self.unsettled {
            return Ok(());
        }
        let mut seen = Seen::NOTHING;
        seen.load(&mut self.storage).await?;
        let next = self.storage.next_seq();
        if seen.is_unrecorded(next) {
            let before = seen.last(next).map_or(Seen::NOTHING, |before| Seen::new(before, None, None));
            match before.store(&mut self.storage).await {
                Ok(()) => {}
                // Tried again before the next one.
                Err(Fault::Full) => return Ok(()),
                Err(fault) => return Err(fault),
            }
        }
        self.unsettled = false;
        Ok(())
    }

    /// The application came to the foreground; on a device: it woke up. Does nothing when it is there already.
    ///
    /// # Errors
    /// See [`EnqueueError`].
    pub async fn foreground(
        &mut self,
        now: Now,
        device: Device<'_>,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        if self.foreground.is_some() {
            return Ok(Accepted::default());
        }
        self.foreground = Some(Foreground { since: now.instant, before: Duration::ZERO });
        let cold_start = !core::mem::replace(&mut self.was_opened, true);
        pin!(self.automatic(now, device, Automatic::Opened { cold_start })).await
    }

    /// The application goes to the background; on a device: it goes to sleep. What is owed starts on
    /// its way at once. Does nothing else when it is there already.
    ///
    /// # Errors
    /// See [`EnqueueError`].
    pub async fn background(
        &mut self,
        now: Now,
        device: Device<'_>,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        let mut accepted = Ok(Accepted::default());
        if let Some(foreground) = self.foreground.take() {
            let foreground_ms = millis(foreground.lasted(now));
            accepted = pin!(self.automatic(now, device, Automatic::Backgrounded { foreground_ms })).await;
        }
        self.delivery.handle_flush();
        accepted.map(|accepted| Accepted { wake: true, ..accepted })
    }

    /// A screen is shown. Reported with automatic events switched off, too.
    ///
    /// # Errors
    /// See [`EnqueueError`].
    pub async fn screen(
        &mut self,
        now: Now,
        device: Device<'_>,
        name: &str,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        self.say(now, device, Automatic::ScreenViewed { name }).await
    }

    /// A notification was opened whose data names this `whisperr_message_id`, and perhaps a `deep_link`. Reported
    /// with automatic events switched off, too. Without a message id it was not Whisperr's: nothing is recorded.
    ///
    /// # Errors
    /// See [`EnqueueError`].
    pub async fn push_opened(
        &mut self,
        now: Now,
        device: Device<'_>,
        message_id: &str,
        deep_link: Option<&str>,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        if message_id.is_empty() {
            return Ok(Accepted::default());
        }
        self.say(now, device, Automatic::PushOpened { message_id, deep_link }).await
    }

    async fn automatic(
        &mut self,
        now: Now,
        device: Device<'_>,
        own: Automatic<'_>,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        if !self.delivery.config().automatic_events {
            return Ok(Accepted::default());
        }
        self.say(now, device, own).await
    }

    async fn say(
        &mut self,
        now: Now,
        device: Device<'_>,
        own: Automatic<'_>,
    ) -> Result<Accepted, EnqueueError<S::Error>> {
        let encoded = self.encode_automatic(now, &device, own).await;
        let accepted = self.finish_track(now, encoded, false).await;
        self.answer(accepted)
    }

    async fn encode_automatic(
        &mut self,
        now: Now,
        device: &Device<'_>,
        own: Automatic<'_>,
    ) -> Result<Option<Encoded>, Refusal> {
        let mut seen = Seen::NOTHING;
        if self.launched {
            // The version is the one of this launch, not of an earlier one.
            seen.load(&mut self.storage).await?;
        }
        let begun = self.begin_track(now, own.event_type(), None, false).await;
        let properties = AutomaticProperties { own, device, application: seen.current() };
        self.encode_track(begun, properties.body())
    }
}
