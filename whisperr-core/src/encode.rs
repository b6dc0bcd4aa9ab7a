//! Anything `Serialize`, or JSON text, into the stored tree.

use core::fmt;

use serde::ser::{self, Serialize};

use crate::decimal::Decimal;
use crate::json::{self, Json, JsonError};
use crate::tree::{self, DEPTH_MAX, Members, Node};

/// What can be given as properties, traits or context: anything `Serialize` that is an object (a
/// struct, a map, [`props!`](crate::props), `serde_json::Value`), `()` for none, or [`Json`] text.
pub trait Properties {
    /// Writes the object.
    ///
    /// # Errors
    /// [`ValueError`] for what JSON cannot say or a limit forbids.
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), ValueError>;
}

impl<T: Serialize + ?Sized> Properties for T {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), ValueError> {
        self.serialize(encoder)
    }
}

impl Properties for Json<'_> {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), ValueError> {
        json::encode(self.0, encoder)?;
        // `null` is the caller's word here, and no object.
        if self.0.trim_start().starts_with('{') { Ok(()) } else { Err(ValueError::NotAnObject) }
    }
}

/// Properties that somebody else owns.
#[derive(Debug)]
pub struct Borrowed<'a, P: ?Sized>(&'a P);

impl<'a, P: ?Sized> Borrowed<'a, P> {
    pub(crate) const fn new(properties: &'a P) -> Self {
        Self(properties)
    }
}

impl<P: Properties + ?Sized> Properties for Borrowed<'_, P> {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), ValueError> {
        self.0.encode(encoder)
    }
}

/// Why a value cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// The outermost value is not an object.
    NotAnObject,
    /// More than [`DEPTH_MAX`] arrays and objects are nested.
    TooDeep,
    /// A number is not finite: JSON has neither NaN nor infinity.
    NotFinite,
    /// It holds a floating-point number, and the feature `float` is off.
    FloatLeftOut,
    /// A key of an object is not text, a number, a character or a boolean.
    KeyNotText,
    /// The key is the client's own: `$message_id` or `$time_estimated`.
    ReservedKey,
    /// The operation does not fit into a record.
    TooLarge {
        /// Most bytes a record holds here.
        max: usize,
    },
    /// The JSON text is not valid.
    Json(JsonError),
    /// The value's own `Serialize` refused.
    Refused,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("is not an object"),
            Self::TooDeep => write!(f, "is nested deeper than {DEPTH_MAX}"),
            Self::NotFinite => f.write_str("holds a number that is not finite"),
            Self::FloatLeftOut => {
                f.write_str("holds a floating-point number, and the feature `float` is off")
            }
            Self::KeyNotText => f.write_str("holds a key that is not text"),
            Self::ReservedKey => f.write_str("holds a key that is reserved for the client"),
            Self::TooLarge { max } => write!(f, "does not fit into the record limit of {max} bytes"),
            Self::Json(error) => write!(f, "is not valid JSON: {error}"),
            Self::Refused => f.write_str("could not be serialized"),
        }
    }
}

impl core::error::Error for ValueError {}

impl ser::Error for ValueError {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Refused
    }
}

/// Writes stored bytes from the front of a buffer; what does not fit is an error, never cut.
#[derive(Debug)]
pub struct Encoder<'a> {
    buffer: &'a mut [u8],
    len: usize,
    depth: usize,
}

impl<'a> Encoder<'a> {
    pub(crate) const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0, depth: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    const fn too_large(&self) -> ValueError {
        ValueError::TooLarge { max: self.buffer.len() }
    }

    pub(crate) fn byte(&mut self, byte: u8) -> Result<(), ValueError> {
        let max = self.too_large();
        *self.buffer.get_mut(self.len).ok_or(max)? = byte;
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), ValueError> {
        let max = self.too_large();
        let free = self.buffer.get_mut(self.len..).ok_or(max)?;
        free.get_mut(..bytes.len()).ok_or(max)?.copy_from_slice(bytes);
        self.len = self.len.saturating_add(bytes.len());
        Ok(())
    }

    /// Lets postcard write into the free part of the buffer.
    pub(crate) fn postcard<T: Serialize>(&mut self, value: &T) -> Result<(), ValueError> {
        let max = self.too_large();
        let free = self.buffer.get_mut(self.len..).ok_or(max)?;
        let used = postcard::to_slice(value, free).map_err(|_| max)?.len();
        self.len = self.len.saturating_add(used);
        Ok(())
    }

    fn varint(&mut self, mut value: u64) -> Result<(), ValueError> {
        while value >= 0x80 {
            self.byte((value as u8) | 0x80)?;
            value >>= 7;
        }
        self.byte(value as u8)
    }

