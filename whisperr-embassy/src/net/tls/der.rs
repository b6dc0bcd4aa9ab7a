//! The parts of a certificate that `embedded-tls` does not look at.
//!
//! A walk over DER in a fixed number of steps: every length is checked against what is there, and what is not as it
//! should be is nothing.

/// A constructed element.
const SEQUENCE: u8 = 0x30;
/// The version of a certificate, `[0]`.
const VERSION: u8 = 0xa0;
/// The extensions of a certificate, `[3]`.
const EXTENSIONS: u8 = 0xa3;
const OID: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;

/// `basicConstraints`, 2.5.29.19.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// Who issued a certificate, and whom it is about, as their names stand in it; and its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Certificate<'a> {
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads a certificate.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = Elements(der).take(SEQUENCE)?;
        let mut inner = outer.take(SEQUENCE)?;
        let _version = inner.take(VERSION);
        let (_serial, _algorithm) = (inner.next()?, inner.take(SEQUENCE)?);
        let issuer = inner.take(SEQUENCE)?.0;
        let _validity = inner.take(SEQUENCE)?;
        let subject = inner.take(SEQUENCE)?.0;
        let _key = inner.take(SEQUENCE)?;
        let extensions = inner.find(EXTENSIONS).and_then(|mut found| found.take(SEQUENCE));
        Some(Self { issuer, subject, extensions: extensions.map_or(&[], |found| found.0) })
    }

    /// Whether it says that its holder may issue certificates (RFC 5280, section 4.2.1.9).
    pub(super) fn is_authority(&self) -> bool {
        let mut extensions = Elements(self.extensions);
        while let Some(mut extension) = extensions.take(SEQUENCE) {
            if extension.take(OID).is_some_and(|oid| oid.0 == BASIC_CONSTRAINTS) {
                let _is_critical = extension.take(BOOLEAN);
                let value = extension.take(OCTET_STRING).and_then(|mut value| value.take(SEQUENCE));
                return value.and_then(|mut value| value.take(BOOLEAN)).is_some_and(|is| is.0 == [0xff]);
            }
        }
        false
    }
}

/// Elements one after another.
#[derive(Clone, Copy)]
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, Self)> {
        let [tag, first, rest @ ..] = self.0 else { return None };
        let (len, rest) = match *first {
            len @ ..=0x7f => (usize::from(len), rest),
            // So many bytes of length follow; a certificate is shorter than 64 KiB.
            0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
            0x82 => {
                let (len, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*len)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((*tag, Self(content)))
    }

    /// The next element, if it has this tag; else it stays the next.
    fn take(&mut self, tag: u8) -> Option<Self> {
        let before = *self;
        match self.next() {
            Some((found, content)) if found == tag => Some(content),
            _ => {
                *self = before;
                None
            }
        }
    }

    /// The first element of this tag.
    fn find(&mut self, tag: u8) -> Option<Self> {
        while let Some((found, content)) = self.next() {
            if found == tag {
                return Some(content);
            }
        }
        None
    }
}
