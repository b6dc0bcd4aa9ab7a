//! Ready JSON text, validated while it is stored.

use core::fmt;

use crate::encode::{Encoder, ValueError, any_needs_escape, needs_escape};
use crate::tree::{self, Nesting};

/// Properties, traits or context as ready JSON text of an object.
///
/// Checked completely (RFC 8259) before anything is stored; numbers are sent digit by digit as given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a marker around text")]
pub struct Json<'a>(pub &'a str);

/// Where a JSON text breaks the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonError {
    /// The offset of the byte that cannot stand there, or the text's length when it ends too early.
    pub at: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unexpected text at byte {}", self.at)
    }
}

/// Stores one JSON value; anything but white space behind it is an error.
pub(crate) fn encode(text: &str, encoder: &mut Encoder<'_>) -> Result<(), ValueError> {
    let mut parser = Parser { text, at: 0 };
    let mut open = Nesting::new();
    loop {
        // A value, or the start of one.
        parser.skip_space();
        match parser.peek() {
            Some(b'{') => {
                parser.advance();
                encoder.open(tree::OBJECT)?;
                open.push(true).map_err(|_| ValueError::TooDeep)?;
                parser.skip_space();
                if parser.peek() != Some(b'}') {
                    parser.key(encoder)?;
                    continue;
                }
            }
            Some(b'[') => {
                parser.advance();
                encoder.open(tree::ARRAY)?;
                open.push(false).map_err(|_| ValueError::TooDeep)?;
                parser.skip_space();
                if parser.peek() != Some(b']') {
                    continue;
                }
            }
            _ => parser.scalar(encoder)?,
        }
        // What may follow it: ends, then a comma, or the end of the text.
        loop {
            parser.skip_space();
            let Some(in_object) = open.innermost() else {
                return if parser.peek().is_none() { Ok(()) } else { Err(parser.error()) };
            };
            match (parser.peek(), in_object) {
                (Some(b'}'), true) | (Some(b']'), false) => {
                    parser.advance();
                    encoder.close()?;
                    open.pop();
                }
                (Some(b','), _) => {
                    parser.advance();
                    if in_object {
                        parser.skip_space();
                        parser.key(encoder)?;
                    }
                    break;
                }
                _ => return Err(parser.error()),
            }
        }
    }
}

/// Stores the number that a text spells.
pub(crate) fn encode_number(text: &str, encoder: &mut Encoder<'_>) -> Result<(), ValueError> {
    if !is_number(text.as_bytes()) {
        return Err(ValueError::Refused);
    }
    // Only the plain form of an integer comes back digit by digit: `-0` and long ones stay text.
    match (text.parse::<u64>(), text.parse::<i64>()) {
        (Ok(value), _) => encoder.unsigned(value),
        (_, Ok(value)) if value < 0 => encoder.negative(!value as u64),
        _ => encoder.number(text),
    }
}

/// Whether a text is exactly one JSON number.
pub(crate) fn is_number(text: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(text) else { return false };
    let mut parser = Parser { text, at: 0 };
    parser.number().is_ok() && parser.peek().is_none()
}

