//! One request and its reply over a connection that is open.

use core::pin::pin;

use embassy_time::{Duration, with_timeout};
use embedded_io_async::{ErrorType, Read, Write};
use whisperr_core::{Body, BodyError, Reply, Request, SDK, SDK_HEADER, apart};

use super::error::HttpError;
use super::reply::ReplyReader;
use super::server::Server;

/// How long the rest of a reply may take once its status is there. The status is what counts: a server that drips
/// a body for ever must not turn an acknowledgement into a retry.
const REST_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes read from the connection at a time.
const PIECE_BYTES: usize = 64;

/// What an exchange came to.
pub(super) struct Exchanged {
    pub(super) reply: Reply,
    /// Whether the connection can carry another one.
    pub(super) is_reusable: bool,
}

/// Why it came to nothing.
pub(super) struct Failed {
    pub(super) error: HttpError,
    /// Whether the server said anything.
    pub(super) was_answered: bool,
}

impl Failed {
    const fn unanswered(error: HttpError) -> Self {
        Self { error, was_answered: false }
    }
}

/// Sends a request and reads its reply.
pub(super) async fn exchange<C: Read + Write, B: Body>(
    connection: &mut C,
    server: &Server<'_>,
    request: Request,
    body: &mut B,
) -> Result<Exchanged, Failed> {
    let written = { apart(pin!(write_request(connection, server, request, body))).await };
    let is_sent = match written {
        Ok(()) => true,
        Err(BodyError::Storage) => return Err(Failed::unanswered(HttpError::Body)),
        // A server that refuses a request may say so before it has all of it, and close: what it said counts.
        Err(BodyError::Writer(_)) => false,
    };
    let (reply, is_reusable) = { apart(pin!(read_reply(connection))).await }?;
    if !is_sent && (200..300).contains(&reply.status()) {
        return Err(Failed { error: HttpError::TooEarly, was_answered: true });
    }
    Ok(Exchanged { reply, is_reusable: is_reusable && is_sent })
}

/// Reads a reply, and whether the connection can carry another exchange. A function of its own: its reader takes the
/// place in the future that the request has left.
async fn read_reply<C: Read>(connection: &mut C) -> Result<(Reply, bool), Failed> {
    let mut reader = ReplyReader::new();
    while !reader.has_head() {
        if let Err(error) = read_piece(connection, &mut reader).await {
            return Err(Failed { error, was_answered: reader.has_begun() });
        }
    }
    let rest = async {
        while !reader.is_done() {
            if read_piece(connection, &mut reader).await.is_err() {
                return;
            }
        }
    };
    // Whatever came in time is read; the rest says nothing that counts.
    let _late = with_timeout(REST_TIMEOUT, rest).await;
    Ok(reader.finish())
}

async fn read_piece<C: Read>(connection: &mut C, reader: &mut ReplyReader) -> Result<(), HttpError> {
    let mut piece = [0; PIECE_BYTES];
    let count = connection.read(&mut piece).await.map_err(|_| HttpError::Connection)?;
    match piece.get(..count) {
        None | Some([]) => reader.feed_end(),
        Some(bytes) => reader.feed(bytes),
    }
    .map_err(HttpError::Reply)
}

/// Writes head and body. With fewer bytes or more than were announced, the request is not completed.
async fn write_request<C: Write, B: Body>(
    connection: &mut C,
    server: &Server<'_>,
    request: Request,
    body: &mut B,
) -> Result<(), BodyError<C::Error>> {
    let mut digits = [0; DIGITS_MAX];
    let length = decimal(request.body_bytes, &mut digits);
    let head = [
        "POST ",
        server.url.prefix(),
        request.path,
        " HTTP/1.1\r\nHost: ",
        server.url.authority(),
        "\r\nAuthorization: Bearer ",
        server.key.get().expose(),
        "\r\nContent-Type: application/json\r\n",
        SDK_HEADER,
        ": ",
        SDK,
        "\r\nContent-Length: ",
        length,
        "\r\n\r\n",
    ];
    for part in head {
        write_all(connection, part.as_bytes()).await.map_err(BodyError::Writer)?;
    }
    let mut out = Exactly { connection, left: request.body_bytes };
    body.write_to(&mut out).await.map_err(|error| match error {
        BodyError::Writer(Beyond::Connection(error)) => BodyError::Writer(error),
        BodyError::Writer(Beyond::End) | BodyError::Storage => BodyError::Storage,
    })?;
    if out.left > 0 {
        return Err(BodyError::Storage);
    }
    connection.flush().await.map_err(BodyError::Writer)
}

