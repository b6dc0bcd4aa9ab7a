//! What a status means.

/// The class of a reply (contract, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every outcome has its own handling")]
pub enum Outcome {
    /// 2xx: exactly the operations sent are settled.
    Ok,
    /// 401, 403: delivery stops, everything is kept.
    Auth,
    /// 429, 5xx, no reply; also what a Whisperr server never says (1xx, 3xx): something on the way answered.
    Retry,
    /// 400, 413, 422: something in the batch is refused; it is isolated, and alone it is dropped.
    Refused,
    /// Any other 4xx: what was sent is dropped.
    Drop,
}

impl Outcome {
    /// The class of a status, for any number.
    #[must_use]
    pub const fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Ok,
            401 | 403 => Self::Auth,
            429 => Self::Retry,
            400 | 413 | 422 => Self::Refused,
            402..=499 => Self::Drop,
            _ => Self::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_contracts_class() {
        for status in 0..=u16::MAX {
            let expected = match status {
                200..=299 => Outcome::Ok,
                401 | 403 => Outcome::Auth,
                400 | 413 | 422 => Outcome::Refused,
                429 => Outcome::Retry,
                400..=499 => Outcome::Drop,
                _ => Outcome::Retry,
            };
            assert_eq!(Outcome::of(status), expected, "{status}");
        }
    }
}
