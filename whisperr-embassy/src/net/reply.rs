//! Reads the reply of a server that is not trusted: any bytes, in pieces of any length, end in a reply or an
//! error, in bounded memory.

use core::fmt;

use whisperr_core::Reply;

/// Most bytes of a line that are kept: the lines that count are shorter, the longest is `Retry-After` with a date.
const LINE_BYTES: usize = 80;

/// Most bytes of the body that are kept. What a Whisperr server answers takes 30; of what a server that knows more
/// fields would say beyond this, nothing is read.
const BODY_BYTES: usize = 512;

/// Most bytes of heads, interim replies (1xx) included: as much as common servers allow themselves.
const HEAD_BYTES_MAX: u32 = 8 << 10;

/// Most bytes behind the head that are read for the sake of using the connection again.
const REST_BYTES_MAX: u32 = 4 << 10;

/// Why there is no reply in what a server sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReplyError {
    /// It is not HTTP/1.
    NotHttp,
    /// The head, with interim replies before it, is longer than 8 KiB.
    HeadTooLarge,
    /// The connection ended before the head did.
    Incomplete,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("the reply is not HTTP/1"),
            Self::HeadTooLarge => write!(f, "the head of the reply exceeds {HEAD_BYTES_MAX} bytes"),
            Self::Incomplete => f.write_str("the connection ended before the head of the reply did"),
        }
    }
}

impl core::error::Error for ReplyError {}

/// A reply in the making.
///
/// Its status counts as soon as the head is there. The rest is read for `rejected`, and because a connection
/// whose reply was not read to its end cannot carry another one.
#[derive(Debug)]
pub(super) struct ReplyReader {
    part: Part,
    line: Line,
    head_left: u32,
    rest_left: u32,
    reply: Reply,
    framing: Framing,
    has_retry_after: bool,
    has_date: bool,
    /// Whether the connection can carry another exchange once this one is done.
    is_reusable: bool,
    body: [u8; BODY_BYTES],
    body_len: usize,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    StatusLine,
    Headers,
    /// A body of known length: so many bytes are left, at least one.
    Body(u64),
    BodyUntilClose,
    ChunkSize,
    /// So many bytes of the chunk are left, at least one.
    Chunk(u64),
    /// The end of the line behind a chunk.
    ChunkEnd,
    Trailers,
    Done,
}

/// How the end of the body is told, as far as the headers said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Unsaid,
    Length(u64),
    Chunked,
    /// The headers contradict each other, or say what is not known here.
    Broken,
}

impl ReplyReader {
    pub(super) const fn new() -> Self {
        Self {
            part: Part::StatusLine,
            line: Line::EMPTY,
            head_left: HEAD_BYTES_MAX,
            rest_left: REST_BYTES_MAX,
            reply: Reply::new(0),
            framing: Framing::Unsaid,
            has_retry_after: false,
            has_date: false,
            is_reusable: true,
            body: [0; BODY_BYTES],
            body_len: 0,
        }
    }

    /// Whether anything was read.
    pub(super) const fn has_begun(&self) -> bool {
        self.head_left < HEAD_BYTES_MAX
    }

    /// Whether the head of the final reply is read.
    pub(super) const fn has_head(&self) -> bool {
        !matches!(self.part, Part::StatusLine | Part::Headers)
    }

