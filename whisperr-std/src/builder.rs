//! How a client is set up.

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use whisperr_core::{
    BaseUrl, Client, Clock, Config, ConfigError, DEFAULT_BASE_URL, IngestionKey, MemoryStorage, Notice, Now,
    Overflow, Properties, RECORD_BYTES_MAX, Transport, ValueError, ready,
};

use crate::about::{About, encode};
use crate::clock::SystemClock;
use crate::error::{BuildError, Error};
use crate::file::{FileOptions, FileStorage, Fsync, SYNC_INTERVAL_MAX};
use crate::handle::{Settings, Whisperr};
use crate::http::{ApiKey, HttpTransport};
use crate::http_client::{HttpSettings, http_client};
use crate::runner::{self, OnError};
use crate::session::{self, Uptime};
use crate::shared::{AnyClock, Shared};
use crate::storage::QueueStorage;

/// Least bytes of a record buffer.
const OPERATION_BYTES_MIN: usize = 256;

/// Every setting of a client, under its name in every Whisperr SDK. Wrong values are refused by
/// [`build`](Self::build), with the name and the legal range.
///
/// ```no_run
/// use std::time::Duration;
/// use whisperr_std::{Fsync, Whisperr};
///
/// let whisperr = Whisperr::builder("wrk_…")
///     .queue_dir("/var/lib/kiosk/whisperr")
///     .flush_interval(Duration::from_secs(60))
///     .fsync(Fsync::Always)
///     .on_error(|notice| eprintln!("{}: {notice}", notice.kind().as_str()))
///     .build()?;
/// # Ok::<(), whisperr_std::BuildError>(())
/// ```
#[must_use = "nothing happens before `build`"]
pub struct Builder {
    api_key: String,
    base_url: String,
    config: Config,
    max_operation_bytes: usize,
    persistence: bool,
    queue_dir: Option<PathBuf>,
    fsync: Fsync,
    disabled: bool,
    debug: bool,
    shutdown_timeout: Duration,
    on_error: Option<OnError>,
    http: HttpSettings,
    clock: Option<AnyClock>,
    seed: Option<u128>,
    about: About,
    lasting_session: bool,
    /// What was wrong with the defaults for every event.
    refused_defaults: Option<(&'static str, ValueError)>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        pub const fn $name(mut self, $name: $type) -> Self {
            self.config.$name = $name;
            self
        }
    )*};
}

impl Builder {
    pub(crate) fn new(api_key: String) -> Self {
        Self {
            api_key,
            base_url: String::new(),
            config: Config::DEFAULT,
            max_operation_bytes: 32 << 10,
            persistence: true,
            queue_dir: None,
            fsync: Fsync::Interval(SYNC_INTERVAL_MAX),
            disabled: false,
            debug: false,
            shutdown_timeout: Duration::from_secs(2),
            on_error: None,
            http: HttpSettings::new(),
            clock: None,
            seed: None,
            about: About::default(),
            lasting_session: false,
            refused_defaults: None,
        }
    }

    settings! {
        /// How long a queued event waits for company before it is sent. Default 15 s; 1 s to 24 h.
        flush_interval: Duration;
        /// How many queued operations start a flush at once. Default 20; 1 to 10,000,000.
        flush_at: u32;
        /// Most events in one request. Default 500; 1 to 500.
        max_batch_size: u16;
        /// Most operations in the queue; past it the oldest event is evicted and surfaced. Default
        /// 1000; 1 to 10,000,000.
        max_queue_size: u32;
        /// Most bytes of records in the queue, likewise. Default 64 MiB; 1 KiB to 1 TiB. Without
        /// persistence this much memory is reserved.
        max_queue_bytes: u64;
        /// What happens when the queue is full. Default: the oldest event is evicted and surfaced.
        overflow: Overflow;
        /// Most bytes of a request of several events. Default 512 KiB; 1 KiB to 64 MiB.
        max_request_bytes: u32;
        /// How many retries follow a failed attempt before `retry_exhausted` is surfaced; everything
        /// is kept and tried on. Default 6; 0 to 1000.
        max_retries: u32;
        /// The ceiling of the first backoff; it doubles with each failure. Default 1 s; 10 ms to 1 h.
        retry_base_delay: Duration;
        /// The ceiling of every backoff. Default 5 min; `retry_base_delay` to 24 h.
        max_retry_delay: Duration;
        /// How long an attempt may take. Default 30 s; 100 ms to 10 min.
        request_timeout: Duration;
        /// Whether launches, installations, updates, and moves to the foreground and background are reported as
        /// events. Default true; nothing is reported before the application says so.
        automatic_events: bool;
    }

    /// Whether launch, foreground and background are those of an application that outlives this process and
    /// for which several processes speak in turn, as scripts do; after a boot it is launched anew. Linux and
    /// Android only: elsewhere [`build`](Self::build) refuses it. Default false.
    pub const fn session_across_processes(mut self, lasting: bool) -> Self {
        self.lasting_session = lasting;
        self
    }

