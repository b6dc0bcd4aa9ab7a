//! Where a client begins.

use core::fmt;
use core::pin::pin;

use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, RawMutex};
use whisperr_core::{Clock, Config, ConfigError, Device, Fault, Now, Place, Room, Storage, apart};

use crate::clock::EmbassyClock;
use crate::entropy::Entropy;
use crate::handle::Handle;
use crate::runner::Runner;
use crate::shared::Shared;

/// The place of a client, for a static of the caller's.
pub struct Resources<'d, S: Storage, C: Clock = &'d EmbassyClock, M: RawMutex = CriticalSectionRawMutex> {
    client: Place<S, &'d mut [u8]>,
    shared: Room<Shared<'d, S, C, M>>,
}

impl<S: Storage, C: Clock, M: RawMutex> Resources<'_, S, C, M> {
    /// An empty place.
    #[must_use]
    pub const fn new() -> Self {
        Self { client: Place::new(), shared: Room::new() }
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

/// Begins to open a client over a storage that may hold operations from before; [`Opening::finish`] does it.
///
/// 16 bytes are taken from `entropy`.
///
/// # Errors
/// [`ConfigError`] for a setting outside its range.
// Two steps, and this one not `async`: a future that is given the storage holds it for as long as it runs.
pub fn open<'d, S: Storage, C: Clock, M: RawMutex, const N: usize>(
    resources: &'d mut Resources<'d, S, C, M>,
    buffers: &'d mut RecordBuffers<N>,
    storage: S,
    clock: C,
    options: &Options<'d>,
    entropy: &mut impl Entropy,
) -> Result<Opening<'d, S, C, M>, ConfigError> {
    let mut seed = [0; 16];
    entropy.fill(&mut seed);
    let encode: &'d mut [u8] = &mut buffers.encode;
    Ok(Opening {
        client: resources.client.put(storage, encode, &options.config)?,
        shared: &mut resources.shared,
        send: &mut buffers.send,
        seed: u128::from_le_bytes(seed),
        device: options.device,
        clock,
    })
}

/// A client that has its place and has not read its storage yet.
#[must_use = "the client is not open before this is finished"]
pub struct Opening<'d, S: Storage, C: Clock = &'d EmbassyClock, M: RawMutex = CriticalSectionRawMutex> {
    client: whisperr_core::Opening<'d, S, &'d mut [u8]>,
    shared: &'d mut Room<Shared<'d, S, C, M>>,
    send: &'d mut [u8],
    seed: u128,
    device: Device<'d>,
    clock: C,
}

impl<'d, S: Storage, C: Clock, M: RawMutex> Opening<'d, S, C, M> {
    /// Opens the client. Give the [`Runner`] to a task, and copies of the [`Handle`] to whoever has something to say.
    ///
    /// # Errors
    /// [`Fault`]: the storage cannot be read. One that cannot be written opens: what it holds is still delivered.
    pub async fn finish(self) -> Result<(Handle<'d, S, C, M>, Runner<'d, S, C, M>), Fault<S::Error>> {
        let now = Now::read(&self.clock);
        let client = { apart(pin!(self.client.finish(self.seed, now))).await }?;
        let shared = &*self.shared.put(Shared::new(client, self.clock, self.device));
        Ok((Handle::new(shared), Runner::new(shared, self.send)))
    }
}

impl<S: Storage, C: Clock, M: RawMutex> fmt::Debug for Opening<'_, S, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}
