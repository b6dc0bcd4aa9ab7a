//! Integers as text, without the formatting machinery: it costs more than all that is formatted here.

/// The decimal text of an integer.
pub(crate) struct Decimal {
    text: [u8; 21],
    start: usize,
}

impl Decimal {
    /// The text of `value`.
    pub(crate) fn new(mut value: u64) -> Self {
        let mut decimal = Self { text: [0; 21], start: 21 };
        loop {
            decimal.put(b'0' | (value % 10) as u8);
            value /= 10;
            if value == 0 {
                return decimal;
            }
        }
    }

    /// The text of −1 − `n`.
    pub(crate) fn negative(n: u64) -> Self {
        let mut decimal = Self::new(n.saturating_add(1));
        decimal.put(b'-');
        decimal
    }

    /// Adds a character in front.
    fn put(&mut self, character: u8) {
        self.start = self.start.saturating_sub(1);
        if let Some(free) = self.text.get_mut(self.start) {
            *free = character;
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn integers_read_as_the_standard_library_writes_them() {
        for value in [0, 1, 9, 10, 63, 4900, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            assert_eq!(Decimal::new(value).as_bytes(), value.to_string().as_bytes());
        }
        for value in [-1, -10, -4900, i64::MIN] {
            assert_eq!(Decimal::negative(!value as u64).as_bytes(), value.to_string().as_bytes());
        }
    }
}