/// Whether a text can stand between quotes as it is.
pub(crate) fn is_escaped(text: &str) -> bool {
    if !any_needs_escape(text.as_bytes()) {
        return true;
    }
    let mut parser = Parser { text, at: 0 };
    parser.characters().is_ok() && parser.peek().is_none()
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    const fn advance(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    const fn error(&self) -> ValueError {
        ValueError::Json(JsonError { at: self.at })
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.advance();
        }
    }

    fn take(&mut self, text: &str) -> Result<(), ValueError> {
        text.bytes().try_for_each(|byte| {
            if self.peek() != Some(byte) {
                return Err(self.error());
            }
            self.advance();
            Ok(())
        })
    }

    fn key(&mut self, encoder: &mut Encoder<'_>) -> Result<(), ValueError> {
        self.string(encoder)?;
        self.skip_space();
        self.take(":")
    }

    fn scalar(&mut self, encoder: &mut Encoder<'_>) -> Result<(), ValueError> {
        match self.peek() {
            Some(b'"') => self.string(encoder),
            Some(b'n') => {
                self.take("null")?;
                encoder.byte(tree::NULL)
            }
            Some(b't') => {
                self.take("true")?;
                encoder.byte(tree::TRUE)
            }
            Some(b'f') => {
                self.take("false")?;
                encoder.byte(tree::FALSE)
            }
            _ => {
                let text = self.number()?;
                encode_number(text, encoder)
            }
        }
    }

    fn number(&mut self) -> Result<&'a str, ValueError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.advance();
        }
        if self.peek() == Some(b'0') {
            self.advance();
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.advance();
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.advance();
            if let Some(b'+' | b'-') = self.peek() {
                self.advance();
            }
            self.digits()?;
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn digits(&mut self) -> Result<(), ValueError> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.error());
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.advance();
        }
        Ok(())
    }

    fn string(&mut self, encoder: &mut Encoder<'_>) -> Result<(), ValueError> {
        self.take("\"")?;
        let start = self.at;
        // Valid JSON text is stored as it stands: an escape stays the escape it was.
        self.characters()?;
        let text = self.text.get(start..self.at).unwrap_or_default();
        self.take("\"")?;
        encoder.raw_string(text.as_bytes())
    }

    /// What may stand between quotes, as far as it goes.
    fn characters(&mut self) -> Result<(), ValueError> {
        loop {
            match self.peek() {
                Some(b'\\') => self.escape()?,
                Some(byte) if !needs_escape(byte) => self.advance(),
                _ => return Ok(()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), ValueError> {
        self.advance();
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.advance();
                Ok(())
            }
            Some(b'u') => match self.unit()? {
                // A lone surrogate is no character: strict servers refuse it, so it is refused here.
                0xdc00..=0xdfff => Err(self.error()),
                0xd800..=0xdbff => {
                    self.take("\\")?;
                    match self.unit()? {
                        0xdc00..=0xdfff => Ok(()),
                        _ => Err(self.error()),
                    }
                }
                _ => Ok(()),
            },
            _ => Err(self.error()),
        }
    }

    /// The four digits of `uXXXX`.
    fn unit(&mut self) -> Result<u16, ValueError> {
        self.take("u")?;
        let mut unit = 0_u16;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16)).ok_or(self.error())?;
            unit = (unit << 4) | digit as u16;
            self.advance();
        }
        Ok(unit)
    }
}

