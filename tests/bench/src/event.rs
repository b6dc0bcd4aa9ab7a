//! The event that everything is measured with: what a shop or a kiosk says.

use serde::Serialize;

/// Events of a burst.
pub(crate) const BURST: u32 = 100_000;

pub(crate) const USER: &str = "user_8842";
pub(crate) const EVENT_TYPE: &str = "payment_failed";

/// The properties, with one value that differs between events.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Properties {
    amount_cents: u32,
    currency: &'static str,
    reason: &'static str,
    attempt: u8,
}

impl Properties {
    pub(crate) const fn new(n: u32) -> Self {
        Self { amount_cents: n, currency: "USD", reason: "card_declined", attempt: 3 }
    }
}