    pub(crate) fn unsigned(&mut self, value: u64) -> Result<(), ValueError> {
        if value < 64 {
            return self.byte(tree::SMALL_INTEGER | value as u8);
        }
        self.byte(tree::UNSIGNED)?;
        self.varint(value)
    }

    /// The integer −1 − n.
    pub(crate) fn negative(&mut self, n: u64) -> Result<(), ValueError> {
        self.byte(tree::NEGATIVE)?;
        self.varint(n)
    }

    /// A number as JSON text, which the caller has checked.
    pub(crate) fn number(&mut self, text: &str) -> Result<(), ValueError> {
        self.byte(tree::NUMBER)?;
        self.varint(text.len() as u64)?;
        self.bytes(text.as_bytes())
    }

    /// Escapes and writes a string.
    pub(crate) fn string(&mut self, text: &str) -> Result<(), ValueError> {
        if any_needs_escape(text.as_bytes()) {
            self.deferred_string(|encoder| text.bytes().try_for_each(|byte| encoder.escape(byte)))
        } else {
            self.raw_string(text.as_bytes())
        }
    }

    /// Writes a string that is already escaped.
    pub(crate) fn raw_string(&mut self, escaped: &[u8]) -> Result<(), ValueError> {
        self.string_head(escaped.len())?;
        self.bytes(escaped)
    }

    fn string_head(&mut self, len: usize) -> Result<(), ValueError> {
        if len < 128 {
            return self.byte(tree::SHORT_STRING | len as u8);
        }
        self.byte(tree::STRING)?;
        self.varint(len as u64)
    }

    /// Escapes and writes text whose length is not known beforehand.
    pub(crate) fn text(&mut self, text: fmt::Arguments<'_>) -> Result<(), ValueError> {
        self.deferred_string(|encoder| {
            fmt::Write::write_fmt(&mut Escaper(encoder), text).map_err(|_| encoder.too_large())
        })
    }

    /// Writes a string through `write`, and its length in front once that is known.
    pub(crate) fn deferred_string(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), ValueError>,
    ) -> Result<(), ValueError> {
        // Room for the longest head; a shorter one is written and the text moved down to it.
        const HEAD_MAX: usize = 4;
        let head = self.len;
        let start = head.saturating_add(HEAD_MAX);
        let max = self.too_large();
        if start > self.buffer.len() {
            return Err(max);
        }
        self.len = start;
        write(self)?;
        let end = self.len;
        self.len = head;
        self.string_head(end.saturating_sub(start))?;
        self.buffer.copy_within(start..end, self.len);
        self.len = self.len.saturating_add(end.saturating_sub(start));
        Ok(())
    }

    /// Appends one character of a deferred string, escaped.
    pub(crate) fn escape(&mut self, byte: u8) -> Result<(), ValueError> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..0x20 => {
                let low = HEX.get(usize::from(byte & 15)).copied().unwrap_or(b'0');
                return self.bytes(&[b'\\', b'u', b'0', b'0', b'0' | (byte >> 4), low]);
            }
            _ => return self.byte(byte),
        };
        self.bytes(&[b'\\', short])
    }

    pub(crate) fn open(&mut self, tag: u8) -> Result<(), ValueError> {
        if self.depth >= DEPTH_MAX {
            return Err(ValueError::TooDeep);
        }
        self.depth = self.depth.saturating_add(1);
        self.byte(tag)
    }

    pub(crate) fn close(&mut self) -> Result<(), ValueError> {
        self.depth = self.depth.saturating_sub(1);
        self.byte(tree::END)
    }

    /// Writes one whole object; `()` and `None` become the empty one.
    pub(crate) fn object(&mut self, value: &dyn Properties) -> Result<(), ValueError> {
        let start = self.len;
        self.depth = 0;
        value.encode(self)?;
        match self.buffer.get(start..self.len) {
            Some([tree::OBJECT, ..]) => Ok(()),
            Some([tree::NULL]) => {
                self.len = start;
                self.open(tree::OBJECT)?;
                self.close()
            }
            _ => Err(ValueError::NotAnObject),
        }
    }

    /// Takes the object that was written last, at `start`, back if it is empty; whether it was.
    pub(crate) fn drop_empty(&mut self, start: usize) -> bool {
        let empty = self.buffer.get(start..self.len) == Some(&[tree::OBJECT, tree::END]);
        if empty {
            self.len = start;
        }
        empty
    }
}

