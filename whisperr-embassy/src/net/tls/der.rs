//! A walk over DER in a fixed number of steps: every length is checked against what is there, and what is not as it
//! should be is nothing.

/// A constructed element.
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;

/// Elements one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Elements<'a>(pub(super) &'a [u8]);

impl<'a> Elements<'a> {
    /// The next element: its tag and its content.
    pub(super) fn next(&mut self) -> Option<(u8, Self)> {
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

    /// The next element, if it has this tag, and all of its bytes; else it stays the next.
    pub(super) fn take_whole(&mut self, tag: u8) -> Option<(&'a [u8], Self)> {
        let before = self.0;
        let content = self.take(tag)?;
        Some((before.get(..before.len().checked_sub(self.0.len())?)?, content))
    }

    /// The bytes of the content of a bit string, where none of their bits is left over.
    pub(super) fn bits(self) -> Option<&'a [u8]> {
        // How many bits of the last byte do not count comes first.
        self.0.strip_prefix(&[0])
    }

    /// The next element, if it has this tag; else it stays the next.
    pub(super) fn take(&mut self, tag: u8) -> Option<Self> {
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
    pub(super) fn find(&mut self, tag: u8) -> Option<Self> {
        while let Some((found, content)) = self.next() {
            if found == tag {
                return Some(content);
            }
        }
        None
    }
}
