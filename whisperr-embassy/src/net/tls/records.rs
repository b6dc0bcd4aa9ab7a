//! Looks at the records of the server before TLS does.

use embedded_io_async::{Error, ErrorKind, ErrorType, Read, Write};

/// Bytes of a record's header.
const HEADER_BYTES: usize = 5;

/// The type of an encrypted record.
const ENCRYPTED: u8 = 23;

/// Least bytes of an encrypted record: the type of what is in it, and the tag. `embedded-tls` 0.19 panics at one whose
/// content is empty, which RFC 8446 (section 5.4) calls an error, and which anybody in the middle can send.
const ENCRYPTED_BYTES_MIN: u16 = 17;

/// A connection whose records are worth decrypting.
pub(super) struct Records<C> {
    connection: C,
    header: [u8; HEADER_BYTES],
    header_len: usize,
    /// Bytes of the record under way that are still to come.
    left: u16,
}

/// Why a byte was not read.
#[derive(Debug, Clone, Copy)]
pub(super) enum RecordError<E> {
    Connection(E),
    /// The record is one that must not be.
    Refused,
}

impl<E: core::fmt::Debug> core::fmt::Display for RecordError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Connection(_) => "the connection broke",
            Self::Refused => "the server sent a record without content",
        })
    }
}

impl<E: core::fmt::Debug> core::error::Error for RecordError<E> {}

impl<E: Error> Error for RecordError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Connection(error) => error.kind(),
            Self::Refused => ErrorKind::InvalidData,
        }
    }
}

impl<C> Records<C> {
    pub(super) const fn new(connection: C) -> Self {
        Self { connection, header: [0; HEADER_BYTES], header_len: 0, left: 0 }
    }

    /// Whether what was read may be passed on.
    fn check(&mut self, mut bytes: &[u8]) -> bool {
        while let [first, rest @ ..] = bytes {
            if self.left > 0 {
                let skipped = bytes.len().min(self.left.into());
                self.left = self.left.saturating_sub(u16::try_from(skipped).unwrap_or(u16::MAX));
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            bytes = rest;
            if let Some(to) = self.header.get_mut(self.header_len) {
                *to = *first;
            }
            self.header_len = self.header_len.saturating_add(1);
            if self.header_len == HEADER_BYTES {
                let [kind, _, _, high, low] = self.header;
                self.header_len = 0;
                self.left = u16::from_be_bytes([high, low]);
                if kind == ENCRYPTED && self.left < ENCRYPTED_BYTES_MIN {
                    return false;
                }
            }
        }
        true
    }
}

impl<C: ErrorType> ErrorType for Records<C> {
    type Error = RecordError<C::Error>;
}

impl<C: Read> Read for Records<C> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        let count = self.connection.read(buffer).await.map_err(RecordError::Connection)?;
        if self.check(buffer.get(..count).unwrap_or_default()) {
            Ok(count)
        } else {
            Err(RecordError::Refused)
        }
    }
}

impl<C: Write> Write for Records<C> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.connection.write(bytes).await.map_err(RecordError::Connection)
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        self.connection.flush().await.map_err(RecordError::Connection)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn record(kind: u8, bytes: usize) -> Vec<u8> {
        let [high, low] = u16::try_from(bytes).unwrap().to_be_bytes();
        let mut record = Vec::from([kind, 3, 3, high, low]);
        record.extend(core::iter::repeat_n(23, bytes));
        record
    }

    #[test]
    fn an_encrypted_record_without_content_is_refused_however_it_is_cut() {
        for (records, passes) in [
            ([(22, 90), (20, 1), (23, 17)], true),
            ([(22, 0), (21, 2), (23, 16_401)], true),
            ([(22, 90), (20, 1), (23, 16)], false),
            ([(23, 100), (23, 0), (23, 100)], false),
        ] {
            let bytes: Vec<u8> = records.into_iter().flat_map(|(kind, bytes)| record(kind, bytes)).collect();
            for step in [1, 2, 3, 4, 5, 7, 64, bytes.len()] {
                let mut checked = Records::new(());
                let found = bytes.chunks(step).all(|piece| checked.check(piece));
                assert_eq!(found, passes, "{records:?} in pieces of {step}");
            }
        }
    }
}
