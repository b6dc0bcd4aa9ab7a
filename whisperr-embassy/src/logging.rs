//! One line for whoever listens: `log`, `defmt`, both or nobody.

use core::fmt::Display;

/// Says something that is of interest when something else went wrong.
#[cfg_attr(
    not(any(feature = "log", feature = "defmt")),
    expect(unused_variables, reason = "without either feature nobody listens")
)]
pub(crate) fn debug(what: &str, detail: &dyn Display) {
    #[cfg(feature = "log")]
    log::debug!(target: "whisperr", "{what}: {detail}");
    #[cfg(feature = "defmt")]
    defmt::debug!("whisperr: {=str}: {}", what, defmt::Display2Format(detail));
}