    /// The version of the operating system, for automatic events. Default: left out.
    pub fn os_version(mut self, version: impl Into<String>) -> Self {
        self.about.os_version = Some(version.into());
        self
    }

    /// The locale of this device as BCP 47 writes it, for automatic events and as a trait of every identify that
    /// does not say one. Default: left out, as on a server, which must not guess that of its users.
    pub fn locale(mut self, locale: impl Into<String>) -> Self {
        self.about.locale = Some(locale.into());
        self
    }

    /// The time zone of this device by its IANA name, likewise.
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.about.timezone = Some(name.into());
        self
    }

    /// The offset of this device from UTC in minutes, east positive, likewise; where the time zone is not known.
    pub const fn timezone_offset_minutes(mut self, minutes: i16) -> Self {
        self.about.timezone_offset_minutes = Some(minutes);
        self
    }

    /// Properties of every event that does not say them itself. At most 16 KiB as encoded.
    pub fn default_properties(mut self, properties: &impl Properties) -> Self {
        match encode(properties) {
            Ok(encoded) => self.about.default_properties = encoded,
            Err(error) => self.refused_defaults = Some(("default_properties", error)),
        }
        self
    }

    /// The same for the context: the device's id, the version of its firmware.
    pub fn default_context(mut self, context: &impl Properties) -> Self {
        match encode(context) {
            Ok(encoded) => self.about.default_context = encoded,
            Err(error) => self.refused_defaults = Some(("default_context", error)),
        }
        self
    }

    /// Where the server is. Default [`DEFAULT_BASE_URL`]; `http` or `https`, a path prefix is kept.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Most bytes of one operation as stored. Default 32 KiB; 256 bytes to 65,535.
    pub const fn max_operation_bytes(mut self, bytes: usize) -> Self {
        self.max_operation_bytes = bytes;
        self
    }

    /// Whether the queue survives the process. Default true. Without, it lives in memory.
    pub const fn enable_persistence(mut self, enable: bool) -> Self {
        self.persistence = enable;
        self
    }

    /// The directory of the queue, for this client alone: a second one is refused while the first
    /// lives. Default: a directory named after the program and the key, under `$XDG_STATE_HOME/whisperr`
    /// or `~/.local/state/whisperr` (`%LOCALAPPDATA%\whisperr` on Windows). It holds contact data:
    /// it is created for its owner only.
    pub fn queue_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.queue_dir = Some(path.into());
        self
    }

    /// When accepted operations are synced to the medium, for power cuts. Default every second.
    /// The death of the process loses nothing under any policy.
    pub const fn fsync(mut self, policy: Fsync) -> Self {
        self.fsync = policy;
        self
    }

    /// Makes a client that does nothing: no thread, no file, no key needed, every call succeeds and
    /// [`Whisperr::track`] returns the nil message id. Default false.
    pub const fn disabled(mut self, disabled: bool) -> Self {
        self.disabled = disabled;
        self
    }

    /// Logs every step at `info` level (through the `log` crate, target `whisperr`) and not only
    /// what went wrong. Default false.
    pub const fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// How long dropping the last handle may deliver before it gives up. Default 2 s.
    pub const fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Is told every [`Notice`], on the runner's thread: nothing is sent until it returns. A panic
    /// in it is caught. It must not hold a [`Whisperr`], which could then never be dropped.
    pub fn on_error(mut self, callback: impl FnMut(&Notice) + Send + 'static) -> Self {
        self.on_error = Some(Box::new(callback));
        self
    }

    /// Sends through a client of your own. It must not follow redirects.
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.http.client = Some(client);
        self
    }

    /// Sends through this proxy, `http://host:port`. Default: the system's environment variables.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.http.proxy = Some(url.into());
        self
    }

    /// Trusts this certificate authority too: one or more certificates as PEM text.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.http.root_certificate = Some(pem.into());
        self
    }

    /// Reads the time from a clock of your own: for tests.
    pub fn clock(mut self, clock: impl Clock + Send + Sync + 'static) -> Self {
        self.clock = Some(AnyClock(Box::new(clock)));
        self
    }

    /// Takes ids and jitter from a seed of your own: for tests. Default: the system's randomness.
    pub const fn seed(mut self, seed: u128) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds a client that delivers over HTTP, and starts its runner.
    ///
    /// # Errors
    /// [`BuildError`] for a setting that is wrong, or a queue directory that cannot be used.
    pub fn build(mut self) -> Result<Whisperr, BuildError> {
        if self.disabled {
            return Ok(Whisperr::disabled());
        }
        let key = self.api_key.clone();
        let key = IngestionKey::parse(&key).map_err(BuildError::Key)?;
        let url = if self.base_url.is_empty() { DEFAULT_BASE_URL.to_owned() } else { self.base_url.clone() };
        let url = BaseUrl::parse(&url).map_err(BuildError::BaseUrl)?;
        let client = http_client(core::mem::take(&mut self.http), url.is_secure())?;
        let transport = HttpTransport::new(client, url, key);
        let api_key = transport.api_key();
        self.start(transport, Some(api_key))
    }

    /// Builds a client over a transport of your own: the base URL and the HTTP settings are its
    /// matter then.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_with_transport<T>(self, transport: T) -> Result<Whisperr, BuildError>
    where
        T: Transport + Send + 'static,
    {
        self.start(transport, None)
    }

    fn start<T>(mut self, transport: T, api_key: Option<ApiKey>) -> Result<Whisperr, BuildError>
    where
        T: Transport + Send + 'static,
    {
        if self.disabled {
            return Ok(Whisperr::disabled());
        }
        self.config.validate().map_err(BuildError::Config)?;
        self.check_operation_bytes()?;
        if let Some((name, error)) = self.refused_defaults {
            return Err(BuildError::Defaults { name, error });
        }
        let seed = match self.seed {
            Some(seed) => seed,
            None => random_seed()?,
        };
        let clock = self.clock.take().unwrap_or_else(|| AnyClock(Box::new(SystemClock::new())));
        let (storage, sync) = self.open_storage()?;
        let buffer = vec![0; self.max_operation_bytes];
        let opened = ready(Client::open(storage, buffer, &self.config, seed, Now::read(&clock)));
        let mut client = opened.ok_or(BuildError::Storage(Error::StorageFull))??;
        if matches!(client.storage(), QueueStorage::File(file) if file.open_report().newer_segments > 0) {
            client.add_notice(Notice::NewerFormat);
        }
        let session =
            if self.lasting_session { Some(Uptime::read().map_err(BuildError::System)?) } else { None };
        if let Some(uptime) = &session {
            session::resume(&mut client, Now::read(&clock), uptime).map_err(BuildError::Storage)?;
        }
        let shared = Arc::new(Shared::new(client, clock, sync));
        runner::start(&shared, transport, self.on_error.take(), self.debug).map_err(BuildError::System)?;
        let settings = Settings {
            about: self.about,
            session,
            api_key,
            shutdown_timeout: self.shutdown_timeout,
            debug: self.debug,
        };
        Ok(Whisperr::new(shared, settings))
    }

    fn check_operation_bytes(&self) -> Result<(), BuildError> {
        let (min, max) = (OPERATION_BYTES_MIN, RECORD_BYTES_MAX);
        if (min..=max).contains(&self.max_operation_bytes) {
            return Ok(());
        }
        let [value, min, max] = [self.max_operation_bytes, min, max].map(|number| number as u64);
        Err(BuildError::Config(ConfigError::Number { name: "max_operation_bytes", value, min, max }))
    }

    fn open_storage(&self) -> Result<(QueueStorage, Option<(crate::file::Syncer, Fsync)>), BuildError> {
        if !self.persistence {
            let bytes = memory_bytes(&self.config);
            let memory = MemoryStorage::new(vec![0; bytes].into_boxed_slice());
            return Ok((QueueStorage::Memory(memory), None));
        }
        let path = match &self.queue_dir {
            Some(path) => path.clone(),
            None => default_queue_dir(&self.api_key).ok_or(BuildError::NoQueueDir)?,
        };
        // Frames, removals and records on their way between segments need more than the records alone.
        let log_bytes = self.config.max_queue_bytes.saturating_mul(2).clamp(LOG_BYTES_MIN, 1 << 40);
        let options = FileOptions::new().fsync(self.fsync).max_bytes(log_bytes);
        let file = FileStorage::open(&path, options).map_err(BuildError::QueueDir)?;
        let sync = file.syncer();
        Ok((QueueStorage::File(file), Some((sync, self.fsync))))
    }
}

/// Least bytes the log of the queue may take: four segments.
const LOG_BYTES_MIN: u64 = 8 << 20;

/// Memory for a queue without persistence: the records, and the heads and slots around them.
fn memory_bytes(config: &Config) -> usize {
    let heads = u64::from(config.max_queue_size).saturating_mul(16);
    let bytes = config.max_queue_bytes.saturating_add(heads).saturating_add(8 << 10);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn random_seed() -> Result<u128, BuildError> {
    let mut seed = [0; 16];
    getrandom::fill(&mut seed).map_err(|error| BuildError::System(std::io::Error::other(error)))?;
    Ok(u128::from_le_bytes(seed))
}

/// Where state belongs on this system, in a directory for this program and this key.
fn default_queue_dir(api_key: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = if cfg!(windows) {
        set("LOCALAPPDATA")?
    } else if cfg!(target_os = "macos") {
        set("HOME")?.join("Library").join("Application Support")
    } else {
        set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local").join("state")))?
    };
    let program = std::env::current_exe().ok()?;
    let mut name = program.file_stem()?.to_os_string();
    name.push(format!("-{:08x}", crc32c::crc32c(api_key.trim().as_bytes())));
    Some(state.join("whisperr").join(name))
}
