//! Why a client cannot be built, or an operation not be accepted.

use core::fmt;

use whisperr_core::{
    AppVersionError, BaseUrlError, ConfigError, EnqueueError, EventTypeError, Fault, KeyError,
    OpenError as CoreOpenError, PushTokenError, RecordError, UserIdError, ValueError,
};

use crate::file::{FileError, OpenError};
use crate::storage::StorageError;

/// Why an operation was not accepted.
///
/// Bad input is refused by name and nothing else is lost. Only [`Error::Storage`] leaves it open
/// whether the operation will be delivered: it is not promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The event's name breaks the rule.
    EventType(EventTypeError),
    /// The user id breaks the rule.
    User(UserIdError),
    /// The version or build of the application breaks the rule.
    AppVersion(AppVersionError),
    /// The push token breaks the rule.
    PushToken(PushTokenError),
    /// The properties, context or traits cannot be stored.
    Record(RecordError),
    /// The queue is full and nothing in it may be evicted.
    QueueFull {
        /// Most operations.
        max_queue_size: u32,
        /// Most bytes of their records.
        max_queue_bytes: u64,
    },
    /// The call asked for persistence, and the queue lives in memory or under [`Fsync::Never`](crate::Fsync::Never).
    NotPersistent,
    /// The disk is full. What was accepted is kept.
    StorageFull,
    /// The storage failed.
    Storage(StorageError),
}

impl Error {
    /// Whether the caller's input is at fault: the same call will fail again.
    #[must_use]
    pub const fn is_invalid_input(&self) -> bool {
        matches!(
            self,
            Self::EventType(_) | Self::User(_) | Self::PushToken(_) | Self::AppVersion(_) | Self::Record(_)
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventType(error) => error.fmt(f),
            Self::User(error) => error.fmt(f),
            Self::PushToken(error) => error.fmt(f),
            Self::AppVersion(error) => error.fmt(f),
            Self::Record(error) => error.fmt(f),
            Self::QueueFull { max_queue_size, max_queue_bytes } => write!(
                f,
                "the queue of at most {max_queue_size} operations and {max_queue_bytes} bytes is full and nothing in \
                 it may be evicted"
            ),
            Self::NotPersistent => {
                f.write_str("persistence is required, and the queue lives in memory or is never synced")
            }
            Self::StorageFull => f.write_str("the storage is full"),
            Self::Storage(error) => write!(f, "the queue failed: {error}"),
        }
    }
}

impl core::error::Error for Error {}

impl From<EnqueueError<StorageError>> for Error {
    fn from(error: EnqueueError<StorageError>) -> Self {
        match error {
            EnqueueError::EventType(error) => Self::EventType(error),
            EnqueueError::User(error) => Self::User(error),
            EnqueueError::PushToken(error) => Self::PushToken(error),
            EnqueueError::AppVersion(error) => Self::AppVersion(error),
            EnqueueError::Record(error) => Self::Record(error),
            EnqueueError::Full { operations_max, bytes_max } => {
                Self::QueueFull { max_queue_size: operations_max, max_queue_bytes: bytes_max }
            }
            EnqueueError::NotPersistent => Self::NotPersistent,
            EnqueueError::Storage(fault) => fault.into(),
            _ => Self::StorageFull,
        }
    }
}

impl From<Fault<StorageError>> for Error {
    fn from(fault: Fault<StorageError>) -> Self {
        match fault {
            Fault::Full | Fault::Medium(StorageError::File(FileError::DiskFull)) => Self::StorageFull,
            Fault::Medium(error) => Self::Storage(error),
        }
    }
}

/// Why a client cannot be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The ingestion key breaks the rule.
    Key(KeyError),
    /// The base URL breaks the rule.
    BaseUrl(BaseUrlError),
    /// The base URL is `https`, and no TLS feature (`rustls`, `native-tls`) is enabled.
    NoTls,
    /// A setting is outside its range.
    Config(ConfigError),
    /// What is to go with every event cannot be stored.
    Defaults {
        /// `default_properties` or `default_context`.
        name: &'static str,
        /// Why.
        error: ValueError,
    },
    /// `queue_dir` was not set and the system does not say where state belongs.
    NoQueueDir,
    /// The queue directory cannot be used.
    QueueDir(OpenError),
    /// The queue could not be read or written.
    Storage(Error),
    /// A certificate or a proxy was not understood, or no HTTP client could be made.
    Http(String),
    /// The system gave no random numbers, or no thread.
    System(std::io::Error),
    /// The process-wide client exists already.
    AlreadyInitialized,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => error.fmt(f),
            Self::BaseUrl(error) => error.fmt(f),
            Self::NoTls => {
                f.write_str("base_url is https, but neither feature rustls nor native-tls is enabled")
            }
            Self::Config(error) => error.fmt(f),
            Self::Defaults { name, error } => write!(f, "{name} {error}"),
            Self::NoQueueDir => {
                f.write_str("queue_dir is not set, and neither XDG_STATE_HOME nor a home directory is known")
            }
            Self::QueueDir(error) => write!(f, "queue_dir: {error}"),
            Self::Storage(error) => error.fmt(f),
            Self::Http(error) => write!(f, "the HTTP client could not be made: {error}"),
            Self::System(error) => write!(f, "the runner could not be started: {error}"),
            Self::AlreadyInitialized => f.write_str("the process-wide client exists already"),
        }
    }
}

impl core::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::QueueDir(error) => Some(error),
            Self::System(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CoreOpenError<StorageError>> for BuildError {
    fn from(error: CoreOpenError<StorageError>) -> Self {
        match error {
            CoreOpenError::Config(error) => Self::Config(error),
            CoreOpenError::Storage(fault) => Self::Storage(fault.into()),
            _ => Self::Storage(Error::StorageFull),
        }
    }
}
