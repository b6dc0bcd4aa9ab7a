//! The process-wide client.

use std::sync::OnceLock;

use crate::builder::Builder;
use crate::error::BuildError;
use crate::handle::Whisperr;

static INSTANCE: OnceLock<Whisperr> = OnceLock::new();

/// Builds the client of the process, which [`instance`] returns from here on.
///
/// It lives until the process ends, and statics are not dropped: call [`Whisperr::shutdown`] before
/// the end of `main` to deliver the rest. Without, nothing is lost: it is delivered at the next start.
///
/// # Errors
/// [`BuildError::AlreadyInitialized`] the second time, else as [`Builder::build`].
pub fn init(builder: Builder) -> Result<&'static Whisperr, BuildError> {
    if INSTANCE.get().is_some() {
        return Err(BuildError::AlreadyInitialized);
    }
    let whisperr = builder.build()?;
    INSTANCE.set(whisperr).map_err(|_| BuildError::AlreadyInitialized)?;
    INSTANCE.get().ok_or(BuildError::AlreadyInitialized)
}

/// The client of the process; `None` before [`init`].
#[must_use]
pub fn instance() -> Option<&'static Whisperr> {
    INSTANCE.get()
}