async fn write_all<C: Write>(connection: &mut C, mut bytes: &[u8]) -> Result<(), C::Error> {
    while !bytes.is_empty() {
        let count = connection.write(bytes).await?;
        bytes = bytes.get(count..).unwrap_or_default();
    }
    Ok(())
}

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

/// A number in decimal digits: without the formatting machinery, which costs a kilobyte where nothing else uses it.
fn decimal(mut number: usize, digits: &mut [u8; DIGITS_MAX]) -> &str {
    let mut start = DIGITS_MAX;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0'.saturating_add((number % 10) as u8);
        number /= 10;
        start = at;
        if number == 0 {
            break;
        }
    }
    core::str::from_utf8(digits.get(start..).unwrap_or_default()).unwrap_or_default()
}

/// A writer that takes so many bytes and not one more.
pub(super) struct Exactly<'a, C> {
    pub(super) connection: &'a mut C,
    pub(super) left: usize,
}

/// Why a byte of the body was not written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beyond<E> {
    Connection(E),
    /// The body is longer than it said.
    End,
}

impl<E: core::fmt::Debug> core::fmt::Display for Beyond<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Connection(_) => "the connection broke",
            Self::End => "the body is longer than announced",
        })
    }
}

impl<E: core::fmt::Debug> core::error::Error for Beyond<E> {}

impl<E: embedded_io_async::Error> embedded_io_async::Error for Beyond<E> {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        match self {
            Self::Connection(error) => error.kind(),
            Self::End => embedded_io_async::ErrorKind::InvalidInput,
        }
    }
}

impl<C: ErrorType> ErrorType for Exactly<'_, C> {
    type Error = Beyond<C::Error>;
}

impl<C: Write> Write for Exactly<'_, C> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        if bytes.is_empty() {
            // A socket would wait for ever to take nothing.
            return Ok(0);
        }
        if bytes.len() > self.left {
            return Err(Beyond::End);
        }
        let count = self.connection.write(bytes).await.map_err(Beyond::Connection)?;
        self.left = self.left.saturating_sub(count);
        Ok(count)
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        // Once, behind the whole body: a flush in between would cut it into packets.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use core::convert::Infallible;
    use std::vec::Vec;

    use whisperr_core::{Batch, Seq, ready};

    use super::*;

    /// A connection that keeps what is written; nothing is ever read from it.
    #[derive(Default)]
    struct Sink(Vec<u8>);

    impl ErrorType for Sink {
        type Error = Infallible;
    }

    impl Write for Sink {
        async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            // A few at a time, as a socket whose buffer is nearly full.
            let count = bytes.len().min(3);
            self.0.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        async fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    /// A body in pieces, that says of itself that it is as long as announced.
    struct Pieces<'a>(usize, &'a [&'a [u8]]);

    impl Body for Pieces<'_> {
        fn bytes(&self) -> usize {
            self.0
        }

        async fn write_to<W: Write>(&mut self, writer: &mut W) -> Result<(), BodyError<W::Error>> {
            for piece in self.1 {
                writer.write_all(piece).await.map_err(BodyError::Writer)?;
            }
            Ok(())
        }
    }

    /// Writes a request: whether it is complete, and the body that came out.
    fn written(announced: usize, pieces: &[&[u8]]) -> (bool, Vec<u8>) {
        let mut sink = Sink::default();
        let server = Server::new("wrk_1").unwrap();
        let request = Batch::of_events(Seq::FIRST, 1, announced).unwrap().request();
        let mut body = Pieces(announced, pieces);
        let written = ready(write_request(&mut sink, &server, request, &mut body)).unwrap();
        let head = sink.0.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
        (written.is_ok(), sink.0.split_off(head.saturating_add(4)))
    }

    #[test]
    fn a_body_is_as_long_as_announced_or_the_request_is_not_complete() {
        assert_eq!(written(7, &[b"abcd", b"", b"efg"]), (true, Vec::from(b"abcdefg")));
        assert_eq!(written(8, &[b"abcd", b"efg"]), (false, Vec::from(b"abcdefg")));
        assert_eq!(written(6, &[b"abcd", b"efg"]), (false, Vec::from(b"abcd")));
        assert_eq!(written(0, &[b""]), (true, Vec::new()));
        assert_eq!(written(1, &[]), (false, Vec::new()));
    }

    #[test]
    fn a_length_is_written_in_decimal() {
        let mut digits = [0; DIGITS_MAX];
        for (number, expected) in [(0, "0"), (9, "9"), (10, "10"), (524_288, "524288")] {
            assert_eq!(decimal(number, &mut digits), expected);
        }
        let most = decimal(usize::MAX, &mut digits);
        assert_eq!(most.parse(), Ok(usize::MAX));
    }
}
