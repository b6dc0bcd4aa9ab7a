//! Lines of bounded length.

use std::io::{self, BufRead, ErrorKind};

/// Most bytes of a line of `pipe`, without its end. An operation has a limit of its own.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;

/// One line of an input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Without its end.
    Whole(&'a [u8]),
    /// It is longer than the limit, and was passed over.
    TooLong,
}

/// Reads lines into one buffer that never grows beyond the limit.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    bytes_max: usize,
}

impl<R: BufRead> Lines<R> {
    pub(crate) const fn new(input: R, bytes_max: usize) -> Self {
        Self { input, buffer: Vec::new(), bytes_max }
    }

    /// The next line; `None` at the end. The last line needs no line feed.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let (mut any, mut too_long) = (false, false);
        loop {
            let available = match self.input.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            };
            any |= !available.is_empty();
            let end = available.iter().position(|byte| *byte == b'\n');
            let piece = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
            too_long |= piece.len() > self.bytes_max.saturating_sub(self.buffer.len());
            if !too_long {
                self.buffer.extend_from_slice(piece);
            }
            let ended = end.is_some() || available.is_empty();
            let used = piece.len().saturating_add(usize::from(end.is_some()));
            self.input.consume(used);
            if ended {
                break;
            }
        }
        Ok(match (any, too_long) {
            (false, _) => None,
            (true, true) => Some(Line::TooLong),
            (true, false) => Some(Line::Whole(&self.buffer)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn lines(input: &[u8], capacity: usize) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(BufReader::with_capacity(capacity, input), 4);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push(match line {
                Line::Whole(line) => Some(line.to_vec()),
                Line::TooLong => None,
            });
        }
        assert!(lines.buffer.capacity() < 64);
        found
    }

    #[test]
    fn lines_end_at_a_line_feed_or_at_the_end_and_fit_the_limit() {
        let line = |text: &[u8]| Some(text.to_vec());
        for (input, expected) in [
            (&b""[..], vec![]),
            (b"\n", vec![line(b"")]),
            (b"ab", vec![line(b"ab")]),
            (b"ab\n", vec![line(b"ab")]),
            (b"ab\r\n\nc", vec![line(b"ab\r"), line(b""), line(b"c")]),
            (b"abcd\nabcde\nx", vec![line(b"abcd"), None, line(b"x")]),
            (b"abcd", vec![line(b"abcd")]),
            (b"abcde", vec![None]),
            (&[b'a'; 10_000], vec![None]),
        ] {
            for capacity in [1, 2, 3, 5, 64] {
                assert_eq!(lines(input, capacity), expected, "{input:?} by {capacity}");
            }
        }
    }
}