    /// Whether nothing more need be read.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.part, Part::Done)
    }

    /// The reply, once its head is read; and whether the connection can be used again.
    pub(super) fn finish(self) -> (Reply, bool) {
        let is_reusable = self.is_reusable && self.is_done();
        (self.reply.body(self.body.get(..self.body_len).unwrap_or_default()), is_reusable)
    }

    /// Takes the next bytes of the connection.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), ReplyError> {
        for byte in bytes {
            if self.is_done() {
                // Nobody asked for more: whatever it is, it must not become the next reply.
                self.is_reusable = false;
                return Ok(());
            }
            self.feed_byte(*byte)?;
        }
        Ok(())
    }

    /// The connection ended.
    pub(super) fn feed_end(&mut self) -> Result<(), ReplyError> {
        if !self.has_head() {
            return Err(ReplyError::Incomplete);
        }
        self.give_up();
        Ok(())
    }

    fn feed_byte(&mut self, byte: u8) -> Result<(), ReplyError> {
        let has_head = self.has_head();
        let left = if has_head { &mut self.rest_left } else { &mut self.head_left };
        match left.checked_sub(1) {
            Some(less) => *left = less,
            None if has_head => {
                self.give_up();
                return Ok(());
            }
            None => return Err(ReplyError::HeadTooLarge),
        }
        match self.part {
            Part::Body(left) => {
                self.keep(byte);
                self.part = if left > 1 { Part::Body(left.saturating_sub(1)) } else { Part::Done };
            }
            Part::Chunk(left) => {
                self.keep(byte);
                self.part = if left > 1 { Part::Chunk(left.saturating_sub(1)) } else { Part::ChunkEnd };
            }
            Part::BodyUntilClose => self.keep(byte),
            Part::Done => {}
            Part::StatusLine | Part::Headers | Part::ChunkSize | Part::ChunkEnd | Part::Trailers => {
                if byte == b'\n' {
                    let line = core::mem::replace(&mut self.line, Line::EMPTY);
                    return self.feed_line(&line);
                }
                self.line.push(byte);
            }
        }
        Ok(())
    }

    /// Keeps a byte of the body while there is room.
    fn keep(&mut self, byte: u8) {
        if let Some(to) = self.body.get_mut(self.body_len) {
            *to = byte;
            self.body_len = self.body_len.saturating_add(1);
        }
    }

    fn feed_line(&mut self, line: &Line) -> Result<(), ReplyError> {
        match self.part {
            Part::StatusLine => return self.feed_status_line(line.text()),
            Part::Headers if line.text().is_empty() => self.end_head(),
            Part::Headers => self.feed_header(line),
            Part::ChunkSize => match chunk_size(line) {
                Some(0) => self.part = Part::Trailers,
                Some(size) => self.part = Part::Chunk(size),
                None => self.give_up(),
            },
            Part::ChunkEnd if line.text().is_empty() => self.part = Part::ChunkSize,
            Part::ChunkEnd => self.give_up(),
            Part::Trailers if line.text().is_empty() => self.part = Part::Done,
            _ => {}
        }
        Ok(())
    }

    fn feed_status_line(&mut self, line: &[u8]) -> Result<(), ReplyError> {
        let (minor, status) = status_line(line).ok_or(ReplyError::NotHttp)?;
        self.reply = Reply::new(status);
        self.framing = Framing::Unsaid;
        (self.has_retry_after, self.has_date) = (false, false);
        // Before 1.1 a connection carries one exchange.
        self.is_reusable = minor > 0;
        self.part = Part::Headers;
        Ok(())
    }

    fn feed_header(&mut self, line: &Line) {
        let text = line.text();
        let colon = text.iter().position(|byte| *byte == b':');
        let Some((name, value)) = colon.and_then(|at| text.split_at_checked(at)) else {
            self.is_reusable = false;
            return;
        };
        if name.iter().any(u8::is_ascii_whitespace) {
            // The continuation of another line, or a space before the colon: what it means is anybody's guess,
            // and two who guess differently see two replies where there is one.
            self.is_reusable = false;
            return;
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let whole = (!line.is_cut()).then_some(value);
        if name.eq_ignore_ascii_case(b"content-length") {
            self.framing = match (self.framing, whole.and_then(number)) {
                (Framing::Unsaid, Some(length)) => Framing::Length(length),
                (Framing::Length(before), Some(length)) if before == length => Framing::Length(length),
                _ => Framing::Broken,
            };
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let is_chunked = whole.is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
            self.framing = match self.framing {
                Framing::Unsaid if is_chunked => Framing::Chunked,
                _ => Framing::Broken,
            };
        } else if name.eq_ignore_ascii_case(b"connection") {
            let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            if line.is_cut() || words.any(|word| word.eq_ignore_ascii_case(b"close")) {
                self.is_reusable = false;
            }
        } else if let Some(value) = whole {
            self.feed_date(name, value);
        }
    }

    /// The headers whose value the core reads. Where one comes twice, the first counts.
    fn feed_date(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"retry-after") && !self.has_retry_after {
            self.has_retry_after = true;
            self.reply = self.reply.retry_after(value);
        } else if name.eq_ignore_ascii_case(b"date") && !self.has_date {
            self.has_date = true;
            self.reply = self.reply.date(value);
        }
    }

    fn end_head(&mut self) {
        self.part = match (self.reply.status(), self.framing) {
            // Another protocol from here on: there is no other reply behind it.
            (101, _) => Part::BodyUntilClose,
            (100..=199, _) => Part::StatusLine,
            (204 | 304, _) | (_, Framing::Length(0)) => Part::Done,
            (_, Framing::Length(length)) => Part::Body(length),
            (_, Framing::Chunked) => Part::ChunkSize,
            (_, Framing::Unsaid | Framing::Broken) => Part::BodyUntilClose,
        };
        if self.part == Part::BodyUntilClose {
            self.is_reusable = false;
        }
    }

    /// Ends the reading; the reply stands, the connection does not.
    fn give_up(&mut self) {
        self.part = Part::Done;
        self.is_reusable = false;
    }
}

/// The minor version and the status in a status line.
fn status_line(line: &[u8]) -> Option<(u8, u16)> {
    let [minor @ b'0'..=b'9', b' ', status @ ..] = line.strip_prefix(b"HTTP/1.")? else { return None };
    let (digits, rest) = status.split_at_checked(3)?;
    let status = u16::try_from(number(digits)?).ok().filter(|status| *status >= 100)?;
    matches!(rest, [] | [b' ', ..]).then_some((minor.wrapping_sub(b'0'), status))
}

/// A number in decimal digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    in_base(digits, 10)
}

/// The size in front of a chunk; extensions behind it are ignored.
fn chunk_size(line: &Line) -> Option<u64> {
    let text = line.text();
    let end = text.iter().position(|byte| *byte == b';');
    if end.is_none() && line.is_cut() {
        return None;
    }
    in_base(text.get(..end.unwrap_or(text.len()))?.trim_ascii(), 16)
}

fn in_base(digits: &[u8], base: u32) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = char::from(*digit).to_digit(base)?;
        sum.checked_mul(base.into())?.checked_add(digit.into())
    })
}

/// The start of a line, and how long it really is.
#[derive(Debug)]
struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
}

impl Line {
    const EMPTY: Self = Self { bytes: [0; LINE_BYTES], len: 0 };

    fn push(&mut self, byte: u8) {
        if let Some(to) = self.bytes.get_mut(self.len) {
            *to = byte;
        }
        self.len = self.len.saturating_add(1);
    }

    /// What was kept of it, without the carriage return at its end.
    fn text(&self) -> &[u8] {
        let text = self.bytes.get(..self.len.min(LINE_BYTES)).unwrap_or_default();
        text.strip_suffix(b"\r").unwrap_or(text)
    }

    /// Whether part of it was not kept.
    const fn is_cut(&self) -> bool {
        self.len > LINE_BYTES
    }
}

#[cfg(test)]
mod tests;
