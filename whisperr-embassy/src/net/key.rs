//! The ingestion key of a transport.

use core::cell::Cell;
use core::fmt;

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use whisperr_core::{IngestionKey, KeyError};

/// An ingestion key that can be replaced while a transport uses it: rotated from afar, or written down only at the
/// end of an installation. For a static, or anything else that outlives the transport.
///
/// ```
/// use whisperr_embassy::net::{KeyCell, Server};
///
/// # async fn rotate<S: whisperr_embassy::Storage>(handle: whisperr_embassy::Handle<'_, S>) -> Result<(), Box<dyn core::error::Error>> {
/// let key = KeyCell::new("wrk_old")?;
/// let server = Server::with_key_cell(&key)?;
/// // Later, when another one was received:
/// key.set("wrk_new")?;
/// handle.retry_auth().await;
/// # let _ = server;
/// # Ok(())
/// # }
/// ```
pub struct KeyCell(Mutex<CriticalSectionRawMutex, Cell<IngestionKey<'static>>>);

impl KeyCell {
    /// Holds a key: visible ASCII, at most [`KEY_BYTES_MAX`](whisperr_core::KEY_BYTES_MAX) bytes.
    ///
    /// # Errors
    /// [`KeyError`] for what no header can carry.
    pub fn new(key: &'static str) -> Result<Self, KeyError> {
        Ok(Self(Mutex::new(Cell::new(IngestionKey::parse(key)?))))
    }

    /// Replaces the key: the next request carries this one. Delivery that stands still because the server refused the
    /// old one goes on with [`Handle::retry_auth`](crate::Handle::retry_auth).
    ///
    /// # Errors
    /// [`KeyError`]: the old key stays.
    pub fn set(&self, key: &'static str) -> Result<(), KeyError> {
        let key = IngestionKey::parse(key)?;
        self.0.lock(|cell| cell.set(key));
        Ok(())
    }

    fn get(&self) -> IngestionKey<'static> {
        self.0.lock(Cell::get)
    }
}

/// Prints the first four characters of the key and nothing else.
impl fmt::Debug for KeyCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// The key of a [`Server`](super::Server).
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    Fixed(IngestionKey<'a>),
    Cell(&'a KeyCell),
}

impl<'a> Key<'a> {
    /// What the next request carries.
    pub(super) fn get(self) -> IngestionKey<'a> {
        match self {
            Self::Fixed(key) => key,
            Self::Cell(cell) => cell.get(),
        }
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Key<'_> {}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