/// Whether escaped text stands for `plain`, which is ASCII: JSON text may spell a key with escapes.
pub(crate) fn unescaped_eq(escaped: &[u8], plain: &str) -> bool {
    let mut bytes = escaped.iter().copied();
    let mut next = || {
        let byte = bytes.next()?;
        if byte != b'\\' {
            return Some(u32::from(byte));
        }
        match bytes.next()? {
            b'u' => (0..4).try_fold(0, |unit, _| Some((unit << 4) | char::from(bytes.next()?).to_digit(16)?)),
            // The other escapes are of bytes that no compared text holds, or stand for themselves.
            byte => Some(u32::from(byte)),
        }
    };
    plain.bytes().all(|byte| next() == Some(u32::from(byte))) && next().is_none()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    #[test]
    fn escapes_do_not_hide_a_key() {
        for (escaped, expected) in [
            ("$message_id", true),
            ("\\u0024message_id", true),
            ("$message\\u005fid", true),
            ("$message_i", false),
            ("$message_id2", false),
            ("\\n$message_id", false),
            ("", false),
        ] {
            assert_eq!(unescaped_eq(escaped.as_bytes(), "$message_id"), expected, "{escaped}");
        }
    }

    #[test]
    fn text_that_is_not_json_names_the_byte() {
        let mut buffer = [0; 256];
        for (text, at) in [
            ("", 0),
            ("{", 1),
            ("{\"a\":}", 5),
            ("{\"a\" 1}", 5),
            ("{a:1}", 1),
            ("{\"a\":1,}", 7),
            ("{\"a\":1}x", 7),
            ("{\"a\":01}", 6),
            ("{\"a\":1.}", 7),
            ("{\"a\":+1}", 5),
            ("{\"a\":NaN}", 5),
            ("{\"a\":\"\t\"}", 6),
            ("{\"a\":\"\\x\"}", 7),
            ("{\"a\":\"\\ud800\"}", 12),
            ("{\"a\":\"\\udc00\"}", 12),
            ("{\"a\":[1}", 7),
            ("{\"a\":nul}", 8),
            ("{\"a\":\"", 6),
        ] {
            let error = encode(text, &mut Encoder::new(&mut buffer));
            assert_eq!(error, Err(ValueError::Json(JsonError { at })), "{text}");
        }
    }

    /// Every text of up to four of these, wherever a value, a text or a member may stand.
    #[test]
    fn exactly_the_texts_that_serde_json_takes_are_taken() {
        const PIECES: [&str; 25] = [
            "{", "}", "[", "]", ":", ",", "\"", "\\", "/", "u", "n", "t", "0", "1", "9", "-", "+", ".", "e",
            "E", " ", "\u{1}", "\u{e9}", "null", "true",
        ];
        let mut buffer = [0; 256];
        let mut taken = 0;
        for number in 0..PIECES.len().pow(4) {
            let mut rest = number;
            let mut text = String::new();
            for _ in 0..4 {
                text.push_str(PIECES[rest % PIECES.len()]);
                rest /= PIECES.len();
            }
            // Shorter ones are those whose last pieces are spaces.
            for text in
                [std::format!("{{\"k\":{text}}}"), std::format!("[\"{text}\"]"), std::format!("{{{text}}}")]
            {
                let expected = serde_json::from_str::<serde_json::Value>(&text).is_ok();
                let stored = encode(&text, &mut Encoder::new(&mut buffer));
                assert_eq!(stored.is_ok(), expected, "{text}: {stored:?}");
                taken += u32::from(expected);
            }
        }
        assert!(taken > 10_000, "{taken}");
    }

    #[test]
    fn every_escaped_character_is_taken_and_no_half_of_one() {
        let mut buffer = [0; 64];
        let mut agrees = |text: &str| {
            let expected = serde_json::from_str::<String>(text).is_ok();
            let stored = encode(text, &mut Encoder::new(&mut buffer));
            assert_eq!(stored.is_ok(), expected, "{text}: {stored:?}");
        };
        for unit in 0..=u16::MAX {
            agrees(&std::format!("\"\\u{unit:04x}\""));
            agrees(&std::format!("\"\\ud83d\\u{unit:04X}\""));
        }
        for text in
            ["\\u", "\\u0", "\\u000", "\\u00g0", "\\U0041", "\\ud83d\\n", "\\ud83d", "\\ud83dude00", "\\"]
        {
            agrees(&std::format!("\"{text}\""));
            agrees(&std::format!("\"{text}"));
        }
    }

    #[test]
    fn a_number_is_stored_so_that_it_comes_back_as_it_was_given() {
        let mut buffer = [0; 64];
        for (text, stored) in [
            ("0", &[tree::SMALL_INTEGER][..]),
            ("63", &[tree::SMALL_INTEGER | 63]),
            ("64", &[tree::UNSIGNED, 64]),
            ("-1", &[tree::NEGATIVE, 0]),
            // As an integer it would come back without the sign.
            ("-0", &[tree::NUMBER, 2, b'-', b'0']),
            ("1.0", &[tree::NUMBER, 3, b'1', b'.', b'0']),
        ] {
            let mut encoder = Encoder::new(&mut buffer);
            encode_number(text, &mut encoder).unwrap();
            let len = encoder.len();
            assert_eq!(&buffer[..len], stored, "{text}");
        }
        for text in ["", "-", "+1", "1 ", "0x1", "1,2", "inf"] {
            assert_eq!(
                encode_number(text, &mut Encoder::new(&mut buffer)),
                Err(ValueError::Refused),
                "{text}"
            );
        }
    }
}