/// Whether JSON wants any of these bytes escaped: eight at a time, since almost no text needs it.
pub(crate) fn any_needs_escape(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Nonzero exactly when a byte of `word` is below `limit`, which is at most 128.
    let any_below = |word: u64, limit: u8| {
        word.wrapping_sub(ONES.wrapping_mul(limit.into())) & !word & ONES.wrapping_mul(0x80)
    };
    let any_equal = |word: u64, byte: u8| any_below(word ^ ONES.wrapping_mul(byte.into()), 1);
    let escapes = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        any_below(word, 0x20) | any_equal(word, b'"') | any_equal(word, b'\\')
    };
    // The last eight bytes cover what is left over, some of it twice.
    match bytes.last_chunk::<8>() {
        Some(last) => {
            let (words, _) = bytes.as_chunks::<8>();
            words.iter().fold(escapes(last), |found, word| found | escapes(word)) != 0
        }
        None => bytes.iter().any(|byte| needs_escape(*byte)),
    }
}

/// Whether JSON wants this byte escaped.
pub(crate) const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

struct Escaper<'e, 'a>(&'e mut Encoder<'a>);

impl fmt::Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().try_for_each(|byte| self.0.escape(byte)).map_err(|_| fmt::Error)
    }
}

/// Keys of `context` that the client writes itself.
const RESERVED_KEYS: [&str; 2] = ["$message_id", "$time_estimated"];

impl Encoder<'_> {
    /// Writes a key: any scalar, turned into its text.
    pub(crate) fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        let start = self.len;
        key.serialize(&mut *self)?;
        let written = self.buffer.get_mut(start..self.len).unwrap_or_default();
        match tree::Reader::new(written).node() {
            Ok(Node::Text(_)) => Ok(()),
            Ok(Node::Number(_)) => {
                // Both are a tag, a length and the text.
                written.iter_mut().take(1).for_each(|tag| *tag = tree::STRING);
                Ok(())
            }
            Ok(Node::Unsigned(value)) => {
                self.len = start;
                self.raw_string(Decimal::new(value).as_bytes())
            }
            Ok(Node::Negative(n)) => {
                self.len = start;
                self.raw_string(Decimal::negative(n).as_bytes())
            }
            Ok(Node::Bool(value)) => {
                self.len = start;
                self.raw_string(if value { b"true" } else { b"false" })
            }
            _ => Err(ValueError::KeyNotText),
        }
    }

    /// Writes the number that `value`, a text, spells.
    pub(crate) fn number_from_text<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let start = self.len;
        value.serialize(&mut *self)?;
        let written = self.buffer.get(start..self.len).unwrap_or_default();
        match tree::Reader::new(written).node() {
            Ok(Node::Text(text)) if json::is_number(text) => {
                let (len, content) = (text.len(), self.len.saturating_sub(text.len()));
                // The head of a number is one byte longer than that of a short string: the digits move first.
                let moved = content.saturating_add((len < 128).into());
                self.byte(0)?;
                self.buffer.copy_within(content..content.saturating_add(len), moved);
                self.len = start;
                self.byte(tree::NUMBER)?;
                self.varint(len as u64)?;
                self.len = self.len.saturating_add(len);
                Ok(())
            }
            _ => Err(ValueError::Refused),
        }
    }

    fn members(&self, start: usize) -> Result<Members<'_>, ValueError> {
        let object = self.buffer.get(start..self.len).unwrap_or_default();
        Members::of(object).map_err(|_| ValueError::Refused)
    }

    /// Refuses an object, written at `start`, that holds one of the client's own keys.
    pub(crate) fn refuse_reserved_keys(&self, start: usize) -> Result<(), ValueError> {
        RESERVED_KEYS
            .iter()
            .try_for_each(|key| if self.has_key(start, key)? { Err(ValueError::ReservedKey) } else { Ok(()) })
    }

    /// Whether the object that was written last, at `start`, has this key.
    pub(crate) fn has_key(&self, start: usize, key: &str) -> Result<bool, ValueError> {
        let mut members = self.members(start)?;
        while let Some(member) = members.next().map_err(|_| ValueError::Refused)? {
            if member.key == key.as_bytes() || json::unescaped_eq(member.key, key) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds a member to the object that was written last, at `start`, unless it has the key.
    pub(crate) fn add_missing(
        &mut self,
        start: usize,
        key: &str,
        write: impl FnOnce(&mut Self) -> Result<(), ValueError>,
    ) -> Result<(), ValueError> {
        if self.has_key(start, key)? {
            return Ok(());
        }
        // Its last byte is its end.
        self.len = self.len.saturating_sub(1);
        write(self)?;
        self.byte(tree::END)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_needs_escaping_is_found_wherever_it_stands() {
        for len in 1..40 {
            for at in 0..len {
                for byte in 0..=255 {
                    let mut bytes = [b'x'; 40];
                    bytes[at] = byte;
                    assert_eq!(
                        any_needs_escape(&bytes[..len]),
                        needs_escape(byte),
                        "{byte} at {at} of {len}"
                    );
                }
            }
        }
        assert!(!any_needs_escape(&[0xff, 0x80, 0x20, 0x7f, 0xa2, 0xdc, 0x21, 0x5b, 0x5d, 0x23]));
    }
}
