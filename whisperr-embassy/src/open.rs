//! Where a client begins.

use core::fmt;

use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, RawMutex};
use whisperr_core::{Clock, Config, Device, Now, OpenError, Place, Storage};

use crate::clock::EmbassyClock;
use crate::entropy::Entropy;
use crate::handle::Handle;
use crate::runner::Runner;
use crate::shared::Shared;

/// The place of a client, for a static of the caller's.
pub struct Resources<'d, S: Storage, C: Clock = &'d EmbassyClock, M: RawMutex = CriticalSectionRawMutex> {
    shared: Place<Shared<'d, S, C, M>>,
}

impl<S: Storage, C: Clock, M: RawMutex> Resources<'_, S, C, M> {
    /// An empty place.
    #[must_use]
    pub const fn new() -> Self {
        Self { shared: Place::new() }
    }
}

impl<S: Storage, C: Clock, M: RawMutex> Default for Resources<'_, S, C, M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Storage, C: Clock, M: RawMutex> fmt::Debug for Resources<'_, S, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").finish_non_exhaustive()
    }
}

/// Buffers for one operation each: one in which the handle encodes, one from which the runner sends.
///
/// `N` is the largest operation as stored, in bytes: 256 to 65,535. What is larger is refused when it is said.
#[derive(Debug)]
pub struct RecordBuffers<const N: usize = 1024> {
    encode: [u8; N],
    send: [u8; N],
}

impl<const N: usize> RecordBuffers<N> {
    /// Empty buffers, for a static.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N >= 256 && N <= whisperr_core::RECORD_BYTES_MAX, "operations have 256 to 65535 bytes") }
        Self { encode: [0; N], send: [0; N] }
    }
}

impl<const N: usize> Default for RecordBuffers<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// What a client knows and how it works.
#[derive(Debug, Clone, Copy)]
pub struct Options<'d> {
    config: Config,
    device: Device<'d>,
}

impl<'d> Options<'d> {
    /// The defaults, for a device of this platform: firmware names its own, in lower case.
    #[must_use]
    pub const fn new(device: Device<'d>) -> Self {
        Self { config: Config::DEFAULT, device }
    }

    /// Sets the settings of the queue and its delivery.
    #[must_use]
    pub const fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }
}

/// Opens a client over a storage that may hold operations from before. Give the [`Runner`] to a task, and copies of
/// the [`Handle`] to whoever has something to say.
///
/// 16 bytes are taken from `entropy`.
///
/// # Errors
/// [`OpenError`] for a setting outside its range, or a storage that cannot be read.
pub async fn open<'d, S: Storage, C: Clock, M: RawMutex, const N: usize>(
    resources: &'d mut Resources<'d, S, C, M>,
    buffers: &'d mut RecordBuffers<N>,
    storage: S,
    clock: C,
    options: &Options<'d>,
    entropy: &mut impl Entropy,
) -> Result<(Handle<'d, S, C, M>, Runner<'d, S, C, M>), OpenError<S::Error>> {
    let mut seed = [0; 16];
    entropy.fill(&mut seed);
    let now = Now::read(&clock);
    let encode: &mut [u8] = &mut buffers.encode;
    let around = |client| Shared::new(client, clock, options.device);
    let put = resources.shared.put(storage, encode, &options.config, around, Shared::client_mut);
    let opening = put.map_err(OpenError::Config)?;
    let opened = opening.finish(u128::from_le_bytes(seed), now).await;
    let shared = &*opened.map_err(OpenError::Storage)?;
    Ok((Handle::new(shared), Runner::new(shared, &mut buffers.send)))
}
