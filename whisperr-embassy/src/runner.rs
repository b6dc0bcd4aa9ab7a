//! The one loop, as a task.

use core::fmt;

use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, RawMutex};
use whisperr_core::{Body, Clock, Notice, Reply, Request, Storage, Transport, run};

use crate::clock::EmbassyClock;
use crate::logging;
use crate::shared::Shared;

/// Delivers what is owed; see [`open`](crate::open). It belongs into a task of its own.
pub struct Runner<'d, S: Storage, C: Clock = &'d EmbassyClock, M: RawMutex = CriticalSectionRawMutex> {
    shared: &'d Shared<'d, S, C, M>,
    buffer: &'d mut [u8],
}

impl<S: Storage, C: Clock, M: RawMutex> fmt::Debug for Runner<'_, S, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

impl<'d, S: Storage, C: Clock, M: RawMutex> Runner<'d, S, C, M> {
    pub(crate) const fn new(shared: &'d Shared<'d, S, C, M>, buffer: &'d mut [u8]) -> Self {
        Self { shared, buffer }
    }

    #[cfg(feature = "tls")]
    pub(crate) const fn clock(&self) -> &'d C {
        self.shared.clock()
    }

    /// Delivers until [`Handle::stop`](crate::Handle::stop). `notify` is told every [`Notice`]; nothing is sent
    /// until it returns.
    ///
    /// The future may be dropped at any time, such as before a reset of the network, and `run` be called again:
    /// a request that was out counts as unanswered.
    pub async fn run<T: Transport>(&mut self, transport: &mut T, mut notify: impl FnMut(Notice)) {
        let shared = self.shared;
        shared.set_running(true);
        let running = Running(shared);
        let mut transport = Watched { transport, shared };
        let notify = |notice: Notice| {
            logging::debug(notice.kind().as_str(), &notice);
            notify(notice);
        };
        run(shared, shared.clock(), &mut transport, self.buffer, notify).await;
        drop(running);
        shared.set_ended();
    }
}

/// Says that nobody runs it any more, however that came.
struct Running<'a, 'd, S: Storage, C: Clock, M: RawMutex>(&'a Shared<'d, S, C, M>);

impl<S: Storage, C: Clock, M: RawMutex> Drop for Running<'_, '_, S, C, M> {
    fn drop(&mut self) {
        self.0.set_running(false);
    }
}

/// A transport that says when a request is out.
struct Watched<'a, 'd, T, S: Storage, C: Clock, M: RawMutex> {
    transport: &'a mut T,
    shared: &'a Shared<'d, S, C, M>,
}

struct Sending<'a, 'd, S: Storage, C: Clock, M: RawMutex>(&'a Shared<'d, S, C, M>);

impl<S: Storage, C: Clock, M: RawMutex> Drop for Sending<'_, '_, S, C, M> {
    fn drop(&mut self) {
        self.0.set_sending(false);
    }
}

impl<T: Transport, S: Storage, C: Clock, M: RawMutex> Transport for Watched<'_, '_, T, S, C, M> {
    type Error = T::Error;

    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, T::Error> {
        let _sending = Sending(self.shared);
        self.shared.set_sending(true);
        self.transport.send(request, body).await
    }
}
